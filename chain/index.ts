/** What the chain floor shows. */

export { asDigest, type Digest, digestFromHex, digestToHex, formatDigest, parseDigest, type Sha256, sameBytes } from './digest.ts';
export * from './structures.ts';
export type { AnySchema, Infer, Schema } from './schema.ts';
export {
  appendLeaf,
  EMPTY_LOG,
  isLogRange,
  type LogAppend,
  type LogNodeReader,
  type LogRange,
  logLeafHash,
  logRoot,
  makeConsistencyProof,
  makeInclusionProof,
  merkleRoot,
  verifyConsistency,
  verifyInclusion,
} from './log-tree.ts';
export { EMPTY_TREE, type KeyProof, keyProof, proveKey, statePath, type TreeReader, type TreeUpdate, updateTree, verifyKeyProof } from './state-tree.ts';
