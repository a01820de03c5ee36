/**
 * The vote keeper: who voted what in which round of one height, and which thresholds that reaches.
 *
 * Follows the message log of arXiv:1807.04938 (Algorithm 1 counts "2f + 1" and "f + 1" in it) with voting power for counts. A vote counts
 * once per validator, round and type. A second, different one is evidence and counts for nothing, unless a verified certificate brings it:
 * a certificate of > 2/3 applies whole, because other correct nodes may already have acted on it. Nothing counted is ever taken back, but
 * for the oldest of too many future rounds of one validator. It never verifies a signature and never looks at a step or a lock.
 */

import { isQuorum, isSkip, totalPowerOf } from './thresholds.ts';
import type { Evidence, Height, NodeId, Round, ValidatorSet, ValueId, Vote, VoteType } from './types.ts';

/**
 * How many rounds later than the current one a single validator may have votes (or a proposer proposals) kept in; the highest ones stay.
 * The bound is on their number and not on their distance, so that a node that was cut off for long still sees where the others are.
 */
export const MAX_FUTURE_ROUNDS = 5;

/** The votes of one type in one round. */
export interface VoteTally {
  /** The first vote of each validator. */
  readonly votes: ReadonlyMap<NodeId, Vote>;
  /** Second votes that a certificate of > 2/3 brought; they count for their value beside the first. */
  readonly certified: ReadonlyMap<NodeId, Vote>;
  /** Power by what was voted for; null is nil. */
  readonly powers: ReadonlyMap<ValueId | null, number>;
  /** Power of the distinct validators in `votes`. */
  readonly totalPower: number;
  /** Whose second vote has been reported already: once is enough, and bounds the evidence. */
  readonly reported: ReadonlySet<NodeId>;
}

export interface RoundVotes {
  readonly prevote: VoteTally;
  readonly precommit: VoteTally;
  /** Power of the distinct validators with a vote of either type (L55). */
  readonly senderPower: number;
}

export interface VoteKeeper {
  readonly height: Height;
  readonly powers: ReadonlyMap<NodeId, number>;
  readonly totalPower: number;
  readonly rounds: ReadonlyMap<Round, RoundVotes>;
}

export type KeeperResult = readonly [keeper: VoteKeeper, evidence: readonly Evidence[]];

const EMPTY_TALLY: VoteTally = { votes: new Map(), certified: new Map(), powers: new Map(), totalPower: 0, reported: new Set() };
const EMPTY_ROUND: RoundVotes = { prevote: EMPTY_TALLY, precommit: EMPTY_TALLY, senderPower: 0 };

export function createVoteKeeper(height: Height, validators: ValidatorSet): VoteKeeper {
  const powers = new Map<NodeId, number>(validators.map((validator) => [validator.nodeId, validator.power]));
  return { height, powers, totalPower: totalPowerOf(validators), rounds: new Map() };
}

/**
 * Applies one vote. Ignored (the very same keeper comes back): another height, not a validator, a copy, a second vote already reported,
 * and a vote of a future round below the MAX_FUTURE_ROUNDS highest ones of its validator.
 */
export function addVote(keeper: VoteKeeper, vote: Vote, currentRound: Round): KeeperResult {
  const [added, evidence] = record(keeper, vote, false);
  if (added === keeper || vote.round <= currentRound) return [added, evidence];
  const future = futureRoundsOf(added, vote.nodeId, currentRound);
  const lowest = future[0];
  if (lowest === undefined || future.length <= MAX_FUTURE_ROUNDS) return [added, evidence];
  return [lowest === vote.round ? keeper : forget(added, lowest, vote.nodeId), evidence];
}

/**
 * Applies the votes of a certificate that `certificates.ts` found well-formed; no bound on rounds, since > 1/3 of the power stands behind it.
 * `ofOneValue` says that they are > 2/3 for one value: then they also count where the keeper had another vote of the same validator. Such a
 * pair is still two votes of one validator and is reported.
 */
export function addCertificateVotes(keeper: VoteKeeper, votes: readonly Vote[], ofOneValue: boolean): KeeperResult {
  let current = keeper;
  const evidence: Evidence[] = [];
  for (const vote of votes) {
    const [next, found] = record(current, vote, ofOneValue);
    current = next;
    evidence.push(...found);
  }
  return [current, evidence];
}

/** The votes of one type in one round; empty where there are none. */
export function tallyOf(keeper: VoteKeeper, round: Round, type: VoteType): VoteTally {
  return (keeper.rounds.get(round) ?? EMPTY_ROUND)[type];
}

/** > 2/3 of one type in one round for `valueId` (null: nil). */
export function hasQuorumFor(keeper: VoteKeeper, round: Round, type: VoteType, valueId: ValueId | null): boolean {
  return isQuorum(tallyOf(keeper, round, type).powers.get(valueId) ?? 0, keeper.totalPower);
}

/** > 2/3 of one type in one round for anything (the paper's ∗), by distinct validators. */
export function hasQuorumAny(keeper: VoteKeeper, round: Round, type: VoteType): boolean {
  return isQuorum(tallyOf(keeper, round, type).totalPower, keeper.totalPower);
}

/** The values (never nil) with > 2/3 of one type in one round: at most one while < 1/3 of the power is faulty. */
export function quorumValues(keeper: VoteKeeper, round: Round, type: VoteType): readonly ValueId[] {
  const values: ValueId[] = [];
  for (const [valueId, power] of tallyOf(keeper, round, type).powers) {
    if (valueId !== null && isQuorum(power, keeper.totalPower)) values.push(valueId);
  }
  return values;
}

/** L55: the highest round after `currentRound` with votes of any type from > 1/3 of the power, or null. */
export function skipRound(keeper: VoteKeeper, currentRound: Round): Round | null {
  let highest: Round | null = null;
  for (const [round, votes] of keeper.rounds) {
    if (round > (highest ?? currentRound) && isSkip(votes.senderPower, keeper.totalPower)) highest = round;
  }
  return highest;
}

/** Votes of this height, of whatever rounds and types, come from > 1/3 of the power. */
export function hasVotesToStart(keeper: VoteKeeper): boolean {
  const senders = new Set<NodeId>();
  for (const { prevote, precommit } of keeper.rounds.values()) {
    for (const nodeId of prevote.votes.keys()) senders.add(nodeId);
    for (const nodeId of precommit.votes.keys()) senders.add(nodeId);
  }
  let power = 0;
  for (const nodeId of senders) power += powerOf(keeper, nodeId);
  return isSkip(power, keeper.totalPower);
}

/** The votes that count for `valueId`, sorted by node id: what a certificate is made of. */
export function votesFor(keeper: VoteKeeper, round: Round, type: VoteType, valueId: ValueId): readonly Vote[] {
  const tally = tallyOf(keeper, round, type);
  const counted = [...tally.votes.values(), ...tally.certified.values()].filter((vote) => vote.valueId === valueId);
  return sortedByNode(counted);
}

/** All first votes of one type in one round, sorted by node id. */
export function votesOf(keeper: VoteKeeper, round: Round, type: VoteType): readonly Vote[] {
  return sortedByNode([...tallyOf(keeper, round, type).votes.values()]);
}

function sortedByNode(votes: readonly Vote[]): readonly Vote[] {
  return votes.toSorted((a, b) => (a.nodeId < b.nodeId ? -1 : a.nodeId > b.nodeId ? 1 : 0));
}

function powerOf(keeper: VoteKeeper, nodeId: NodeId): number {
  return keeper.powers.get(nodeId) ?? 0;
}

/** Enters one vote into its slot; `isCertified`: part of a certificate of > 2/3 for its value. */
function record(keeper: VoteKeeper, vote: Vote, isCertified: boolean): KeeperResult {
  const power = powerOf(keeper, vote.nodeId);
  if (vote.height !== keeper.height || power === 0) return [keeper, []];
  const round = keeper.rounds.get(vote.round) ?? EMPTY_ROUND;
  const tally = round[vote.type];
  const first = tally.votes.get(vote.nodeId);
  if (first === undefined) {
    const isNewSender = !round.prevote.votes.has(vote.nodeId) && !round.precommit.votes.has(vote.nodeId);
    const senderPower = round.senderPower + (isNewSender ? power : 0);
    return [withRound(keeper, vote.round, { ...round, [vote.type]: withFirstVote(tally, vote, power), senderPower }), []];
  }
  if (first.valueId === vote.valueId) return [keeper, []];
  const next = withSecondVote(tally, vote, isCertified ? power : 0);
  if (next === tally) return [keeper, []];
  const evidence: readonly Evidence[] = tally.reported.has(vote.nodeId) ? [] : [{ kind: 'duplicateVote', first, second: vote }];
  return [withRound(keeper, vote.round, { ...round, [vote.type]: next }), evidence];
}

function withFirstVote(tally: VoteTally, vote: Vote, power: number): VoteTally {
  return {
    ...tally,
    votes: new Map(tally.votes).set(vote.nodeId, vote),
    powers: plus(tally.powers, vote.valueId, power),
    totalPower: tally.totalPower + power,
  };
}

/** Marks the voter as reported and, with `power` above 0, counts its certified second vote: one per validator. */
function withSecondVote(tally: VoteTally, vote: Vote, power: number): VoteTally {
  const counts = power > 0 && !tally.certified.has(vote.nodeId);
  if (!counts && tally.reported.has(vote.nodeId)) return tally;
  const reported = new Set(tally.reported).add(vote.nodeId);
  if (!counts) return { ...tally, reported };
  return {
    ...tally,
    reported,
    certified: new Map(tally.certified).set(vote.nodeId, vote),
    powers: plus(tally.powers, vote.valueId, power),
  };
}

function plus(powers: ReadonlyMap<ValueId | null, number>, valueId: ValueId | null, power: number): ReadonlyMap<ValueId | null, number> {
  return new Map(powers).set(valueId, (powers.get(valueId) ?? 0) + power);
}

function withRound(keeper: VoteKeeper, round: Round, votes: RoundVotes): VoteKeeper {
  return { ...keeper, rounds: new Map(keeper.rounds).set(round, votes) };
}

/** Ascending. */
function futureRoundsOf(keeper: VoteKeeper, nodeId: NodeId, currentRound: Round): readonly Round[] {
  const rounds: Round[] = [];
  for (const [round, { prevote, precommit }] of keeper.rounds) {
    if (round > currentRound && (prevote.votes.has(nodeId) || precommit.votes.has(nodeId))) rounds.push(round);
  }
  return rounds.sort((a, b) => a - b);
}

/** Takes everything of one validator out of one round. */
function forget(keeper: VoteKeeper, round: Round, nodeId: NodeId): VoteKeeper {
  const votes = keeper.rounds.get(round);
  if (votes === undefined) return keeper;
  const rounds = new Map(keeper.rounds);
  const senderPower = votes.senderPower - powerOf(keeper, nodeId);
  if (senderPower === 0) rounds.delete(round);
  else {
    rounds.set(round, {
      prevote: withoutVoter(keeper, votes.prevote, nodeId),
      precommit: withoutVoter(keeper, votes.precommit, nodeId),
      senderPower,
    });
  }
  return { ...keeper, rounds };
}

/** Rebuilds a tally from its other voters. */
function withoutVoter(keeper: VoteKeeper, tally: VoteTally, nodeId: NodeId): VoteTally {
  let rebuilt = EMPTY_TALLY;
  for (const vote of tally.votes.values()) {
    if (vote.nodeId !== nodeId) rebuilt = withFirstVote(rebuilt, vote, powerOf(keeper, vote.nodeId));
  }
  for (const vote of tally.certified.values()) {
    if (vote.nodeId !== nodeId) rebuilt = withSecondVote(rebuilt, vote, powerOf(keeper, vote.nodeId));
  }
  const reported = new Set([...tally.reported].filter((reporter) => reporter !== nodeId));
  return { ...rebuilt, reported };
}
