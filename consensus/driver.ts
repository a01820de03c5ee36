/**
 * The driver: vote keeper, proposal keeper and round state machine tied into one pure function, `step(state, input) → [state, outputs]`.
 *
 * Follows arXiv:1807.04938, Algorithm 1. An input is first entered in the books (`receive`); then the clauses below are asked again and
 * again, in their fixed order, from the first one after every transition, until none makes one more. Two machines that were given the same
 * inputs in the same order are therefore equal, and a replay of a log is exact. The driver waits for nothing, signs nothing, verifies no
 * signature, and knows no clock: own proposals and votes come back to it as inputs like those of others.
 */

import { commitCertificateOf, isCommitCertificate, isPolkaCertificate, isRoundCertificate } from './certificates.ts';
import { assertNever, invariant } from './invariant.ts';
import { addProposal, createProposalKeeper, hasValidProposal, isValidValue, type ProposalKeeper, proposalsOf } from './proposal-keeper.ts';
import { initialRoundState, type RoundInput, type RoundOutput, type RoundState, transition } from './state-machine.ts';
import { proposerOf, timeoutMs } from './thresholds.ts';
import type { Evidence, Height, Input, NodeId, Output, Round, Timeout, TimeoutParameters, ValidatorSet, Vote } from './types.ts';
import { asRound } from './types.ts';
import {
  addCertificateVotes,
  addVote,
  createVoteKeeper,
  hasQuorumAny,
  hasQuorumFor,
  hasVotesToStart,
  quorumValues,
  skipRound,
  tallyOf,
  type VoteKeeper,
} from './vote-keeper.ts';

export interface MachineOptions {
  readonly height: Height;
  readonly validators: ValidatorSet;
  /** null, or no member of the set: the machine follows and decides, but neither proposes nor votes. */
  readonly self: NodeId | null;
  readonly timeouts: TimeoutParameters;
}

/** One height of one process; plain records and maps, so that it can be printed and compared. Never changed in place. */
export interface MachineState extends MachineOptions {
  readonly consensus: RoundState;
  readonly votes: VoteKeeper;
  readonly proposals: ProposalKeeper;
}

export type StepResult = readonly [state: MachineState, outputs: readonly Output[]];

/** A height in `waiting`: it starts round 0 with `valueWanted`, a valid proposal, or votes from > 1/3 of the power. */
export function createMachine(options: MachineOptions): MachineState {
  const { height, validators, self, timeouts } = options;
  invariant(validators.length > 0, 'a validator set is never empty');
  return {
    height,
    validators,
    self,
    timeouts,
    consensus: initialRoundState(height),
    votes: createVoteKeeper(height, validators),
    proposals: createProposalKeeper(height, validators),
  };
}

/**
 * One input. The outputs bind in their order: what an earlier one asks to persist is persisted before a later one is sent. An input that
 * means nothing now (another height, stale, malformed, not entitled) changes nothing and yields nothing.
 */
export function step(state: MachineState, input: Input): StepResult {
  const [received, outputs] = receive(state, input);
  return evaluate(received, outputs);
}

/** Enters an input in the books; what answers a single line of the paper by itself (timeouts, proposeValue) is done at once. */
function receive(state: MachineState, input: Input): StepResult {
  switch (input.kind) {
    case 'valueWanted':
      return state.consensus.step === 'waiting' ? feed(state, newRound(state, asRound(0))) : [state, []];
    case 'proposeValue':
      return feed(state, input);
    case 'proposal': {
      const [proposals, evidence] = addProposal(state.proposals, input, state.consensus.round);
      return [{ ...state, proposals }, evidence.map(toEvidenceOutput)];
    }
    case 'vote':
      return withVotes(state, addVote(state.votes, input.vote, state.consensus.round));
    case 'polkaCertificate':
      return isPolkaCertificate(state.votes, input.certificate) ? applyVotes(state, input.certificate.votes, true) : [state, []];
    case 'roundCertificate':
      return isRoundCertificate(state.votes, input.certificate) ? applyVotes(state, input.certificate.votes, false) : [state, []];
    case 'commitCertificate':
      return isCommitCertificate(state.votes, input.certificate) ? applyVotes(state, input.certificate.votes, true) : [state, []];
    case 'timeout':
      return input.timeout.height === state.height ? feed(state, timeoutInput(state, input.timeout)) : [state, []];
    default:
      return assertNever(input);
  }
}

function applyVotes(state: MachineState, votes: readonly Vote[], ofOneValue: boolean): StepResult {
  return withVotes(state, addCertificateVotes(state.votes, votes, ofOneValue));
}

function withVotes(state: MachineState, [votes, evidence]: readonly [VoteKeeper, readonly Evidence[]]): StepResult {
  return [{ ...state, votes }, evidence.map(toEvidenceOutput)];
}

function toEvidenceOutput(evidence: Evidence): Output {
  return { kind: 'evidence', evidence };
}

function newRound(state: MachineState, round: Round): RoundInput {
  return { kind: 'newRound', round, isProposer: isProposer(state, round) };
}

function isProposer(state: MachineState, round: Round): boolean {
  return proposerOf(state.validators, state.height, round) === state.self;
}

function timeoutInput(state: MachineState, { kind, round }: Timeout): RoundInput {
  switch (kind) {
    case 'propose':
      return { kind: 'timeoutPropose', round };
    case 'prevote':
      return { kind: 'timeoutPrevote', round };
    case 'precommit':
      return { kind: 'timeoutPrecommit', round, isNextProposer: isProposer(state, asRound(round + 1)) };
    default:
      return assertNever(kind);
  }
}

type Clause = (state: MachineState) => readonly RoundInput[];

/**
 * The `upon` clauses, in the order in which they are asked. The paper leaves the order free. Here: what ends the height, then what moves to
 * a later round, then the steps of a round from first to last; a threshold for one value goes before the same threshold for anything, so
 * that no timer is started that its own step would leave behind. A clause answers with every match; the machine takes the first it can use.
 */
const CLAUSES: readonly Clause[] = [
  decideClause, // L49
  startClause, // L10
  skipClause, // L55
  proposalClause, // L22
  previousPolkaClause, // L28
  currentPolkaClause, // L36
  polkaNilClause, // L44
  polkaAnyClause, // L34
  precommitAnyClause, // L47
];

/** Asks the clauses until none makes a transition. It ends: each clause fires once a round, and rounds grow only to those that votes name. */
function evaluate(initial: MachineState, received: readonly Output[]): StepResult {
  let state = initial;
  const outputs: Output[] = [...received];
  for (;;) {
    const fired = fireFirst(state);
    if (fired === null) return [state, outputs];
    state = fired[0];
    outputs.push(...fired[1]);
  }
}

function fireFirst(state: MachineState): StepResult | null {
  if (state.consensus.step === 'decided') return null;
  for (const clause of CLAUSES) {
    for (const input of clause(state)) {
      const fired = feed(state, input);
      if (fired[0] !== state) return fired;
    }
  }
  return null;
}

/** One transition of the round state machine, its outputs completed; the very same state where there is none. */
function feed(state: MachineState, input: RoundInput): StepResult {
  const [consensus, roundOutputs] = transition(state.consensus, input);
  if (consensus === state.consensus) return [state, []];
  const next: MachineState = { ...state, consensus };
  return [next, roundOutputs.flatMap((output) => complete(next, output))];
}

/** Adds height, proposer, duration and certificate; drops the votes that this process may not or need not cast. */
function complete(state: MachineState, output: RoundOutput): readonly Output[] {
  const { height } = state;
  switch (output.kind) {
    case 'roundStarted':
      return [{ ...output, height, proposer: proposerOf(state.validators, height, output.round) }];
    case 'getValue':
    case 'propose':
      return [{ ...output, height }];
    case 'castVote':
      return mayCast(state, output) ? [{ ...output, height }] : [];
    case 'scheduleTimeout': {
      const { timeoutKind: kind, round } = output;
      return [{ kind: 'scheduleTimeout', timeout: { kind, height, round }, durationMs: timeoutMs(state.timeouts, kind, round) }];
    }
    case 'decide': {
      const certificate = commitCertificateOf(state.votes, output.round, output.valueId);
      invariant(certificate !== null, 'L49 fires only on a counted quorum of precommits');
      return [{ kind: 'decide', certificate }];
    }
    default:
      return assertNever(output);
  }
}

/** Only a member votes, and never where a vote of its own is counted already (one it cast before it lost its memory, come back by others). */
function mayCast(state: MachineState, output: Extract<RoundOutput, { readonly kind: 'castVote' }>): boolean {
  const { self } = state;
  if (self === null || !state.votes.powers.has(self)) return false;
  return !tallyOf(state.votes, output.round, output.type).votes.has(self);
}

/** L49: > 2/3 precommits for one value in any round, and the value known and valid by a proposal of any round. */
function decideClause(state: MachineState): readonly RoundInput[] {
  const inputs: RoundInput[] = [];
  for (const round of state.votes.rounds.keys()) {
    for (const valueId of quorumValues(state.votes, round, 'precommit')) {
      if (isValidValue(state.proposals, valueId)) inputs.push({ kind: 'proposalAndPrecommitValue', round, valueId });
    }
  }
  return inputs;
}

/** L10, as the height's `waiting` has it. */
function startClause(state: MachineState): readonly RoundInput[] {
  if (state.consensus.step !== 'waiting') return [];
  return hasValidProposal(state.proposals) || hasVotesToStart(state.votes) ? [newRound(state, asRound(0))] : [];
}

/** L55: f + 1 of a later round; the highest one. */
function skipClause(state: MachineState): readonly RoundInput[] {
  if (state.consensus.step === 'waiting') return [];
  const round = skipRound(state.votes, state.consensus.round);
  return round === null ? [] : [newRound(state, round)];
}

/** L22: ⟨PROPOSAL, h, round, v, −1⟩. */
function proposalClause(state: MachineState): readonly RoundInput[] {
  const { round } = state.consensus;
  return proposalsOf(state.proposals, round)
    .filter(({ proposal }) => proposal.validRound === null)
    .map(({ proposal, valid }) => ({ kind: 'proposal', round, valueId: proposal.valueId, valid }));
}

/** L28: ⟨PROPOSAL, h, round, v, vr⟩ and 2f + 1 ⟨PREVOTE, h, vr, id(v)⟩. */
function previousPolkaClause(state: MachineState): readonly RoundInput[] {
  const { round } = state.consensus;
  const inputs: RoundInput[] = [];
  for (const { proposal, valid } of proposalsOf(state.proposals, round)) {
    const { valueId, validRound } = proposal;
    if (validRound === null || !hasQuorumFor(state.votes, validRound, 'prevote', valueId)) continue;
    inputs.push({ kind: 'proposalAndPolkaPrevious', round, valueId, validRound, valid });
  }
  return inputs;
}

/** L36: ⟨PROPOSAL, h, round, v, ∗⟩ and 2f + 1 ⟨PREVOTE, h, round, id(v)⟩ while valid(v). */
function currentPolkaClause(state: MachineState): readonly RoundInput[] {
  const { round } = state.consensus;
  const proposed = proposalsOf(state.proposals, round).map(({ proposal }) => proposal.valueId);
  return quorumValues(state.votes, round, 'prevote')
    .filter((valueId) => proposed.includes(valueId) && isValidValue(state.proposals, valueId))
    .map((valueId) => ({ kind: 'proposalAndPolkaCurrent', round, valueId }));
}

/** L44: 2f + 1 ⟨PREVOTE, h, round, nil⟩. */
function polkaNilClause(state: MachineState): readonly RoundInput[] {
  const { round } = state.consensus;
  return hasQuorumFor(state.votes, round, 'prevote', null) ? [{ kind: 'polkaNil', round }] : [];
}

/** L34: 2f + 1 ⟨PREVOTE, h, round, ∗⟩. */
function polkaAnyClause(state: MachineState): readonly RoundInput[] {
  const { round } = state.consensus;
  return hasQuorumAny(state.votes, round, 'prevote') ? [{ kind: 'polkaAny', round }] : [];
}

/** L47: 2f + 1 ⟨PRECOMMIT, h, round, ∗⟩. */
function precommitAnyClause(state: MachineState): readonly RoundInput[] {
  const { round } = state.consensus;
  return hasQuorumAny(state.votes, round, 'precommit') ? [{ kind: 'precommitAny', round }] : [];
}
