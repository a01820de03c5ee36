/**
 * What this node says of itself to an upstream: nothing, Basic, or a token from the realm that the upstream names. Follows RFC 9110 §11 and the
 * token authentication of the distribution project. A secret goes to the upstream's own origin and to its realm, and to that only over https, or
 * in plain to the very host that an operator configured in plain. Scopes are made here, always for pulling: never by what a challenge says.
 */

import { RegistryError } from '../error.ts';
import { ExpiringMap } from '../expiring-map.ts';
import {
  discard,
  type ExchangeDeps,
  type ExchangeLimits,
  exchange,
  readBody,
  statusError,
  upstreamFailed,
  withAttempts,
} from './upstream-exchange.ts';

export type UpstreamCredentials =
  | { readonly kind: 'basic'; readonly user: string; readonly password: string }
  | { readonly kind: 'bearer'; readonly token: string };

/** What came with a 401. */
export interface Challenge {
  /** The field `WWW-Authenticate`. */
  readonly text: string;
  /** The value of `Authorization` that was refused, or null when none was sent. */
  readonly refused: string | null;
  readonly scope: string;
  readonly subject: string;
  readonly signal: AbortSignal;
}

export interface Authorizer {
  /** What to send as `Authorization` to the upstream's origin, as far as known; or null. */
  readonly known: (scope: string) => string | null;
  /** What to send after a 401; throws UPSTREAM_DENIED when nothing more can be said. */
  readonly answer: (challenge: Challenge) => Promise<string>;
}

interface Realm {
  readonly url: URL;
  readonly service: string | null;
}

const MAX_TOKENS = 1024;
const MAX_ANSWER_BYTES = 65_536;
const DEFAULT_EXPIRES_S = 60;
const MAX_EXPIRES_S = 86_400;

export interface AuthorizerOptions {
  readonly url: URL;
  /** Origins that may be at private addresses. */
  readonly mayBePrivate: ReadonlySet<string>;
  readonly credentials: UpstreamCredentials | null;
  readonly limits: ExchangeLimits;
}

export function authorizer(options: AuthorizerOptions, deps: ExchangeDeps): Authorizer {
  const { credentials } = options;
  const tokens = tokenKeeper(options, deps);
  let takesBasic = false;

  const known = (scope: string): string | null => {
    if (credentials?.kind === 'bearer') return `Bearer ${credentials.token}`;
    if (takesBasic && credentials !== null) return basicOf(credentials);
    const token = tokens.held(scope);
    return token === null ? null : `Bearer ${token}`;
  };

  const answer = async (challenge: Challenge): Promise<string> => {
    const { scope, subject, refused, signal } = challenge;
    const newer = known(scope);
    if (newer !== null && newer !== refused) return newer;
    if (credentials?.kind === 'bearer') throw denied(subject, 'the upstream refuses the token of this node');
    const schemes = parseChallenges(challenge.text);
    const bearer = schemes.find(({ scheme, parameters }) => scheme === 'bearer' && parameters.has('realm'));
    if (bearer !== undefined) {
      const realm = realmOf(bearer.parameters, options, subject);
      return `Bearer ${await unlessAborted(tokens.fetch({ realm, scope, subject }), signal, subject)}`;
    }
    if (credentials === null || refused !== null || !schemes.some(({ scheme }) => scheme === 'basic')) {
      throw denied(subject, 'the upstream wants to know who asks, in a way that this node has no answer to');
    }
    takesBasic = true;
    return basicOf(credentials);
  };

  return { known, answer };
}

interface TokenRequest {
  readonly realm: Realm;
  readonly scope: string;
  readonly subject: string;
}

interface TokenKeeper {
  readonly held: (scope: string) => string | null;
  /** One request to the realm at a time for a scope, however many ask. */
  readonly fetch: (request: TokenRequest) => Promise<string>;
}

function tokenKeeper(options: AuthorizerOptions, deps: ExchangeDeps): TokenKeeper {
  const tokens = new ExpiringMap<string>({ maxEntries: MAX_TOKENS }, deps);
  const fetching = new Map<string, Promise<string>>();
  const fetch = async (request: TokenRequest): Promise<string> => {
    const { token, untilMs } = await fetchToken(request, options, deps);
    tokens.set(request.scope, token, untilMs);
    return token;
  };
  return {
    held: (scope) => tokens.get(scope),
    fetch: (request) => {
      const { scope } = request;
      const work = fetching.get(scope) ?? fetch(request).finally(() => fetching.delete(scope));
      fetching.set(scope, work);
      return work;
    },
  };
}

/** The schemes of a `WWW-Authenticate` field, lower-case, each with its parameters; what can't be read ends the list. */
export function parseChallenges(text: string): readonly { readonly scheme: string; readonly parameters: ReadonlyMap<string, string> }[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  const part = /[\s,]*([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+)))?/y;
  for (let found = part.exec(text); found !== null; found = part.exec(text)) {
    const [, name = '', quoted, plain] = found;
    const value = quoted?.replace(/\\(.)/g, '$1') ?? plain;
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: new Map() });
    else challenges.at(-1)?.parameters.set(name.toLowerCase(), value);
  }
  return challenges;
}

/** Where a token is to be had; throws UPSTREAM_DENIED for a place that must not learn who this node is. */
function realmOf(parameters: ReadonlyMap<string, string>, options: AuthorizerOptions, subject: string): Realm {
  const text = parameters.get('realm') ?? '';
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw upstreamFailed(subject, 'the upstream names a realm that is no http or https URL');
  }
  const isPlain = url.protocol === 'http:';
  if (isPlain && options.url.protocol === 'https:')
    throw denied(subject, `the realm ${url.host} is in plain http, and the upstream is not`);
  if (isPlain && options.credentials !== null && url.hostname !== options.url.hostname) {
    throw denied(subject, `the realm ${url.host} is another host, in plain http: it gets no credentials`);
  }
  return { url, service: parameters.get('service') ?? null };
}

/** One answer for all who wait, so nobody's going away ends it; the limits do. */
function fetchToken(
  request: TokenRequest,
  options: AuthorizerOptions,
  deps: ExchangeDeps,
): Promise<{ readonly token: string; readonly untilMs: number }> {
  const { subject } = request;
  const { limits, credentials } = options;
  const { signal } = new AbortController();
  const url = new URL(request.realm.url);
  if (request.realm.service !== null) url.searchParams.set('service', request.realm.service);
  url.searchParams.set('scope', request.scope);
  const headers = { accept: 'application/json', ...(credentials === null ? {} : { authorization: basicOf(credentials) }) };
  const allowPrivate = options.mayBePrivate.has(url.origin);
  const once = async (): Promise<{ readonly token: string; readonly untilMs: number }> => {
    const askedMs = deps.clock.nowMs();
    const response = await exchange({ url, method: 'GET', headers, allowPrivate, subject, signal }, limits, deps);
    if (response.status !== 200) {
      await discard(response);
      // A redirect is not followed: it could only carry the credentials elsewhere.
      throw response.status === 404
        ? upstreamFailed(subject, `the realm ${url.host} is not there`)
        : statusError(response, subject, deps.clock);
    }
    const answer = readToken(await readBody(response, MAX_ANSWER_BYTES, subject));
    if (answer === null) throw upstreamFailed(subject, `the realm ${url.host} gives something that is no token`);
    return { token: answer.token, untilMs: askedMs + answer.expiresS * 1000 };
  };
  return withAttempts(once, { attempts: limits.attempts, subject, signal }, deps);
}

function readToken(bytes: Uint8Array): { readonly token: string; readonly expiresS: number } | null {
  let answer: unknown;
  try {
    answer = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
  if (typeof answer !== 'object' || answer === null) return null;
  const { token, access_token: otherName, expires_in: expiresS } = answer as Readonly<Record<string, unknown>>;
  const text = token ?? otherName;
  if (typeof text !== 'string' || !/^[!-~]{1,16384}$/.test(text)) return null;
  const isTime = typeof expiresS === 'number' && expiresS >= 0;
  return { token: text, expiresS: isTime ? Math.min(expiresS, MAX_EXPIRES_S) : DEFAULT_EXPIRES_S };
}

/** The work's outcome, or ABORTED as soon as this one waiter has gone; the work goes on for the others. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal, subject: string): Promise<T> {
  let stop = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(new RegistryError('ABORTED', subject, { message: 'given up: nobody waits any more', cause: signal.reason }));
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function basicOf(credentials: UpstreamCredentials): string {
  if (credentials.kind === 'bearer') return `Bearer ${credentials.token}`;
  return `Basic ${Buffer.from(`${credentials.user}:${credentials.password}`, 'utf8').toString('base64')}`;
}

function denied(subject: string, message: string): RegistryError {
  return new RegistryError('UPSTREAM_DENIED', subject, { message });
}
