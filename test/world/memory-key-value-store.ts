/**
 * The key-value port in memory, for the test world: a disk that survives the crash of the process using it. A write becomes visible and
 * durable in one step, as the port promises; a crash before that step loses the whole batch, never a part of it.
 */

import { type KeyRange, KeyValueError, type KeyValueStore, type KeyValueWrite } from '../../chain/store/index.ts';

export interface MemoryStoreOptions {
  /** Runs before a batch is applied: wait for virtual time, or throw to fail the disk. The batch is lost when `crash` comes meanwhile. */
  readonly beforeWrite?: (batch: readonly KeyValueWrite[]) => Promise<void> | void;
}

export class MemoryKeyValueStore implements KeyValueStore {
  readonly #options: MemoryStoreOptions;
  #entries: Map<string, Uint8Array>;
  /** Sorted keys but the newest, or null when they must be sorted anew. */
  #sorted: string[] | null = null;
  /** Keys that have not yet found their place among the sorted. */
  #newest: string[] = [];
  #life = 0;
  #isOpen = true;

  constructor(options: MemoryStoreOptions = {}, entries: ReadonlyMap<string, Uint8Array> = new Map()) {
    this.#options = options;
    this.#entries = new Map(entries);
  }

  get(key: string): Uint8Array | null {
    this.#requireOpen();
    const value = this.#entries.get(key);
    return value === undefined ? null : value.slice();
  }

  async range(range: KeyRange): Promise<readonly (readonly [string, Uint8Array])[]> {
    this.#requireOpen();
    const keys = this.#keysBetween(range.from, range.to);
    if (range.reverse === true) keys.reverse();
    return keys.slice(0, range.limit ?? 1000).map((key) => [key, (this.#entries.get(key) ?? new Uint8Array(0)).slice()] as const);
  }

  async write(batch: readonly KeyValueWrite[]): Promise<void> {
    this.#requireOpen();
    const life = this.#life;
    const copy = batch.map(({ key, value }) => ({ key, value: value === null ? null : value.slice() }));
    await this.#options.beforeWrite?.(copy);
    if (life !== this.#life) throw new Error('the process crashed before the batch was on the disk');
    for (const { key, value } of copy) {
      if (value === null) {
        if (this.#entries.delete(key)) this.#sorted = null;
      } else {
        if (!this.#entries.has(key)) this.#newest.push(key);
        this.#entries.set(key, value);
      }
    }
  }

  async close(): Promise<void> {
    this.#isOpen = false;
  }

  /** The process dies: batches under way are lost, and the same disk is open for the next process. */
  crash(): void {
    this.#life += 1;
    this.#isOpen = true;
  }

  /** Opens again after `close`, as a restarted process does. */
  reopen(): void {
    this.#isOpen = true;
  }

  /** A copy of what is on the disk. */
  snapshot(): ReadonlyMap<string, Uint8Array> {
    return new Map([...this.#entries].map(([key, value]) => [key, value.slice()] as const));
  }

  /** Puts a snapshot back, as from a backup. */
  restore(entries: ReadonlyMap<string, Uint8Array>): void {
    this.#entries = new Map([...entries].map(([key, value]) => [key, value.slice()] as const));
    this.#sorted = null;
  }

  #keysBetween(from: string, to: string): string[] {
    const sorted = this.#sorted ?? [...this.#entries.keys()].sort();
    if (this.#sorted !== null) for (const key of this.#newest) sorted.splice(lowerBound(sorted, key), 0, key);
    this.#sorted = sorted;
    this.#newest = [];
    return sorted.slice(lowerBound(sorted, from), lowerBound(sorted, to));
  }

  #requireOpen(): void {
    if (!this.#isOpen) throw new KeyValueError('STORE_CLOSED', { path: 'memory', reason: 'closed', cause: null });
  }
}

function lowerBound(sorted: readonly string[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
