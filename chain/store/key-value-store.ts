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
  /** The value, synchronously, or null. Throws a KeyValueError when the disk fails, as all of it do. */
  readonly get: (key: string) => Uint8Array | null;
  /** Entries of the range, in order; at most `limit` (default 1,000). */
  readonly range: (range: KeyRange) => Promise<readonly (readonly [string, Uint8Array])[]>;
  /** All or nothing, and on the disk (synced) once resolved. Rejects on a disk error, which is fatal to the node. */
  readonly write: (batch: readonly KeyValueWrite[]) => Promise<void>;
  readonly close: () => Promise<void>;
}

export type KeyValueErrorCode = 'STORE_LOCKED' | 'STORE_DAMAGED' | 'STORE_IO' | 'STORE_CLOSED';

const ADVICE: Readonly<Record<KeyValueErrorCode, string>> = {
  STORE_LOCKED: 'another process holds this folder: stop it, or give this node a folder of its own',
  STORE_DAMAGED: 'the store is damaged: keep a copy of the folder and let the node fetch the chain anew into an empty one',
  STORE_IO: 'the disk refused: check that it is mounted, writable and has room',
  STORE_CLOSED: 'the store is closed',
};

/** The disk below a key-value store failed; `path` is its folder. */
export class KeyValueError extends Error {
  override readonly name = 'KeyValueError';
  readonly code: KeyValueErrorCode;
  readonly path: string;

  constructor(code: KeyValueErrorCode, details: { readonly path: string; readonly reason: string; readonly cause: unknown }) {
    super(`${details.path}: ${ADVICE[code]} (${details.reason})`, { cause: details.cause });
    this.code = code;
    this.path = details.path;
  }
}
