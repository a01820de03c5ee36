/**
 * The words of consensus: what goes into the machine and what comes out of it.
 *
 * Follows "The latest gossip on BFT consensus" (arXiv:1807.04938), Algorithm 1; "L36" in this floor means its line 36.
 * Everything here is a plain record, so that the write-ahead log, the simulator, a trace and a running node share it.
 * Nothing here verifies a signature: a vote, proposal or certificate given to the machine has been verified by the shell.
 */

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Height of a block, from 1. */
export type Height = Brand<number, 'Height'>;
/** Round within a height, from 0. */
export type Round = Brand<number, 'Round'>;
/** Weight of a validator, a positive integer; the sum over a set stays below 2^51. */
export type VotingPower = Brand<number, 'VotingPower'>;
/** Identity of a node: 64 lower-case hex digits (SHA-256 of its first admitted network key). */
export type NodeId = Brand<string, 'NodeId'>;
/** Identity of a proposed value: 64 lower-case hex digits (SHA-256 of the block header). */
export type ValueId = Brand<string, 'ValueId'>;

/** Casts a checked integer ≥ 0; throws a RangeError otherwise. */
export function asHeight(value: number): Height {
  return asCount(value, 'height') as Height;
}

/** Casts a checked integer ≥ 0; throws a RangeError otherwise. */
export function asRound(value: number): Round {
  return asCount(value, 'round') as Round;
}

/** Casts a checked integer ≥ 0; throws a RangeError otherwise. */
export function asVotingPower(value: number): VotingPower {
  return asCount(value, 'voting power') as VotingPower;
}

/** Casts 64 lower-case hex digits; throws a RangeError otherwise. */
export function asNodeId(value: string): NodeId {
  return asHex(value, 'node id') as NodeId;
}

/** Casts 64 lower-case hex digits; throws a RangeError otherwise. */
export function asValueId(value: string): ValueId {
  return asHex(value, 'value id') as ValueId;
}

function asCount(value: number, name: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`expected a ${name} (integer from 0), got ${value}`);
  return value;
}

function asHex(value: string, name: string): string {
  if (!/^[0-9a-f]{64}$/.test(value)) throw new RangeError(`expected a ${name} (64 lower-case hex digits), got ${value}`);
  return value;
}

/** One voter of a set. */
export interface Validator {
  readonly nodeId: NodeId;
  readonly power: VotingPower;
}

/** Sorted by nodeId, no doubles, never empty. */
export type ValidatorSet = readonly Validator[];

export type VoteType = 'prevote' | 'precommit';

/** A vote; `valueId` null is a vote for nil. `signature` is opaque here and only carried along. */
export interface Vote {
  readonly type: VoteType;
  readonly height: Height;
  readonly round: Round;
  readonly valueId: ValueId | null;
  readonly nodeId: NodeId;
  readonly signature: Uint8Array;
}

/** A proposal; `validRound` null is the paper's −1. `signature` is opaque here and only carried along. */
export interface Proposal {
  readonly height: Height;
  readonly round: Round;
  readonly valueId: ValueId;
  readonly validRound: Round | null;
  readonly nodeId: NodeId;
  readonly signature: Uint8Array;
}

export type Step = 'waiting' | 'propose' | 'prevote' | 'precommit' | 'decided';

export type TimeoutKind = 'propose' | 'prevote' | 'precommit';

/** Identity of a timeout; the machine ignores one that its step has left behind. */
export interface Timeout {
  readonly kind: TimeoutKind;
  readonly height: Height;
  readonly round: Round;
}

/** Durations grow linearly with the round and are capped: min(base + round · delta, cap). All milliseconds. */
export interface TimeoutParameters {
  readonly proposeMs: number;
  readonly proposeDeltaMs: number;
  readonly prevoteMs: number;
  readonly prevoteDeltaMs: number;
  readonly precommitMs: number;
  readonly precommitDeltaMs: number;
  readonly capMs: number;
}

/** Prevotes of > 2/3 of the power for one value (polka), applied whole. */
export interface PolkaCertificate {
  readonly height: Height;
  readonly round: Round;
  readonly valueId: ValueId;
  readonly votes: readonly Vote[];
}

/** Votes that justify entering `round`: precommits of > 2/3 of round − 1 (any value), or any votes of > 1/3 of `round`. */
export interface RoundCertificate {
  readonly height: Height;
  readonly round: Round;
  readonly votes: readonly Vote[];
}

/** Precommits of > 2/3 of the power for one value. */
export interface CommitCertificate {
  readonly height: Height;
  readonly round: Round;
  readonly valueId: ValueId;
  readonly votes: readonly Vote[];
}

/** What the world tells the machine. */
export type Input =
  /** There is something to decide (work, heartbeat due, set change): leaves `waiting`. */
  | { readonly kind: 'valueWanted' }
  /** Answer to the output `getValue`: the value this node proposes for that round. */
  | { readonly kind: 'proposeValue'; readonly round: Round; readonly valueId: ValueId }
  /** A proposal with a verified signature whose value is at hand; `valid` is the paper's valid(v) (timeliness included when validRound is null). */
  | { readonly kind: 'proposal'; readonly proposal: Proposal; readonly valid: boolean }
  | { readonly kind: 'vote'; readonly vote: Vote }
  | { readonly kind: 'polkaCertificate'; readonly certificate: PolkaCertificate }
  | { readonly kind: 'roundCertificate'; readonly certificate: RoundCertificate }
  | { readonly kind: 'commitCertificate'; readonly certificate: CommitCertificate }
  | { readonly kind: 'timeout'; readonly timeout: Timeout };

/** A fault that its author signed twice; both sides verified. */
export type Evidence =
  | { readonly kind: 'duplicateVote'; readonly first: Vote; readonly second: Vote }
  | { readonly kind: 'duplicateProposal'; readonly first: Proposal; readonly second: Proposal };

/** What the machine asks of the world, in an order that binds: persist what came before, then send. */
export type Output =
  | { readonly kind: 'roundStarted'; readonly height: Height; readonly round: Round; readonly proposer: NodeId }
  /** This node proposes in `round`: answer with `proposeValue`. */
  | { readonly kind: 'getValue'; readonly height: Height; readonly round: Round }
  /** Sign and send; then feed the own proposal back as an input. */
  | {
      readonly kind: 'propose';
      readonly height: Height;
      readonly round: Round;
      readonly valueId: ValueId;
      readonly validRound: Round | null;
    }
  /** Sign and send; then feed the own vote back as an input. */
  | { readonly kind: 'castVote'; readonly type: VoteType; readonly height: Height; readonly round: Round; readonly valueId: ValueId | null }
  | { readonly kind: 'scheduleTimeout'; readonly timeout: Timeout; readonly durationMs: number }
  | { readonly kind: 'decide'; readonly certificate: CommitCertificate }
  | { readonly kind: 'evidence'; readonly evidence: Evidence };
