/**
 * A map of bounded size that forgets what wasn't used for long: two generations, the older of which is dropped when the younger is full.
 * In memory only; holds what can be read again.
 */

export class BoundedCache<V> {
  readonly #generationSize: number;
  #young = new Map<string, V>();
  #old = new Map<string, V>();

  /** Holds at most `limit` entries, and at least the half of it used last. */
  constructor(limit: number) {
    this.#generationSize = Math.ceil(limit / 2);
  }

  get(key: string): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: string, value: V): void {
    this.#young.set(key, value);
    if (this.#young.size < this.#generationSize) return;
    this.#old = this.#young;
    this.#young = new Map();
  }
}
