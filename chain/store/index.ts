/** What the chain store shows. */

export type { ChainGenesis, ChainStoreDeps, HistoryEntry, StoredBlock } from './chain-reader.ts';
export { ChainStore } from './chain-store.ts';
export type { CommittedBytes } from './commit-batch.ts';
export { ChainStoreError, type ChainStoreErrorCode } from './error.ts';
export { type KeyRange, KeyValueError, type KeyValueErrorCode, type KeyValueStore, type KeyValueWrite } from './key-value-store.ts';
export type { Counts, FileUse, TransactionPlace } from './layout.ts';
export { openLevelStore } from './level.ts';
export { openChainStore } from './open.ts';
