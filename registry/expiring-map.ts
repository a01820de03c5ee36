/** A map of bounded size whose entries end at a time of their own: what is remembered of upstreams. When full, the oldest entry goes. */

import type { Clock } from './ports.ts';

export class ExpiringMap<T> {
  readonly #entries: Map<string, { readonly value: T; readonly untilMs: number }> = new Map();
  readonly #maxEntries: number;
  readonly #clock: Clock;

  constructor(options: { readonly maxEntries: number }, deps: { readonly clock: Clock }) {
    this.#maxEntries = options.maxEntries;
    this.#clock = deps.clock;
  }

  get(key: string): T | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    if (entry.untilMs > this.#clock.nowMs()) return entry.value;
    this.#entries.delete(key);
    return null;
  }

  set(key: string, value: T, untilMs: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, untilMs });
    const oldest = this.#entries.keys().next().value;
    if (this.#entries.size > this.#maxEntries && oldest !== undefined) this.#entries.delete(oldest);
  }
}
