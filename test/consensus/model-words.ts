/**
 * The words of test/model/additions.qnt in ours, and one text for the machines and outputs of both, so that the two can be compared. It decides
 * nothing and forgives nothing.
 */

import type { MachineState } from '../../consensus/driver.ts';
import {
  asHeight,
  asNodeId,
  asRound,
  asValueId,
  asVotingPower,
  type Input,
  type Output,
  type Proposal,
  type Round,
  type TimeoutKind,
  type ValidatorSet,
  type ValueId,
  type Vote,
  type VoteType,
} from '../../consensus/index.ts';
import { listOf, numberOf, recordOf } from './itf.ts';

export const nodeIdOf = (node: unknown): Vote['nodeId'] => asNodeId(String(numberOf(node)).repeat(64));
const valueIdOf = (word: unknown): ValueId => asValueId(String(word).repeat(64));
const wordOf = (id: string | null): string => (id === null ? 'nil' : (id[0] ?? ''));
const NO_SIGNATURE = new Uint8Array(0);

export function validatorsOf(nodes: readonly number[]): ValidatorSet {
  return nodes.toSorted((left, right) => left - right).map((node) => ({ nodeId: nodeIdOf(node), power: asVotingPower(1) }));
}

export function voteOf(subject: unknown): Vote {
  const { height, round, kind, src, value } = recordOf(subject);
  return {
    type: kind as VoteType,
    height: asHeight(numberOf(height)),
    round: asRound(numberOf(round)),
    valueId: value === 'nil' ? null : valueIdOf(value),
    nodeId: nodeIdOf(src),
    signature: NO_SIGNATURE,
  };
}

function proposalOf(subject: unknown): Proposal {
  const { height, round, src, value, validRound } = recordOf(subject);
  return {
    height: asHeight(numberOf(height)),
    round: asRound(numberOf(round)),
    valueId: valueIdOf(value),
    validRound: roundOrNull(validRound),
    nodeId: nodeIdOf(src),
    signature: NO_SIGNATURE,
  };
}

function roundOrNull(subject: unknown): Round | null {
  const round = numberOf(subject);
  return round < 0 ? null : asRound(round);
}

/** What the machine is told; `height` is the one it works on. */
export function inputOf(subject: unknown, height: number): Input {
  const { kind, name, round, value, proposal, valid, votes } = recordOf(subject);
  const at = { height: asHeight(height), round: roundOrNull(round) ?? asRound(0) };
  const all = listOf(votes).map(voteOf);
  switch (kind) {
    case 'valueWanted':
      return { kind };
    case 'proposeValue':
      return { kind, round: at.round, valueId: valueIdOf(value) };
    case 'proposal':
      return { kind, proposal: proposalOf(proposal), valid: valid === true };
    case 'vote': {
      const [vote] = all;
      if (vote === undefined) throw new Error('expected a vote');
      return { kind, vote };
    }
    case 'polkaCertificate':
    case 'commitCertificate':
      return { kind, certificate: { ...at, valueId: valueIdOf(value), votes: all } };
    case 'roundCertificate':
      return { kind, certificate: { ...at, votes: all } };
    case 'timeout':
      return { kind, timeout: { ...at, kind: name as TimeoutKind } };
    default:
      throw new Error(`unknown input ${String(kind)}`);
  }
}

export function printVote({ type, round, nodeId, valueId, height }: Vote): string {
  return `${type} ${height}/${round} ${wordOf(nodeId)} ${wordOf(valueId)}`;
}

/** One line an output, in order. */
export function printOutputs(outputs: readonly Output[]): string {
  return outputs.map(printOutput).join('\n');
}

function printOutput(output: Output): string {
  switch (output.kind) {
    case 'roundStarted':
      return `roundStarted ${output.round} by ${wordOf(output.proposer)}`;
    case 'getValue':
      return `getValue ${output.round}`;
    case 'propose':
      return `propose ${output.round} ${wordOf(output.valueId)} ${output.validRound ?? -1}`;
    case 'castVote':
      return `castVote ${output.type} ${output.round} ${wordOf(output.valueId)}`;
    case 'scheduleTimeout':
      return `timer ${output.timeout.kind} ${output.timeout.round}`;
    case 'decide': {
      const { round, valueId, votes } = output.certificate;
      return `decide ${round} ${wordOf(valueId)} by ${votes.map(({ nodeId }) => wordOf(nodeId)).join(',')}`;
    }
    case 'evidence': {
      const { kind, second } = output.evidence;
      const what = kind === 'duplicateProposal' ? 'proposal' : (second as Vote).type;
      return `evidence ${what} ${second.round} ${wordOf(second.nodeId)} ${wordOf(second.valueId)}`;
    }
  }
}

export function printModelOutputs(subject: unknown): string {
  return listOf(subject).map(printModelOutput).join('\n');
}

function printModelOutput(subject: unknown): string {
  const { kind, name, round, value, validRound, node } = textsOf(subject);
  switch (kind) {
    case 'roundStarted':
      return `roundStarted ${round} by ${node}`;
    case 'getValue':
      return `getValue ${round}`;
    case 'propose':
      return `propose ${round} ${value} ${validRound}`;
    case 'castVote':
      return `castVote ${name} ${round} ${modelWord(value)}`;
    case 'scheduleTimeout':
      return `timer ${name} ${round}`;
    case 'decide':
      return `decide ${round} ${value} by ${listOf(recordOf(subject).voters).join(',')}`;
    case 'evidence':
      return `evidence ${name} ${round} ${node} ${modelWord(value)}`;
    default:
      throw new Error(`unknown output ${String(kind)}`);
  }
}

const modelWord = (value: string | undefined): string => (value === 'none' ? 'nil' : (value ?? ''));

/** The plain fields of a record of the model as text. */
function textsOf(subject: unknown): Readonly<Record<string, string>> {
  const plain = Object.entries(recordOf(subject)).filter(([, entry]) => ['string', 'number', 'boolean'].includes(typeof entry));
  return Object.fromEntries(plain.map(([name, entry]) => [name, String(entry)]));
}

/** All that a machine holds, books included. */
export function printMachine(state: MachineState): string {
  const { consensus: c, votes, proposals } = state;
  const at = (value: string | null, round: number | null): string => (value === null ? '-' : `${wordOf(value)}@${round}`);
  const seen = [c.valueAwaited, c.polkaAnySeen, c.polkaCurrentSeen, c.precommitAnySeen].map(Number).join('');
  const decided = at(c.decision?.valueId ?? null, c.decision?.round ?? null);
  const place = `${c.round}/${c.step} lock=${at(c.lockedValue, c.lockedRound)} valid=${at(c.validValue, c.validRound)}`;
  const tallies = [...votes.rounds].flatMap(([round, one]) =>
    (['prevote', 'precommit'] as const).map((type) => ({ round, type, tally: one[type] })),
  );
  const lines = [
    ...tallies.flatMap(({ tally }) => [...tally.votes.values()].map((vote) => `first ${printVote(vote)}`)),
    ...tallies.flatMap(({ tally }) => [...tally.certified.values()].map((vote) => `second ${printVote(vote)}`)),
    ...tallies.flatMap(({ round, type, tally }) => [...tally.reported].map((node) => `reported ${type} ${round} ${wordOf(node)}`)),
  ];
  const known = [...proposals.rounds.values()].flat().map(({ proposal: p, valid, valueValid }) => {
    return `${p.round} ${wordOf(p.valueId)} ${p.validRound ?? -1} ${valid} ${valueValid}`;
  });
  return [
    `${state.height} ${place} seen=${seen} decided=${decided}`,
    [...votes.rounds.keys()].join(),
    ...lines.sort(),
    ...byRound(known),
  ].join('\n');
}

/** The same of a machine of the model. */
export function printModelMachine(subject: unknown): string {
  const books = recordOf(subject);
  const m = textsOf(subject);
  const at = (value: string | undefined, round: string | undefined): string => (value === 'none' ? '-' : `${value}@${round}`);
  const seen = [m.awaited, m.anySeen, m.polkaSeen, m.precommitSeen].map((flag) => (flag === 'true' ? '1' : '0')).join('');
  const place = `${m.round}/${m.step} lock=${at(m.lockedValue, m.lockedRound)} valid=${at(m.validValue, m.validRound)}`;
  const reported = listOf(books.reported).map(textsOf);
  const lines = [
    ...listOf(books.first).map((vote) => `first ${printVote(voteOf(vote))}`),
    ...listOf(books.second).map((vote) => `second ${printVote(voteOf(vote))}`),
    ...reported.map(({ kind, round, src }) => `reported ${kind} ${round} ${src}`),
  ];
  const known = listOf(books.proposals).map((one) => {
    const { valid, valueValid } = textsOf(one);
    const { round, value, validRound } = textsOf(recordOf(one).proposal);
    return `${round} ${value} ${validRound} ${valid} ${valueValid}`;
  });
  const decided = at(m.decidedValue, m.decidedRound);
  return [`${m.height} ${place} seen=${seen} decided=${decided}`, listOf(books.order).join(), ...lines.sort(), ...byRound(known)].join(
    '\n',
  );
}

/** Those of one round stay in the order in which they came. */
function byRound(lines: readonly string[]): readonly string[] {
  return lines.toSorted((left, right) => Number.parseInt(left, 10) - Number.parseInt(right, 10));
}
