/**
 * A short notation for the inputs, outputs and states of the consensus machine, shared by the tables, the golden traces and the line tests.
 *
 * Validators are one capital letter each, values one small letter, `nil` is nil and `-` is the paper's −1. Inputs: `wanted`, `value 0 v`,
 * `proposal A 0 v`, `proposal B 1 v 0 invalid` (validRound 0), `prevote BCD 0 v` (one input per letter), `timeout propose 0`,
 * `polka 0 v BCD`, `commit 0 v BCD`, `round 1 prevote BC 1 nil`. It never decides what is right: it only reads and prints.
 */

import {
  asHeight,
  asNodeId,
  asRound,
  assertNever,
  asValueId,
  asVotingPower,
  createMachine,
  type Evidence,
  type Input,
  type MachineState,
  type NodeId,
  type Output,
  type Proposal,
  type Round,
  step,
  type TimeoutKind,
  type TimeoutParameters,
  type ValueId,
  type Vote,
  type VoteType,
} from '../../consensus/index.ts';

/** A multiple of four, so that of four validators A proposes in round 0, B in round 1 and so on. */
export const HEIGHT = asHeight(4);

export const TIMEOUTS: TimeoutParameters = {
  proposeMs: 1000,
  proposeDeltaMs: 500,
  prevoteMs: 300,
  prevoteDeltaMs: 100,
  precommitMs: 200,
  precommitDeltaMs: 100,
  capMs: 2000,
};

export function node(letter: string): NodeId {
  return asNodeId(letter.charCodeAt(0).toString(16).padStart(2, '0').repeat(32));
}

export function value(letter: string): ValueId {
  return asValueId(letter.charCodeAt(0).toString(16).padStart(2, '0').repeat(32));
}

function letter(id: NodeId | ValueId): string {
  return String.fromCharCode(Number.parseInt(id.slice(0, 2), 16));
}

export interface MachineSetup {
  /** `A B C D` or `A=3 B=1`; the default is four of power 1. */
  readonly set?: string;
  /** A letter, or null for a node that only follows; the default is D. */
  readonly self?: string | null;
}

export function machine({ set = 'A B C D', self = 'D' }: MachineSetup = {}): MachineState {
  const validators = set.split(' ').map((part) => {
    const [name = '', power = '1'] = part.split('=');
    return { nodeId: node(name), power: asVotingPower(Number(power)) };
  });
  return createMachine({ height: HEIGHT, validators, self: self === null ? null : node(self), timeouts: TIMEOUTS });
}

/** Votes of each letter of `nodes`; `height` and the signature may be other than usual. */
export function votes(type: VoteType, nodes: string, round: number, valueId: string, overrides: Partial<Vote> = {}): Vote[] {
  return [...nodes].map((name) => ({
    type,
    height: HEIGHT,
    round: asRound(round),
    valueId: valueId === 'nil' ? null : value(valueId),
    nodeId: node(name),
    signature: new Uint8Array([name.charCodeAt(0)]),
    ...overrides,
  }));
}

/** The inputs that one line of the notation stands for. */
export function parseInputs(line: string): Input[] {
  const [word = '', a = '', b = '', c = '', d = '', e = ''] = line.trim().split(/ +/);
  switch (word) {
    case 'wanted':
      return [{ kind: 'valueWanted' }];
    case 'value':
      return [{ kind: 'proposeValue', round: asRound(Number(a)), valueId: value(b) }];
    case 'proposal':
      return [
        {
          kind: 'proposal',
          proposal: proposal(a, Number(b), c, /^\d+$/.test(d) ? Number(d) : null),
          valid: d !== 'invalid' && e !== 'invalid',
        },
      ];
    case 'prevote':
    case 'precommit':
      return votes(word, a, Number(b), c).map((vote) => ({ kind: 'vote', vote }));
    case 'timeout':
      return [{ kind: 'timeout', timeout: { kind: asTimeoutKind(a), height: HEIGHT, round: asRound(Number(b)) } }];
    case 'polka':
      return [{ kind: 'polkaCertificate', certificate: { ...about(a, b), votes: votes('prevote', c, Number(a), b) } }];
    case 'commit':
      return [{ kind: 'commitCertificate', certificate: { ...about(a, b), votes: votes('precommit', c, Number(a), b) } }];
    case 'round':
      return [
        {
          kind: 'roundCertificate',
          certificate: { height: HEIGHT, round: asRound(Number(a)), votes: votes(asVoteType(b), c, Number(d), e) },
        },
      ];
    default:
      throw new Error(`no such input in the notation: ${line}`);
  }
}

export function proposal(name: string, round: number, valueId: string, validRound: number | null = null): Proposal {
  return {
    height: HEIGHT,
    round: asRound(round),
    valueId: value(valueId),
    validRound: validRound === null ? null : asRound(validRound),
    nodeId: node(name),
    signature: new Uint8Array([name.charCodeAt(0)]),
  };
}

function about(round: string, valueId: string): { height: typeof HEIGHT; round: Round; valueId: ValueId } {
  return { height: HEIGHT, round: asRound(Number(round)), valueId: value(valueId) };
}

function asTimeoutKind(word: string): TimeoutKind {
  if (word === 'propose' || word === 'prevote' || word === 'precommit') return word;
  throw new Error(`no such timeout: ${word}`);
}

function asVoteType(word: string): VoteType {
  if (word === 'prevote' || word === 'precommit') return word;
  throw new Error(`no such vote type: ${word}`);
}

/** Runs lines of the notation and gives the state after all of them and the printed outputs of the last. */
export function run(initial: MachineState, lines: readonly string[]): { state: MachineState; outputs: string[] } {
  let state = initial;
  let outputs: string[] = [];
  for (const line of lines) {
    outputs = [];
    for (const input of parseInputs(line)) {
      const [next, produced] = step(state, input);
      state = next;
      outputs.push(...produced.map(printOutput));
    }
  }
  return { state, outputs };
}

export function printOutput(output: Output): string {
  switch (output.kind) {
    case 'roundStarted':
      return `started ${output.round} by ${letter(output.proposer)}`;
    case 'getValue':
      return `getValue ${output.round}`;
    case 'propose':
      return `propose ${output.round} ${letter(output.valueId)} ${output.validRound ?? '-'}`;
    case 'castVote':
      return `cast ${output.type} ${output.round} ${printValue(output.valueId)}`;
    case 'scheduleTimeout':
      return `schedule ${output.timeout.kind} ${output.timeout.round} ${output.durationMs}ms`;
    case 'decide': {
      const { round, valueId, votes: precommits } = output.certificate;
      return `decide ${round} ${letter(valueId)} by ${precommits.map((vote) => letter(vote.nodeId)).join('')}`;
    }
    case 'evidence':
      return printEvidence(output.evidence);
    default:
      return assertNever(output);
  }
}

function printEvidence({ kind, first, second }: Evidence): string {
  const what = kind === 'duplicateVote' ? first.type : 'proposal';
  return `evidence ${what} ${letter(first.nodeId)} ${first.round} ${printValue(first.valueId)} ${printValue(second.valueId)}`;
}

function printValue(valueId: ValueId | null): string {
  return valueId === null ? 'nil' : letter(valueId);
}

/** `round/step locked=value@round valid=value@round`. */
export function printState({ consensus }: MachineState): string {
  const at = (valueId: ValueId | null, round: Round | null): string => (valueId === null ? '-' : `${letter(valueId)}@${round}`);
  const { round, lockedValue, lockedRound, validValue, validRound } = consensus;
  return `${round}/${consensus.step} locked=${at(lockedValue, lockedRound)} valid=${at(validValue, validRound)}`;
}
