/**
 * Binary sparse Merkle tree over the state: a record lies at the 256-bit path SHA-256(key); a subtree with one leaf collapses into that
 * leaf, an empty one is 32 zero bytes. So the root depends on the records alone, never on the order they came in, and absence is provable.
 * Follows docs/SPEC.md §4. Never touches a disk: nodes are read through a synchronous port and new ones are handed back.
 */

import { asDigest, type Digest, digestToHex, type Sha256, sameBytes } from './digest.ts';
import { array, digest, type Infer, nullable, record } from './schema.ts';

const LEAF_TAG = 0x02;
const NODE_TAG = 0x03;
const NODE_BYTES = 65;

/** Root of the tree without records, and hash of every empty subtree. */
export const EMPTY_TREE: Digest = asDigest(new Uint8Array(32));

/** Port: the bytes of the node with this hash, or null when it isn't held. */
export interface TreeReader {
  readonly get: (hash: Digest) => Uint8Array | null;
}

/** What an update made: the new root, the nodes to add and those no longer reachable, both by hex of their hash. */
export interface TreeUpdate {
  readonly root: Digest;
  readonly added: ReadonlyMap<string, Uint8Array>;
  readonly removed: ReadonlyMap<string, Uint8Array>;
}

/** Siblings from the root downwards, and the leaf at the end of the path: the key's own, another's, or none. */
export const keyProof = record({
  siblings: array(digest, 256),
  leaf: nullable(record({ path: digest, valueDigest: digest })),
});
export type KeyProof = Infer<typeof keyProof>;

interface Change {
  readonly path: Digest;
  /** Null: the record goes. */
  readonly leaf: Subtree | null;
}

/** A subtree by its hash; `leafPath` is its path when it is a leaf, undefined when nobody has looked yet. */
interface Subtree {
  readonly hash: Digest;
  readonly leafPath: Digest | null | undefined;
}

interface Update {
  readonly sha256: Sha256;
  readonly reader: TreeReader;
  readonly added: Map<string, Uint8Array>;
  readonly removed: Map<string, Uint8Array>;
}

const EMPTY: Subtree = { hash: EMPTY_TREE, leafPath: null };

/**
 * Applies all changes (state key → record bytes, null deletes) at once, touching each path once.
 * Throws a RangeError when the reader lacks a node of the old tree: that is damage, not input.
 */
export function updateTree(
  deps: { readonly sha256: Sha256; readonly reader: TreeReader },
  root: Digest,
  changes: ReadonlyMap<string, Uint8Array | null>,
): TreeUpdate {
  const update: Update = { ...deps, added: new Map(), removed: new Map() };
  const sorted = [...changes]
    .map(([key, value]) => toChange(update, key, value))
    .sort((left, right) => compareBytes(left.path, right.path));
  const changed = descend(update, { hash: root, leafPath: undefined }, sorted, 0);
  for (const hex of update.added.keys()) {
    if (update.removed.delete(hex)) update.added.delete(hex);
  }
  return { root: changed.hash, added: update.added, removed: update.removed };
}

/** The path of a state key. */
export function statePath(sha256: Sha256, key: string): Digest {
  const bytes = new Uint8Array(key.length);
  for (let index = 0; index < key.length; index += 1) {
    const code = key.charCodeAt(index);
    if (code > 0x7f) throw new RangeError('expected a state key in ASCII');
    bytes[index] = code;
  }
  return sha256(bytes);
}

/** Proof that the key has the record it has, or none. */
export function proveKey(deps: { readonly sha256: Sha256; readonly reader: TreeReader }, root: Digest, key: string): KeyProof {
  const path = statePath(deps.sha256, key);
  const siblings: Digest[] = [];
  let hash = root;
  for (;;) {
    if (isEmpty(hash)) return { siblings, leaf: null };
    const node = readNode(deps.reader, hash);
    if (node[0] === LEAF_TAG) return { siblings, leaf: { path: leftOf(node), valueDigest: rightOf(node) } };
    const isRight = bitAt(path, siblings.length) === 1;
    siblings.push(isRight ? leftOf(node) : rightOf(node));
    hash = isRight ? rightOf(node) : leftOf(node);
  }
}

/** True when the proof shows that under `root` the key has exactly these record bytes (null: that it has none). */
export function verifyKeyProof(
  sha256: Sha256,
  claim: { readonly root: Digest; readonly key: string; readonly value: Uint8Array | null },
  proof: KeyProof,
): boolean {
  const path = statePath(sha256, claim.key);
  if (proof.siblings.length > 256) return false;
  if (!endsAsClaimed(sha256, { path, value: claim.value }, proof)) return false;
  let hash = proof.leaf === null ? EMPTY_TREE : sha256(nodeBytes(LEAF_TAG, proof.leaf.path, proof.leaf.valueDigest));
  for (let depth = proof.siblings.length - 1; depth >= 0; depth -= 1) {
    const sibling = proof.siblings[depth] as Digest;
    hash = sha256(bitAt(path, depth) === 1 ? nodeBytes(NODE_TAG, sibling, hash) : nodeBytes(NODE_TAG, hash, sibling));
  }
  return sameBytes(hash, claim.root);
}

function endsAsClaimed(sha256: Sha256, claim: { readonly path: Digest; readonly value: Uint8Array | null }, proof: KeyProof): boolean {
  const { leaf } = proof;
  if (claim.value !== null) {
    return leaf !== null && sameBytes(leaf.path, claim.path) && sameBytes(leaf.valueDigest, sha256(claim.value));
  }
  if (leaf === null) return true;
  if (sameBytes(leaf.path, claim.path)) return false;
  for (let depth = 0; depth < proof.siblings.length; depth += 1) if (bitAt(leaf.path, depth) !== bitAt(claim.path, depth)) return false;
  return true;
}

function toChange(update: Update, key: string, value: Uint8Array | null): Change {
  const path = statePath(update.sha256, key);
  if (value === null) return { path, leaf: null };
  const bytes = nodeBytes(LEAF_TAG, path, update.sha256(value));
  const hash = update.sha256(bytes);
  update.added.set(digestToHex(hash), bytes);
  return { path, leaf: { hash, leafPath: path } };
}

function descend(update: Update, subtree: Subtree, changes: readonly Change[], depth: number): Subtree {
  if (changes.length === 0) return subtree;
  if (isEmpty(subtree.hash)) return build(update, keptLeaves(changes), depth);
  const node = readNode(update.reader, subtree.hash);
  if (node[0] === LEAF_TAG) {
    const path = leftOf(node);
    if (changes.some((change) => sameBytes(change.path, path))) {
      update.removed.set(digestToHex(subtree.hash), node);
      return build(update, keptLeaves(changes), depth);
    }
    return build(update, [...keptLeaves(changes), { hash: subtree.hash, leafPath: path }].sort(byLeafPath), depth);
  }
  update.removed.set(digestToHex(subtree.hash), node);
  const middle = splitAt(changes, depth, (change) => change.path);
  const left = descend(update, { hash: leftOf(node), leafPath: undefined }, changes.slice(0, middle), depth + 1);
  const right = descend(update, { hash: rightOf(node), leafPath: undefined }, changes.slice(middle), depth + 1);
  return join(update, left, right);
}

/** The subtree over these leaves alone, sorted by path. */
function build(update: Update, leaves: readonly Subtree[], depth: number): Subtree {
  const [first] = leaves;
  if (first === undefined) return EMPTY;
  if (leaves.length === 1) return first;
  const middle = splitAt(leaves, depth, (leaf) => leaf.leafPath as Digest);
  return join(update, build(update, leaves.slice(0, middle), depth + 1), build(update, leaves.slice(middle), depth + 1));
}

function join(update: Update, left: Subtree, right: Subtree): Subtree {
  const leftIsEmpty = isEmpty(left.hash);
  const rightIsEmpty = isEmpty(right.hash);
  if (leftIsEmpty && rightIsEmpty) return EMPTY;
  if (leftIsEmpty || rightIsEmpty) {
    const only = looked(update, leftIsEmpty ? right : left);
    if (only.leafPath !== null) return only;
  }
  const bytes = nodeBytes(NODE_TAG, left.hash, right.hash);
  const hash = update.sha256(bytes);
  update.added.set(digestToHex(hash), bytes);
  return { hash, leafPath: null };
}

function looked(update: Update, subtree: Subtree): Subtree {
  if (subtree.leafPath !== undefined) return subtree;
  const node = readNode(update.reader, subtree.hash);
  return { hash: subtree.hash, leafPath: node[0] === LEAF_TAG ? leftOf(node) : null };
}

function keptLeaves(changes: readonly Change[]): Subtree[] {
  return changes.flatMap((change) => (change.leaf === null ? [] : [change.leaf]));
}

/** Index of the first item whose path has a one at `depth`; the items are sorted by path and agree above it. */
function splitAt<T>(items: readonly T[], depth: number, pathOf: (item: T) => Digest): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (bitAt(pathOf(items[middle] as T), depth) === 1) high = middle;
    else low = middle + 1;
  }
  return low;
}

function readNode(reader: TreeReader, hash: Digest): Uint8Array {
  const node = reader.get(hash);
  if (node === null || node.length !== NODE_BYTES) throw new RangeError(`the state tree lacks node ${digestToHex(hash)}`);
  return node;
}

function nodeBytes(tag: number, left: Digest, right: Digest): Uint8Array {
  const bytes = new Uint8Array(NODE_BYTES);
  bytes[0] = tag;
  bytes.set(left, 1);
  bytes.set(right, 33);
  return bytes;
}

function leftOf(node: Uint8Array): Digest {
  return asDigest(node.slice(1, 33));
}

function rightOf(node: Uint8Array): Digest {
  return asDigest(node.slice(33, 65));
}

function isEmpty(hash: Digest): boolean {
  return sameBytes(hash, EMPTY_TREE);
}

function bitAt(path: Digest, depth: number): number {
  return ((path[depth >> 3] ?? 0) >> (7 - (depth & 7))) & 1;
}

function byLeafPath(left: Subtree, right: Subtree): number {
  return compareBytes(left.leafPath as Digest, right.leafPath as Digest);
}

function compareBytes(left: Uint8Array, right: Uint8Array): number {
  for (let index = 0; index < left.length; index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
