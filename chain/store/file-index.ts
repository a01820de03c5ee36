/**
 * The index of files and live artifacts: which files live artifacts use, so that a node can say at once whether a digest may be served and
 * who promised to hold it. Follows docs/SPEC.md §5. Made from the state records that a block writes; holds nothing that they don't say.
 */

import {
  type AddArtifact,
  artifactClaim,
  artifactKey,
  type BlockEffects,
  type Digest,
  digestToHex,
  type FileEntry,
  type StateRecord,
} from '../index.ts';
import type { FileUse } from './layout.ts';

/** A live artifact: its key and what stands in the state. */
export interface LiveArtifact {
  readonly key: string;
  readonly height: number;
  readonly claim: AddArtifact;
}

/** What a block does to live artifacts and to the files they use. */
export interface FileChanges {
  readonly added: readonly LiveArtifact[];
  readonly removed: readonly LiveArtifact[];
  /** By hex of the file's SHA-256; null where nothing uses it any more. */
  readonly files: ReadonlyMap<string, FileUse | null>;
}

export interface FileIndexReader {
  /** The record before the block. */
  readonly stateBefore: (key: string) => StateRecord | null;
  readonly fileUse: (sha256: string) => FileUse | null;
  /** A live artifact before the block that uses the file and isn't among these; there is one. */
  readonly otherUser: (sha256: string, except: ReadonlySet<string>) => Promise<LiveArtifact>;
  /** The transaction whose operation wrote the live record of this key at this height, before the block. */
  readonly transactionOf: (key: string, height: number) => Digest;
}

interface Touched {
  readonly added: { readonly artifact: LiveArtifact; readonly entry: FileEntry }[];
  readonly removed: Set<string>;
}

/** The live artifact under a key, or null. */
export function liveArtifactOf(key: string, record: StateRecord | null): LiveArtifact | null {
  return record?.kind === 'artifact' ? { key, height: record.height, claim: artifactClaim(record) } : null;
}

export async function fileChanges(effects: BlockEffects, reader: FileIndexReader): Promise<FileChanges> {
  const added: LiveArtifact[] = [];
  const removed: LiveArtifact[] = [];
  for (const [key, record] of effects.records) {
    if (record.kind !== 'artifact' && record.kind !== 'tombstone') continue;
    const before = liveArtifactOf(key, reader.stateBefore(key));
    const after = liveArtifactOf(key, record);
    if (before !== null) removed.push(before);
    if (after !== null) added.push(after);
  }
  const ids = new Map(effects.logLeaves.map(({ leaf }) => [leaf.key, leaf.transactionId] as const));
  const files = new Map<string, FileUse | null>();
  for (const [sha256, touched] of touchedFiles(added, removed)) files.set(sha256, await useAfter(sha256, touched, { reader, ids }));
  return { added, removed, files };
}

function touchedFiles(added: readonly LiveArtifact[], removed: readonly LiveArtifact[]): ReadonlyMap<string, Touched> {
  const files = new Map<string, Touched>();
  const touch = (sha256: string): Touched => {
    const known = files.get(sha256) ?? { added: [], removed: new Set<string>() };
    files.set(sha256, known);
    return known;
  };
  for (const artifact of added) {
    for (const [sha256, entry] of filesOf(artifact.claim)) touch(sha256).added.push({ artifact, entry });
  }
  for (const artifact of removed) {
    for (const sha256 of filesOf(artifact.claim).keys()) touch(sha256).removed.add(artifact.key);
  }
  return files;
}

async function useAfter(
  sha256: string,
  touched: Touched,
  deps: { readonly reader: FileIndexReader; readonly ids: ReadonlyMap<string, Digest> },
): Promise<FileUse | null> {
  const before = deps.reader.fileUse(sha256);
  const references = (before?.references ?? 0) + touched.added.length - touched.removed.size;
  if (references <= 0) return null;
  const newest = touched.added.at(-1);
  if (newest !== undefined) return useOf(newest.artifact, sha256, references, deps);
  if (before !== null && !touched.removed.has(artifactKey(before.coordinates))) return { ...before, references };
  return useOf(await deps.reader.otherUser(sha256, touched.removed), sha256, references, deps);
}

function useOf(
  artifact: LiveArtifact,
  sha256: string,
  references: number,
  deps: { readonly reader: FileIndexReader; readonly ids: ReadonlyMap<string, Digest> },
): FileUse {
  const entry = filesOf(artifact.claim).get(sha256);
  if (entry === undefined) throw new TypeError(`${artifact.key} does not use the file ${sha256}`);
  const transactionId = deps.ids.get(artifact.key) ?? deps.reader.transactionOf(artifact.key, artifact.height);
  return { references, entry, coordinates: artifact.claim.coordinates, height: artifact.height, transactionId };
}

/** The files of a version by hex of their SHA-256; of several names for one content, the first. */
export function filesOf(claim: AddArtifact): ReadonlyMap<string, FileEntry> {
  const files = new Map<string, FileEntry>();
  for (const file of claim.files) {
    const sha256 = digestToHex(file.digests.sha256);
    if (!files.has(sha256)) files.set(sha256, file);
  }
  return files;
}
