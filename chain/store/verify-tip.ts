/**
 * What is checked at every start before a node goes on: that the tip's block decodes and is the one the tip names, that its certificate is
 * for it, and that log and state are those its header states. Follows docs/SPEC.md §5.
 */

import {
  blockIdOf,
  block as blockSchema,
  commitCertificate,
  type Digest,
  decode,
  encode,
  logRoot,
  PARAMETERS_KEY,
  proveKey,
  SETS_KEY,
  type Sha256,
  sameBytes,
  stateRecord,
  verifyKeyProof,
} from '../index.ts';
import type { ChainStore } from './chain-store.ts';
import { damaged } from './error.ts';

/** Throws a ChainStoreError unless the tip is whole. `genesisRoot`: the state root before the first block. */
export function verifyTip(store: ChainStore, deps: { readonly sha256: Sha256; readonly genesisRoot: Digest }): void {
  const { sha256 } = deps;
  const view = store.view();
  const header = view.height === 0 ? null : verifyBlock(store, sha256);
  const stateRoot = header === null ? deps.genesisRoot : header.stateRoot;
  if (!sameBytes(view.stateRoot, stateRoot)) throw damaged(`the state is not that of block ${view.height}`);
  if (header !== null && (header.logSize !== view.logRange.size || !sameBytes(header.logRoot, logRoot(sha256, view.logRange)))) {
    throw damaged(`the log is not that of block ${view.height}`);
  }
  for (const key of [SETS_KEY, PARAMETERS_KEY]) verifyRecord(store, key, sha256);
}

function verifyBlock(
  store: ChainStore,
  sha256: Sha256,
): { readonly stateRoot: Digest; readonly logRoot: Digest; readonly logSize: number } {
  const view = store.view();
  const stored = store.block(view.height);
  if (stored === null) throw damaged(`the block of the tip, height ${view.height}, is missing`);
  const block = decode(blockSchema, stored.block, { maxBytes: stored.block.length });
  if (!block.ok) throw damaged(`block ${view.height} does not decode: ${block.reason}`);
  const { header } = block.value;
  if (header.height !== view.height || !sameBytes(blockIdOf(sha256, header), view.blockId)) {
    throw damaged(`block ${view.height} is not the one the tip names`);
  }
  const certificate = decode(commitCertificate, stored.certificate, { maxBytes: stored.certificate.length });
  if (!certificate.ok || !sameBytes(certificate.value.blockId, view.blockId)) {
    throw damaged(`the certificate of block ${view.height} is not for it`);
  }
  return header;
}

function verifyRecord(store: ChainStore, key: string, sha256: Sha256): void {
  const view = store.view();
  const record = view.state.get(key);
  if (record === null) throw damaged(`the state has no record ${key}`);
  const value = encode(stateRecord, record);
  let proven = false;
  try {
    const proof = proveKey({ sha256, reader: view.tree }, view.stateRoot, key);
    proven = verifyKeyProof(sha256, { root: view.stateRoot, key, value }, proof);
  } catch (error) {
    throw damaged('the state tree has a hole', error);
  }
  if (!proven) throw damaged(`the record ${key} is not the one the state root commits to`);
}
