/**
 * Takes the traces of the published Tendermint model apart: what is to be replayed against the state machine, the vote keeper and the
 * driver, in steps. It says what happened in the model, and nothing about what ours should do.
 */

import { isDeepStrictEqual } from 'node:util';
import { listOf, mapOf, recordOf, type Trace, type TraceState, type Variant, variantOf } from './itf.ts';
import type { ModelStep } from './itf-deviations.ts';

/** One vote counted by the model's vote keeper. */
export interface KeeperStep {
  readonly weightedVote: readonly unknown[];
  readonly bookkeeper: Record<string, unknown>;
  readonly lastEmitted: Variant;
}

export interface DriverStep extends ModelStep {
  readonly kind: 'step';
  readonly node: string;
  readonly drivers: NonNullable<ModelStep['drivers']>;
  /** Votes and certificates (sets of votes) that came before the height and are taken in at its start. */
  readonly early: readonly unknown[];
}

/** `begin`: a node's driver is made anew; `still`: no driver did anything (deliveries, a value set, nothing to do). */
export type DriverEvent =
  | DriverStep
  | { readonly kind: 'begin'; readonly node: string; readonly driver: Record<string, unknown> }
  | { readonly kind: 'still' };

export type Script =
  | { readonly kind: 'machine'; readonly name: string; readonly steps: readonly ModelStep[] }
  | {
      readonly kind: 'keeper';
      readonly name: string;
      readonly validators: unknown;
      readonly steps: readonly KeeperStep[];
    }
  | { readonly kind: 'driver'; readonly name: string; readonly events: readonly DriverEvent[] };

/** The scripts of a trace: none where it has no variables (a unit test of the model), two where two instances of the model ran. */
export function scriptsOf({ name, states }: Trace): readonly Script[] {
  const first = states[0] ?? {};
  if (fieldOf(first, 'bookkeeper') !== undefined) return [keeperScript(name, states)];
  if (fieldOf(first, 'st') !== undefined || fieldOf(first, 'state') !== undefined) return [machineScript(name, states)];
  const instances = new Set(states.flatMap(Object.keys).filter((key) => key.endsWith('_hist')));
  return [...instances].map((key) => driverScript(name, key.slice(0, -'_hist'.length), states));
}

/** A variable of the state, whatever module of the model it is in. */
function fieldOf(state: TraceState, variable: string): unknown {
  const key = Object.keys(state).find((candidate) => candidate === variable || candidate.endsWith(`::${variable}`));
  return key === undefined ? undefined : state[key];
}

function machineScript(name: string, states: readonly TraceState[]): Script {
  const stateOf = (state: TraceState | undefined): Record<string, unknown> => recordOf(state?.st ?? state?.state);
  const steps = states.slice(1).map((state, index) => ({
    input: variantOf(state.inp ?? state.input),
    output: variantOf(state.outp ?? state.output),
    before: stateOf(states[index]),
    after: stateOf(state),
    drivers: null,
  }));
  return { kind: 'machine', name, steps };
}

function keeperScript(name: string, states: readonly TraceState[]): Script {
  const steps = states.slice(1).map((state) => ({
    weightedVote: listOf(variantOf(fieldOf(state, 'weightedVote')).value),
    bookkeeper: recordOf(fieldOf(state, 'bookkeeper')),
    lastEmitted: variantOf(fieldOf(state, 'lastEmitted')),
  }));
  return { kind: 'keeper', name, validators: recordOf(fieldOf(states[0] ?? {}, 'bookkeeper')).validatorSet, steps };
}

type System = ReadonlyMap<string, Record<string, unknown>>;

/** A moment of a run: all nodes, and who did what last. */
interface Moment {
  readonly system: System;
  readonly node: string;
  readonly input: Variant;
  readonly output: Variant;
}

function driverScript(name: string, instance: string, states: readonly TraceState[]): Script {
  const moments = states.filter((state) => `${instance}system` in state).map((state) => momentOf(state, instance));
  const events = moments.flatMap((moment, index) => {
    const previous = moments[index - 1];
    return previous === undefined ? [...moment.system.keys()].map((node) => beginOf(moment, node)) : eventsBetween(previous, moment);
  });
  return { kind: 'driver', name: instance === '' ? name : `${name} ${instance}`, events };
}

function momentOf(state: TraceState, instance: string): Moment {
  const system = new Map([...mapOf(state[`${instance}system`])].map(([node, record]) => [String(node), recordOf(record)]));
  const history = state[`${instance}_hist`];
  const [node, input, output] = Array.isArray(history) ? history : ['validator', 'input', 'output'].map((key) => recordOf(history)[key]);
  return { system, node: String(node), input: variantOf(input), output: variantOf(output) };
}

function beginOf({ system }: Moment, node: string): DriverEvent {
  return { kind: 'begin', node, driver: driverOf(system, node) };
}

function driverOf(system: System, node: string): Record<string, unknown> {
  return recordOf(system.get(node)?.es);
}

/** What lies between two moments of a run: a step of one node, drivers made anew, or neither. */
function eventsBetween(previous: Moment, moment: Moment): readonly DriverEvent[] {
  const events: DriverEvent[] = [];
  for (const node of moment.system.keys()) {
    const drivers = { before: driverOf(previous.system, node), after: driverOf(moment.system, node) };
    if (isDeepStrictEqual(drivers.before, drivers.after)) continue;
    if (isMadeAnew(drivers.before, drivers.after)) events.push(beginOf(moment, node));
    else if (node !== moment.node || (moment.input.tag === 'NoDInput' && !isOnlyCalmed(drivers)))
      throw new Error(`${node} changed without an input`);
  }
  if (events.length === 0 && isStep(previous, moment)) events.push(stepOf(previous, moment));
  return events.length === 0 ? [{ kind: 'still' }] : events;
}

function isMadeAnew(before: Record<string, unknown>, after: Record<string, unknown>): boolean {
  return before.started === true && after.started === false;
}

/** Having nothing to do, the model forgets a step change that it has not looked at. */
function isOnlyCalmed({ before, after }: DriverStep['drivers']): boolean {
  return isDeepStrictEqual({ ...before, pendingStepChange: null }, { ...after, pendingStepChange: null });
}

/** What a step of a driver takes out of its node. */
const QUEUES = ['incomingVotes', 'incomingProposals', 'incomingCertificates', 'timeouts', 'getValueRequests'];

/** The last step stays in the state while messages are delivered: it is another one if it reads otherwise or has changed its node. */
function isStep(previous: Moment, moment: Moment): boolean {
  const { node, input, output } = moment;
  const [before, after] = [previous.system.get(node), moment.system.get(node)];
  if (before === undefined || after === undefined) return false;
  const isSameDriverState = isDeepStrictEqual(before.es, after.es);
  if (input.tag === 'NoDInput') return false;
  const isOther = !isDeepStrictEqual([node, input, output], [previous.node, previous.input, previous.output]);
  return isOther || !isSameDriverState || QUEUES.some((queue) => listOf(after[queue]).length < listOf(before[queue]).length);
}

function stepOf(previous: Moment, { system, node, input, output }: Moment): DriverStep {
  const drivers = { before: driverOf(previous.system, node), after: driverOf(system, node) };
  const isStart = drivers.before.started === false;
  return {
    kind: 'step',
    node,
    input,
    output,
    before: recordOf(drivers.before.cs),
    after: recordOf(drivers.after.cs),
    drivers,
    early: isStart ? earlyVotes(recordOf(previous.system.get(node)), recordOf(drivers.after.cs).height) : [],
  };
}

function earlyVotes(before: Record<string, unknown>, height: unknown): readonly unknown[] {
  const certificates = listOf(before.incomingCertificates).filter((votes) =>
    listOf(votes).every((vote) => recordOf(vote).height === height),
  );
  return [...listOf(before.incomingVotes).filter((vote) => recordOf(vote).height === height), ...certificates];
}
