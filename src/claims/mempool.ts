/**
 * Sealed transactions that wait for a block: checked on entry, bounded in number and bytes, in order of arrival. One sealing of each
 * transaction is kept; a proposal may carry another, which the courier fetches. Holds nothing durable: authors send again.
 */

import {
  type Block,
  type ChainView,
  checkSealed,
  type Digest,
  digestToHex,
  encode,
  endorsementSignatures,
  keyOf,
  type SealedTransaction,
  type Sha256,
  sameBytes,
  sealedDigest,
  sealedTransaction,
  transactionId,
  validatorSetAt,
  validatorSetDigest,
} from '../../chain/index.ts';
import { verdictsOn } from '../crypto/verdict.ts';
import type { Head } from '../ledger/head.ts';
import type { Clock, SignatureVerifier } from '../ports.ts';

export interface MempoolLimits {
  readonly maxTransactions: number;
  readonly maxBytes: number;
}

export const DEFAULT_MEMPOOL_LIMITS: MempoolLimits = { maxTransactions: 10_000, maxBytes: 64 * 1024 * 1024 };

export type AddResult =
  | { readonly kind: 'added' }
  /** `same`: byte for byte the one held here; another sealing of the same claims is not looked at. */
  | { readonly kind: 'known'; readonly same: boolean }
  | { readonly kind: 'full' }
  /** The signatures could not be checked just now. */
  | { readonly kind: 'unknown' }
  /** Out of date or at odds with the state; no fault of who sent it. */
  | { readonly kind: 'stale'; readonly reason: string }
  /** No honest node sends this. */
  | { readonly kind: 'forged'; readonly reason: string };

interface Entry {
  readonly id: Digest;
  readonly digest: Digest;
  readonly sealed: SealedTransaction;
  readonly sizeBytes: number;
  readonly expiresMs: number;
}

export interface MempoolDeps {
  readonly head: Head;
  readonly verifier: SignatureVerifier;
  readonly sha256: Sha256;
  readonly clock: Clock;
}

export class Mempool {
  readonly #deps: MempoolDeps;
  readonly #limits: MempoolLimits;
  readonly #entries = new Map<string, Entry>();
  readonly #byDigest = new Map<string, SealedTransaction>();
  readonly #listeners = new Set<() => void>();
  #sizeBytes = 0;

  constructor(limits: MempoolLimits, deps: MempoolDeps) {
    this.#limits = limits;
    this.#deps = deps;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(id: Digest): boolean {
    return this.#entries.has(digestToHex(id));
  }

  /** Returns what ends it. */
  onAdd(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  sealed(digest: Digest): SealedTransaction | null {
    return this.#byDigest.get(digestToHex(digest)) ?? null;
  }

  /** Checks form, state and every endorsement, then keeps it. */
  async add(sealed: SealedTransaction): Promise<AddResult> {
    const { head, verifier, sha256 } = this.#deps;
    const id = transactionId(sha256, sealed.claims);
    const sizeBytes = encode(sealedTransaction, sealed).length;
    const view = head.view;
    const early = this.#refusalOf(id, sealed, sizeBytes);
    if (early !== null) return early;
    const verdicts = await verdictsOn(verifier, endorsementSignatures(view, sealed, sha256));
    if (verdicts === null) return { kind: 'unknown' };
    if (verdicts.includes(false)) return { kind: 'forged', reason: 'an endorsement does not verify' };
    // Much may have happened while the signatures were checked: the same transaction, a block, a flood.
    const late = this.#refusalOf(id, sealed, sizeBytes);
    if (late !== null) return late;
    if (!this.#sameKeys(view)) return { kind: 'stale', reason: 'the set of authorities has changed meanwhile' };
    this.#keep(id, sealed, sizeBytes);
    for (const listener of this.#listeners) listener();
    return { kind: 'added' };
  }

  /** Why it can't be taken now, its signatures aside. */
  #refusalOf(id: Digest, sealed: SealedTransaction, sizeBytes: number): AddResult | null {
    const { head, clock, sha256 } = this.#deps;
    const known = this.#entries.get(digestToHex(id));
    if (known !== undefined) return { kind: 'known', same: sameBytes(known.digest, sealedDigest(sha256, sealed)) };
    if (this.#entries.size >= this.#limits.maxTransactions || this.#sizeBytes + sizeBytes > this.#limits.maxBytes) return { kind: 'full' };
    const refusal = checkSealed(head.view, sealed, clock.nowMs(), sha256);
    return refusal === null ? null : { kind: 'stale', reason: `${refusal.code}: ${refusal.detail}` };
  }

  #keep(id: Digest, sealed: SealedTransaction, sizeBytes: number): void {
    const expiresMs = Math.min(...sealed.endorsements.map((one) => one.expiresMs));
    const digest = sealedDigest(this.#deps.sha256, sealed);
    this.#entries.set(digestToHex(id), { id, digest, sealed, sizeBytes, expiresMs });
    this.#byDigest.set(digestToHex(digest), sealed);
    this.#sizeBytes += sizeBytes;
  }

  /** Whether endorsements checked against that view still stand for the block after the head. */
  #sameKeys(view: ChainView): boolean {
    const { head, sha256 } = this.#deps;
    if (view === head.view) return true;
    const digestOf = (one: ChainView): Digest => validatorSetDigest(sha256, validatorSetAt(one, one.height + 1));
    return sameBytes(digestOf(view), digestOf(head.view));
  }

  /** Drops what no block may hold any more, because an endorsement has expired. */
  dropExpired(): void {
    const nowMs = this.#deps.clock.nowMs();
    for (const entry of this.#entries.values()) if (entry.expiresMs <= nowMs) this.drop(entry.id);
  }

  /** Transactions for the next block, oldest first, within the bounds; one that does not fit keeps back none behind it. */
  pick(bounds: { readonly maxBytes: number; readonly maxOperations: number; readonly timeMs: number }): readonly SealedTransaction[] {
    const picked: SealedTransaction[] = [];
    let bytes = 0;
    let operations = 0;
    for (const entry of this.#entries.values()) {
      if (entry.expiresMs <= bounds.timeMs) continue;
      if (bytes + entry.sizeBytes > bounds.maxBytes || operations + entry.sealed.claims.length > bounds.maxOperations) continue;
      picked.push(entry.sealed);
      bytes += entry.sizeBytes;
      operations += entry.sealed.claims.length;
    }
    return picked;
  }

  oldest(count: number): readonly SealedTransaction[] {
    return [...this.#entries.values()].slice(0, count).map((entry) => entry.sealed);
  }

  drop(id: Digest): void {
    const entry = this.#entries.get(digestToHex(id));
    if (entry === undefined) return;
    this.#entries.delete(digestToHex(id));
    this.#byDigest.delete(digestToHex(entry.digest));
    this.#sizeBytes -= entry.sizeBytes;
  }

  /** Drops what the block holds, what is about a key that it has changed, and all when the set of endorsers changes: authors seal again. */
  blockCommitted(block: Block): void {
    const { sha256 } = this.#deps;
    if (!sameBytes(block.header.setDigest, block.header.nextSetDigest)) this.#clear();
    const changed = new Set<string>();
    for (const sealed of block.transactions) {
      this.drop(transactionId(sha256, sealed.claims));
      for (const claim of sealed.claims) changed.add(keyOf(claim));
    }
    if (changed.size === 0) return;
    for (const entry of this.#entries.values()) if (entry.sealed.claims.some((claim) => changed.has(keyOf(claim)))) this.drop(entry.id);
  }

  #clear(): void {
    this.#entries.clear();
    this.#byDigest.clear();
    this.#sizeBytes = 0;
  }
}
