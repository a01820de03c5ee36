/**
 * The proposal keeper: what was proposed in which round of one height, and which values are known to be valid.
 *
 * Follows the message log of arXiv:1807.04938. Two proposals a round are kept, because the second one is evidence and because other correct
 * nodes may have seen it first; a third is ignored. It never decides which of them to vote for.
 */

import { proposerOf } from './thresholds.ts';
import type { Evidence, Height, NodeId, Proposal, Round, ValidatorSet, ValueId } from './types.ts';
import { MAX_FUTURE_ROUNDS } from './vote-keeper.ts';

/** How many different proposals of one round are kept. */
export const MAX_PROPOSALS_PER_ROUND = 2;

export interface ReceivedProposal {
  readonly proposal: Proposal;
  /** The first verdict on this proposal: what L23 and L29 ask. */
  readonly valid: boolean;
  /** Some verdict on this proposal was "valid": what L36 and L50 ask of the value. */
  readonly valueValid: boolean;
}

export interface ProposalKeeper {
  readonly height: Height;
  readonly validators: ValidatorSet;
  /** Never empty lists, in order of arrival. */
  readonly rounds: ReadonlyMap<Round, readonly ReceivedProposal[]>;
}

export type ProposalResult = readonly [keeper: ProposalKeeper, evidence: readonly Evidence[]];

export function createProposalKeeper(height: Height, validators: ValidatorSet): ProposalKeeper {
  return { height, validators, rounds: new Map() };
}

/**
 * Applies one proposal. Ignored (the very same keeper comes back): another height, not that round's proposer, a validRound that is not
 * before the round, a copy, a third one, and one of a future round below the MAX_FUTURE_ROUNDS highest ones of its proposer. A copy that
 * is told valid after having been told invalid makes the value valid for L36 and L49, but not the proposal for L22 and L28: so a proposal
 * that was merely not timely can still be locked and decided with the others.
 */
export function addProposal(keeper: ProposalKeeper, received: { proposal: Proposal; valid: boolean }, currentRound: Round): ProposalResult {
  const { proposal, valid } = received;
  if (!isAcceptable(keeper, proposal)) return [keeper, []];
  const known = proposalsOf(keeper, proposal.round);
  const index = known.findIndex((other) => isSameProposal(other.proposal, proposal));
  const copy = known[index];
  if (copy !== undefined) {
    if (!valid || copy.valueValid) return [keeper, []];
    return [withRound(keeper, proposal.round, known.with(index, { ...copy, valueValid: true })), []];
  }
  if (known.length >= MAX_PROPOSALS_PER_ROUND) return [keeper, []];
  const first = known[0];
  const evidence: readonly Evidence[] = first === undefined ? [] : [{ kind: 'duplicateProposal', first: first.proposal, second: proposal }];
  const added = withRound(keeper, proposal.round, [...known, { proposal, valid, valueValid: valid }]);
  const lowest = lowestBeyondBound(added, proposal, currentRound);
  if (lowest === null) return [added, evidence];
  return [lowest === proposal.round ? keeper : withoutRound(added, lowest), evidence];
}

/** The proposals of a round in order of arrival, at most MAX_PROPOSALS_PER_ROUND. */
export function proposalsOf(keeper: ProposalKeeper, round: Round): readonly ReceivedProposal[] {
  return keeper.rounds.get(round) ?? [];
}

/** A proposal of any round of this height carried the value and was told valid: the paper's valid(v), with v at hand. */
export function isValidValue(keeper: ProposalKeeper, valueId: ValueId): boolean {
  for (const proposals of keeper.rounds.values()) {
    if (proposals.some((received) => received.valueValid && received.proposal.valueId === valueId)) return true;
  }
  return false;
}

/** A valid value has been proposed in this height, in whatever round. */
export function hasValidProposal(keeper: ProposalKeeper): boolean {
  for (const proposals of keeper.rounds.values()) {
    if (proposals.some((received) => received.valueValid)) return true;
  }
  return false;
}

function isAcceptable(keeper: ProposalKeeper, proposal: Proposal): boolean {
  const { height, round, validRound, nodeId } = proposal;
  if (height !== keeper.height || (validRound !== null && validRound >= round)) return false;
  return nodeId === proposerOf(keeper.validators, height, round);
}

function isSameProposal(a: Proposal, b: Proposal): boolean {
  return a.valueId === b.valueId && a.validRound === b.validRound;
}

function withRound(keeper: ProposalKeeper, round: Round, proposals: readonly ReceivedProposal[]): ProposalKeeper {
  return { ...keeper, rounds: new Map(keeper.rounds).set(round, proposals) };
}

/** The lowest future round of this proposer when it has too many, else null. */
function lowestBeyondBound(keeper: ProposalKeeper, proposal: Proposal, currentRound: Round): Round | null {
  if (proposal.round <= currentRound) return null;
  const future = [...keeper.rounds]
    .filter(([round, proposals]) => round > currentRound && isBy(proposals, proposal.nodeId))
    .map(([round]) => round)
    .sort((a, b) => a - b);
  return future.length > MAX_FUTURE_ROUNDS ? (future[0] ?? null) : null;
}

function withoutRound(keeper: ProposalKeeper, round: Round): ProposalKeeper {
  const rounds = new Map(keeper.rounds);
  rounds.delete(round);
  return { ...keeper, rounds };
}

function isBy(proposals: readonly ReceivedProposal[], nodeId: NodeId): boolean {
  return proposals.some((received) => received.proposal.nodeId === nodeId);
}
