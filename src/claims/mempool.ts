/**
 * Sealed transactions that wait for a block: checked on entry, bounded in number and bytes, in order of arrival. One sealing of each
 * transaction is kept; a proposal may carry another, which the courier fetches. Holds nothing durable: authors send again.
 */

import {
  type Block,
  checkSealed,
  type Digest,
  digestToHex,
  encode,
  endorsementSignatures,
  keyOf,
  type SealedTransaction,
  type Sha256,
  sealedDigest,
  sealedTransaction,
  transactionId,
} from '../../chain/index.ts';
import type { Head } from '../ledger/head.ts';
import type { Clock, SignatureVerifier } from '../ports.ts';

export interface MempoolLimits {
  readonly maxTransactions: number;
  readonly maxBytes: number;
}

export const DEFAULT_MEMPOOL_LIMITS: MempoolLimits = { maxTransactions: 10_000, maxBytes: 64 * 1024 * 1024 };

export type AddResult =
  | { readonly kind: 'added' }
  | { readonly kind: 'known' }
  | { readonly kind: 'full' }
  /** Out of date or at odds with the state; no fault of who sent it. */
  | { readonly kind: 'stale'; readonly reason: string }
  /** No honest node sends this. */
  | { readonly kind: 'forged'; readonly reason: string };

interface Entry {
  readonly id: Digest;
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
  readonly #listeners: (() => void)[] = [];
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

  onAdd(listener: () => void): void {
    this.#listeners.push(listener);
  }

  sealed(digest: Digest): SealedTransaction | null {
    return this.#byDigest.get(digestToHex(digest)) ?? null;
  }

  /** Checks form, state and every endorsement, then keeps it. */
  async add(sealed: SealedTransaction): Promise<AddResult> {
    const { head, verifier, sha256, clock } = this.#deps;
    const id = transactionId(sha256, sealed.claims);
    const key = digestToHex(id);
    if (this.#entries.has(key)) return { kind: 'known' };
    const sizeBytes = encode(sealedTransaction, sealed).length;
    if (this.#entries.size >= this.#limits.maxTransactions || this.#sizeBytes + sizeBytes > this.#limits.maxBytes) return { kind: 'full' };
    const view = head.view;
    const refusal = checkSealed(view, sealed, clock.nowMs(), sha256);
    if (refusal !== null) return { kind: 'stale', reason: `${refusal.code}: ${refusal.detail}` };
    const verdicts = await verifier.verifyMany(endorsementSignatures(view, sealed, sha256));
    if (verdicts.includes(false)) return { kind: 'forged', reason: 'an endorsement does not verify' };
    if (this.#entries.has(key)) return { kind: 'known' };
    const expiresMs = Math.min(...sealed.endorsements.map((one) => one.expiresMs));
    this.#entries.set(key, { id, sealed, sizeBytes, expiresMs });
    this.#byDigest.set(digestToHex(sealedDigest(sha256, sealed)), sealed);
    this.#sizeBytes += sizeBytes;
    for (const listener of this.#listeners) listener();
    return { kind: 'added' };
  }

  /** Drops what no block may hold any more, because an endorsement has expired. */
  dropExpired(): void {
    const nowMs = this.#deps.clock.nowMs();
    for (const entry of this.#entries.values()) if (entry.expiresMs <= nowMs) this.drop(entry.id);
  }

  /** Transactions for the next block, oldest first, within the bounds. */
  pick(bounds: { readonly maxBytes: number; readonly maxOperations: number; readonly timeMs: number }): readonly SealedTransaction[] {
    const picked: SealedTransaction[] = [];
    let bytes = 0;
    let operations = 0;
    for (const entry of this.#entries.values()) {
      if (entry.expiresMs <= bounds.timeMs) continue;
      if (bytes + entry.sizeBytes > bounds.maxBytes || operations + entry.sealed.claims.length > bounds.maxOperations) break;
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
    this.#byDigest.delete(digestToHex(sealedDigest(this.#deps.sha256, entry.sealed)));
    this.#sizeBytes -= entry.sizeBytes;
  }

  /** Drops what the block holds, and what is about a key that it has changed. */
  blockCommitted(block: Block): void {
    const { sha256 } = this.#deps;
    const changed = new Set<string>();
    for (const sealed of block.transactions) {
      this.drop(transactionId(sha256, sealed.claims));
      for (const claim of sealed.claims) changed.add(keyOf(claim));
    }
    if (changed.size === 0) return;
    for (const entry of this.#entries.values()) if (entry.sealed.claims.some((claim) => changed.has(keyOf(claim)))) this.drop(entry.id);
  }
}
