/**
 * The words of the published Tendermint model (`../shared/itf`) in ours, and one short text for the outputs and states of both, so that
 * the two sides can be compared line by line. It decides nothing: what may differ stands in `itf-deviations.ts`.
 *
 * Outputs: `prevote 1 blue`, `timer propose 0`, `propose 1 blue -1`, `getValue 0`, `decide 1 blue`.
 * States: `1/prevote lock=blue@0 valid=blue@0`; a node that has not started is in round 0, as ours is.
 */

import {
  asHeight,
  asNodeId,
  asRound,
  assertNever,
  asValueId,
  asVotingPower,
  type Height,
  type NodeId,
  type Output,
  type Proposal,
  type Round,
  type ValidatorSet,
  type ValueId,
  type Vote,
  type VoteType,
} from '../../consensus/index.ts';
import type { RoundOutput, RoundState } from '../../consensus/state-machine.ts';
import { listOf, mapOf, numberOf, recordOf, type Variant, variantOf } from './itf.ts';

/** A word of the model as 64 hex digits: its letters, then zeros; in the order of the words. */
function idOf(word: unknown): string {
  const id = Buffer.from(String(word), 'utf8').toString('hex').padEnd(64, '0');
  if (id.length !== 64) throw new Error(`expected a word of at most 32 bytes, got ${String(word)}`);
  return id;
}

function wordOf(id: NodeId | ValueId): string {
  return Buffer.from(id.replace(/(00)+$/, ''), 'hex').toString('utf8');
}

export function nodeOf(word: unknown): NodeId {
  return asNodeId(idOf(word));
}

/** A value, with or without the model's `Val(…)` around it; null for its `Nil`. */
export function valueIdOf(subject: unknown): ValueId | null {
  if (typeof subject === 'string') return asValueId(idOf(subject));
  const variant = variantOf(subject);
  return variant.tag === 'Nil' ? null : asValueId(idOf(variant.value));
}

export function someValueIdOf(subject: unknown): ValueId {
  const found = valueIdOf(subject);
  if (found === null) throw new Error('expected a value, got nil');
  return found;
}

/** The model's −1 is our null. */
export function roundOf(subject: unknown): Round | null {
  const round = numberOf(subject);
  return round < 0 ? null : asRound(round);
}

/** The one value that the model's application finds invalid. */
export function isValid(proposal: Proposal): boolean {
  return proposal.valueId !== idOf('invalid');
}

/** In the model's order, which is that of the names. */
export function validatorsOf(subject: unknown): ValidatorSet {
  return [...mapOf(subject)].map(([name, weight]) => ({ nodeId: nodeOf(name), power: asVotingPower(numberOf(weight)) }));
}

/** The model proposes by (round + 1) mod n at every height; ours by (height + round) mod n. */
export function heightOf(modelHeight: unknown, validators: ValidatorSet): Height {
  return asHeight(numberOf(modelHeight) * validators.length + 1);
}

function voteTypeOf(subject: unknown): VoteType {
  return variantOf(subject).tag === 'Prevote' ? 'prevote' : 'precommit';
}

export function voteOf(subject: unknown, height: Height): Vote {
  const { round, srcAddress, valueId, voteType } = recordOf(subject);
  return {
    type: voteTypeOf(voteType),
    height,
    round: asRound(numberOf(round)),
    valueId: valueIdOf(valueId),
    nodeId: nodeOf(srcAddress),
    signature: new Uint8Array(),
  };
}

export function proposalOf(subject: unknown, height: Height): Proposal {
  const { proposal, round, srcAddress, validRound } = recordOf(subject);
  return {
    height,
    round: asRound(numberOf(round)),
    valueId: someValueIdOf(proposal),
    validRound: roundOf(validRound),
    nodeId: nodeOf(srcAddress),
    signature: new Uint8Array(),
  };
}

const TIMEOUT_KINDS = { ProposeTimeout: 'propose', PrevoteTimeout: 'prevote', PrecommitTimeout: 'precommit' } as const;

export function timeoutKindOf(subject: unknown): 'propose' | 'prevote' | 'precommit' {
  const { tag } = variantOf(subject);
  if (!Object.hasOwn(TIMEOUT_KINDS, tag)) throw new Error(`unknown timeout ${tag}`);
  return TIMEOUT_KINDS[tag as keyof typeof TIMEOUT_KINDS];
}

/** Where the model stands between two rounds, ours is still in the precommit step of the first, or in the second. */
const STEPS: Readonly<Record<string, RoundState['step']>> = {
  NoStep: 'waiting',
  ProposeStep: 'propose',
  PrevoteStep: 'prevote',
  PrecommitStep: 'precommit',
  CommitStep: 'decided',
  UnstartedStep: 'precommit',
};

export function stepOf(consensus: Record<string, unknown>): RoundState['step'] {
  const { tag } = variantOf(consensus.step);
  const step = STEPS[tag];
  if (step === undefined) throw new Error(`unknown step ${tag}`);
  return roundOf(consensus.round) === null && step !== 'decided' ? 'waiting' : step;
}

export interface Place {
  readonly round: number;
  readonly step: string;
  readonly lockedValue: ValueId | null;
  readonly lockedRound: Round | null;
  readonly validValue: ValueId | null;
  readonly validRound: Round | null;
}

/** What every comparison of states comes down to. */
export function printPlace(place: Place): string {
  const at = (value: ValueId | null, round: Round | null): string => (value === null ? '-' : `${wordOf(value)}@${round}`);
  const { round, step, lockedValue, lockedRound, validValue, validRound } = place;
  return `${round}/${step} lock=${at(lockedValue, lockedRound)} valid=${at(validValue, validRound)}`;
}

export function placeOf(consensus: Record<string, unknown>): Place {
  return {
    round: roundOf(consensus.round) ?? 0,
    step: stepOf(consensus),
    lockedValue: valueIdOf(consensus.lockedValue),
    lockedRound: roundOf(consensus.lockedRound),
    validValue: valueIdOf(consensus.validValue),
    validRound: roundOf(consensus.validRound),
  };
}

export function printValue(value: ValueId | null): string {
  return value === null ? 'nil' : wordOf(value);
}

/** An output of our driver or of our state machine; null for the start of a round, which is the state's round to compare. */
export function printOutput(output: Output | RoundOutput): string | null {
  switch (output.kind) {
    case 'roundStarted':
      return null;
    case 'getValue':
      return `getValue ${output.round}`;
    case 'propose':
      return `propose ${output.round} ${printValue(output.valueId)} ${output.validRound ?? -1}`;
    case 'castVote':
      return `${output.type} ${output.round} ${printValue(output.valueId)}`;
    case 'scheduleTimeout':
      return 'timeout' in output ? `timer ${output.timeout.kind} ${output.timeout.round}` : `timer ${output.timeoutKind} ${output.round}`;
    case 'decide': {
      const { round, valueId } = 'certificate' in output ? output.certificate : output;
      return `decide ${round} ${printValue(valueId)}`;
    }
    case 'evidence':
      return printEvidence(output.evidence);
    default:
      return assertNever(output);
  }
}

function printEvidence(evidence: Extract<Output, { readonly kind: 'evidence' }>['evidence']): string {
  const { first } = evidence;
  return `evidence ${evidence.kind === 'duplicateVote' ? evidence.first.type : 'proposal'} ${first.round} ${wordOf(first.nodeId)}`;
}

/** A slot with two votes in the model's books. */
export function printEvidenceOf(votes: unknown): string {
  const { round, srcAddress, voteType } = recordOf(listOf(votes)[0]);
  return `evidence ${voteTypeOf(voteType)} ${numberOf(round)} ${String(srcAddress)}`;
}

/** An output of the model; ours run the propose timer where a value is proposed again, and in the model its network does. */
export function printModelOutput(output: Variant, isValueAnswered: boolean): readonly string[] {
  const content = output.value;
  switch (output.tag) {
    case 'ErrorOutput':
    case 'NoConsensusOutput':
      return [];
    case 'TimeoutOutput': {
      const [round, kind] = listOf(content);
      return [`timer ${timeoutKindOf(kind)} ${numberOf(round)}`];
    }
    case 'GetValueAndScheduleTimeoutOutput': {
      const round = numberOf(listOf(content)[1]);
      return [`getValue ${round}`, `timer propose ${round}`];
    }
    case 'ProposalOutput': {
      const { proposal, round, validRound } = recordOf(content);
      const line = `propose ${numberOf(round)} ${printValue(valueIdOf(proposal))} ${numberOf(validRound)}`;
      return isValueAnswered ? [line] : [line, `timer propose ${numberOf(round)}`];
    }
    case 'VoteOutput': {
      const { round, valueId, voteType } = recordOf(content);
      return [`${voteTypeOf(voteType)} ${numberOf(round)} ${printValue(valueIdOf(valueId))}`];
    }
    case 'SkipRoundOutput':
      return [`timer propose ${numberOf(content)}`];
    case 'DecidedOutput': {
      const [round, decided] = listOf(content);
      return [`decide ${numberOf(round)} ${printValue(valueIdOf(decided))}`];
    }
    default:
      throw new Error(`unknown output ${output.tag}`);
  }
}
