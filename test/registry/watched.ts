/** Collections that tell of every change, so that a ledger made of them knows when its answers are no longer the same. */

export class WatchedMap<V> extends Map<string, V> {
  readonly #changed: () => void;

  constructor(changed: () => void) {
    super();
    this.#changed = changed;
  }

  override set(key: string, value: V): this {
    this.#changed();
    return super.set(key, value);
  }

  override delete(key: string): boolean {
    this.#changed();
    return super.delete(key);
  }

  override clear(): void {
    this.#changed();
    super.clear();
  }
}

export class WatchedSet extends Set<string> {
  readonly #changed: () => void;

  constructor(changed: () => void) {
    super();
    this.#changed = changed;
  }

  override add(value: string): this {
    this.#changed();
    return super.add(value);
  }

  override delete(value: string): boolean {
    this.#changed();
    return super.delete(value);
  }

  override clear(): void {
    this.#changed();
    super.clear();
  }
}
