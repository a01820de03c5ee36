/**
 * What has been heard and verified of the height in work and the next: enough to know a copy, and to stop a validator that says more than
 * the machine needs. Two votes of a slot and two values of a round at the most, for the second is evidence and a third is nothing. SPEC §9.4.
 */

import { digestToHex, type SignedProposal, type SignedVote, sameBytes } from '../../chain/index.ts';
import { MAX_PROPOSALS_PER_ROUND } from '../../consensus/index.ts';

/** Slots of votes; the oldest go first. */
const MAX_SLOTS = 50_000;
const MAX_VOTES_A_SLOT = 2;
/** A known message that comes again is passed on this often at the most. */
const PASS_ON_MS = 500;

/** When something was last passed on. */
export interface PassedOn {
  passedOnMs: number;
}

interface HeardVote extends PassedOn {
  readonly value: string;
  readonly signature: Uint8Array;
}

interface HeardProposal extends PassedOn {
  readonly height: number;
}

export class Heard {
  readonly #votes = new Map<string, HeardVote[]>();
  /** By the digest of all but their attempt. */
  readonly #proposals = new Map<string, HeardProposal>();
  readonly #values = new Map<string, Set<string>>();

  /** The very same vote; `useless` when the slot holds this value under another signature, or two others; null when it is news. */
  vote(vote: SignedVote): PassedOn | 'useless' | null {
    const heard = this.#votes.get(slotOf(vote)) ?? [];
    const same = heard.find((one) => one.value === textOf(vote));
    if (same !== undefined) return sameBytes(same.signature, vote.signature) ? same : 'useless';
    return heard.length >= MAX_VOTES_A_SLOT ? 'useless' : null;
  }

  addVote(vote: SignedVote, nowMs: number): void {
    const slot = slotOf(vote);
    const entry = { value: textOf(vote), signature: vote.signature, passedOnMs: nowMs };
    const heard = this.#votes.get(slot);
    if (heard !== undefined) heard.push(entry);
    else this.#votes.set(slot, [entry]);
    const oldest = this.#votes.size > MAX_SLOTS ? this.#votes.keys().next().value : undefined;
    if (oldest !== undefined) this.#votes.delete(oldest);
  }

  proposal(content: string): PassedOn | null {
    return this.#proposals.get(content) ?? null;
  }

  /** False for a third value of one round, or another signature under a known one: the machine needs neither. */
  addProposal(proposal: SignedProposal, content: string, nowMs: number): boolean {
    const { height, round, blockId, validRound } = proposal;
    const place = `${height}/${round}`;
    const value = `${digestToHex(blockId)}/${validRound}`;
    const values = this.#values.get(place) ?? new Set<string>();
    if (values.has(value) || values.size >= MAX_PROPOSALS_PER_ROUND) return false;
    this.#values.set(place, values.add(value));
    this.#proposals.set(content, { height, passedOnMs: nowMs });
    return true;
  }

  /** Attempts are not signed, so anybody may count them up: what is known is passed on now and then, not at will. */
  again(heard: PassedOn, nowMs: number): 'accept' | 'ignore' {
    if (nowMs - heard.passedOnMs < PASS_ON_MS) return 'ignore';
    heard.passedOnMs = nowMs;
    return 'accept';
  }

  /** Forgets the heights below. */
  heightStarted(height: number): void {
    const isPast = (key: string): boolean => Number(key.slice(0, key.indexOf('/'))) < height;
    for (const key of this.#votes.keys()) if (isPast(key)) this.#votes.delete(key);
    for (const key of this.#values.keys()) if (isPast(key)) this.#values.delete(key);
    for (const [key, heard] of this.#proposals) if (heard.height < height) this.#proposals.delete(key);
  }
}

function slotOf(vote: SignedVote): string {
  return `${vote.height}/${vote.round}/${vote.type}/${digestToHex(vote.nodeId)}`;
}

function textOf(vote: SignedVote): string {
  return vote.blockId === null ? 'nil' : digestToHex(vote.blockId);
}
