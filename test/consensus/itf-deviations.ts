/**
 * Where the published Tendermint model (`../shared/itf`, see its README) and ours may differ: one table. A row says in which situation it
 * speaks, and then exactly what the model or ours has alone; a difference that fits no row to the letter is a failure, and so is a row
 * that fits no difference. The implementation is never bent to the model.
 */

import { listOf, mapOf, numberOf, recordOf, type Variant, variantOf } from './itf.ts';
import { printModelOutput, printValue, roundOf, valueIdOf } from './itf-words.ts';

/** One transition of the model. */
export interface ModelStep {
  /** Of its state machine (`…CInput`) or of its driver (`…DInput`). */
  readonly input: Variant;
  readonly output: Variant;
  /** Its consensus state before and after. */
  readonly before: Record<string, unknown>;
  readonly after: Record<string, unknown>;
  /** Its driver before and after; null where the state machine ran alone. */
  readonly drivers: { readonly before: Record<string, unknown>; readonly after: Record<string, unknown> } | null;
}

/** What the model and ours did not have in common at one transition; the texts are those of `itf-words.ts`. */
export interface Difference {
  readonly modelOnly: readonly string[];
  readonly oursOnly: readonly string[];
  /** Our state, where it is not the model's. */
  readonly state: string | null;
  /** Books or evidence that differ; no row forgives that. */
  readonly other: string | null;
}

export interface Deviation {
  readonly name: string;
  readonly reason: string;
  /** The difference that must then be there, all of it; null where the row does not speak. `ours` is our state before the step. */
  readonly expected: (step: ModelStep, ours: string) => Partial<Difference> | null;
}

const NOTHING: Difference = { modelOnly: [], oursOnly: [], state: null, other: null };

export const DEVIATIONS: readonly Deviation[] = [
  {
    name: 'unstarted: next round',
    reason: 'TimeoutPrecommit and a skip leave the model in "unstarted" until the next round begins; ours is in that round at once',
    expected: ({ before, input, output }, ours) => {
      const isOfFirst = input.tag === 'TimeoutPrecommitCInput' && roundOf(before.round) === null;
      if (output.tag !== 'SkipRoundOutput' || tagOf(before.step) === 'CommitStep' || isOfFirst) return null;
      return { state: moved(ours, numberOf(output.value)) };
    },
  },
  {
    name: 'unstarted: first round',
    reason: 'before its first round the model takes a TimeoutPrecommit of round −1 and goes to round 0; ours has no timeout there',
    expected: ({ before, input, output }) =>
      input.tag === 'TimeoutPrecommitCInput' && tagOf(before.step) !== 'CommitStep' && roundOf(before.round) === null
        ? { modelOnly: printModelOutput(output, false) }
        : null,
  },
  {
    name: 'unstarted: L42',
    reason: 'the model takes no polka in "unstarted"; ours is in the precommit step until the next round, where L42 holds',
    expected: ({ before, input, output }, ours) => {
      if (input.tag !== 'ProposalAndPolkaAndValidCInput' || tagOf(before.step) !== 'UnstartedStep') return null;
      const valid = `${printValue(valueIdOf(input.value))}@${numberOf(before.round)}`;
      return output.tag === 'ErrorOutput' && !ours.endsWith(`valid=${valid}`)
        ? { state: ours.replace(/valid=.*/, `valid=${valid}`) }
        : null;
    },
  },
  {
    name: 'skip again',
    reason: 'the model emits a skip again, after the decision too; ours is done with the height',
    expected: ({ before, output }, ours) =>
      output.tag === 'SkipRoundOutput' && tagOf(before.step) === 'CommitStep'
        ? { modelOnly: printModelOutput(output, false), state: ours }
        : null,
  },
  {
    name: 'error: new round',
    reason: 'the model starts a round from between rounds only, elsewhere it is an error; here L55 comes as this very input',
    expected: ({ before, input, output }, ours) => {
      if (!input.tag.startsWith('NewRound') || output.tag !== 'ErrorOutput') return null;
      const round = numberOf(input.value);
      const isInRound = ['ProposeStep', 'PrevoteStep', 'PrecommitStep'].includes(tagOf(before.step));
      if (!isInRound || round <= numberOf(before.round)) return null;
      return { oursOnly: startOf(round, input.tag === 'NewRoundProposerCInput', before), state: moved(ours, round) };
    },
  },
  {
    name: 'driver: unasked value',
    reason: "asking for a value in vain or too late is for the model's driver to avoid; ours takes none out of the propose step or unasked",
    expected: ({ before, input, output }) => {
      const isUnasked = tagOf(before.step) !== 'ProposeStep' || valueIdOf(before.validValue) !== null;
      return input.tag.startsWith('ProposeValue') && isUnasked ? { modelOnly: printModelOutput(output, true) } : null;
    },
  },
  {
    name: 'pending: timer out of rounds',
    reason: 'PrecommitAny that the model was fed, or kept pending, before a first round or after the decision starts a timer in it',
    expected: ({ before, input, output }) => {
      const fed = input.tag === 'PendingDInput' ? variantOf(input.value) : input;
      const isOutOfRounds = ['NoStep', 'CommitStep'].includes(tagOf(before.step)) || roundOf(before.round) === null;
      return fed.tag === 'PrecommitAnyCInput' && isOutOfRounds ? { modelOnly: printModelOutput(output, false) } : null;
    },
  },
  {
    name: 'pending: timer before polka',
    reason: 'with a polka for the proposal the model starts the L35 timer and keeps L36 pending; ours does L36, which leaves that step',
    expected: ({ after, output, drivers }) => {
      const [pending, height, round] = listOf(listOf(drivers?.after.pendingInputs ?? [])[0] ?? []);
      if (pending === undefined || variantOf(pending).tag !== 'ProposalAndPolkaAndValidCInput') return null;
      const isOfNow = height === after.height && round === after.round && tagOf(after.step) === 'PrevoteStep';
      const [line] = printModelOutput(output, false);
      return isOfNow && line === `timer prevote ${numberOf(round)}` ? { modelOnly: [line] } : null;
    },
  },
  {
    name: 'start: later round',
    reason: 'a height whose votes came before it begins in their round in the model; ours goes through round 0 and runs its timers',
    expected: ({ before, input, drivers }) => {
      if (drivers === null || input.tag !== 'PendingDInput' || roundOf(before.round) !== null) return null;
      const pending = variantOf(input.value);
      if (pending.tag !== 'NewRoundCInput' || numberOf(pending.value) === 0) return null;
      return { oursOnly: ['timer propose 0', ...(hasPrecommits(drivers.after, 0) ? ['timer precommit 0'] : [])] };
    },
  },
  {
    name: 'start: decision at hand',
    reason: 'a height whose precommits came before it waits unstarted for the value in the model; ours is in round 0 and runs its timers',
    expected: ({ before, input, output }, ours) => {
      if (input.tag !== 'PendingDInput' || roundOf(before.round) !== null || output.tag !== 'NoConsensusOutput') return null;
      const pending = variantOf(input.value);
      const isDecision = pending.tag === 'ProposalAndCommitAndValidCInput' && listOf(pending.value)[0] === 0;
      return isDecision ? { oursOnly: ['timer propose 0', 'timer precommit 0'], state: moved(ours, 0) } : null;
    },
  },
  {
    name: 'step change: from propose to propose',
    reason: 'a skip from propose to propose is no step change to the model, so it does not ask L22 for the proposal it has; ours does',
    expected: ({ before, after, input, drivers }, ours) => {
      const isPropose = tagOf(before.step) === 'ProposeStep' && tagOf(after.step) === 'ProposeStep';
      const round = numberOf(after.round);
      if (drivers === null || input.tag !== 'VoteDInput' || !isPropose || round <= numberOf(before.round)) return null;
      const proposed = freshProposal(drivers.after, round);
      if (proposed === null || tagOf(drivers.after.pendingStepChange) !== 'NoStep') return null;
      return { oursOnly: [`prevote ${round} ${proposed}`], state: moved(ours, round, 'prevote') };
    },
  },
  {
    name: 'step change: timeout first',
    reason: 'the propose timeout may overtake a step change that the model has not looked at; ours has answered the proposal by then',
    expected: ({ before, input, drivers }) => {
      if (drivers === null || input.tag !== 'TimeoutDInput' || tagOf(input.value) !== 'ProposeTimeout') return null;
      const round = numberOf(before.round);
      const proposed = freshProposal(drivers.before, round);
      if (proposed === null || tagOf(drivers.before.pendingStepChange) !== 'ProposeStep') return null;
      return { modelOnly: [`prevote ${round} nil`], oursOnly: [`prevote ${round} ${proposed}`] };
    },
  },
];

/** The row that describes the difference to the letter, or null. */
export function deviationOf(step: ModelStep, ours: string, difference: Difference): Deviation | null {
  const text = JSON.stringify({ ...NOTHING, ...difference });
  return DEVIATIONS.find(({ expected }) => text === textOf(expected(step, ours))) ?? null;
}

function textOf(expected: Partial<Difference> | null): string | null {
  return expected === null ? null : JSON.stringify({ ...NOTHING, ...expected });
}

function tagOf(subject: unknown): string {
  return variantOf(subject).tag;
}

/** The same locks in another round and step. */
function moved(state: string, round: number, step = 'propose'): string {
  return state.replace(/^\d+\/\w+/, `${round}/${step}`);
}

/** What ours puts out at the start of a round (L14–L21). */
function startOf(round: number, isProposer: boolean, before: Record<string, unknown>): readonly string[] {
  const timer = `timer propose ${round}`;
  if (!isProposer) return [timer];
  const validValue = valueIdOf(before.validValue);
  return validValue === null
    ? [`getValue ${round}`, timer]
    : [`propose ${round} ${printValue(validValue)} ${numberOf(before.validRound)}`, timer];
}

/** The one proposal without validRound that the model's driver has for the round, or null. */
function freshProposal(driver: Record<string, unknown>, round: number): string | null {
  const [proposal, another] = listOf(driver.proposals)
    .map(recordOf)
    .filter((candidate) => candidate.round === round);
  return proposal === undefined || another !== undefined || proposal.validRound !== -1 ? null : String(proposal.proposal);
}

/** The model's driver has > 2/3 of the precommits of the round. */
function hasPrecommits(driver: Record<string, unknown>, round: number): boolean {
  const votes = mapOf(recordOf(driver.bk).rounds).get(round);
  return votes !== undefined && listOf(recordOf(votes).emittedOutputs).some((output) => tagOf(output).startsWith('Precommit'));
}
