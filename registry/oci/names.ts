/**
 * What a request below /v2/ asks for, read from the raw target. Follows OCI distribution-spec 1.1, "Endpoints", and docs/SPEC.md, "OCI".
 * Nothing in the path is ever decoded; in the query three escapes are, where clients must write them: `%3A` in `ns`, `%2F` and `%2B` in
 * `artifactType`. Total: any text gets an answer.
 */

import { checkLabel, checkPackageName, type Digest, formatDigest, type PackageName, parseDigest } from '../../chain/index.ts';
import { parseTarget } from '../http-names.ts';
import type { OciRefusal } from './errors.ts';
import { isMediaType } from './media-types.ts';
import { repositoryIn, repositoryOf } from './reference.ts';

/** OCI distribution-spec 1.1, "Pulling manifests": clients keep host and name together below this. */
const MAX_REPOSITORY_LENGTH = 255;
const MAX_PAGE = 1000;

const QUERY = /^(?:[A-Za-z0-9._~=&+:/-]|%3[Aa]|%2[FfBb])*$/;
const TAG_EXPECTED = 'a tag has 1 to 128 of A-Z a-z 0-9 . _ - and begins with neither . nor -';

export type Reference = { readonly kind: 'tag'; readonly tag: string } | { readonly kind: 'digest'; readonly sha256: Digest };

/** The repository, and how the client wrote it: links and listings repeat that. */
export interface Repository {
  readonly name: PackageName;
  /** The path between `/v2/` and the endpoint. */
  readonly path: string;
  /** `ns=…` as it came, or empty. */
  readonly query: string;
}

export type OciTarget =
  | { readonly kind: 'base' }
  | { readonly kind: 'manifest'; readonly repository: Repository; readonly reference: Reference }
  | { readonly kind: 'blob'; readonly repository: Repository; readonly sha256: Digest }
  | { readonly kind: 'tags'; readonly repository: Repository; readonly page: { readonly n: number; readonly last: string | null } }
  | {
      readonly kind: 'referrers';
      readonly repository: Repository;
      readonly sha256: Digest;
      readonly artifactType: string | null;
      readonly last: Digest | null;
    }
  /** What only pushing needs: upload sessions. */
  | { readonly kind: 'write' };

export type ParsedOci = { readonly ok: true; readonly target: OciTarget } | { readonly ok: false; readonly refusal: OciRefusal };

export interface OciNameOptions {
  /** The registry meant when a client names none. */
  readonly defaultRegistry: string;
}

/** `rawTarget` is Node's `request.url`, untouched. */
export function parseOciTarget(rawTarget: string, options: OciNameOptions): ParsedOci {
  const parsed = parseTarget(rawTarget, { query: QUERY });
  if (!parsed.ok) return refused('NAME_INVALID', parsed.reason);
  const { segments, isFolder, query } = parsed.target;
  if (segments[0] !== 'v2') return refused('NAME_INVALID', 'the path must begin with /v2/');
  const parameters = parseQuery(query);
  if (typeof parameters === 'string') return refused('UNSUPPORTED', parameters, 400);
  if (segments.length === 1) return found({ kind: 'base' });
  if (isUpload(segments)) return found({ kind: 'write' });
  if (isFolder) return refused('NAME_INVALID', 'a name does not end in /');
  const [endpoint, last] = [segments[segments.length - 2], segments[segments.length - 1] ?? ''];
  const names = segments.slice(1, -2);
  if (endpoint === undefined || !isEndpoint(endpoint, last)) return refused('UNSUPPORTED', 'there is no such endpoint', 404);
  const repository = readRepository(names, parameters, options);
  if (typeof repository === 'string') return refused('NAME_INVALID', repository);
  switch (endpoint) {
    case 'manifests':
      return parseReference(repository, last);
    case 'tags':
      return parsePage(repository, parameters);
    case 'blobs':
    case 'referrers':
      return parseByDigest(endpoint, last, { repository, parameters });
  }
}

export function formatReference(reference: Reference): string {
  return reference.kind === 'tag' ? reference.tag : formatDigest(reference.sha256);
}

type Endpoint = 'manifests' | 'blobs' | 'tags' | 'referrers';

function isEndpoint(name: string, last: string): name is Endpoint {
  return name === 'manifests' || name === 'blobs' || name === 'referrers' || (name === 'tags' && last === 'list');
}

/** `…/blobs/uploads/` and `…/blobs/uploads/SESSION`, behind a name. */
function isUpload(segments: readonly string[]): boolean {
  const at = segments.lastIndexOf('uploads');
  return at >= 3 && at >= segments.length - 2 && segments[at - 1] === 'blobs';
}

function parseReference(repository: Repository, reference: string): ParsedOci {
  if (reference.includes(':')) {
    const sha256 = parseDigest(reference);
    return sha256 === null ? badDigest() : found({ kind: 'manifest', repository, reference: { kind: 'digest', sha256 } });
  }
  return checkLabel(reference) === null
    ? found({ kind: 'manifest', repository, reference: { kind: 'tag', tag: reference } })
    : refused('TAG_INVALID', TAG_EXPECTED);
}

function parseByDigest(
  kind: 'blobs' | 'referrers',
  digest: string,
  { repository, parameters }: { readonly repository: Repository; readonly parameters: Parameters },
): ParsedOci {
  const sha256 = parseDigest(digest);
  if (sha256 === null) return badDigest();
  if (kind === 'blobs') return found({ kind: 'blob', repository, sha256 });
  const artifactType = parameters.get('artifactType')?.replace(/%2f/gi, '/').replace(/%2b/gi, '+') ?? null;
  if (artifactType !== null && !isMediaType(artifactType)) return refused('UNSUPPORTED', 'artifactType: expected a media type', 400);
  const text = parameters.get('last');
  const last = text === undefined ? null : parseDigest(`sha256:${text}`);
  if (text !== undefined && last === null) return badDigest();
  return found({ kind: 'referrers', repository, sha256, artifactType, last });
}

function parsePage(repository: Repository, parameters: Parameters): ParsedOci {
  const number = parameters.get('n') ?? String(MAX_PAGE);
  if (!/^[0-9]{1,9}$/.test(number)) return refused('PAGINATION_NUMBER_INVALID', 'n: expected a number from 0');
  const last = parameters.get('last') ?? null;
  if (last !== null && checkLabel(last) !== null) return refused('TAG_INVALID', TAG_EXPECTED, 400);
  return found({ kind: 'tags', repository, page: { n: Math.min(Number(number), MAX_PAGE), last } });
}

type Parameters = ReadonlyMap<string, string>;
const PARAMETERS: readonly string[] = ['ns', 'n', 'last', 'artifactType', 'digest', 'mount', 'from', 'state'];

/** A reason when a parameter is unknown or stands twice. */
function parseQuery(query: string): Parameters | string {
  const parameters = new Map<string, string>();
  if (query === '') return parameters;
  for (const part of query.split('&')) {
    const equals = part.indexOf('=');
    const key = equals < 0 ? part : part.slice(0, equals);
    if (equals < 0 || !PARAMETERS.includes(key)) return 'the query holds a parameter that is not known here';
    if (parameters.has(key)) return `the query holds ${key} twice`;
    parameters.set(key, part.slice(equals + 1));
  }
  return parameters;
}

function readRepository(names: readonly string[], parameters: Parameters, options: OciNameOptions): Repository | string {
  const path = names.join('/');
  if (path === '') return 'the path names no repository';
  if (path.length > MAX_REPOSITORY_LENGTH) return `the name is longer than ${MAX_REPOSITORY_LENGTH} characters`;
  const ns = parameters.get('ns');
  const name = ns === undefined ? repositoryOf(names, options.defaultRegistry) : repositoryIn(ns.replace(/%3a/gi, ':'), names);
  return checkPackageName(name) ?? { name, path, query: ns === undefined ? '' : `ns=${ns}` };
}

function found(target: OciTarget): ParsedOci {
  return { ok: true, target };
}

function refused(code: OciRefusal['code'], message: string, status?: number): ParsedOci {
  return { ok: false, refusal: status === undefined ? { code, message } : { code, message, status } };
}

function badDigest(): ParsedOci {
  return refused('DIGEST_INVALID', 'expected a digest of the form sha256:<64 hex digits>');
}
