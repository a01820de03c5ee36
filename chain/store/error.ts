/**
 * What can go wrong with the chain store, each with a code and what to do. All of them are fatal to the node: it must not go on with a chain
 * that it can't read or write. Follows docs/SPEC.md §5.
 */

import type { KeyValueStore, KeyValueWrite } from './key-value-store.ts';

export type ChainStoreErrorCode = 'DAMAGED' | 'WRONG_GENESIS' | 'UNKNOWN_FORMAT' | 'WRITE_FAILED';

const ADVICE: Readonly<Record<ChainStoreErrorCode, string>> = {
  DAMAGED: 'move the chain folder away and start again: the node fetches the chain from its peers',
  WRONG_GENESIS: 'this folder belongs to another network: give this node a folder of its own, or the genesis it was made with',
  UNKNOWN_FORMAT: 'the folder was written by another version of Cairn: use that version',
  WRITE_FAILED: 'check that the disk is mounted, writable and has room, then start again',
};

export class ChainStoreError extends Error {
  override readonly name = 'ChainStoreError';
  readonly code: ChainStoreErrorCode;

  constructor(code: ChainStoreErrorCode, detail: string, options: { readonly cause?: unknown } = {}) {
    super(`chain store: ${detail}; ${ADVICE[code]}`, options);
    this.code = code;
  }
}

/** Damage found while reading. */
export function damaged(detail: string, cause?: unknown): ChainStoreError {
  return new ChainStoreError('DAMAGED', `damaged: ${detail}`, cause === undefined ? {} : { cause });
}

/** Writes the batch; rejects with WRITE_FAILED. */
export async function writeOrFail(kv: KeyValueStore, batch: readonly KeyValueWrite[]): Promise<void> {
  try {
    await kv.write(batch);
  } catch (error) {
    throw new ChainStoreError('WRITE_FAILED', `a block could not be written: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
