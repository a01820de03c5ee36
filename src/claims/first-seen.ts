/**
 * When this authority first saw a version at an upstream, for the policy's minimum age: what was poisoned yesterday is mostly found out by
 * tomorrow. SPEC §3.5. By its own clock and its own eyes, since what an upstream says of its times proves nothing.
 */

import { decode, encode, record, uint } from '../../chain/index.ts';
import type { Clock, KeyValueStore } from '../ports.ts';

const PREFIX = 'seen|';
const seenSchema = record({ firstMs: uint() });

export class FirstSeen {
  readonly #store: KeyValueStore;
  readonly #clock: Clock;

  constructor(deps: { readonly store: KeyValueStore; readonly clock: Clock }) {
    this.#store = deps.store;
    this.#clock = deps.clock;
  }

  /** How long ago the version under this state key was first seen, in milliseconds; null if never. */
  ageMs(key: string): number | null {
    const value = this.#store.get(PREFIX + key);
    const seen = value === null ? null : decode(seenSchema, value, { maxBytes: 64 });
    return seen?.ok === true ? Math.max(0, this.#clock.nowMs() - seen.value.firstMs) : null;
  }

  /** It is seen for the first time, now. */
  async note(key: string): Promise<void> {
    await this.#store.write([{ key: PREFIX + key, value: encode(seenSchema, { firstMs: this.#clock.nowMs() }) }]);
  }

  /** A committed version needs no age any more. */
  async forget(keys: readonly string[]): Promise<void> {
    const known = keys.filter((key) => this.#store.get(PREFIX + key) !== null);
    if (known.length > 0) await this.#store.write(known.map((key) => ({ key: PREFIX + key, value: null })));
  }
}
