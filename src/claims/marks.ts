/**
 * An admin's marks on this node: what only a human hand may decide, such as a removal, is endorsed by this authority when its own admin
 * has marked it, and not otherwise. Kept in the node's store until the chain has the operation.
 */

import { type Claim, decode, encode, keyOf, nullable, record, text, uint } from '../../chain/index.ts';
import type { Mark } from '../operations.ts';
import type { Clock, KeyValueStore } from '../ports.ts';

const PREFIX = 'mark|';
const MAX_MARKS = 1_000;
const markSchema = record({ reason: nullable(text(256)), markedMs: uint() });

export class Marks {
  readonly #store: KeyValueStore;
  readonly #clock: Clock;

  constructor(deps: { readonly store: KeyValueStore; readonly clock: Clock }) {
    this.#store = deps.store;
    this.#clock = deps.clock;
  }

  get(key: string): Mark | null {
    const value = this.#store.get(PREFIX + key);
    if (value === null) return null;
    const mark = decode(markSchema, value, { maxBytes: 1024 });
    return mark.ok ? { key, ...mark.value } : null;
  }

  async put(key: string, reason: string | null): Promise<void> {
    await this.#store.write([{ key: PREFIX + key, value: encode(markSchema, { reason, markedMs: this.#clock.nowMs() }) }]);
  }

  async delete(key: string): Promise<boolean> {
    const known = this.get(key) !== null;
    if (known) await this.#store.write([{ key: PREFIX + key, value: null }]);
    return known;
  }

  async list(): Promise<readonly Mark[]> {
    const entries = await this.#store.range({ from: PREFIX, to: 'mark}', limit: MAX_MARKS });
    return entries.map(([key]) => this.get(key.slice(PREFIX.length))).filter((mark) => mark !== null);
  }

  /** Whether the mark stands for exactly this claim: same key, and the same reason where the admin gave one. */
  covers(claim: Claim): 'yes' | 'unmarked' | 'other-reason' {
    const mark = this.get(keyOf(claim));
    if (mark === null) return 'unmarked';
    const reason = 'reason' in claim ? claim.reason : null;
    return mark.reason === null || mark.reason === reason ? 'yes' : 'other-reason';
  }
}
