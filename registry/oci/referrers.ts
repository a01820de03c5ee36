/**
 * Which artifacts of a repository refer to a manifest: signatures, attestations. Follows OCI distribution-spec 1.1, "Listing referrers"
 * (end-12): always an index, empty when there are none. From committed state alone: `dependencies` find the candidates, their manifests'
 * `subject` decides. Bounded work a page. Never 404, and never an answer with gaps: a manifest that can't be read just now is 503.
 */

import type { FastifyReply } from 'fastify';
import { type Coordinates, type FileEntry, formatDigest, sameBytes } from '../../chain/index.ts';
import { refusalOfError } from '../http-errors.ts';
import type { Logger } from '../ports.ts';
import type { Ledger } from '../types.ts';
import { API_VERSION, API_VERSION_HEADER, sendAsOciRefusal } from './errors.ts';
import { manifestFileOf } from './lookup.ts';
import { type Extra, parseManifest } from './manifest.ts';
import type { ManifestCache } from './manifest-cache.ts';
import { OCI_INDEX } from './media-types.ts';
import type { OciTarget } from './names.ts';
import { nextLink } from './tags.ts';

/** Versions looked at, and manifests read, for one page. */
const MAX_LOOKED_AT = 2000;
const MAX_READ = 64;
const BATCH = 200;
/** Annotations that are longer as JSON are left out: 64 descriptors stay below the 4 MiB that clients take. */
const MAX_ANNOTATIONS_LENGTH = 49_152;

export interface ReferrersDeps {
  readonly ledger: Pick<Ledger, 'versions' | 'lookUp' | 'isBanned'>;
  readonly cache: Pick<ManifestCache, 'load'>;
  readonly log: Logger;
}

type WantedReferrers = Extract<OciTarget, { kind: 'referrers' }>;

interface Referrer extends Partial<Extra> {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export async function getReferrers(deps: ReferrersDeps, reply: FastifyReply, wanted: WantedReferrers): Promise<FastifyReply> {
  const { repository, sha256, artifactType } = wanted;
  let found: Awaited<ReturnType<typeof findReferrers>>;
  try {
    found = await findReferrers(deps, wanted);
  } catch (error) {
    return sendAsOciRefusal(reply, refusalOfError(error, deps.log));
  }
  if (artifactType !== null) reply.header('oci-filters-applied', 'artifactType');
  if (found.next !== null) {
    const filter = artifactType === null ? '' : `artifactType=${artifactType.replace('/', '%2F').replaceAll('+', '%2B')}&`;
    reply.header('link', nextLink(repository, `referrers/${formatDigest(sha256)}`, `${filter}last=${found.next}`));
  }
  reply.header(API_VERSION_HEADER, API_VERSION).header('cache-control', 'no-cache').header('content-type', OCI_INDEX);
  return reply.send(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: found.referrers }));
}

/** `next`: where the next page begins, as 64 hex digits; null on the last. */
async function findReferrers(
  deps: ReferrersDeps,
  wanted: WantedReferrers,
): Promise<{ readonly referrers: readonly Referrer[]; readonly next: string | null }> {
  const { repository, sha256, last } = wanted;
  const version = formatDigest(sha256);
  const referrers: Referrer[] = [];
  let after: Coordinates | null = last === null ? null : { ...repository.name, version: formatDigest(last) };
  let read = 0;
  for (let lookedAt = 0; lookedAt < MAX_LOOKED_AT; lookedAt += BATCH) {
    const versions = await deps.ledger.versions(repository.name, { after, limit: BATCH });
    for (const one of versions) {
      const file = candidateOf(deps.ledger, one, version);
      if (file !== null) {
        if (read === MAX_READ) return { referrers, next: hexOf(after) };
        read += 1;
        const referrer = await readReferrer(deps, file, wanted);
        if (referrer !== null) referrers.push(referrer);
      }
      after = one;
    }
    if (versions.length < BATCH) return { referrers, next: null };
  }
  return { referrers, next: hexOf(after) };
}

/** The manifest of a version that depends on the one asked about, as its subject or, of an index, as a child. */
function candidateOf(ledger: ReferrersDeps['ledger'], coordinates: Coordinates, version: string): FileEntry | null {
  const entry = ledger.lookUp(coordinates);
  if (entry?.kind !== 'live' || !entry.dependencies.some((one) => one.version === version)) return null;
  const file = manifestFileOf(coordinates, entry.files);
  return file === null || ledger.isBanned(file.digests.sha256) ? null : file;
}

async function readReferrer(deps: ReferrersDeps, file: FileEntry, wanted: WantedReferrers): Promise<Referrer | null> {
  const parsed = parseManifest(await deps.cache.load(file), file.mediaType);
  if (!parsed.ok || parsed.manifest.subject === null || !sameBytes(parsed.manifest.subject.sha256, wanted.sha256)) return null;
  const { artifactType, annotations } = parsed.manifest.extra;
  if (wanted.artifactType !== null && artifactType !== wanted.artifactType) return null;
  const fits = annotations !== null && JSON.stringify(annotations).length <= MAX_ANNOTATIONS_LENGTH;
  return {
    mediaType: file.mediaType,
    digest: formatDigest(file.digests.sha256),
    size: file.sizeBytes,
    ...(artifactType === null ? {} : { artifactType }),
    ...(fits ? { annotations } : {}),
  };
}

function hexOf(coordinates: Coordinates | null): string | null {
  return coordinates === null ? null : coordinates.version.slice('sha256:'.length);
}
