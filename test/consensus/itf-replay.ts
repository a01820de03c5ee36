/**
 * Replays traces of the published Tendermint model (`../shared/itf`) against the consensus floor, each transition compared in its input,
 * its outputs and its state. The state machine takes the model's state before each step; vote keeper and driver carry their own from the
 * first step to the last. What differs is looked up in `itf-deviations.ts`; here nothing is forgiven.
 */

import { asHeight, asRound, type Round, type Vote } from '../../consensus/index.ts';
import { initialRoundState, type RoundInput, type RoundState } from '../../consensus/state-machine.ts';
import { hasQuorumAny, hasQuorumFor, skipRound, type VoteKeeper } from '../../consensus/vote-keeper.ts';
import { listOf, numberOf, type Variant } from './itf.ts';
import { modelEvidence, printBooks, printModelBooks } from './itf-books.ts';
import type { ModelStep } from './itf-deviations.ts';
import { replayDrivers } from './itf-drivers.ts';
import { isNothing, note, type Report, type Subject, settle, type Verdict, verdictOn } from './itf-report.ts';
import type { Script } from './itf-scripts.ts';
import {
  placeOf,
  printModelOutput,
  printOutput,
  printPlace,
  roundOf,
  someValueIdOf,
  stepOf,
  validatorsOf,
  valueIdOf,
  voteOf,
} from './itf-words.ts';

/** Adds one script to the report. */
export function replay(script: Script, subject: Subject, report: Report): void {
  switch (script.kind) {
    case 'machine':
      for (const step of script.steps) note(report, script.name, machineVerdict(step, subject));
      break;
    case 'keeper':
      replayKeeper(script, subject, report);
      break;
    case 'driver':
      replayDrivers(script, subject, report);
      break;
  }
}

// The state machine

/** A state of the model as ours; what is "for the first time" is not kept by the model, so it is taken as not yet had. */
function toRoundState(consensus: Record<string, unknown>): RoundState {
  const place = placeOf(consensus);
  const valueAwaited = place.step === 'propose' && place.validValue === null;
  return {
    ...initialRoundState(asHeight(numberOf(consensus.height))),
    ...place,
    round: asRound(place.round),
    step: stepOf(consensus),
    valueAwaited,
  };
}

/** The model is in round −1 before its first round, and is then fed that round too, where ours is in round 0. */
function toRoundInput({ tag, value: content }: Variant, round: Round): RoundInput {
  const [first, second] = Array.isArray(content) ? listOf(content) : [content, null];
  const named = typeof first === 'number' ? (roundOf(tag.startsWith('Timeout') ? second : first) ?? asRound(0)) : round;
  switch (tag) {
    case 'NewRoundCInput':
    case 'RoundSkipCInput':
      return { kind: 'newRound', round: named, isProposer: false };
    case 'NewRoundProposerCInput':
      return { kind: 'newRound', round: named, isProposer: true };
    case 'ProposeValueCInput':
      return { kind: 'proposeValue', round, valueId: someValueIdOf(content) };
    case 'ProposalCInput':
      return { kind: 'proposal', round: named, valueId: someValueIdOf(second), valid: true };
    case 'ProposalInvalidCInput':
      return { kind: 'proposal', round, valueId: someValueIdOf('invalid'), valid: false };
    case 'ProposalAndPolkaPreviousAndValidCInput':
      return { kind: 'proposalAndPolkaPrevious', round, valueId: someValueIdOf(first), validRound: asRound(numberOf(second)), valid: true };
    case 'ProposalAndPolkaAndValidCInput':
      return { kind: 'proposalAndPolkaCurrent', round, valueId: someValueIdOf(content) };
    case 'ProposalAndCommitAndValidCInput':
      return { kind: 'proposalAndPrecommitValue', round: named, valueId: someValueIdOf(second) };
    case 'PolkaAnyCInput':
      return { kind: 'polkaAny', round };
    case 'PolkaNilCInput':
      return { kind: 'polkaNil', round };
    case 'PrecommitAnyCInput':
      return { kind: 'precommitAny', round };
    case 'TimeoutProposeCInput':
      return { kind: 'timeoutPropose', round: named };
    case 'TimeoutPrevoteCInput':
      return { kind: 'timeoutPrevote', round: named };
    case 'TimeoutPrecommitCInput':
      return { kind: 'timeoutPrecommit', round: named, isNextProposer: false };
    default:
      throw new Error(`unknown input ${tag}`);
  }
}

function machineVerdict(step: ModelStep, { transition }: Subject): Verdict {
  const before = toRoundState(step.before);
  const input = toRoundInput(step.input, before.round);
  const ours = printPlace(before);
  const [next, outputs] = transition(before, input);
  const lines = outputs.map(printOutput).filter((line) => line !== null);
  const { modelOnly, skipped, owed } = settle(printModelOutput(step.output, step.input.tag === 'ProposeValueCInput'), lines);
  const state = printPlace(next);
  const difference = {
    modelOnly,
    oursOnly: [...skipped, ...owed],
    state: state === printPlace(placeOf(step.after)) ? null : state,
    other: null,
  };
  return isNothing(difference) ? 'equal' : verdictOn(step, ours, difference);
}

// The vote keeper

function replayKeeper({ name, validators, steps }: Extract<Script, { readonly kind: 'keeper' }>, subject: Subject, report: Report): void {
  let keeper = subject.createVoteKeeper(asHeight(1), validatorsOf(validators));
  const emitted = new Set<string>();
  const evidence = new Set<string>();
  for (const { weightedVote, bookkeeper, lastEmitted } of steps) {
    const vote = voteOf(weightedVote[0], asHeight(1));
    const currentRound = asRound(numberOf(weightedVote[2]));
    const [next, found] = subject.addVote(keeper, vote, currentRound);
    keeper = next;
    for (const item of found) evidence.add(printOutput({ kind: 'evidence', evidence: item }) ?? '');
    const reached = thresholdOf(keeper, vote, currentRound);
    const ours = {
      reached: reached?.startsWith('skip') || !emitted.has(reached ?? '') ? reached : null,
      books: printBooks(keeper),
      evidence: [...evidence].sort(),
    };
    if (reached !== null) emitted.add(reached);
    const model = {
      reached: printThreshold(lastEmitted),
      books: printModelBooks(bookkeeper),
      evidence: [...modelEvidence(bookkeeper)].sort(),
    };
    const isEqual = JSON.stringify(ours) === JSON.stringify(model);
    note(report, name, isEqual ? 'equal' : { failure: JSON.stringify({ ours, model }) });
  }
}

/** What the model calls the keeper's output, by our questions to our keeper: a skip, else the threshold that this vote's value has. */
function thresholdOf(keeper: VoteKeeper, { round, type, valueId }: Vote, currentRound: Round): string | null {
  const only = new Map([...keeper.rounds].filter(([other]) => other === round));
  if (skipRound({ ...keeper, rounds: only }, currentRound) !== null) return `skip ${round}`;
  const isForValue = hasQuorumFor(keeper, round, type, valueId);
  if (isForValue && (valueId !== null || type === 'prevote')) return `${type} ${round} ${valueId ?? 'nil'}`;
  return hasQuorumAny(keeper, round, type) ? `${type} ${round} any` : null;
}

function printThreshold({ tag, value: content }: Variant): string | null {
  const [round, value] = Array.isArray(content) ? content : [content, null];
  switch (tag) {
    case 'NoVKOutput':
      return null;
    case 'SkipVKOutput':
      return `skip ${numberOf(round)}`;
    case 'PolkaAnyVKOutput':
      return `prevote ${numberOf(round)} any`;
    case 'PolkaNilVKOutput':
      return `prevote ${numberOf(round)} nil`;
    case 'PolkaValueVKOutput':
      return `prevote ${numberOf(round)} ${valueIdOf(value)}`;
    case 'PrecommitAnyVKOutput':
      return `precommit ${numberOf(round)} any`;
    case 'PrecommitValueVKOutput':
      return `precommit ${numberOf(round)} ${valueIdOf(value)}`;
    default:
      throw new Error(`unknown threshold ${tag}`);
  }
}
