/**
 * A key-value store as it will be once some writes are on the disk: they are held in memory and read first. Lets several blocks be made ready
 * for one batch, each seeing what those before it do. Keeps the arrays it is given, and writes nothing below itself.
 */

import type { KeyRange, KeyValueStore, KeyValueWrite } from './key-value-store.ts';

const DEFAULT_LIMIT = 1000;

export class PendingWrites implements KeyValueStore {
  readonly #below: Pick<KeyValueStore, 'get' | 'range'>;
  readonly #pending = new Map<string, Uint8Array | null>();

  constructor(below: Pick<KeyValueStore, 'get' | 'range'>) {
    this.#below = below;
  }

  get(key: string): Uint8Array | null {
    const pending = this.#pending.get(key);
    return pending === undefined ? this.#below.get(key) : pending;
  }

  async range(range: KeyRange): Promise<readonly (readonly [string, Uint8Array])[]> {
    const limit = range.limit ?? DEFAULT_LIMIT;
    const within = [...this.#pending].filter(([key]) => key >= range.from && key < range.to);
    // Each pending key may hide one from below.
    const below = await this.#below.range({ ...range, limit: limit + within.length });
    const merged = new Map<string, Uint8Array | null>([...below, ...within]);
    const sorted = [...merged].sort(([left], [right]) => (left < right ? -1 : 1));
    if (range.reverse === true) sorted.reverse();
    return sorted.flatMap(([key, value]) => (value === null ? [] : [[key, value] as const])).slice(0, limit);
  }

  async write(batch: readonly KeyValueWrite[]): Promise<void> {
    for (const { key, value } of batch) this.#pending.set(key, value);
  }

  /** Holds nothing open. */
  async close(): Promise<void> {}

  /** One write a key, the last. */
  writes(): readonly KeyValueWrite[] {
    return [...this.#pending].map(([key, value]) => ({ key, value }));
  }
}
