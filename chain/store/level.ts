/**
 * The key-value port on LevelDB (the `level` package). Follows docs/SPEC.md §5. Every write is one synced batch; a folder is held by one
 * process at a time. Never repairs: damage is reported and the operator decides.
 */

import { Level } from 'level';
import { type KeyRange, KeyValueError, type KeyValueErrorCode, type KeyValueStore, type KeyValueWrite } from './key-value-store.ts';

const DEFAULT_LIMIT = 1000;
/** Of who reads while the store is being closed, too. */
const CLOSED = ['LEVEL_DATABASE_NOT_OPEN', 'LEVEL_ITERATOR_NOT_OPEN'];

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
  return new KeyValueError(codeOf(causes(error)), { path, reason: deepestMessage(error), cause: error });
}

function codeOf(chain: readonly Error[]): KeyValueErrorCode {
  const codes = chain.flatMap((one) => ('code' in one && typeof one.code === 'string' ? [one.code] : []));
  if (codes.includes('LEVEL_LOCKED')) return 'STORE_LOCKED';
  if (codes.includes('LEVEL_CORRUPTION')) return 'STORE_DAMAGED';
  const isClosed = codes.some((code) => CLOSED.includes(code)) && !codes.includes('LEVEL_IO_ERROR') && chain.length === 1;
  return isClosed ? 'STORE_CLOSED' : 'STORE_IO';
}

function causes(error: unknown): Error[] {
  const found: Error[] = [];
  for (let one = error; one instanceof Error && found.length < 8; one = one.cause) found.push(one);
  return found;
}

function deepestMessage(error: unknown): string {
  return causes(error).at(-1)?.message ?? String(error);
}
