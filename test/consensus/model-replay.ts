/**
 * Replays traces of our own model of what Cairn adds to Tendermint (test/model/additions.qnt) against the consensus floor. Each node's machine
 * is carried from the first state to the last; after each transition its outputs and all that it holds are compared, as are the votes that are
 * said again and the certificates with which one node helps another. There is no table of deviations: what differs is a failure.
 */

import type { MachineOptions, MachineState, StepResult } from '../../consensus/driver.ts';
import {
  asHeight,
  type CommitCertificate,
  type Input,
  type PolkaCertificate,
  type RoundCertificate,
  type Vote,
} from '../../consensus/index.ts';
import { listOf, mapOf, numberOf, recordOf, type Trace, type TraceState } from './itf.ts';
import {
  inputOf,
  nodeIdOf,
  printMachine,
  printModelMachine,
  printModelOutputs,
  printOutputs,
  printVote,
  validatorsOf,
  voteOf,
} from './model-words.ts';

/** What is replayed against: the consensus floor, or a mutant of it. `setAt`: who may vote at a height after these decisions. */
export interface ModelSubject {
  readonly createMachine: (options: MachineOptions) => MachineState;
  readonly step: (state: MachineState, input: Input) => StepResult;
  readonly latestPolka: (state: MachineState) => PolkaCertificate | null;
  readonly roundCertificate: (state: MachineState) => RoundCertificate | null;
  readonly commitCertificate: (state: MachineState) => CommitCertificate | null;
  readonly ownLastVotes: (state: MachineState) => readonly Vote[];
  readonly setAt: (chain: readonly string[], height: number) => readonly number[];
}

export interface ModelReport {
  /** Transitions compared, by the kind of their input. */
  readonly compared: Map<string, number>;
  readonly failures: string[];
}

const TIMEOUTS = {
  proposeMs: 1,
  proposeDeltaMs: 1,
  prevoteMs: 1,
  prevoteDeltaMs: 1,
  precommitMs: 1,
  precommitDeltaMs: 1,
  capMs: 9,
};

/** A decision of "b" at height H swaps nodes 3 and 4 from H + 2 on. */
export function setAt(chain: readonly string[], height: number): readonly number[] {
  const swaps = chain.slice(0, Math.max(0, height - 2)).filter((value) => value === 'b').length;
  return [0, 1, 2, swaps % 2 === 0 ? 3 : 4];
}

/** Stops at the first difference of a trace: what follows it follows from it. */
export function replayTrace(trace: Trace, subject: ModelSubject, report: ModelReport): void {
  const [first, ...rest] = trace.states;
  if (first === undefined) throw new Error(`${trace.name} has no states`);
  const machines = new Map<number, MachineState>();
  for (const node of mapOf(first.machines).keys()) machines.set(numberOf(node), newMachine(first, numberOf(node), subject));
  for (const [index, state] of rest.entries()) {
    const { input } = recordOf(state.last);
    const kind = String(recordOf(input).kind);
    const difference = differenceAt(state, machines, subject);
    report.compared.set(kind, (report.compared.get(kind) ?? 0) + 1);
    if (difference === null) continue;
    report.failures.push(`${trace.name}, state ${index + 1}, ${kind}: ${difference}`);
    return;
  }
}

function newMachine(state: TraceState, node: number, subject: ModelSubject): MachineState {
  const chain = listOf(mapOf(state.chains).get(node)).map(String);
  const height = asHeight(chain.length + 1);
  const validators = validatorsOf(subject.setAt(chain, height));
  return subject.createMachine({ height, validators, self: nodeIdOf(node), timeouts: TIMEOUTS });
}

/** Takes the transition into this state with our machine, and says what differs; null when nothing does. */
function differenceAt(state: TraceState, machines: Map<number, MachineState>, subject: ModelSubject): string | null {
  const { node: nodeSubject, from, input, outputs } = recordOf(state.last);
  const node = numberOf(nodeSubject);
  const before = machines.get(node);
  if (before === undefined) throw new Error(`unknown node ${node}`);
  const { kind, votes } = recordOf(input);
  if (kind === 'lose') return null;
  if (kind === 'sayAgain')
    return differs(listOf(votes).map(voteOf).map(printVote).sort(), subject.ownLastVotes(before).map(printVote).sort());
  if (kind === 'advance') {
    machines.set(node, newMachine(state, node, subject));
    return compareMachine(state, node, machines);
  }
  const helper = machines.get(numberOf(from));
  const help = helper === undefined ? null : helpDiffers(helper, inputOf(input, before.height), subject);
  if (help !== null) return `help of ${numberOf(from)}: ${help}`;
  const [after, ours] = subject.step(before, inputOf(input, before.height));
  machines.set(node, after);
  return differs(printModelOutputs(outputs).split('\n'), printOutputs(ours).split('\n')) ?? compareMachine(state, node, machines);
}

function compareMachine(state: TraceState, node: number, machines: ReadonlyMap<number, MachineState>): string | null {
  const ours = machines.get(node);
  const members = listOf(recordOf(mapOf(state.machines).get(node)).members).map(numberOf);
  const own = ours?.validators.map(({ nodeId }) => Number(nodeId[0])) ?? [];
  const set = differs([members.toSorted((left, right) => left - right).join()], [own.join()]);
  return (
    set ?? differs(printModelMachine(mapOf(state.machines).get(node)).split('\n'), ours === undefined ? [] : printMachine(ours).split('\n'))
  );
}

/** The certificate is the one that the helper's machine gives, the votes of one signer perhaps left out. */
function helpDiffers(helper: MachineState, input: Input, subject: ModelSubject): string | null {
  if (!('certificate' in input)) return null;
  const given = certificateOf(helper, input.kind, subject);
  if (given === null) return `${input.kind}: ours gives none`;
  if (given.round !== input.certificate.round) return `round ${input.certificate.round}, ours gives ${given.round}`;
  const senders = new Set(input.certificate.votes.map(({ nodeId }) => nodeId));
  const kept = given.votes.filter(({ nodeId }) => senders.has(nodeId));
  const left = new Set(given.votes.filter(({ nodeId }) => !senders.has(nodeId)).map(({ nodeId }) => nodeId));
  if (left.size > 1) return `${left.size} signers are missing`;
  return differs(input.certificate.votes.map(printVote), kept.map(printVote));
}

function certificateOf(
  helper: MachineState,
  kind: 'polkaCertificate' | 'roundCertificate' | 'commitCertificate',
  subject: ModelSubject,
): PolkaCertificate | RoundCertificate | null {
  if (kind === 'polkaCertificate') return subject.latestPolka(helper);
  return kind === 'roundCertificate' ? subject.roundCertificate(helper) : subject.commitCertificate(helper);
}

function differs(model: readonly string[], ours: readonly string[]): string | null {
  if (model.join('\n') === ours.join('\n')) return null;
  const modelOnly = model.filter((line) => !ours.includes(line));
  const oursOnly = ours.filter((line) => !model.includes(line));
  return JSON.stringify(modelOnly.length + oursOnly.length === 0 ? { model, ours } : { modelOnly, oursOnly });
}
