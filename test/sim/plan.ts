/**
 * What a seed means: how many nodes, who of them lies and how, the weather between them, and a schedule of faults. A plan is plain data, so
 * that it can be printed, compared and shrunk; drawing it takes nothing but the seed.
 */

import { SeededRandom } from '../world/seeded-random.ts';

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
  'amnesiac',
  'forger',
  'spammer',
  'lying sync peer',
  'time liar',
  'twin',
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
] as const;
export type Moment = (typeof MOMENTS)[number];

/** What happens to the network or to one node; nodes are named by their place among the inhabitants. */
export type FaultAction =
  | { readonly kind: 'storm'; readonly weather: Weather }
  | { readonly kind: 'clog'; readonly from: number; readonly to: number }
  | { readonly kind: 'one-way'; readonly from: number; readonly to: number }
  | { readonly kind: 'partition'; readonly left: readonly number[] }
  | { readonly kind: 'ring' }
  | { readonly kind: 'restricted mesh'; readonly missing: readonly (readonly [number, number])[] }
  | { readonly kind: 'swallowed re-sends'; readonly node: number }
  | { readonly kind: 'crash'; readonly node: number }
  | { readonly kind: 'crash at'; readonly node: number; readonly moment: Moment; readonly nth: number }
  | { readonly kind: 'wipe'; readonly node: number; readonly what: 'everything' | 'log and sign state' | 'log' }
  | { readonly kind: 'bit flip'; readonly node: number; readonly where: 'log' | 'sign state' | 'chain' }
  | { readonly kind: 'pause'; readonly node: number }
  | { readonly kind: 'clock step'; readonly node: number; readonly byMs: number }
  | { readonly kind: 'clock drift'; readonly node: number; readonly perMille: number };

export interface Fault {
  readonly atMs: number;
  readonly forMs: number;
  readonly action: FaultAction;
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
  readonly stormMs: number;
  readonly weather: Weather;
  readonly liars: readonly { readonly node: number; readonly kind: LiarKind }[];
  readonly faults: readonly Fault[];
}

/** Nodes that may fail in any way, out of so many. */
export function faultyOf(authorities: number): number {
  return Math.ceil(authorities / 3) - 1;
}

/** The same seed, the same plan. */
export function drawPlan(seed: number): Plan {
  const random = new SeededRandom(seed ^ 0x5eed);
  const authorities = pick(random, [4, 4, 4, 4, 4, 4, 4, 5, 6, 7]);
  const mirrors = random.below(2);
  const liars = drawLiars(random, authorities);
  const stormMs = 8_000 + random.below(16_000);
  const honest = range(authorities + mirrors).filter((node) => !liars.some((liar) => liar.node === node));
  // Those that may lose their memory or their time count against the same third as the liars.
  const weak = honest.filter((node) => node < authorities).slice(0, faultyOf(authorities) - liars.length);
  const stage = { random, all: authorities + mirrors, honest, weak };
  const count = 5 + random.below(10);
  const faults = range(count).map((): Fault => {
    const action = drawAction(stage);
    return { atMs: Math.floor(random.next() * stormMs), forMs: Math.floor(300 + random.exponential(3_000)), action };
  });
  return {
    seed,
    authorities,
    mirrors,
    heights: 20,
    signatures: seed % 100 === 0 ? 'ed25519' : 'keyed hash',
    pace: pick(random, [0.1, 0.3, 1]),
    loadMs: 200 + random.below(800),
    stormMs,
    weather: drawWeather(random, 0.3),
    liars,
    faults: faults.sort((left, right) => left.atMs - right.atMs),
  };
}

function drawLiars(random: SeededRandom, authorities: number): Plan['liars'] {
  const count = random.chance(0.3) ? 0 : 1 + random.below(faultyOf(authorities));
  const nodes = shuffled(random, range(authorities)).slice(0, count);
  return nodes.map((node) => ({ node, kind: pick(random, LIAR_KINDS) }));
}

/** Mild weather is the rule, so that most seeds get far; `harshness` scales the worst. */
function drawWeather(random: SeededRandom, harshness: number): Weather {
  const isMild = random.chance(0.5);
  const worst = isMild ? harshness * 0.2 : harshness;
  return {
    law: random.chance(0.5) ? 'exponential' : 'log-normal',
    meanMs: 1 + random.exponential(isMild ? 10 : 100 * harshness),
    loss: random.next() * 0.3 * worst,
    duplication: random.next() * 0.5 * worst,
    reordering: random.next() * worst,
  };
}

interface Stage {
  readonly random: SeededRandom;
  readonly all: number;
  readonly honest: readonly number[];
  readonly weak: readonly number[];
}

type Draw = (stage: Stage) => FaultAction;

const ANYWHERE: readonly Draw[] = [
  ({ random }) => ({ kind: 'storm', weather: drawWeather(random, 1) }),
  ({ random, all }) => ({ kind: 'clog', ...link(random, all) }),
  ({ random, all }) => ({ kind: 'one-way', ...link(random, all) }),
  ({ random, all }) => ({ kind: 'partition', left: shuffled(random, range(all)).slice(0, 1 + random.below(all - 1)) }),
  () => ({ kind: 'ring' }),
  ({ random, all }) => ({ kind: 'restricted mesh', missing: drawMissing(random, all) }),
  ({ random, honest }) => ({ kind: 'swallowed re-sends', node: pick(random, honest) }),
  ({ random, honest }) => ({ kind: 'crash', node: pick(random, honest) }),
  ({ random, honest }) => ({ kind: 'crash at', node: pick(random, honest), moment: pick(random, MOMENTS), nth: 1 + random.below(6) }),
  ({ random, honest }) => ({ kind: 'crash at', node: pick(random, honest), moment: pick(random, MOMENTS), nth: 1 + random.below(6) }),
  ({ random, honest }) => ({ kind: 'pause', node: pick(random, honest) }),
  ({ random, honest }) => ({ kind: 'clock step', node: pick(random, honest), byMs: random.below(400) - 200 }),
];

const OF_THE_WEAK: readonly Draw[] = [
  ({ random, weak }) => ({ kind: 'wipe', node: pick(random, weak), what: pick(random, ['everything', 'log and sign state', 'log']) }),
  ({ random, weak }) => ({ kind: 'bit flip', node: pick(random, weak), where: pick(random, ['log', 'sign state', 'chain']) }),
  ({ random, weak }) => ({ kind: 'clock step', node: pick(random, weak), byMs: random.below(20_000) - 10_000 }),
  ({ random, weak }) => ({ kind: 'clock drift', node: pick(random, weak), perMille: random.below(200) - 100 }),
];

function drawAction(stage: Stage): FaultAction {
  return pick(stage.random, stage.weak.length === 0 ? ANYWHERE : [...ANYWHERE, ...OF_THE_WEAK])(stage);
}

function link(random: SeededRandom, all: number): { readonly from: number; readonly to: number } {
  const [from = 0, to = 1] = shuffled(random, range(all));
  return { from, to };
}

/** Takes links away, yet leaves the ring that keeps all of them in reach. */
function drawMissing(random: SeededRandom, all: number): readonly (readonly [number, number])[] {
  const missing: (readonly [number, number])[] = [];
  for (let left = 0; left < all; left += 1) {
    for (let right = left + 2; right < all; right += 1) {
      if ((left !== 0 || right !== all - 1) && random.chance(0.6)) missing.push([left, right]);
    }
  }
  return missing;
}

export function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index);
}

export function pick<T>(random: SeededRandom, choices: readonly T[]): T {
  const chosen = choices[random.below(choices.length)];
  if (chosen === undefined) throw new RangeError('nothing to choose from');
  return chosen;
}

function shuffled<T>(random: SeededRandom, list: readonly T[]): readonly T[] {
  return list
    .map((value) => ({ value, order: random.next() }))
    .sort((left, right) => left.order - right.order)
    .map(({ value }) => value);
}
