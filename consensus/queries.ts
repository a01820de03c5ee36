/**
 * What the shell asks of a machine without changing it: where it stands, what helps a stuck peer, and what this node itself still lacks.
 *
 * Follows arXiv:1807.04938, whose gossip property ("what one correct process received, all will") no network keeps by itself: the
 * certificates and the last own votes here are what is sent again. Nothing here is kept; everything is read off the state.
 */

import { commitCertificateOf, polkaCertificateOf, roundCertificateOf } from './certificates.ts';
import type { MachineState } from './driver.ts';
import { isValidValue, proposalsOf } from './proposal-keeper.ts';
import { proposerOf } from './thresholds.ts';
import type {
  CommitCertificate,
  Height,
  NodeId,
  PolkaCertificate,
  Proposal,
  Round,
  RoundCertificate,
  Step,
  ValueId,
  Vote,
  VoteType,
} from './types.ts';
import { quorumValues, tallyOf } from './vote-keeper.ts';

/** Where a height stands, for status pages and logs. */
export interface MachineStatus {
  readonly height: Height;
  readonly round: Round;
  readonly step: Step;
  readonly proposer: NodeId;
  readonly lockedValue: ValueId | null;
  readonly lockedRound: Round | null;
  readonly validValue: ValueId | null;
  readonly validRound: Round | null;
  /** Power whose votes of the current round were counted, of `totalPower`. */
  readonly prevotePower: number;
  readonly precommitPower: number;
  readonly totalPower: number;
  readonly decidedValue: ValueId | null;
}

export function statusOf(state: MachineState): MachineStatus {
  const { round, step, lockedValue, lockedRound, validValue, validRound, decision } = state.consensus;
  return {
    height: state.height,
    round,
    step,
    proposer: proposerOf(state.validators, state.height, round),
    lockedValue,
    lockedRound,
    validValue,
    validRound,
    prevotePower: tallyOf(state.votes, round, 'prevote').totalPower,
    precommitPower: tallyOf(state.votes, round, 'precommit').totalPower,
    totalPower: state.votes.totalPower,
    decidedValue: decision?.valueId ?? null,
  };
}

/** The polka of the highest round that has one, or null: lets a peer lock, unlock (L28) or accept a value proposed again. */
export function latestPolka(state: MachineState): PolkaCertificate | null {
  for (const round of roundsDownwards(state)) {
    for (const valueId of quorumValues(state.votes, round, 'prevote')) return polkaCertificateOf(state.votes, round, valueId);
  }
  return null;
}

/**
 * What a proposer does best to propose: the valid value of the latest polka of a round before the current one, with that round; or null. The
 * paper knows of polkas of its own rounds only (L36, L42), and of those that are heard of later says nothing. Whoever is locked on such a
 * value prevotes for no other, so that heights would wait for its own turn. L28 asks for the polka alone, and no lock is touched.
 */
export function provenValue(state: MachineState): { readonly round: Round; readonly valueId: ValueId } | null {
  for (const round of roundsDownwards(state)) {
    if (round >= state.consensus.round) continue;
    const valueId = quorumValues(state.votes, round, 'prevote').find((candidate) => isValidValue(state.proposals, candidate));
    if (valueId !== undefined) return { round, valueId };
  }
  return null;
}

/** The polka that a value proposed again rests on (L28), or null: for a new value, or when it is not known here. */
export function polkaBehind(state: MachineState, { validRound, valueId }: Proposal): PolkaCertificate | null {
  return validRound === null ? null : polkaCertificateOf(state.votes, validRound, valueId);
}

/** What justifies being in the current round, or null in round 0 and before: lets a peer follow (L47, L55). */
export function roundCertificate(state: MachineState): RoundCertificate | null {
  return roundCertificateOf(state.votes, state.consensus.round);
}

/** The certificate of the decision with every precommit known by now, or null before there is one. */
export function commitCertificate(state: MachineState): CommitCertificate | null {
  const { decision } = state.consensus;
  return decision === null ? null : commitCertificateOf(state.votes, decision.round, decision.valueId);
}

/** The votes this node cast last: those of the highest round in which it has any, prevote before precommit; to be sent again while undecided. */
export function ownLastVotes(state: MachineState): readonly Vote[] {
  const { self } = state;
  if (self === null) return [];
  for (const round of roundsDownwards(state)) {
    const types: readonly VoteType[] = ['prevote', 'precommit'];
    const votes = types.map((type) => tallyOf(state.votes, round, type).votes.get(self)).filter((vote) => vote !== undefined);
    if (votes.length > 0) return votes;
  }
  return [];
}

/** Every vote counted so far, newest rounds first: what helps a peer that lost them. */
export function knownVotes(state: MachineState): readonly Vote[] {
  return roundsDownwards(state).flatMap((round) => [
    ...tallyOf(state.votes, round, 'precommit').votes.values(),
    ...tallyOf(state.votes, round, 'prevote').votes.values(),
  ]);
}

/** The proposals of the current round in order of arrival: one, unless its proposer is faulty. */
export function currentProposals(state: MachineState): readonly Proposal[] {
  return proposalsOf(state.proposals, state.consensus.round).map(({ proposal }) => proposal);
}

/** A value that the votes name and that no proposal input has shown to be valid. */
export interface MissingValue {
  readonly round: Round;
  readonly valueId: ValueId;
  /** `precommit`: only this value keeps the node from deciding (L49). `prevote`: from locking it in the current round (L36). */
  readonly type: VoteType;
}

/**
 * What to fetch: the value > 2/3 precommitted in some round, else the one > 2/3 prevoted in the current round, if it isn't known to be valid;
 * null otherwise. The answer is a `proposal` input of any round that carries the value (for L36: of the current round). A proposal already
 * given as invalid because it wasn't timely may be given again as valid: the prevote stays what it was, and L36 and L49 become possible.
 */
export function missingValue(state: MachineState): MissingValue | null {
  if (state.consensus.step === 'decided') return null;
  for (const round of roundsDownwards(state)) {
    const missing = missingIn(state, round, 'precommit');
    if (missing !== null) return missing;
  }
  return missingIn(state, state.consensus.round, 'prevote');
}

function missingIn(state: MachineState, round: Round, type: VoteType): MissingValue | null {
  const valueId = quorumValues(state.votes, round, type).find((candidate) => !isValidValue(state.proposals, candidate));
  return valueId === undefined ? null : { round, valueId, type };
}

function roundsDownwards(state: MachineState): readonly Round[] {
  return [...state.votes.rounds.keys()].sort((a, b) => b - a);
}
