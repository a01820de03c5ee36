/**
 * What a seed means: how many nodes, who of them lies and how, the weather between them, and a schedule of faults and of changes of the
 * set. A plan is plain data, so that it can be printed, compared and shrunk; draw-plan.ts draws it.
 */

import type { SeededRandom } from '../world/seeded-random.ts';

export type DelayLaw = 'exponential' | 'log-normal';

/** Conditions on every link. */
export interface Weather {
  readonly law: DelayLaw;
  readonly meanMs: number;
  readonly loss: number;
  readonly duplication: number;
  /** Share of messages that are held back by up to half a second, so that later ones overtake them. */
  readonly reordering: number;
}

export const LIAR_KINDS = [
  'silent',
  'nil voter',
  'double voter',
  'equivocating proposer',
  'withholder',
  'hidden lock',
  'amnesiac',
  'bad proposer',
  'body withholder',
  'echo',
  'forger',
  'spammer',
  'lying sync peer',
  'time liar',
  'twin',
  'lying disk',
  'removed voter',
  'double endorser',
] as const;
export type LiarKind = (typeof LIAR_KINDS)[number];

export const MOMENTS = [
  'before the log is written',
  'after the log is written',
  'after the log is synced',
  'before the sign state is written',
  'after the sign state is written',
  'after the sign state is synced',
  'before the block is stored',
  'after the block is stored',
  'before the log of a height is opened',
  'after the log of a height is opened',
  'before the log of an old height is removed',
  'before a vote is sent',
  'after a vote is sent',
  'before a proposal is sent',
  'after a proposal is sent',
  'before the endorsement is written',
  'after the endorsement is written',
] as const;
export type Moment = (typeof MOMENTS)[number];

/** What happens to the network or to one node; nodes are named by their place among the inhabitants. */
export type FaultAction =
  | { readonly kind: 'storm'; readonly weather: Weather }
  | { readonly kind: 'clog'; readonly from: number; readonly to: number }
  | { readonly kind: 'one-way'; readonly from: number; readonly to: number }
  | { readonly kind: 'partition'; readonly left: readonly number[] }
  /** Those on the left hear nothing of the others, who hear them. */
  | { readonly kind: 'asymmetric partition'; readonly left: readonly number[] }
  | { readonly kind: 'ring' }
  | { readonly kind: 'restricted mesh'; readonly missing: readonly (readonly [number, number])[] }
  | { readonly kind: 'swallowed re-sends'; readonly node: number }
  | { readonly kind: 'crash'; readonly node: number }
  | { readonly kind: 'crash at'; readonly node: number; readonly moment: Moment; readonly nth: number }
  | { readonly kind: 'wipe'; readonly node: number; readonly what: 'everything' | 'log and sign state' | 'log' }
  | { readonly kind: 'bit flip'; readonly node: number; readonly where: 'log' | 'sign state' | 'chain' }
  | { readonly kind: 'lost blocks'; readonly node: number }
  | { readonly kind: 'pause'; readonly node: number }
  | { readonly kind: 'clock step'; readonly node: number; readonly byMs: number }
  | { readonly kind: 'clock drift'; readonly node: number; readonly perMille: number };

export interface Fault {
  readonly atMs: number;
  readonly forMs: number;
  readonly action: FaultAction;
}

export interface SetChange {
  /**
   * `leave`: the authority leaves the set, and comes back into it when there is time left. `join`: a mirror becomes an authority. `rotate`:
   * its consensus key is replaced.
   */
  readonly kind: 'leave' | 'join' | 'rotate';
  readonly atMs: number;
  /** Until the way back. */
  readonly forMs: number;
  readonly node: number;
}

/** A new protocol version, of the same rules under another number. */
export interface Upgrade {
  readonly atMs: number;
  /** Heights between the wish and the first block of it, beyond the two that are the least. */
  readonly ahead: number;
  /** Who has newer software only some time after the old one had to stop, and at the latest when all is healed. */
  readonly late: readonly number[];
  readonly forMs: number;
}

export interface Plan {
  readonly seed: number;
  readonly authorities: number;
  readonly mirrors: number;
  /** Heights that every node must have passed in the end. */
  readonly heights: number;
  readonly signatures: 'keyed hash' | 'ed25519';
  /** Share of the default consensus timeouts. */
  readonly pace: number;
  /** Mean time between two submissions. */
  readonly loadMs: number;
  /** Share of submissions that come with a rival: another content for the same key, given to another node at the same moment. */
  readonly rivals: number;
  /** Mean time between two versions that the admins want removed; 0 for none. */
  readonly removalsMs: number;
  readonly stormMs: number;
  readonly weather: Weather;
  readonly liars: readonly { readonly node: number; readonly kind: LiarKind }[];
  readonly faults: readonly Fault[];
  readonly changes: readonly SetChange[];
  /** Whether evidence takes the guilty one out of the set. */
  readonly removeGuilty: boolean;
  readonly upgrade: Upgrade | null;
}

/** Faults of a plan that happen whatever the network does; a death at a moment waits for that moment, and blocks are lost where some came. */
export function isCertain({ action }: Fault): boolean {
  return action.kind !== 'crash at' && action.kind !== 'lost blocks';
}

/** Whether another set may vote in the end than in the beginning. */
export function maySetChange({ changes, removeGuilty }: Plan): boolean {
  return changes.length > 0 || removeGuilty;
}

/** Nodes that may fail in any way, out of so many. */
export function faultyOf(authorities: number): number {
  return Math.ceil(authorities / 3) - 1;
}

export function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index);
}

export function pick<T>(random: SeededRandom, choices: readonly T[]): T {
  const chosen = choices[random.below(choices.length)];
  if (chosen === undefined) throw new RangeError('nothing to choose from');
  return chosen;
}

export function shuffled<T>(random: SeededRandom, list: readonly T[]): readonly T[] {
  return list
    .map((value) => ({ value, order: random.next() }))
    .sort((left, right) => left.order - right.order)
    .map(({ value }) => value);
}
