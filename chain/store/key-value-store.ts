/**
 * Port: an ordered key-value store, as the chain store and the node's own small records need it. Keys are ASCII text ordered by code unit.
 * Implemented by level.ts on a real disk and by the test world in memory; one contract suite runs against both.
 */

/** One write of a batch; `value` null deletes. */
export interface KeyValueWrite {
  readonly key: string;
  readonly value: Uint8Array | null;
}

export interface KeyRange {
  /** First key, inclusive. */
  readonly from: string;
  /** End, exclusive. */
  readonly to: string;
  readonly limit?: number;
  /** From the end downwards. */
  readonly reverse?: boolean;
}

export interface KeyValueStore {
  /** The value, synchronously, or null. */
  readonly get: (key: string) => Uint8Array | null;
  /** Entries of the range, in order; at most `limit` (default 1,000). */
  readonly range: (range: KeyRange) => Promise<readonly (readonly [string, Uint8Array])[]>;
  /** All or nothing, and on the disk (synced) once resolved. Rejects on a disk error, which is fatal to the node. */
  readonly write: (batch: readonly KeyValueWrite[]) => Promise<void>;
  readonly close: () => Promise<void>;
}
