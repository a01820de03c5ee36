/**
 * The claim of a generic version: the files a publisher staged, as one AddArtifact. Follows docs/SPEC.md §3. Says only what the bytes and
 * the state determine; never who uploaded or when.
 */

import type { AddArtifact, Coordinates, Digest, FileEntry } from '../../chain/index.ts';
import type { WrittenFile } from '../blob-writer.ts';

/** Generic files have no type of their own. */
export const GENERIC_MEDIA_TYPE = 'application/octet-stream';

/** The committed entry of a file that was staged under that name. */
export function fileEntryOf(name: string, written: WrittenFile): FileEntry {
  const { sha256, sha512, sha1, sizeBytes, piecesRoot } = written;
  return { name, mediaType: GENERIC_MEDIA_TYPE, sizeBytes, digests: { sha256, sha512, sha1, h1: null }, piecesRoot };
}

/** `replaces`: height of the tombstone that this version supersedes, or null. Throws a RangeError on no file or two of one name. */
export function addArtifactClaim(
  coordinates: Coordinates,
  files: readonly FileEntry[],
  options: { readonly publisher: Digest; readonly replaces: number | null },
): AddArtifact {
  const sorted = [...files].sort((left, right) => (left.name < right.name ? -1 : left.name > right.name ? 1 : 0));
  if (sorted.length === 0) throw new RangeError('expected at least one file');
  for (const [index, file] of sorted.entries()) {
    if (sorted[index + 1]?.name === file.name) throw new RangeError(`expected one file named ${file.name}, got two`);
  }
  return {
    kind: 'AddArtifact',
    coordinates,
    files: sorted,
    source: { kind: 'publisher', nodeId: options.publisher },
    dependencies: [],
    verification: 'published',
    replaces: options.replaces,
  };
}
