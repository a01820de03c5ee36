/** Pieces follow BEP 52: fixed vectors, and a naive recursive model of the specification's own words. */

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import {
  BLOCK_BYTES,
  blockCount,
  buildRunTree,
  isRun,
  leavesOf,
  MAX_RUN_BLOCKS,
  PieceHasher,
  piecesRootOf,
  proveRun,
  runBlocks,
  runCount,
  runRange,
  treeDepth,
  verifyRun,
} from '../../registry/pieces.ts';

const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const hex = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString('hex'));

/** BEP 52: a balanced tree over the blocks; leaves beyond the end of the file are zero. */
function naiveRoot(bytes: Uint8Array): Uint8Array | null {
  if (bytes.length === 0) return null;
  let width = 1;
  while (width * BLOCK_BYTES < bytes.length) width *= 2;
  const node = (from: number, count: number): Uint8Array => {
    if (count > 1) return sha256(node(from, count / 2), node(from + count / 2, count / 2));
    return from * BLOCK_BYTES < bytes.length ? sha256(bytes.subarray(from * BLOCK_BYTES, (from + 1) * BLOCK_BYTES)) : new Uint8Array(32);
  };
  return node(0, width);
}

/** Bytes that differ from block to block. */
function file(sizeBytes: number, salt = 0): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; at += 1) bytes[at] = (at * 31 + (at >> 14) * 7 + salt) & 0xff;
  return bytes;
}

const sizes = fc.oneof(
  fc.constantFrom(
    1,
    BLOCK_BYTES - 1,
    BLOCK_BYTES,
    BLOCK_BYTES + 1,
    2 * BLOCK_BYTES,
    3 * BLOCK_BYTES,
    64 * BLOCK_BYTES,
    64 * BLOCK_BYTES + 1,
    65 * BLOCK_BYTES,
  ),
  fc.integer({ min: 1, max: 140 * BLOCK_BYTES }),
);

t.test('vectors', async (t) => {
  const vectors: readonly (readonly [string, Uint8Array, string | null])[] = [
    ['nothing has no root', new Uint8Array(), null],
    ['one short block is its own SHA-256', Buffer.from('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    ['one full block of zeros', new Uint8Array(BLOCK_BYTES), '4fe7b59af6de3b665b67788cc2f99892ab827efae3a467342b3bb4e3bc8e5bfe'],
    [
      'three blocks: the fourth leaf is zero, not the hash of zeros',
      new Uint8Array(3 * BLOCK_BYTES),
      '1cb5a249f6e721060aae623d21d3eca23056bda8c19e4e89f9a086151553713d',
    ],
    ['a block and one byte', new Uint8Array(BLOCK_BYTES + 1), '477e14ff3453ec4ec3855f8753cb07288aade5618a473ccc2ab1208886e460ec'],
  ];
  for (const [title, bytes, root] of vectors) {
    const hasher = new PieceHasher();
    hasher.update(bytes);
    t.equal(hex(hasher.finish().piecesRoot), root, title);
  }
});

t.test('the root is that of the specification, in whatever chunks the bytes come', async () => {
  fc.assert(
    fc.property(sizes, fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 8 }), (sizeBytes, chunks) => {
      const bytes = file(sizeBytes);
      const hasher = new PieceHasher();
      for (let at = 0, turn = 0; at < sizeBytes; turn += 1) {
        const length = chunks[turn % chunks.length] ?? 1;
        hasher.update(bytes.subarray(at, at + length));
        at += length;
      }
      const { leaves, piecesRoot, sizeBytes: hashed } = hasher.finish();
      return hashed === sizeBytes && hex(piecesRoot) === hex(naiveRoot(bytes)) && hex(leaves) === hex(leavesOf(bytes));
    }),
    { numRuns: 40 },
  );
});

const runOf = fc.tuple(sizes, fc.integer({ min: 0, max: 6 }), fc.nat()).map(([sizeBytes, power, pick]) => {
  const count = Math.min(2 ** power, runBlocks(sizeBytes));
  return { sizeBytes, run: { index: (pick % Math.ceil(blockCount(sizeBytes) / count)) * count, count } };
});

t.test('every aligned run proves itself with a proof of exact length', async () => {
  fc.assert(
    fc.property(runOf, ({ sizeBytes, run }) => {
      const bytes = file(sizeBytes);
      const leaves = leavesOf(bytes);
      const piecesRoot = piecesRootOf(leaves);
      const { offset, length } = runRange(sizeBytes, run);
      const proof = proveRun(leaves, run.index, run.count);
      return (
        proof.length === treeDepth(sizeBytes) - Math.log2(run.count) &&
        verifyRun({ piecesRoot, sizeBytes }, run, { bytes: bytes.subarray(offset, offset + length), proof })
      );
    }),
    { numRuns: 60 },
  );
});

t.test('nothing but the run itself passes', async () => {
  fc.assert(
    fc.property(runOf, fc.nat(), fc.nat(), ({ sizeBytes, run }, position, choice) => {
      const bytes = file(sizeBytes);
      const leaves = leavesOf(bytes);
      const of = { piecesRoot: piecesRootOf(leaves), sizeBytes };
      const { offset, length } = runRange(sizeBytes, run);
      const part = bytes.slice(offset, offset + length);
      const proof = proveRun(leaves, run.index, run.count);
      const flipped = part.slice();
      flipped[position % length] = (flipped[position % length] ?? 0) ^ (1 << (choice % 8));
      const longer = new Uint8Array(length + 1);
      longer.set(part);
      const badUncle = proof.map((uncle) => Uint8Array.from(uncle, (byte) => byte ^ 1));
      return (
        !verifyRun(of, run, { bytes: flipped, proof }) &&
        !verifyRun(of, run, { bytes: part.subarray(0, length - 1), proof }) &&
        !verifyRun(of, run, { bytes: longer, proof }) &&
        !verifyRun(of, run, { bytes: part, proof: [...proof, new Uint8Array(32)] }) &&
        (proof.length === 0 || !verifyRun(of, run, { bytes: part, proof: badUncle })) &&
        (proof.length === 0 || !verifyRun(of, run, { bytes: part, proof: proof.slice(1) })) &&
        !verifyRun({ piecesRoot: null, sizeBytes }, run, { bytes: part, proof })
      );
    }),
    { numRuns: 60 },
  );
});

t.test('which runs exist', async (t) => {
  const tenBlocks = 10 * BLOCK_BYTES;
  const cases: readonly (readonly [number, number, boolean, string])[] = [
    [0, 1, true, 'first block'],
    [9, 1, true, 'last block'],
    [10, 1, false, 'beyond the end'],
    [8, 8, true, 'past the end, in the tree'],
    [0, 16, true, 'the whole tree'],
    [0, 32, false, 'wider than the tree'],
    [4, 8, false, 'not aligned'],
    [0, 3, false, 'no power of two'],
    [0, 0, false, 'none'],
    [-1, 1, false, 'negative'],
    [0.5, 1, false, 'no integer'],
    [0, Number.NaN, false, 'no number'],
  ];
  for (const [index, count, expected, title] of cases) t.equal(isRun(tenBlocks, { index, count }), expected, title);
  t.equal(isRun(2 ** 40, { index: 0, count: 2 * MAX_RUN_BLOCKS }), false, 'longer than 1 MiB');
  t.equal(isRun(0, { index: 0, count: 1 }), false, 'an empty file has no run');
  t.throws(() => proveRun(leavesOf(file(tenBlocks)), 4, 8), RangeError);
});

t.test('the run tree says the same as the leaf layer', async () => {
  fc.assert(
    fc.property(sizes, (sizeBytes) => {
      const bytes = file(sizeBytes);
      const leaves = leavesOf(bytes);
      const tree = buildRunTree(leaves);
      const count = runBlocks(sizeBytes);
      if (hex(tree.root) !== hex(naiveRoot(bytes)) || tree.runs !== runCount(sizeBytes)) return false;
      for (let run = 0; run < tree.runs; run += 1) {
        const { offset, length } = runRange(sizeBytes, { index: run * count, count });
        const part = bytes.slice(offset, offset + length);
        if (!tree.matches(run, part)) return false;
        part[0] = (part[0] ?? 0) ^ 1;
        if (tree.matches(run, part)) return false;
        const expected = proveRun(leaves, run * count, count).map(hex);
        if (JSON.stringify(tree.proofAbove(run).map(hex)) !== JSON.stringify(expected)) return false;
      }
      return !tree.matches(tree.runs, new Uint8Array(1));
    }),
    { numRuns: 30 },
  );
});
