/**
 * What a replay of the published Tendermint model is made of: the subject, one verdict a transition, and the report that counts them.
 * A transition is equal, or its difference is in the table of `itf-deviations.ts` to the letter, or it is a failure.
 */

import type { MachineOptions, MachineState, StepResult } from '../../consensus/driver.ts';
import type { Height, Input, Round, ValidatorSet, Vote } from '../../consensus/index.ts';
import type { RoundInput, RoundState, Transition } from '../../consensus/state-machine.ts';
import type { KeeperResult, VoteKeeper } from '../../consensus/vote-keeper.ts';
import { type Difference, deviationOf, type ModelStep } from './itf-deviations.ts';
import { placeOf, printPlace } from './itf-words.ts';

/** What is replayed against: the consensus floor, or a mutant of it. */
export interface Subject {
  readonly transition: (state: RoundState, input: RoundInput) => Transition;
  readonly createVoteKeeper: (height: Height, validators: ValidatorSet) => VoteKeeper;
  readonly addVote: (keeper: VoteKeeper, vote: Vote, currentRound: Round) => KeeperResult;
  readonly createMachine: (options: MachineOptions) => MachineState;
  readonly step: (state: MachineState, input: Input) => StepResult;
}

export interface Report {
  /** Transitions of the model's state machine, vote keeper or drivers. */
  total: number;
  /** Of these: equal in outputs and state; equal in outputs, with the model's state on its way to ours. */
  equal: number;
  onTheWay: number;
  /** Of these: by name of the deviation that describes the difference. */
  readonly deviations: Map<string, number>;
  /** Of these: what no deviation describes. */
  readonly failures: string[];
  /** States of the traces in which no driver did anything. */
  still: number;
}

export function createReport(): Report {
  return { total: 0, equal: 0, onTheWay: 0, deviations: new Map(), failures: [], still: 0 };
}

export type Verdict = 'equal' | 'onTheWay' | { readonly deviation: string } | { readonly failure: string };

export function note(report: Report, name: string, verdict: Verdict): void {
  report.total++;
  if (verdict === 'equal' || verdict === 'onTheWay') report[verdict]++;
  else if ('deviation' in verdict) report.deviations.set(verdict.deviation, (report.deviations.get(verdict.deviation) ?? 0) + 1);
  else report.failures.push(`${name}, transition ${report.total}: ${verdict.failure}`);
}

export function verdictOn(step: ModelStep, ours: string, difference: Difference): Verdict {
  const deviation = deviationOf(step, ours, difference);
  if (deviation !== null) return { deviation: deviation.name };
  const model = {
    input: step.input,
    output: step.output,
    before: printPlace(placeOf(step.before)),
    after: printPlace(placeOf(step.after)),
  };
  return { failure: JSON.stringify({ ours, ...difference, model }) };
}

export function isNothing({ modelOnly, oursOnly, state, other }: Difference): boolean {
  return modelOnly.length + oursOnly.length === 0 && state === null && other === null;
}

/** The outputs of the model against those of ours, in order: what only it has, what of ours it passed over, what of ours is left. */
export function settle(
  model: readonly string[],
  ours: readonly string[],
): { modelOnly: string[]; skipped: string[]; owed: readonly string[] } {
  const modelOnly: string[] = [];
  const skipped: string[] = [];
  let owed = ours;
  for (const line of model) {
    const index = owed.indexOf(line);
    if (index < 0) modelOnly.push(line);
    else {
      skipped.push(...owed.slice(0, index));
      owed = owed.slice(index + 1);
    }
  }
  return { modelOnly, skipped, owed };
}
