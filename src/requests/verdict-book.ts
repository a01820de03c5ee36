/**
 * Who said what of which candidate, as this node has heard it: for the reports of builds, and for knowing when a candidate has no hope left.
 * Bounded, in memory; what is forgotten first was heard of least recently. Holds only what bore a valid signature of a member; proves nothing.
 */

import {
  type Block,
  type Claim,
  type Digest,
  digestToHex,
  keyOf,
  type Sha256,
  totalPower,
  transactionId,
  type ValidatorSetRecord,
} from '../../chain/index.ts';
import type { Clock } from '../ports.ts';

export interface HeardVerdict {
  readonly verdict: 'endorsed' | 'refused';
  /** The reason of a refusal; empty of an endorsement. */
  readonly detail: string;
  readonly atMs: number;
}

/** A candidate and what was said of it, by hex of the node id. */
export interface HeardCandidate {
  readonly id: Digest;
  readonly verdicts: Map<string, HeardVerdict>;
  keys: readonly string[];
  /** What it claims, for people; empty while the candidate itself has not been heard. */
  says: string;
}

const MAX_CANDIDATES = 2048;

export class VerdictBook {
  readonly #candidates: Map<string, HeardCandidate> = new Map();
  readonly #listeners: Set<() => void> = new Set();
  readonly #clock: Clock;
  readonly #sha256: Sha256;

  constructor(deps: { readonly clock: Clock; readonly sha256: Sha256 }) {
    this.#clock = deps.clock;
    this.#sha256 = deps.sha256;
  }

  /** Called after every word that was heard. Returns what ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  candidate(id: Digest, claims: readonly Claim[]): void {
    const candidate = this.#take(id);
    candidate.keys = claims.map(keyOf);
    candidate.says = claims.map(saying).join(', ').slice(0, 512);
    this.#tell();
  }

  endorsed(id: Digest, nodeId: Digest): void {
    this.#hear(id, nodeId, 'endorsed', '');
  }

  /** A refusal bears no time: one that is told again takes nothing back from an endorsement that came after it. */
  refused(id: Digest, nodeId: Digest, reason: string): void {
    if (this.#take(id).verdicts.get(digestToHex(nodeId))?.verdict !== 'endorsed') this.#hear(id, nodeId, 'refused', reason);
  }

  /** Those whose endorsements sealed what the block holds. */
  blockCommitted(block: Block): void {
    for (const { claims, endorsements } of block.transactions) {
      const id = transactionId(this.#sha256, claims);
      if (!this.#candidates.has(digestToHex(id))) continue;
      for (const { nodeId } of endorsements) this.endorsed(id, nodeId);
    }
  }

  get(id: Digest): HeardCandidate | null {
    return this.#candidates.get(digestToHex(id)) ?? null;
  }

  /** Candidates about a key that were spoken of since then, oldest first. */
  about(key: string, sinceMs: number): readonly HeardCandidate[] {
    return [...this.#candidates.values()].filter(
      ({ keys, verdicts }) => keys.includes(key) && [...verdicts.values()].some(({ atMs }) => atMs >= sinceMs),
    );
  }

  /** True when members with > 1/3 of the power have refused it since then: no quorum can come together. */
  isHopeless(id: Digest, set: ValidatorSetRecord, sinceMs: number): boolean {
    const verdicts = this.get(id)?.verdicts;
    const refusing = set.filter(({ nodeId }) => {
      const heard = verdicts?.get(digestToHex(nodeId));
      return heard?.verdict === 'refused' && heard.atMs >= sinceMs;
    });
    return 3 * refusing.reduce((sum, { power }) => sum + power, 0) > totalPower(set);
  }

  #hear(id: Digest, nodeId: Digest, verdict: HeardVerdict['verdict'], detail: string): void {
    this.#take(id).verdicts.set(digestToHex(nodeId), { verdict, detail, atMs: this.#clock.nowMs() });
    this.#tell();
  }

  /** The entry, made if need be, and now the newest. */
  #take(id: Digest): HeardCandidate {
    const hex = digestToHex(id);
    const candidate = this.#candidates.get(hex) ?? { id, keys: [], says: '', verdicts: new Map<string, HeardVerdict>() };
    this.#candidates.delete(hex);
    this.#candidates.set(hex, candidate);
    for (const [oldest] of this.#candidates) {
      if (this.#candidates.size <= MAX_CANDIDATES) break;
      this.#candidates.delete(oldest);
    }
    return candidate;
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

function saying(claim: Claim): string {
  if (claim.kind === 'SetName') return `${claim.label} is ${claim.target.version}`;
  return claim.kind === 'AddArtifact' ? `${claim.coordinates.version} has ${claim.files.length} files` : claim.kind;
}
