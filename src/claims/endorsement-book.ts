/**
 * What this authority has endorsed and until when, written down before it signs: no second content for one (key, replaces) before the
 * last endorsement of the first has expired by its own clock. SPEC §3.5. Safety rests on `replaces`, not on this book.
 */

import {
  type Claim,
  type Digest,
  decode,
  digest,
  type Endorsement,
  encode,
  endorsementPayload,
  keyOf,
  record,
  sameBytes,
  uint,
} from '../../chain/index.ts';
import type { Clock, KeyValueStore, Signer } from '../ports.ts';

const PREFIX = 'endorsed|';
/** The first key behind those with the prefix. */
const END = 'endorsed}';
const entrySchema = record({ transactionId: digest, expiresMs: uint() });

export type EndorseResult =
  | { readonly kind: 'endorsed'; readonly endorsement: Endorsement; readonly publicKey: Uint8Array }
  | { readonly kind: 'taken'; readonly key: string; readonly untilMs: number };

export interface EndorsementBookDeps {
  readonly chainId: Digest;
  readonly nodeId: Digest;
  readonly store: KeyValueStore;
  readonly signer: Signer;
  readonly clock: Clock;
}

/** Entries looked at in one go by `dropExpired`. */
const SWEEP = 10_000;

export class EndorsementBook {
  readonly #deps: EndorsementBookDeps;
  /** One at a time: between looking and writing nobody else may take the slot. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(deps: EndorsementBookDeps) {
    this.#deps = deps;
  }

  /** Endorses a transaction for `endorsementMs` from now, unless one of its slots is promised to other content. */
  async endorse(transactionId: Digest, claims: readonly Claim[], endorsementMs: number): Promise<EndorseResult> {
    return await this.#inTurn(() => this.#endorse(transactionId, claims, endorsementMs));
  }

  /** Committed or superseded slots need no memory: their `replaces` is out of date for ever. */
  async forget(claims: readonly Claim[]): Promise<void> {
    await this.#inTurn(async () => {
      const slots = claims.map(slotOf).filter((slot) => this.#read(slot) !== null);
      if (slots.length > 0) await this.#deps.store.write(slots.map((key) => ({ key, value: null })));
    });
  }

  /** Expired promises bind nobody: what was endorsed and never committed would stay for ever otherwise. */
  async dropExpired(): Promise<void> {
    await this.#inTurn(async () => {
      const { store, clock } = this.#deps;
      const found = await store.range({ from: PREFIX, to: END, limit: SWEEP });
      const nowMs = clock.nowMs();
      const expired = found.map(([key]) => key).filter((key) => (this.#read(key)?.expiresMs ?? 0) <= nowMs);
      if (expired.length > 0) await store.write(expired.map((key) => ({ key, value: null })));
    });
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(work);
    this.#tail = turn.catch(() => undefined);
    return await turn;
  }

  async #endorse(transactionId: Digest, claims: readonly Claim[], endorsementMs: number): Promise<EndorseResult> {
    const { chainId, nodeId, store, signer, clock } = this.#deps;
    const nowMs = clock.nowMs();
    const slots = claims.map(slotOf);
    let expiresMs = nowMs + endorsementMs;
    for (const slot of slots) {
      const entry = this.#read(slot);
      if (entry !== null && sameBytes(entry.transactionId, transactionId)) expiresMs = Math.max(expiresMs, entry.expiresMs);
      if (entry !== null && entry.expiresMs > nowMs && !sameBytes(entry.transactionId, transactionId)) {
        return { kind: 'taken', key: slot.slice(PREFIX.length), untilMs: entry.expiresMs };
      }
    }
    const value = encode(entrySchema, { transactionId, expiresMs });
    await store.write(slots.map((key) => ({ key, value })));
    const publicKey = signer.publicKey('consensus');
    const signature = signer.sign('consensus', endorsementPayload(chainId, transactionId, expiresMs), publicKey);
    return { kind: 'endorsed', endorsement: { nodeId, expiresMs, signature }, publicKey };
  }

  #read(slot: string): { readonly transactionId: Digest; readonly expiresMs: number } | null {
    const value = this.#deps.store.get(slot);
    if (value === null) return null;
    const entry = decode(entrySchema, value, { maxBytes: 256 });
    return entry.ok ? entry.value : null;
  }
}

function slotOf(claim: Claim): string {
  return `${PREFIX}${claim.replaces ?? '-'}|${keyOf(claim)}`;
}
