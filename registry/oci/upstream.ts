/**
 * Fetches manifests and blobs from a configured registry: how an authority sees with its own eyes what it is asked to vouch for. Follows OCI
 * dist-spec 1.1 ("Pull"). Everything an upstream says is a claim: lengths are compared, manifests are hashed here, blobs by the caller. Never
 * takes a host or a path from a client, never fetches a foreign layer's URL, never stores.
 */

import { createHash } from 'node:crypto';
import { asDigest, type Digest, formatDigest, parseDigest, sameBytes } from '../../chain/index.ts';
import { RegistryError } from '../error.ts';
import { ExpiringMap } from '../expiring-map.ts';
import type { Logger, UpstreamResponse } from '../ports.ts';
import { MAX_MANIFEST_BYTES, mediaTypeOf } from './manifest.ts';
import { isManifestType, MANIFEST_TYPES } from './media-types.ts';
import { authorizer, type UpstreamCredentials } from './upstream-auth.ts';
import { readBlob } from './upstream-blob.ts';
import { discard, type ExchangeDeps, readBody, upstreamFailed, withAttempts } from './upstream-exchange.ts';
import { ask, type UpstreamSite } from './upstream-redirects.ts';

export interface OciUpstreamOptions {
  readonly id: string;
  /** Origin, or with a path: that goes before a repository's name, after `/v2`; unless it has a segment `v2` of its own. */
  readonly url: string;
  readonly credentials: UpstreamCredentials | null;
  /** Origins that may be at private addresses beside the URL's own: of its realm, or where its blobs lie. Default: none. */
  readonly alsoAt?: readonly string[];
  /** Attempts in all when what fails may pass. */
  readonly attempts?: number;
  /** From a request to the headers of its answer. */
  readonly headersMs?: number;
  /** Longest silence within a body. */
  readonly idleMs?: number;
  /** How long it is remembered that a reference is absent. */
  readonly negativeMs?: number;
}

export interface FetchedManifest {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly sha256: Digest;
}

/**
 * `repository`: namespace and name by the chain's grammar. Rejections are RegistryErrors: UPSTREAM_ABSENT, UPSTREAM_DENIED, UPSTREAM_FAILED,
 * TOO_LARGE, ABORTED.
 */
export interface OciUpstream {
  /** A manifest or index by tag or `sha256:` digest: exact bytes, media type, and the digest that was computed here. */
  readonly manifest: (repository: string, reference: string, signal: AbortSignal) => Promise<FetchedManifest>;
  /** What a tag names now. */
  readonly resolve: (repository: string, tag: string, signal: AbortSignal) => Promise<Digest>;
  /** The `sizeBytes` bytes of a blob, unhashed. Each part is the reader's own. Rejects before a byte too many is given. */
  readonly blob: (
    repository: string,
    blob: { readonly sha256: Digest; readonly sizeBytes: number },
    signal: AbortSignal,
  ) => AsyncIterable<Uint8Array>;
}

const MAX_NEGATIVES = 4096;
const DEFAULTS = { attempts: 3, headersMs: 10_000, idleMs: 30_000, negativeMs: 15_000 };
const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

interface Question {
  readonly repository: string;
  readonly reference: string;
  readonly signal: AbortSignal;
}

export function ociUpstream(options: OciUpstreamOptions, deps: ExchangeDeps): OciUpstream {
  const { id } = options;
  const site = siteOf(options, deps);
  const asked = asker(options, site, deps);
  const fetched = (question: Question): Promise<FetchedManifest> =>
    asked(question, (subject) => fetchManifest(question, subject, { site, deps }));
  return {
    manifest: async (repository, reference, signal) => fetched({ repository, reference, signal }),
    resolve: async (repository, tag, signal) => {
      const question = { repository, reference: tag, signal };
      return (await asked(question, (subject) => headDigest(question, subject, { site, deps }))) ?? (await fetched(question)).sha256;
    },
    blob: async function* (repository, blob, signal) {
      const subject = subjectOf(id, { repository, reference: formatDigest(blob.sha256) });
      try {
        yield* readBlob({ repository, blob, signal, subject, scope: scopeOf(site, repository) }, site, deps);
      } catch (error) {
        tell(error, id, deps.log);
        throw error;
      }
    },
  };
}

function siteOf(options: OciUpstreamOptions, deps: ExchangeDeps): UpstreamSite {
  const { url, credentials, alsoAt = [], attempts, headersMs, idleMs } = options;
  const base = baseOf(url);
  const mayBePrivate = new Set([base.origin, ...alsoAt.map((origin) => new URL(origin).origin)]);
  const limits = {
    attempts: attempts ?? DEFAULTS.attempts,
    headersMs: headersMs ?? DEFAULTS.headersMs,
    idleMs: idleMs ?? DEFAULTS.idleMs,
  };
  return { base, mayBePrivate, limits, authorizer: authorizer({ url: base, mayBePrivate, credentials, limits }, deps) };
}

type Asker = <T>(question: Question, work: (subject: string) => Promise<T>) => Promise<T>;

/** Asks as often as it may help, and remembers for a while what was absent. */
function asker(options: OciUpstreamOptions, site: UpstreamSite, deps: ExchangeDeps): Asker {
  const { id, negativeMs = DEFAULTS.negativeMs } = options;
  const negatives = new ExpiringMap<true>({ maxEntries: MAX_NEGATIVES }, deps);
  return async (question, work) => {
    const subject = subjectOf(id, question);
    if (negatives.get(subject) !== null) {
      throw new RegistryError('UPSTREAM_ABSENT', subject, { message: 'the upstream had no such thing a moment ago' });
    }
    try {
      return await withAttempts(() => work(subject), { attempts: site.limits.attempts, subject, signal: question.signal }, deps);
    } catch (error) {
      if (error instanceof RegistryError && error.code === 'UPSTREAM_ABSENT') negatives.set(subject, true, deps.clock.nowMs() + negativeMs);
      tell(error, id, deps.log);
      throw error;
    }
  };
}

function tell(error: unknown, id: string, log: Logger): void {
  if (!(error instanceof RegistryError) || (error.code !== 'UPSTREAM_FAILED' && error.code !== 'UPSTREAM_DENIED')) return;
  log.warn({ upstream: id, subject: error.subject, code: error.code, reason: error.message }, 'upstream failed');
}

interface Way {
  readonly site: UpstreamSite;
  readonly deps: ExchangeDeps;
}

async function fetchManifest(question: Question, subject: string, way: Way): Promise<FetchedManifest> {
  const response = await askManifest('GET', question, { subject, way });
  const bytes = await readBody(response, MAX_MANIFEST_BYTES, subject);
  const sha256 = asDigest(new Uint8Array(createHash('sha256').update(bytes).digest()));
  const wanted = parseDigest(question.reference);
  if (wanted !== null && !sameBytes(wanted, sha256)) {
    throw upstreamFailed(subject, `the upstream lies: it gave bytes of ${formatDigest(sha256)}`);
  }
  const announced = parseDigest(response.headers['docker-content-digest'] ?? '');
  if (announced !== null && !sameBytes(announced, sha256)) {
    throw upstreamFailed(subject, `the upstream lies: it announced ${formatDigest(announced)} and gave ${formatDigest(sha256)}`);
  }
  const mediaType = mediaTypeFrom(response, bytes);
  if (mediaType === null) throw upstreamFailed(subject, 'expected a manifest or an index, got something else');
  return { bytes, mediaType, sha256 };
}

/** Null when the upstream names no SHA-256. */
async function headDigest(question: Question, subject: string, way: Way): Promise<Digest | null> {
  const response = await askManifest('HEAD', question, { subject, way });
  await discard(response);
  return parseDigest(response.headers['docker-content-digest'] ?? '');
}

function askManifest(
  method: 'GET' | 'HEAD',
  { repository, reference, signal }: Question,
  { subject, way }: { readonly subject: string; readonly way: Way },
): Promise<UpstreamResponse> {
  const path = `/${repository}/manifests/${reference}`;
  const headers = { accept: MANIFEST_TYPES.join(', ') };
  return ask({ method, path, headers, scope: scopeOf(way.site, repository), subject, signal }, way.site, way.deps);
}

/** By Content-Type, or where that says nothing known by the document itself. */
function mediaTypeFrom(response: UpstreamResponse, bytes: Uint8Array): string | null {
  const said = (response.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (isManifestType(said)) return said;
  try {
    return mediaTypeOf(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch {
    return null;
  }
}

/** Where `/NAME/manifests/…` begins. */
function baseOf(text: string): URL {
  const url = new URL(text);
  const path = url.pathname.replace(/\/+$/, '');
  return new URL(url.origin + (path.split('/').includes('v2') ? path : `/v2${path}`));
}

/** A repository's name as the upstream knows it: what stands behind `/v2/`. */
function scopeOf(site: UpstreamSite, repository: string): string {
  const prefix = site.base.pathname.replace(/^.*?\/v2(?=\/|$)/, '').replace(/^\//, '');
  return `repository:${prefix === '' ? '' : `${prefix}/`}${repository}:pull`;
}

/** Throws a RangeError for names that the chain's grammar refuses: those are a bug, never a request. */
function subjectOf(id: string, { repository, reference }: Pick<Question, 'repository' | 'reference'>): string {
  const isDigest = parseDigest(reference) !== null;
  if (repository.length > 512 || !REPOSITORY.test(repository) || !(isDigest || TAG.test(reference))) {
    throw new RangeError(`expected a repository and a reference, got ${JSON.stringify(`${repository} ${reference}`.slice(0, 200))}`);
  }
  return `${id}/${repository}${isDigest ? '@' : ':'}${reference}`;
}
