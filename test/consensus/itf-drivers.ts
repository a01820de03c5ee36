/**
 * Replays runs of the model's driver against ours: every node of a run is a machine of its own, fed with the inputs of that node alone.
 *
 * The model's driver does one transition a step and keeps others as pending inputs and step changes of its own, where ours goes on until
 * no clause is left. So an output of ours may be owed by the model for some steps, in the same order; when the model has come to rest,
 * nothing may be owed and the states must be equal, and until then its state must lie between ours before and ours now.
 */

import type { MachineState } from '../../consensus/driver.ts';
import { asRound, type Input, type Vote } from '../../consensus/index.ts';
import type { RoundState } from '../../consensus/state-machine.ts';
import { listOf, numberOf, recordOf, variantOf } from './itf.ts';
import { modelEvidence, printBooks, printModelBooks, printModelProposals, printProposals } from './itf-books.ts';
import type { Difference } from './itf-deviations.ts';
import { isNothing, note, type Report, type Subject, settle, type Verdict, verdictOn } from './itf-report.ts';
import type { DriverEvent, DriverStep, Script } from './itf-scripts.ts';
import {
  heightOf,
  isValid,
  nodeOf,
  type Place,
  placeOf,
  printModelOutput,
  printOutput,
  printPlace,
  proposalOf,
  someValueIdOf,
  timeoutKindOf,
  validatorsOf,
  voteOf,
} from './itf-words.ts';

/** One node of a run: our machine, the outputs that the model still owes, and our state when it last owed none. */
interface Node {
  readonly machine: MachineState;
  readonly owed: readonly string[];
  readonly rest: RoundState;
}

export function replayDrivers({ name, events }: Extract<Script, { readonly kind: 'driver' }>, subject: Subject, report: Report): void {
  const nodes = new Map<string, Node>();
  for (const event of events) {
    if (event.kind === 'still') report.still++;
    else if (event.kind === 'begin') nodes.set(event.node, begin(event, subject));
    else {
      const node = nodes.get(event.node);
      if (node === undefined) throw new Error(`${event.node} takes a step and has never begun`);
      const [next, verdict] = driverVerdict(node, event, subject);
      nodes.set(event.node, next);
      note(report, `${name}, ${event.node}`, verdict);
    }
  }
}

const TIMEOUTS = { proposeMs: 3, proposeDeltaMs: 1, prevoteMs: 2, prevoteDeltaMs: 1, precommitMs: 1, precommitDeltaMs: 1, capMs: 9 };

function begin({ node, driver }: Extract<DriverEvent, { readonly kind: 'begin' }>, { createMachine }: Subject): Node {
  const validators = validatorsOf(driver.valset);
  const height = heightOf(recordOf(driver.cs).height, validators);
  const machine = createMachine({ height, validators, self: nodeOf(node), timeouts: TIMEOUTS });
  return { machine, owed: [], rest: machine.consensus };
}

function driverVerdict(node: Node, step: DriverStep, subject: Subject): readonly [Node, Verdict] {
  let { machine } = node;
  const lines: string[] = [];
  for (const input of inputsOf(step, machine)) {
    const [next, outputs] = subject.step(machine, input);
    machine = next;
    lines.push(...outputs.map(printOutput).filter((line) => line !== null));
  }
  const outputs = lines.filter((line) => !line.startsWith('evidence'));
  const { modelOnly, skipped, owed } = settle(printModelOutput(step.output, step.input.tag === 'ProposeValueDInput'), [
    ...node.owed,
    ...outputs,
  ]);
  const isAtRest =
    variantOf(step.drivers.after.pendingStepChange).tag === 'NoStep' && listOf(step.drivers.after.pendingInputs).length === 0;
  const state = printPlace(machine.consensus);
  const isSameState = state === printPlace(placeOf(step.after));
  const isOnTheWay = !isAtRest && liesBetween(node.rest, placeOf(step.after), machine.consensus);
  const difference: Difference = {
    modelOnly,
    oursOnly: isAtRest ? [...skipped, ...owed] : skipped,
    state: isSameState || isOnTheWay ? null : state,
    other: otherDifference(machine, step, lines),
  };
  const isSettled = isAtRest || (owed.length === 0 && isSameState);
  const next: Node = { machine, owed: isAtRest ? [] : owed, rest: isSettled ? machine.consensus : node.rest };
  if (isNothing(difference)) return [next, isSameState ? 'equal' : 'onTheWay'];
  const ours = printPlace(node.machine.consensus);
  const verdict = verdictOn(step, ours, difference);
  if (typeof verdict === 'string' || 'deviation' in verdict || isAtRest) return [next, verdict];
  const withOwed = verdictOn(step, ours, { ...difference, oursOnly: [...skipped, ...owed] });
  return [{ ...next, owed: [] }, withOwed];
}

/** The inputs of ours that a step of the model's driver stands for; none where it goes on with what it had kept. */
function inputsOf({ input, before, early }: DriverStep, { height }: MachineState): readonly Input[] {
  const content = input.value;
  const earlyInputs = early.map((votes) =>
    Array.isArray(votes) ? certificateOf(votes, height) : { kind: 'vote' as const, vote: voteOf(votes, height) },
  );
  switch (input.tag) {
    case 'StartDInput':
      return [...earlyInputs, { kind: 'valueWanted' }];
    case 'PendingDInput':
    case 'StepChangeDInput':
      return earlyInputs;
    case 'ProposalDInput': {
      const proposal = proposalOf(content, height);
      return [{ kind: 'proposal', proposal, valid: isValid(proposal) }];
    }
    case 'ProposeValueDInput':
      return [{ kind: 'proposeValue', round: asRound(numberOf(before.round)), valueId: someValueIdOf(content) }];
    case 'VoteDInput':
      return [{ kind: 'vote', vote: voteOf(content, height) }];
    case 'CertificateDInput':
      return [certificateOf(listOf(content), height)];
    case 'TimeoutDInput':
      return [{ kind: 'timeout', timeout: { kind: timeoutKindOf(content), height, round: asRound(numberOf(before.round)) } }];
    default:
      throw new Error(`unknown input ${input.tag}`);
  }
}

function certificateOf(subjects: readonly unknown[], height: MachineState['height']): Input {
  const votes: readonly Vote[] = subjects.map((subject) => voteOf(subject, height));
  const [first] = votes;
  if (first === undefined || first.valueId === null) throw new Error('expected a certificate for a value');
  const certificate = { height, round: first.round, valueId: first.valueId, votes };
  return first.type === 'prevote' ? { kind: 'polkaCertificate', certificate } : { kind: 'commitCertificate', certificate };
}

const STEP_ORDER: readonly string[] = ['waiting', 'propose', 'prevote', 'precommit', 'decided'];

/** Not before `from` and not after `to` in (round, step), with the locks of either. */
function liesBetween(from: RoundState, place: Place, to: RoundState): boolean {
  const rank = ({ round, step }: Place): number => round * STEP_ORDER.length + STEP_ORDER.indexOf(step);
  const isOneOf = (pair: (state: Place) => readonly unknown[]): boolean =>
    [from, to].some((state) => JSON.stringify(pair(state)) === JSON.stringify(pair(place)));
  return (
    rank(from) <= rank(place) &&
    rank(place) <= rank(to) &&
    isOneOf(({ lockedValue, lockedRound }) => [lockedValue, lockedRound]) &&
    isOneOf(({ validValue, validRound }) => [validValue, validRound])
  );
}

/** Books or evidence that are not those of the model. */
function otherDifference({ votes, proposals }: MachineState, { drivers }: DriverStep, lines: readonly string[]): string | null {
  const [before, after] = [recordOf(drivers.before.bk), recordOf(drivers.after.bk)];
  const ours = {
    votes: printBooks(votes),
    proposals: printProposals(proposals),
    evidence: lines.filter((line) => line.startsWith('evidence')),
  };
  const known = modelEvidence(before);
  const model = {
    votes: printModelBooks(after),
    proposals: printModelProposals(drivers.after.proposals),
    evidence: [...modelEvidence(after)].filter((line) => !known.has(line)),
  };
  return JSON.stringify(ours) === JSON.stringify(model) ? null : JSON.stringify({ ours, model });
}
