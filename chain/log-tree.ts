/**
 * Merkle tree of RFC 6962 §2.1: the hash tree over the operation log, and over lists within a block. Kept as a compact range: the roots of
 * the complete subtrees that a size splits into. Follows docs/SPEC.md §5. Never reads a disk: proofs ask a node reader.
 */

import { concatBytes } from '@noble/hashes/utils.js';
import { asDigest, type Digest, type Sha256, sameBytes } from './digest.ts';

const LEAF_TAG = Uint8Array.of(0x00);
const NODE_TAG = Uint8Array.of(0x01);

/** A tree of `size` leaves; `peaks` are the roots of its complete subtrees, the largest first. */
export interface LogRange {
  readonly size: number;
  readonly peaks: readonly Digest[];
}

/** Root of the complete subtree over the leaves [index · 2^level, (index + 1) · 2^level), or null where it isn't known. */
export type LogNodeReader = (level: number, index: number) => Digest | null;

/** What one append completed: the subtree roots from level 0 (the leaf hash) upwards. */
export interface LogAppend {
  readonly range: LogRange;
  readonly completed: readonly Digest[];
}

/** The tree without leaves. */
export const EMPTY_LOG: LogRange = { size: 0, peaks: [] };

/** SHA-256(0x00 ‖ leaf). */
export function logLeafHash(sha256: Sha256, leaf: Uint8Array): Digest {
  return sha256(concatBytes(LEAF_TAG, leaf));
}

/** Appends one leaf hash. Node (level, i) is completed by leaf (i + 1) · 2^level − 1, so a store may keep it with that leaf. */
export function appendLeaf(sha256: Sha256, range: LogRange, leafHash: Digest): LogAppend {
  const peaks = [...range.peaks];
  const completed = [leafHash];
  let top = leafHash;
  for (let rest = range.size; rest % 2 === 1; rest = Math.floor(rest / 2)) {
    top = nodeHash(sha256, peaks.pop() as Digest, top);
    completed.push(top);
  }
  peaks.push(top);
  return { range: { size: range.size + 1, peaks }, completed };
}

/** The tree's root; SHA-256 of nothing when it is empty. */
export function logRoot(sha256: Sha256, range: LogRange): Digest {
  if (range.peaks.length === 0) return sha256(new Uint8Array(0));
  return range.peaks.reduceRight((right, left) => nodeHash(sha256, left, right));
}

/** Root over the given leaves. */
export function merkleRoot(sha256: Sha256, leaves: readonly Uint8Array[]): Digest {
  return rootOfLeafHashes(
    sha256,
    leaves.map((leaf) => logLeafHash(sha256, leaf)),
  );
}

/** The same root from the hashes of the leaves. */
export function rootOfLeafHashes(sha256: Sha256, hashes: readonly Digest[]): Digest {
  let range = EMPTY_LOG;
  for (const hash of hashes) range = appendLeaf(sha256, range, hash).range;
  return logRoot(sha256, range);
}

/** True when `peaks` has as many roots as the size has ones. */
export function isLogRange(range: LogRange): boolean {
  let ones = 0;
  for (let rest = range.size; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2;
  return ones === range.peaks.length;
}

/** RFC 6962 §2.1.1: the audit path of leaf `index` in the tree of `size` leaves. Throws a RangeError when index ≥ size. */
export function makeInclusionProof(
  sha256: Sha256,
  reader: LogNodeReader,
  leaf: { readonly index: number; readonly size: number },
): Digest[] {
  if (leaf.index < 0 || leaf.index >= leaf.size) throw new RangeError(`expected an index below ${leaf.size}, got ${leaf.index}`);
  const path: Digest[] = [];
  let begin = 0;
  let end = leaf.size;
  while (end - begin > 1) {
    const middle = begin + splitPoint(end - begin);
    if (leaf.index < middle) {
      path.push(subtreeRoot(sha256, reader, middle, end));
      end = middle;
    } else {
      path.push(subtreeRoot(sha256, reader, begin, middle));
      begin = middle;
    }
  }
  return path.reverse();
}

/** RFC 9162 §2.1.3.2. */
export function verifyInclusion(
  sha256: Sha256,
  claim: { readonly leafHash: Digest; readonly index: number; readonly size: number; readonly root: Digest },
  proof: readonly Digest[],
): boolean {
  if (!isCount(claim.index) || !isCount(claim.size) || claim.index >= claim.size) return false;
  let node = claim.index;
  let last = claim.size - 1;
  let hash = claim.leafHash;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sha256, sibling, hash);
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)];
    } else {
      hash = nodeHash(sha256, hash, sibling);
    }
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 && sameBytes(hash, claim.root);
}

/** RFC 6962 §2.1.2: that the tree of `oldSize` leaves is a prefix of the tree of `newSize`. Throws a RangeError when oldSize > newSize. */
export function makeConsistencyProof(
  sha256: Sha256,
  reader: LogNodeReader,
  sizes: { readonly oldSize: number; readonly newSize: number },
): Digest[] {
  if (sizes.oldSize < 0 || sizes.oldSize > sizes.newSize) {
    throw new RangeError(`expected an old size of at most ${sizes.newSize}, got ${sizes.oldSize}`);
  }
  if (sizes.oldSize === 0 || sizes.oldSize === sizes.newSize) return [];
  const path: Digest[] = [];
  let begin = 0;
  let end = sizes.newSize;
  let isWhole = true;
  while (sizes.oldSize !== end) {
    const middle = begin + splitPoint(end - begin);
    if (sizes.oldSize <= middle) {
      path.push(subtreeRoot(sha256, reader, middle, end));
      end = middle;
    } else {
      path.push(subtreeRoot(sha256, reader, begin, middle));
      begin = middle;
      isWhole = false;
    }
  }
  if (!isWhole) path.push(subtreeRoot(sha256, reader, begin, end));
  return path.reverse();
}

/** RFC 9162 §2.1.4.2; sizes 0 and equal sizes have the empty proof. */
export function verifyConsistency(
  sha256: Sha256,
  claim: { readonly oldSize: number; readonly newSize: number; readonly oldRoot: Digest; readonly newRoot: Digest },
  proof: readonly Digest[],
): boolean {
  const { oldSize, newSize, oldRoot, newRoot } = claim;
  if (!isCount(oldSize) || !isCount(newSize) || oldSize > newSize) return false;
  if (oldSize === newSize) return proof.length === 0 && sameBytes(oldRoot, newRoot);
  if (oldSize === 0) return proof.length === 0 && sameBytes(oldRoot, sha256(new Uint8Array(0)));
  let node = oldSize - 1;
  let last = newSize - 1;
  while (node % 2 === 1) [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  const path = node === 0 ? [oldRoot, ...proof] : [...proof];
  const first = path.shift();
  if (first === undefined) return false;
  let oldHash = first;
  let newHash = first;
  for (const sibling of path) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      oldHash = nodeHash(sha256, sibling, oldHash);
      newHash = nodeHash(sha256, sibling, newHash);
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)];
    } else {
      newHash = nodeHash(sha256, newHash, sibling);
    }
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 && sameBytes(oldHash, oldRoot) && sameBytes(newHash, newRoot);
}

function subtreeRoot(sha256: Sha256, reader: LogNodeReader, begin: number, end: number): Digest {
  const size = end - begin;
  const level = Math.log2(size);
  if (Number.isInteger(level)) {
    const found = reader(level, begin / size);
    if (found === null) throw new RangeError(`the log has no node at level ${level}, index ${begin / size}`);
    return found;
  }
  const middle = begin + splitPoint(size);
  return nodeHash(sha256, subtreeRoot(sha256, reader, begin, middle), subtreeRoot(sha256, reader, middle, end));
}

/** The largest power of two below `size` (size > 1). */
function splitPoint(size: number): number {
  let point = 1;
  while (point * 2 < size) point *= 2;
  return point;
}

function nodeHash(sha256: Sha256, left: Digest, right: Digest): Digest {
  return asDigest(sha256(concatBytes(NODE_TAG, left, right)));
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
