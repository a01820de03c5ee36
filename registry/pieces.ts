/**
 * Piece proofs: the Merkle tree of BEP 52 (SHA-256 over 16 KiB blocks), its root, its leaf layer and proofs of runs of blocks.
 * Follows BEP 52, "pieces root", and docs/SPEC.md §3.1: the last block is not padded, missing leaves are 32 zero bytes, a file of size 0 has no
 * root, and the depth comes from the size on the chain. Never reads a file or a message.
 */

import { createHash, type Hash, hash } from 'node:crypto';
import { asDigest, type Digest, sameBytes } from '../chain/index.ts';

/** BEP 52: leaves are hashes of 16 KiB blocks. */
export const BLOCK_BYTES = 16_384;
/** The longest run that is sent or verified at once: 1 MiB. */
export const MAX_RUN_BLOCKS = 64;
export const MAX_RUN_BYTES: number = BLOCK_BYTES * MAX_RUN_BLOCKS;
/** 2^53 bytes have 2^39 blocks. */
export const MAX_PROOF_LENGTH = 39;

const HASH_BYTES = 32;

/** A stretch of `count` blocks from block `index`: count is a power of two ≤ 64, index a multiple of it. */
export interface Run {
  readonly index: number;
  readonly count: number;
}

/** Blocks of a file; the last may be short. */
export function blockCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_BYTES);
}

/** Levels between a leaf and the root; 0 for one block or none. */
export function treeDepth(sizeBytes: number): number {
  let depth = 0;
  for (let width = 1; width < blockCount(sizeBytes); width *= 2) depth += 1;
  return depth;
}

/** How many blocks the runs of a whole-file transfer have: 64, or the whole tree where that is smaller. */
export function runBlocks(sizeBytes: number): number {
  return Math.min(MAX_RUN_BLOCKS, 2 ** treeDepth(sizeBytes));
}

/** How many such runs the file has. */
export function runCount(sizeBytes: number): number {
  return Math.ceil(blockCount(sizeBytes) / runBlocks(sizeBytes));
}

/** True for an aligned power-of-two run within the tree that holds at least one block of the file. */
export function isRun(sizeBytes: number, run: Run): boolean {
  const { index, count } = run;
  if (!Number.isSafeInteger(index) || index < 0 || !Number.isSafeInteger(count) || count < 1) return false;
  if (count > runBlocks(sizeBytes) || (count & (count - 1)) !== 0) return false;
  return index % count === 0 && index < blockCount(sizeBytes);
}

/** Where the run's bytes lie in the file. */
export function runRange(sizeBytes: number, run: Run): { readonly offset: number; readonly length: number } {
  const offset = run.index * BLOCK_BYTES;
  return { offset, length: Math.min(run.count * BLOCK_BYTES, sizeBytes - offset) };
}

/** Hashes a file's blocks as its bytes come, in chunks of any size. */
export class PieceHasher {
  #sizeBytes = 0;
  #inBlock = 0;
  #block: Hash = createHash('sha256');
  #blocks = 0;
  #leaves: Uint8Array = new Uint8Array(64 * HASH_BYTES);

  update(data: Uint8Array): void {
    let rest = data;
    while (rest.length > 0) {
      const part = rest.subarray(0, BLOCK_BYTES - this.#inBlock);
      this.#block.update(part);
      this.#inBlock += part.length;
      if (this.#inBlock === BLOCK_BYTES) this.#endBlock();
      rest = rest.subarray(part.length);
    }
    this.#sizeBytes += data.length;
  }

  /** The leaf layer (32 bytes a block, packed) and the root, null for size 0. Ends the hasher. */
  finish(): { readonly sizeBytes: number; readonly leaves: Uint8Array; readonly piecesRoot: Digest | null } {
    if (this.#inBlock > 0) this.#endBlock();
    const leaves = this.#leaves.subarray(0, this.#blocks * HASH_BYTES);
    return { sizeBytes: this.#sizeBytes, leaves, piecesRoot: piecesRootOf(leaves) };
  }

  #endBlock(): void {
    if ((this.#blocks + 1) * HASH_BYTES > this.#leaves.length) {
      const grown = new Uint8Array(this.#leaves.length * 2);
      grown.set(this.#leaves);
      this.#leaves = grown;
    }
    this.#leaves.set(this.#block.digest(), this.#blocks * HASH_BYTES);
    this.#blocks += 1;
    this.#block = createHash('sha256');
    this.#inBlock = 0;
  }
}

/** Root over a packed leaf layer; null when there is no leaf. */
export function piecesRootOf(leaves: Uint8Array): Digest | null {
  return leaves.length === 0 ? null : buildRunTree(leaves).root;
}

/** Packed leaf hashes of the blocks in `bytes`, which begin at a block boundary. */
export function leavesOf(bytes: Uint8Array): Uint8Array {
  const leaves = new Uint8Array(blockCount(bytes.length) * HASH_BYTES);
  for (let index = 0; index * BLOCK_BYTES < bytes.length; index += 1) {
    leaves.set(sha256(bytes.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES)), index * HASH_BYTES);
  }
  return leaves;
}

/**
 * The uncle hashes from the run's own subtree up to the root, lowest first; exactly depth − log2(count) of them.
 * `leaves` is the packed leaf layer of the whole file; throws a RangeError when the run doesn't lie in it.
 */
export function proveRun(leaves: Uint8Array, index: number, count: number): readonly Uint8Array[] {
  const blocks = leaves.length / HASH_BYTES;
  if (!isRun(blocks * BLOCK_BYTES, { index, count }))
    throw new RangeError(`expected an aligned run of ${blocks} blocks, got ${index}+${count}`);
  return unclesOf(leaves, { index, count }, depthOf(blocks));
}

/** The lower part of a proof: from a run up to the run of `width` blocks around it, whose packed leaves are given. `run` counts from there. */
export function proveWithin(leaves: Uint8Array, run: Run, width: number): readonly Uint8Array[] {
  return unclesOf(leaves, run, depthOf(width));
}

function unclesOf(leaves: Uint8Array, run: Run, depth: number): readonly Uint8Array[] {
  const blocks = leaves.length / HASH_BYTES;
  const proof: Uint8Array[] = [];
  let position = run.index / run.count;
  for (let level = depthOf(run.count); level < depth; level += 1) {
    const width = 2 ** level;
    const from = (position ^ 1) * width;
    proof.push(subtreeRoot(leaves.subarray(Math.min(from, blocks) * HASH_BYTES, Math.min(from + width, blocks) * HASH_BYTES), level));
    position = Math.floor(position / 2);
  }
  return proof;
}

/** True when `bytes` are exactly the run's bytes of the file with that root and size. Total: any input gets an answer. */
export function verifyRun(
  file: { readonly piecesRoot: Digest | null; readonly sizeBytes: number },
  run: Run,
  answer: { readonly bytes: Uint8Array; readonly proof: readonly Uint8Array[] },
): boolean {
  if (file.piecesRoot === null || !isRun(file.sizeBytes, run)) return false;
  if (answer.bytes.length !== runRange(file.sizeBytes, run).length) return false;
  const level = depthOf(run.count);
  if (answer.proof.length !== treeDepth(file.sizeBytes) - level) return false;
  let node = runRoot(answer.bytes, run.count);
  let position = run.index / run.count;
  for (const uncle of answer.proof) {
    if (uncle.length !== HASH_BYTES) return false;
    node = position % 2 === 0 ? parent(node, uncle) : parent(uncle, node);
    position = Math.floor(position / 2);
  }
  return sameBytes(node, file.piecesRoot);
}

/** Root of the subtree of `count` blocks (a power of two) over bytes that begin at its first block; missing blocks are zero leaves. */
export function runRoot(bytes: Uint8Array, count: number): Uint8Array {
  return subtreeRoot(leavesOf(bytes), depthOf(count));
}

/**
 * The upper part of one file's tree: the roots of its runs and everything above. Small enough to keep (10 GiB: 640 KiB) and enough to
 * check or prove any run without hashing the whole leaf layer again.
 */
export interface RunTree {
  readonly root: Digest;
  readonly runs: number;
  /** True when the bytes are those of the run with this number (runs of `runBlocks(sizeBytes)` blocks). */
  readonly matches: (run: number, bytes: Uint8Array) => boolean;
  /** Uncles above the run with this number, lowest first. */
  readonly proofAbove: (run: number) => readonly Uint8Array[];
}

/** Builds it from the packed leaf layer of a file that is not empty. */
export function buildRunTree(leaves: Uint8Array): RunTree {
  const blocks = leaves.length / HASH_BYTES;
  const depth = depthOf(blocks);
  const runLevel = Math.min(depth, depthOf(MAX_RUN_BLOCKS));
  const width = 2 ** runLevel;
  const levels: Uint8Array[][] = [[]];
  for (let from = 0; from < blocks; from += width) {
    levels[0]?.push(subtreeRoot(leaves.subarray(from * HASH_BYTES, Math.min(from + width, blocks) * HASH_BYTES), runLevel));
  }
  for (let level = runLevel; level < depth; level += 1) levels.push(levelAbove(levels[levels.length - 1] ?? [], level));
  const runs = levels[0] ?? [];
  return {
    root: asDigest(levels[levels.length - 1]?.[0] ?? zeroSubtree(depth)),
    runs: runs.length,
    matches: (run, bytes) => {
      const expected = runs[run];
      return expected !== undefined && sameBytes(expected, runRoot(bytes, width));
    },
    proofAbove: (run) =>
      levels.slice(0, -1).map((nodes, above) => nodes[Math.floor(run / 2 ** above) ^ 1] ?? zeroSubtree(runLevel + above)),
  };
}

function levelAbove(nodes: readonly Uint8Array[], level: number): Uint8Array[] {
  const above: Uint8Array[] = [];
  for (let index = 0; index < nodes.length; index += 2) {
    above.push(parent(nodes[index] ?? zeroSubtree(level), nodes[index + 1] ?? zeroSubtree(level)));
  }
  return above;
}

/** Root of a subtree with 2^level leaves, of which the packed ones are present and the others zero. */
function subtreeRoot(leaves: Uint8Array, level: number): Uint8Array {
  if (leaves.length === 0) return zeroSubtree(level);
  let nodes: Uint8Array[] = [];
  for (let at = 0; at < leaves.length; at += HASH_BYTES) nodes.push(leaves.subarray(at, at + HASH_BYTES));
  for (let height = 0; height < level; height += 1) nodes = levelAbove(nodes, height);
  return nodes[0] ?? zeroSubtree(level);
}

/** Root of a subtree whose 2^level leaves are all missing. */
function zeroSubtree(level: number): Uint8Array {
  let node: Uint8Array = new Uint8Array(HASH_BYTES);
  for (let height = 0; height < level; height += 1) node = parent(node, node);
  return node;
}

function depthOf(leaves: number): number {
  let depth = 0;
  for (let width = 1; width < leaves; width *= 2) depth += 1;
  return depth;
}

function parent(left: Uint8Array, right: Uint8Array): Uint8Array {
  const both = new Uint8Array(2 * HASH_BYTES);
  both.set(left);
  both.set(right, HASH_BYTES);
  return sha256(both);
}

function sha256(data: Uint8Array): Uint8Array {
  return hash('sha256', data, 'buffer');
}
