/**
 * How a chain store is opened: begun at genesis when empty, else recognized, and its tip verified. Follows docs/SPEC.md §5. Never repairs.
 */

import { digestToHex, type GenesisState, genesisState, type Sha256, sameBytes } from '../index.ts';
import type { ChainGenesis, ChainStoreDeps } from './chain-reader.ts';
import { ChainStore } from './chain-store.ts';
import { ChainStoreError, damaged, writeOrFail } from './error.ts';
import type { KeyValueWrite } from './key-value-store.ts';
import {
  FORMAT,
  FORMAT_KEY,
  formatRecord,
  nodeKeyOf,
  seal,
  sealRecord,
  stateKeyOf,
  TIP_KEY,
  type TipRecord,
  tipRecord,
  unsealRecord,
} from './layout.ts';
import { verifyTip } from './verify-tip.ts';

/** Opens the chain in the store, or begins it there; rejects with a ChainStoreError. */
export async function openChainStore(deps: ChainStoreDeps, genesis: ChainGenesis): Promise<ChainStore> {
  const { kv, sha256 } = deps;
  const start = genesisState(genesis, sha256);
  const found = kv.get(FORMAT_KEY);
  if (found === null) {
    const rest = await kv.range({ from: '', to: '\x7f', limit: 1 });
    if (rest.length > 0) throw damaged('it holds entries but does not say what they are');
    await writeOrFail(kv, genesisBatch(sha256, genesis, start));
  } else {
    const { format, chainId } = unsealRecord(sha256, FORMAT_KEY, formatRecord, found);
    if (format !== FORMAT) throw new ChainStoreError('UNKNOWN_FORMAT', `expected format ${FORMAT}, found ${format}`);
    if (!sameBytes(chainId, genesis.chainId)) {
      throw new ChainStoreError('WRONG_GENESIS', `expected the chain ${digestToHex(genesis.chainId)}, found ${digestToHex(chainId)}`);
    }
  }
  const tip = kv.get(TIP_KEY);
  if (tip === null) throw damaged('it has no tip');
  let isOpen = false;
  const onFailure = (error: unknown): void => {
    // Until then this very promise tells of it.
    if (isOpen) deps.onFailure?.(error);
  };
  const store = new ChainStore({ kv, sha256, onFailure }, genesis, unsealRecord(sha256, TIP_KEY, tipRecord, tip));
  verifyTip(store, { sha256, genesisRoot: start.tree.root });
  isOpen = true;
  return store;
}

function genesisBatch(sha256: Sha256, genesis: ChainGenesis, start: GenesisState): readonly KeyValueWrite[] {
  const { chainId, timeMs } = genesis;
  const tip: TipRecord = {
    height: 0,
    round: 0,
    blockId: chainId,
    timeMs,
    logSize: 0,
    logPeaks: [],
    stateRoot: start.tree.root,
    counts: { artifacts: 0, files: 0, names: 0, bans: 0, transactions: 0 },
  };
  return [
    ...[...start.changes].map(([key, value]) => ({ key: stateKeyOf(key), value: seal(sha256, stateKeyOf(key), value) })),
    ...[...start.tree.added].map(([hash, value]) => ({ key: nodeKeyOf(hash), value })),
    { key: TIP_KEY, value: sealRecord(sha256, TIP_KEY, tipRecord, tip) },
    { key: FORMAT_KEY, value: sealRecord(sha256, FORMAT_KEY, formatRecord, { format: FORMAT, chainId, timeMs }) },
  ];
}
