/** What the chain store shows. */

export type { KeyRange, KeyValueStore, KeyValueWrite } from './key-value-store.ts';
export { KeyValueError, type KeyValueErrorCode, openLevelStore } from './level.ts';
