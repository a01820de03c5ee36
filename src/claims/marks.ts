/**
 * An admin's marks on this node: what only a human hand may decide, such as a removal, is endorsed by this authority when its own admin
 * has marked it, and not otherwise. Kept in the node's store until the chain has the operation.
 */

import { type Claim, decode, encode, keyOf, nullable, parseCoordinatesKey, record, text, uint } from '../../chain/index.ts';
import type { Mark } from '../operations.ts';
import type { Clock, KeyValueStore } from '../ports.ts';
import { describeCoordinates } from '../purl.ts';

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
    return mark.ok ? { key, target: targetOf(key), ...mark.value } : null;
  }

  async put(key: string, reason: string | null): Promise<void> {
    await this.#store.write([{ key: PREFIX + key, value: encode(markSchema, { reason, markedMs: this.#clock.nowMs() }) }]);
  }

  async delete(key: string): Promise<boolean> {
    const known = this.get(key) !== null;
    if (known) await this.#store.write([{ key: PREFIX + key, value: null }]);
    return known;
  }

  /** Drops the marks that a block has carried out. */
  async settle(claims: readonly Claim[]): Promise<void> {
    const keys = claims.map(keyOf).filter((key) => this.get(key) !== null);
    if (keys.length > 0) await this.#store.write(keys.map((key) => ({ key: PREFIX + key, value: null })));
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

/** What a state key is about, as an operator writes it. */
function targetOf(key: string): string {
  const bar = key.indexOf('|');
  const rest = key.slice(bar + 1);
  if (key.slice(0, bar) === 'ban') return `sha256:${rest}`;
  const coordinates = key.slice(0, bar) === 'artifact' ? parseCoordinatesKey(rest) : null;
  return coordinates === null ? key : describeCoordinates(coordinates);
}
