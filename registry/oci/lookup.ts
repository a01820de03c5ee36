/**
 * What the chain says of a manifest asked by tag or digest, and the headers that follow. Follows docs/SPEC.md, "OCI": a tag is a label, its
 * target's version the digest of the manifest. Reads the ledger alone.
 */

import {
  type Coordinates,
  digestToHex,
  type FileEntry,
  formatDigest,
  type PackageName,
  parseDigest,
  sameBytes,
} from '../../chain/index.ts';
import type { Ledger } from '../types.ts';
import { API_VERSION } from './errors.ts';
import type { Reference } from './names.ts';

export type ManifestFinding =
  | { readonly kind: 'live'; readonly manifest: LiveManifest }
  | { readonly kind: 'removed'; readonly reason: string }
  | { readonly kind: 'unknown' };

/** A manifest that may be served, and all of its answer but the bytes. */
export interface LiveManifest {
  readonly file: FileEntry;
  /** Of the digest, as the cache goes by it. */
  readonly hex: string;
  readonly etag: string;
  /** Names and values in turn, as `writeHead` takes them fastest. */
  readonly headers: string[];
  /** The same of a 304. */
  readonly validators: string[];
}

export function findManifest(
  ledger: Pick<Ledger, 'name' | 'lookUp' | 'isBanned'>,
  repository: PackageName,
  reference: Reference,
): ManifestFinding {
  const coordinates =
    reference.kind === 'tag' ? ledger.name(repository, reference.tag) : { ...repository, version: formatDigest(reference.sha256) };
  const entry = coordinates === null ? null : ledger.lookUp(coordinates);
  if (coordinates === null || entry === null) return { kind: 'unknown' };
  if (entry.kind === 'removed') return { kind: 'removed', reason: `removed at height ${entry.height}: ${entry.reason}` };
  const file = manifestFileOf(coordinates, entry.files);
  if (file === null) return { kind: 'unknown' };
  if (ledger.isBanned(file.digests.sha256)) return { kind: 'removed', reason: 'this manifest was removed from the network' };
  return { kind: 'live', manifest: answerOf(file) };
}

/** The file that is the artifact itself: its digest is the version. */
export function manifestFileOf(coordinates: Coordinates, files: readonly FileEntry[]): FileEntry | null {
  const sha256 = parseDigest(coordinates.version);
  return (sha256 !== null && files.find((file) => sameBytes(file.digests.sha256, sha256))) || null;
}

function answerOf(file: FileEntry): LiveManifest {
  const digest = formatDigest(file.digests.sha256);
  const etag = `"${digest}"`;
  const validators = [
    'Docker-Content-Digest',
    digest,
    'Docker-Distribution-API-Version',
    API_VERSION,
    'ETag',
    etag,
    'Cache-Control',
    'no-cache',
  ];
  const described = ['Content-Type', file.mediaType, 'Content-Length', String(file.sizeBytes), 'X-Content-Type-Options', 'nosniff'];
  return { file, hex: digestToHex(file.digests.sha256), etag, validators, headers: [...described, ...validators] };
}
