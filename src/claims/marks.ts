/**
 * An admin's marks on this node: what only a human hand may decide, such as a removal or a new authority, is endorsed by this authority when
 * its own admin has marked it, and not otherwise. Kept in the node's store until the chain has the operation. SPEC §11.4.
 */

import {
  type Claim,
  type Consent,
  claim,
  consent,
  decode,
  encode,
  type Infer,
  keyOf,
  MAX_TRANSACTION_BYTES,
  nullable,
  parseCoordinatesKey,
  record,
  sameBytes,
  text,
  uint,
} from '../../chain/index.ts';
import type { Mark } from '../operations.ts';
import type { Clock, KeyValueStore } from '../ports.ts';
import { describeCoordinates } from '../purl.ts';

const PREFIX = 'mark|';
const MAX_MARKS = 1_000;
/** `claim`: the one that is meant, to the letter, with the consent it needs. Null for a removal, of a node too, with that reason or any. */
const markSchema = record({ reason: nullable(text(256)), markedMs: uint(), claim: nullable(claim), consent: nullable(consent) });
type StoredMark = Infer<typeof markSchema>;
const MAX_MARK_BYTES = MAX_TRANSACTION_BYTES + 4096;

export class Marks {
  readonly #store: KeyValueStore;
  readonly #clock: Clock;

  constructor(deps: { readonly store: KeyValueStore; readonly clock: Clock }) {
    this.#store = deps.store;
    this.#clock = deps.clock;
  }

  get(key: string): Mark | null {
    const mark = this.#read(key);
    if (mark === null) return null;
    const { reason, markedMs } = mark;
    return {
      key,
      kind: mark.claim?.kind ?? (key.startsWith('node|') ? 'RemoveNode' : 'RemoveArtifact'),
      target: targetOf(key),
      reason,
      markedMs,
    };
  }

  /** The claim that a mark stands for to the letter, with its consents; null of a removal. */
  claimOf(key: string): { readonly claim: Claim; readonly consents: readonly Consent[] } | null {
    const mark = this.#read(key);
    return mark === null || mark.claim === null ? null : { claim: mark.claim, consents: mark.consent === null ? [] : [mark.consent] };
  }

  /** Marks a removal, with that reason, or with whatever reason it is proposed. */
  async put(key: string, reason: string | null): Promise<void> {
    await this.#write(key, { reason, markedMs: this.#clock.nowMs(), claim: null, consent: null });
  }

  /** Marks exactly this claim. */
  async putClaim(claim: Claim, consent: Consent | null): Promise<void> {
    await this.#write(keyOf(claim), { reason: null, markedMs: this.#clock.nowMs(), claim, consent });
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

  /** Whether the mark stands for exactly this claim: the one that was marked, or a removal for the same reason where the admin gave one. */
  covers(claim: Claim): 'yes' | 'unmarked' | 'other' {
    const mark = this.#read(keyOf(claim));
    if (mark === null) return 'unmarked';
    if (mark.claim !== null) return isSame(mark.claim, claim) ? 'yes' : 'other';
    if (claim.kind !== 'RemoveArtifact' && claim.kind !== 'RemoveNode') return 'other';
    return mark.reason === null || mark.reason === claim.reason ? 'yes' : 'other';
  }

  #read(key: string): StoredMark | null {
    const value = this.#store.get(PREFIX + key);
    if (value === null) return null;
    const mark = decode(markSchema, value, { maxBytes: MAX_MARK_BYTES });
    return mark.ok ? mark.value : null;
  }

  async #write(key: string, mark: StoredMark): Promise<void> {
    await this.#store.write([{ key: PREFIX + key, value: encode(markSchema, mark) }]);
  }
}

function isSame(left: Claim, right: Claim): boolean {
  return sameBytes(encode(claim, left), encode(claim, right));
}

/** What a state key is about, as an operator writes it. */
function targetOf(key: string): string {
  const bar = key.indexOf('|');
  const rest = key.slice(bar + 1);
  if (key.slice(0, bar) === 'ban') return `sha256:${rest}`;
  if (key.slice(0, bar) === 'node') return rest;
  const coordinates = key.slice(0, bar) === 'artifact' ? parseCoordinatesKey(rest) : null;
  return coordinates === null ? key : describeCoordinates(coordinates);
}
