/**
 * Who said what of which candidate, as this node has heard it: for the reports of builds, and for knowing when a candidate has no hope left.
 * Bounded, in memory; what is forgotten first was heard of least recently. Holds only what bore a valid signature of a member; proves nothing.
 */

import {
  type Block,
  type Claim,
  type Digest,
  digestToHex,
  type Endorsement,
  keyOf,
  type Refusal,
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
  /** When its node said it, by that node's clock: the newer word holds. */
  readonly saidMs: number;
  readonly heardMs: number;
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
/** What the clocks of two authorities may be apart. */
const CLOCKS_MS = 2_000;

export class VerdictBook {
  readonly #candidates: Map<string, HeardCandidate> = new Map();
  readonly #listeners: Set<(about: Digest) => void> = new Set();
  readonly #clock: Clock;
  readonly #sha256: Sha256;
  readonly #endorsementMs: () => number;

  constructor(deps: { readonly clock: Clock; readonly sha256: Sha256; readonly endorsementMs: () => number }) {
    this.#clock = deps.clock;
    this.#sha256 = deps.sha256;
    this.#endorsementMs = deps.endorsementMs;
  }

  /** Called after every word that was heard, with the candidate's id. Returns what ends it. */
  onChange(listener: (about: Digest) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  candidate(id: Digest, claims: readonly Claim[]): void {
    const candidate = this.#take(id);
    candidate.keys = claims.map(keyOf);
    candidate.says = claims.map(saying).join(', ').slice(0, 512);
    this.#tell(id);
  }

  endorsed(id: Digest, { nodeId, expiresMs }: Pick<Endorsement, 'nodeId' | 'expiresMs'>): void {
    this.#hear(id, nodeId, { verdict: 'endorsed', detail: '', saidMs: expiresMs - this.#endorsementMs() });
  }

  refused({ transactionId: id, nodeId, reason, timeMs }: Omit<Refusal, 'signature'>): void {
    this.#hear(id, nodeId, { verdict: 'refused', detail: reason, saidMs: timeMs });
  }

  /** Those whose endorsements sealed what the block holds. */
  blockCommitted(block: Block): void {
    for (const { claims, endorsements } of block.transactions) {
      const id = transactionId(this.#sha256, claims);
      if (!this.#candidates.has(digestToHex(id))) continue;
      for (const endorsement of endorsements) this.endorsed(id, endorsement);
    }
  }

  get(id: Digest): HeardCandidate | null {
    return this.#candidates.get(digestToHex(id)) ?? null;
  }

  /** Candidates about a key that were spoken of since then, oldest first. */
  about(key: string, sinceMs: number): readonly HeardCandidate[] {
    return [...this.#candidates.values()].filter(
      ({ keys, verdicts }) => keys.includes(key) && [...verdicts.values()].some(({ heardMs }) => heardMs >= sinceMs),
    );
  }

  /** True when members with > 1/3 of the power have refused it since then, the newest word of each: no quorum can come together. */
  isHopeless(id: Digest, set: ValidatorSetRecord, sinceMs: number): boolean {
    const verdicts = this.get(id)?.verdicts;
    const refusing = set.filter(({ nodeId }) => {
      const heard = verdicts?.get(digestToHex(nodeId));
      return heard?.verdict === 'refused' && heard.saidMs >= sinceMs - CLOCKS_MS;
    });
    return 3 * refusing.reduce((sum, { power }) => sum + power, 0) > totalPower(set);
  }

  #hear(id: Digest, nodeId: Digest, word: Omit<HeardVerdict, 'heardMs'>): void {
    const { verdicts } = this.#take(id);
    const node = digestToHex(nodeId);
    const known = verdicts.get(node);
    // Anybody may say again what was said before.
    if (known !== undefined && known.saidMs > word.saidMs) return;
    verdicts.set(node, { ...word, heardMs: this.#clock.nowMs() });
    this.#tell(id);
  }

  /** The entry, made if need be, and now the newest. */
  #take(id: Digest): HeardCandidate {
    const hex = digestToHex(id);
    const candidate = this.#candidates.get(hex) ?? { id, keys: [], says: '', verdicts: new Map<string, HeardVerdict>() };
    this.#candidates.delete(hex);
    this.#candidates.set(hex, candidate);
    if (this.#candidates.size > MAX_CANDIDATES) this.#candidates.delete(this.#leastOfUse(hex));
    return candidate;
  }

  /** Words about what nobody has claimed cost a liar nothing, so they go first. */
  #leastOfUse(newest: string): string {
    let oldest = newest;
    for (const [hex, { says }] of this.#candidates) {
      if (hex === newest) continue;
      if (says === '') return hex;
      if (oldest === newest) oldest = hex;
    }
    return oldest;
  }

  #tell(about: Digest): void {
    for (const listener of this.#listeners) listener(about);
  }
}

function saying(claim: Claim): string {
  if (claim.kind === 'SetName') return `${claim.label} is ${claim.target.version}`;
  return claim.kind === 'AddArtifact' ? `${claim.coordinates.version} has ${claim.files.length} files` : claim.kind;
}
