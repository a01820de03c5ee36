/**
 * The key-value port on LevelDB (the `level` package). Follows docs/SPEC.md §5. Every write is one synced batch; a folder is held by one
 * process at a time. Never repairs: damage is reported and the operator decides.
 */

import { Level } from 'level';
import type { KeyRange, KeyValueStore, KeyValueWrite } from './key-value-store.ts';

const DEFAULT_LIMIT = 1000;

export type KeyValueErrorCode = 'STORE_LOCKED' | 'STORE_DAMAGED' | 'STORE_IO' | 'STORE_CLOSED';

/** The disk below a key-value store failed; `path` is its folder. */
export class KeyValueError extends Error {
  override readonly name = 'KeyValueError';
  readonly code: KeyValueErrorCode;
  readonly path: string;

  constructor(code: KeyValueErrorCode, details: { readonly path: string; readonly cause: unknown }) {
    super(`${details.path}: ${ADVICE[code]} (${deepestMessage(details.cause)})`, { cause: details.cause });
    this.code = code;
    this.path = details.path;
  }
}

const ADVICE: Readonly<Record<KeyValueErrorCode, string>> = {
  STORE_LOCKED: 'another process holds this folder: stop it, or give this node a folder of its own',
  STORE_DAMAGED: 'the store is damaged: keep a copy of the folder and let the node fetch the chain anew into an empty one',
  STORE_IO: 'the disk refused: check that it is mounted, writable and has room',
  STORE_CLOSED: 'the store is closed',
};

/** Opens the store in the folder, making it when absent. Rejects with a KeyValueError. */
export async function openLevelStore(path: string): Promise<KeyValueStore> {
  const db = new Level<string, Uint8Array>(path, { keyEncoding: 'utf8', valueEncoding: 'view' });
  try {
    await db.open();
  } catch (error) {
    throw asStoreError(error, path);
  }
  return new LevelStore(db, path);
}

class LevelStore implements KeyValueStore {
  readonly #db: Level<string, Uint8Array>;
  readonly #path: string;

  constructor(db: Level<string, Uint8Array>, path: string) {
    this.#db = db;
    this.#path = path;
  }

  get(key: string): Uint8Array | null {
    try {
      const value = this.#db.getSync(key);
      return value === undefined ? null : plain(value);
    } catch (error) {
      throw asStoreError(error, this.#path);
    }
  }

  async range(range: KeyRange): Promise<readonly (readonly [string, Uint8Array])[]> {
    const options = { gte: range.from, lt: range.to, limit: range.limit ?? DEFAULT_LIMIT, reverse: range.reverse ?? false };
    try {
      const entries = await this.#db.iterator(options).all();
      return entries.map(([key, value]) => [key, plain(value)] as const);
    } catch (error) {
      throw asStoreError(error, this.#path);
    }
  }

  async write(batch: readonly KeyValueWrite[]): Promise<void> {
    try {
      // One by one into a native batch: an array of operations costs the event loop several times as much.
      const native = this.#db.batch();
      for (const { key, value } of batch) {
        if (value === null) native.del(key);
        else native.put(key, value);
      }
      await native.write({ sync: true });
    } catch (error) {
      throw asStoreError(error, this.#path);
    }
  }

  async close(): Promise<void> {
    await this.#db.close();
  }
}

/** Level hands out Buffers, whose `slice` shares memory; the port promises plain byte arrays. */
function plain(value: Uint8Array): Uint8Array {
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

function asStoreError(error: unknown, path: string): KeyValueError {
  const codes = causes(error).flatMap((one) => ('code' in one && typeof one.code === 'string' ? [one.code] : []));
  if (codes.includes('LEVEL_LOCKED')) return new KeyValueError('STORE_LOCKED', { path, cause: error });
  if (codes.includes('LEVEL_CORRUPTION')) return new KeyValueError('STORE_DAMAGED', { path, cause: error });
  if (codes.includes('LEVEL_DATABASE_NOT_OPEN') && !codes.includes('LEVEL_IO_ERROR') && causes(error).length === 1) {
    return new KeyValueError('STORE_CLOSED', { path, cause: error });
  }
  return new KeyValueError('STORE_IO', { path, cause: error });
}

function causes(error: unknown): Error[] {
  const found: Error[] = [];
  for (let one = error; one instanceof Error && found.length < 8; one = one.cause) found.push(one);
  return found;
}

function deepestMessage(error: unknown): string {
  return causes(error).at(-1)?.message ?? String(error);
}
