/** The two hash trees: the log of RFC 6962 and the sparse Merkle tree of the state, each against a naive model. SPEC §4, §5. */

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import {
  appendLeaf,
  asDigest,
  type Digest,
  digestFromHex,
  digestToHex,
  EMPTY_LOG,
  EMPTY_TREE,
  isLogRange,
  type LogNodeReader,
  type LogRange,
  logLeafHash,
  logRoot,
  makeConsistencyProof,
  makeInclusionProof,
  merkleRoot,
  proveKey,
  type Sha256,
  statePath,
  type TreeReader,
  updateTree,
  verifyConsistency,
  verifyInclusion,
  verifyKeyProof,
} from '../../chain/index.ts';

const sha256: Sha256 = (data) => asDigest(new Uint8Array(createHash('sha256').update(data).digest()));
const hashOf = (...parts: readonly Uint8Array[]): Digest => sha256(Buffer.concat(parts));
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

/** RFC 6962 §2.1 word by word. */
function naiveRoot(leaves: readonly Uint8Array[]): Digest {
  if (leaves.length === 0) return sha256(new Uint8Array(0));
  if (leaves.length === 1) return hashOf(Uint8Array.of(0), leaves[0] ?? Uint8Array.of());
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return hashOf(Uint8Array.of(1), naiveRoot(leaves.slice(0, split)), naiveRoot(leaves.slice(split)));
}

function grow(leaves: readonly Uint8Array[]): { readonly range: LogRange; readonly reader: LogNodeReader } {
  let range = EMPTY_LOG;
  const nodes = new Map<string, Digest>();
  for (const [index, leaf] of leaves.entries()) {
    const appended = appendLeaf(sha256, range, logLeafHash(sha256, leaf));
    for (const [level, hash] of appended.completed.entries()) nodes.set(`${level}/${Math.floor(index / 2 ** level)}`, hash);
    range = appended.range;
  }
  return { range, reader: (level, index) => nodes.get(`${level}/${index}`) ?? null };
}

// The eight leaves that the implementations of Certificate Transparency test with.
const CT_LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'].map(hex);
const CT_ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

t.test('RFC 6962: the known roots of Certificate Transparency', async (t) => {
  t.equal(digestToHex(merkleRoot(sha256, [])), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  for (const [index, root] of CT_ROOTS.entries())
    t.equal(digestToHex(merkleRoot(sha256, CT_LEAVES.slice(0, index + 1))), root, `${index + 1} leaves`);
});

t.test('RFC 6962: the compact range gives the recursive root at every size', async (t) => {
  const leaves = Array.from({ length: 130 }, (_, index) => Uint8Array.of(index, index >> 8));
  for (let size = 0; size <= leaves.length; size += 1) {
    const { range } = grow(leaves.slice(0, size));
    if (!isLogRange(range)) t.fail(`size ${size}: peaks don't fit the size`);
    t.same(logRoot(sha256, range), naiveRoot(leaves.slice(0, size)), `size ${size}`);
  }
});

t.test('RFC 6962: every inclusion proof verifies, and only for its own leaf', async (t) => {
  const leaves = Array.from({ length: 40 }, (_, index) => Uint8Array.of(index));
  const { reader } = grow(leaves);
  let wrong = 0;
  for (let size = 1; size <= leaves.length; size += 1) {
    const root = naiveRoot(leaves.slice(0, size));
    for (let index = 0; index < size; index += 1) {
      const proof = makeInclusionProof(sha256, reader, { index, size });
      const leafHash = logLeafHash(sha256, Uint8Array.of(index));
      if (!verifyInclusion(sha256, { leafHash, index, size, root }, proof)) wrong += 1;
      if (verifyInclusion(sha256, { leafHash: logLeafHash(sha256, Uint8Array.of(index + 1)), index, size, root }, proof)) wrong += 1;
      if (size > 1 && verifyInclusion(sha256, { leafHash, index: (index + 1) % size, size, root }, proof)) wrong += 1;
      if (verifyInclusion(sha256, { leafHash, index, size, root }, [...proof, root])) wrong += 1;
      if (proof.length > 0 && verifyInclusion(sha256, { leafHash, index, size, root }, proof.slice(1))) wrong += 1;
    }
  }
  t.equal(wrong, 0);
  t.throws(() => makeInclusionProof(sha256, reader, { index: 3, size: 3 }), RangeError);
  t.throws(() => makeInclusionProof(sha256, () => null, { index: 0, size: 3 }), RangeError, 'a log with holes is damage');
});

t.test('RFC 6962: every consistency proof verifies, and only for its own roots', async (t) => {
  const leaves = Array.from({ length: 34 }, (_, index) => Uint8Array.of(index));
  const { reader } = grow(leaves);
  const roots = leaves.map((_, index) => naiveRoot(leaves.slice(0, index)));
  let wrong = 0;
  for (let newSize = 0; newSize < leaves.length; newSize += 1) {
    for (let oldSize = 0; oldSize <= newSize; oldSize += 1) {
      const proof = makeConsistencyProof(sha256, reader, { oldSize, newSize });
      const claim = { oldSize, newSize, oldRoot: roots[oldSize] as Digest, newRoot: roots[newSize] as Digest };
      if (!verifyConsistency(sha256, claim, proof)) wrong += 1;
      if (verifyConsistency(sha256, { ...claim, oldRoot: EMPTY_TREE }, proof)) wrong += 1;
      if (verifyConsistency(sha256, { ...claim, newRoot: EMPTY_TREE }, proof) && oldSize > 0) wrong += 1;
      if (verifyConsistency(sha256, claim, [...proof, EMPTY_TREE])) wrong += 1;
    }
  }
  t.equal(wrong, 0);
  t.throws(() => makeConsistencyProof(sha256, reader, { oldSize: 3, newSize: 2 }), RangeError);
});

/** The state tree built anew from all records, by the definition alone. */
function naiveTree(records: ReadonlyMap<string, Uint8Array>): Digest {
  const leaves = [...records].map(([key, value]) => ({ path: hashOf(Buffer.from(key)), value }));
  const bit = (path: Uint8Array, depth: number): number => ((path[depth >> 3] ?? 0) >> (7 - (depth & 7))) & 1;
  const build = (some: typeof leaves, depth: number): Digest => {
    const [only] = some;
    if (only === undefined) return EMPTY_TREE;
    if (some.length === 1) return hashOf(Uint8Array.of(2), only.path, hashOf(only.value));
    const zeros = some.filter((leaf) => bit(leaf.path, depth) === 0);
    const ones = some.filter((leaf) => bit(leaf.path, depth) === 1);
    return hashOf(Uint8Array.of(3), build(zeros, depth + 1), build(ones, depth + 1));
  };
  return build(leaves, 0);
}

class Nodes implements TreeReader {
  readonly held = new Map<string, Uint8Array>();
  root: Digest = EMPTY_TREE;

  readonly get = (hash: Digest): Uint8Array | null => this.held.get(digestToHex(hash)) ?? null;

  apply(changes: ReadonlyMap<string, Uint8Array | null>): void {
    const update = updateTree({ sha256, reader: this }, this.root, changes);
    for (const hash of update.removed.keys()) if (!this.held.delete(hash)) throw new Error(`removed a node never held: ${hash}`);
    for (const [hash, bytes] of update.added) {
      if (this.held.has(hash)) throw new Error(`added a node already held: ${hash}`);
      this.held.set(hash, bytes);
    }
    this.root = update.root;
  }

  /** Hashes reachable from the root. */
  reachable(): string[] {
    const found: string[] = [];
    const walk = (hash: Uint8Array): void => {
      const name = digestToHex(asDigest(hash));
      if (/^0+$/.test(name)) return;
      const node = this.held.get(name);
      if (node === undefined) throw new Error(`missing node ${name}`);
      found.push(name);
      if (node[0] === 3) {
        walk(node.slice(1, 33));
        walk(node.slice(33));
      }
    };
    walk(this.root);
    return found.sort();
  }
}

const anyKey = fc.integer({ min: 0, max: 30 }).map((index) => `artifact/${index}`);
const anyValue = fc.option(fc.uint8Array({ minLength: 1, maxLength: 2 }), { nil: null, freq: 3 });
const anyBatch = fc.array(fc.tuple(anyKey, anyValue), { maxLength: 12 });

t.test('state tree: any batches of writes and deletions give the root built anew, and hold exactly its nodes', async (t) => {
  fc.assert(
    fc.property(fc.array(anyBatch, { maxLength: 8 }), (batches) => {
      const tree = new Nodes();
      const model = new Map<string, Uint8Array>();
      for (const batch of batches) {
        const changes = new Map(batch);
        tree.apply(changes);
        for (const [key, value] of changes) {
          if (value === null) model.delete(key);
          else model.set(key, value);
        }
        if (digestToHex(tree.root) !== digestToHex(naiveTree(model))) return false;
      }
      return tree.reachable().join() === [...tree.held.keys()].sort().join();
    }),
    { numRuns: 300 },
  );
  t.pass();
});

t.test('state tree: the order of changes and their grouping do not matter', async (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(fc.string({ unit: 'binary-ascii', maxLength: 8 }), fc.uint8Array({ minLength: 1, maxLength: 3 })), {
        selector: ([key]) => key,
        maxLength: 40,
      }),
      fc.integer({ min: 1, max: 7 }),
      (records, group) => {
        const whole = new Nodes();
        whole.apply(new Map(records));
        const parts = new Nodes();
        const backwards = [...records].reverse();
        for (let index = 0; index < backwards.length; index += group) parts.apply(new Map(backwards.slice(index, index + group)));
        return digestToHex(whole.root) === digestToHex(parts.root);
      },
    ),
    { numRuns: 200 },
  );
  t.pass();
});

t.test('state tree: proofs of presence and absence verify, and nothing else does', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(anyKey, fc.uint8Array({ minLength: 1, maxLength: 2 })), { maxLength: 20 }), anyKey, (records, asked) => {
      const tree = new Nodes();
      const model = new Map(records);
      tree.apply(model);
      const value = model.get(asked) ?? null;
      const proof = proveKey({ sha256, reader: tree }, tree.root, asked);
      const claim = { root: tree.root, key: asked, value };
      if (!verifyKeyProof(sha256, claim, proof)) return false;
      if (verifyKeyProof(sha256, { ...claim, value: value === null ? Uint8Array.of(1) : null }, proof)) return false;
      if (verifyKeyProof(sha256, { ...claim, value: Uint8Array.of(9, 9, 9) }, proof)) return false;
      return !verifyKeyProof(sha256, { ...claim, root: sha256(tree.root) }, proof);
    }),
    { numRuns: 300 },
  );
  t.pass();
});

t.test('state tree: absence is not shown by a leaf that lies elsewhere', async (t) => {
  const tree = new Nodes();
  const records = new Map(Array.from({ length: 20 }, (_, index) => [`artifact/${index}`, Uint8Array.of(index)] as const));
  tree.apply(records);
  for (const shown of records.keys()) {
    const proof = proveKey({ sha256, reader: tree }, tree.root, shown);
    for (const denied of records.keys()) {
      if (verifyKeyProof(sha256, { root: tree.root, key: denied, value: null }, proof)) t.fail(`${shown} shows that ${denied} is absent`);
    }
  }
  t.equal(statePath(sha256, 'a').length, 32);
  t.throws(() => statePath(sha256, 'é'), RangeError);
});

t.test('state tree: two leaves that agree on many bits lie that deep, and collapse again', async (t) => {
  const prefix = new Uint8Array(32);
  const paths = new Map([
    ['x', asDigest(Uint8Array.from(prefix, (_, index) => (index === 31 ? 0 : 7)))],
    ['y', asDigest(Uint8Array.from(prefix, (_, index) => (index === 31 ? 1 : 7)))],
  ]);
  const forced: Sha256 = (data) => paths.get(Buffer.from(data).toString('latin1')) ?? sha256(data);
  const held = new Map<string, Uint8Array>();
  const reader: TreeReader = { get: (hash) => held.get(digestToHex(hash)) ?? null };
  const both = updateTree(
    { sha256: forced, reader },
    EMPTY_TREE,
    new Map([
      ['x', Uint8Array.of(1)],
      ['y', Uint8Array.of(2)],
    ]),
  );
  for (const [hash, bytes] of both.added) held.set(hash, bytes);
  const proof = proveKey({ sha256: forced, reader }, both.root, 'y');
  t.equal(proof.siblings.length, 256);
  t.ok(verifyKeyProof(forced, { root: both.root, key: 'y', value: Uint8Array.of(2) }, proof));
  const one = updateTree({ sha256: forced, reader }, both.root, new Map([['x', null]]));
  t.equal(one.removed.size, 257, '256 nodes and a leaf go');
  t.equal(one.added.size, 0);
  t.equal(
    digestToHex(one.root),
    digestToHex(forced(Buffer.concat([Uint8Array.of(2), paths.get('y') ?? prefix, sha256(Uint8Array.of(2))]))),
  );
  t.throws(() => updateTree({ sha256, reader: { get: () => null } }, digestFromHex('11'.repeat(32)), new Map([['x', null]])), RangeError);
});
