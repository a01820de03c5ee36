/**
 * From a path at an upstream to an answer that succeeded: who is asked says who it is when told to, and redirects are followed by hand. Once a
 * redirect has left the upstream's origin nothing more is said of this node, not even after a redirect back; only that origin, and those that
 * the operator names beside it, may be private.
 */

import type { UpstreamResponse } from '../ports.ts';
import type { Authorizer } from './upstream-auth.ts';
import { discard, type ExchangeDeps, type ExchangeLimits, exchange, statusError, upstreamFailed } from './upstream-exchange.ts';

/** A configured upstream, as far as asking it goes. */
export interface UpstreamSite {
  /** Ends in no slash; below it come `/NAME/manifests/…` and `/NAME/blobs/…`. */
  readonly base: URL;
  /** Origins that may be at private addresses. */
  readonly mayBePrivate: ReadonlySet<string>;
  readonly authorizer: Authorizer;
  readonly limits: ExchangeLimits;
}

export interface UpstreamRequest {
  readonly method: 'GET' | 'HEAD';
  /** Of validated parts, beginning with a slash. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly scope: string;
  readonly subject: string;
  readonly signal: AbortSignal;
}

const MAX_REDIRECTS = 5;
const REDIRECTS = [301, 302, 303, 307, 308];

/** An answer with status 200 or 206; else a RegistryError, or a TransientFailure. */
export async function ask(request: UpstreamRequest, site: UpstreamSite, deps: ExchangeDeps): Promise<UpstreamResponse> {
  const { subject, scope, signal, method } = request;
  let url = new URL(site.base.href + request.path);
  let authorization = site.authorizer.known(scope);
  let isHome = true;
  let isChallenged = false;
  let redirects = 0;
  for (;;) {
    const headers = { ...request.headers, ...(isHome && authorization !== null ? { authorization } : {}) };
    const allowPrivate = site.mayBePrivate.has(url.origin);
    const response = await exchange({ url, method, headers, allowPrivate, subject, signal }, site.limits, deps);
    if (response.status === 200 || response.status === 206) return response;
    await discard(response);
    if (REDIRECTS.includes(response.status)) {
      redirects += 1;
      if (redirects > MAX_REDIRECTS) throw upstreamFailed(subject, `the upstream redirects more than ${MAX_REDIRECTS} times`);
      url = redirectTarget(url, response.headers.location, subject);
      isHome &&= url.origin === site.base.origin;
    } else if (response.status === 401 && isHome && !isChallenged) {
      isChallenged = true;
      const text = response.headers['www-authenticate'] ?? '';
      authorization = await site.authorizer.answer({ text, refused: authorization, scope, subject, signal });
    } else throw statusError(response, subject, deps.clock);
  }
}

function redirectTarget(from: URL, location: string | undefined, subject: string): URL {
  if (location === undefined || !URL.canParse(location, from.href)) throw upstreamFailed(subject, 'the upstream redirects to no URL');
  const target = new URL(location, from.href);
  if (!/^https?:$/.test(target.protocol) || target.username !== '' || target.password !== '') {
    throw upstreamFailed(subject, 'the upstream redirects to what is no plain http or https URL');
  }
  if (from.protocol === 'https:' && target.protocol === 'http:') {
    throw upstreamFailed(subject, `${from.host} redirects from https to plain http`);
  }
  return target;
}
