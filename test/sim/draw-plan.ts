/** Draws the plan of a seed: the same seed, the same plan, and nothing but the seed. */

import { SeededRandom } from '../world/seeded-random.ts';
import {
  type Fault,
  type FaultAction,
  faultyOf,
  isCertain,
  LIAR_KINDS,
  MOMENTS,
  type Plan,
  pick,
  range,
  shuffled,
  type Upgrade,
  type Weather,
} from './plan.ts';

/** What a seed is at least. */
export const MIN_HEIGHTS = 20;
export const MIN_FAULTS = 5;

/** The same seed, the same plan. */
export function drawPlan(seed: number): Plan {
  const random = new SeededRandom(seed ^ 0x5eed);
  const authorities = pick(random, [4, 4, 4, 4, 4, 4, 5, 5, 6, 7]);
  const mirrors = random.below(2);
  const liars = drawLiars(random, authorities);
  const stormMs = 8_000 + random.below(16_000);
  const honest = range(authorities + mirrors).filter((node) => !liars.some((liar) => liar.node === node));
  // Those that may lose their memory or their time count against the same third as the liars.
  const weak = shuffled(
    random,
    honest.filter((node) => node < authorities),
  ).slice(0, faultyOf(authorities) - liars.length);
  const stage = { random, all: authorities + mirrors, honest, weak };
  const count = MIN_FAULTS + random.below(10);
  const faults: Fault[] = [];
  while (faults.filter(isCertain).length < MIN_FAULTS || faults.length < count) faults.push(drawFault(stage, stormMs));
  for (const { node, kind } of liars) if (kind === 'lying disk') faults.push(...drawPowerCuts(random, { node, stormMs }));
  return {
    seed,
    authorities,
    mirrors,
    heights: MIN_HEIGHTS,
    signatures: seed % 100 === 0 ? 'ed25519' : 'keyed hash',
    pace: pick(random, [0.1, 0.3, 1]),
    loadMs: 200 + random.below(800),
    rivals: random.chance(0.5) ? 0.2 : 0,
    stormMs,
    weather: drawWeather(random, 0.3),
    liars,
    faults: faults.sort((left, right) => left.atMs - right.atMs),
    changes: drawChanges(random, { authorities, mirrors, stormMs, liars }),
    removalsMs: random.chance(0.25) ? 500 + random.below(3_500) : 0,
    removeGuilty: liars.length > 0 && random.chance(0.5),
    upgrade: random.chance(0.3) ? drawUpgrade(random, { all: authorities + mirrors, stormMs }) : null,
  };
}

function drawFault(stage: Stage, stormMs: number): Fault {
  const action = drawAction(stage);
  return { atMs: Math.floor(stage.random.next() * stormMs), forMs: Math.floor(300 + stage.random.exponential(3_000)), action };
}

/** A disk that lies is found out by power cuts alone. */
function drawPowerCuts(random: SeededRandom, of: { readonly node: number; readonly stormMs: number }): readonly Fault[] {
  const cut = (): Fault => ({ atMs: random.below(of.stormMs), forMs: random.below(2_000), action: { kind: 'crash', node: of.node } });
  return Array.from({ length: 2 + random.below(4) }, cut);
}

/**
 * Who leaves: only where the smaller set can spare one, and always who is to vote on after it. Who gets a new key: an honest one that stays.
 * Who joins: a mirror.
 */
function drawChanges(random: SeededRandom, of: Pick<Plan, 'authorities' | 'mirrors' | 'stormMs' | 'liars'>): Plan['changes'] {
  const { authorities, mirrors, stormMs, liars } = of;
  const times = (): { readonly atMs: number; readonly forMs: number } => ({
    atMs: Math.floor(random.next() * stormMs * 0.6),
    forMs: 1_000 + Math.floor(random.exponential(stormMs / 3)),
  });
  const changes: Plan['changes'][number][] = [];
  const removed = liars.find(({ kind }) => kind === 'removed voter');
  if (canSpareOne(authorities) && (removed !== undefined || random.chance(0.7))) {
    const liar = removed ?? (random.chance(0.5) ? liars[0] : undefined);
    changes.push({ kind: 'leave', ...times(), node: liar?.node ?? random.below(authorities) });
  }
  if (random.chance(0.3)) {
    const staying = range(authorities).filter((node) => ![...liars, ...changes].some((other) => other.node === node));
    changes.push({ kind: 'rotate', ...times(), node: pick(random, staying) });
  }
  if (mirrors > 0 && random.chance(0.5)) changes.push({ kind: 'join', ...times(), node: authorities });
  return changes;
}

/** Anybody may be late, all of them too: then nobody goes on until enough have newer software. */
function drawUpgrade(random: SeededRandom, of: { readonly all: number; readonly stormMs: number }): Upgrade {
  return {
    atMs: Math.floor(random.next() * of.stormMs * 0.6),
    ahead: random.below(8),
    late: shuffled(random, range(of.all)).slice(0, random.below(of.all + 1)),
    forMs: Math.floor(300 + random.exponential(2_000)),
  };
}

function drawLiars(random: SeededRandom, authorities: number): Plan['liars'] {
  const count = random.chance(0.3) ? 0 : 1 + random.below(faultyOf(authorities));
  const nodes = shuffled(random, range(authorities)).slice(0, count);
  const kinds = LIAR_KINDS.filter((kind) => kind !== 'removed voter' || canSpareOne(authorities));
  return nodes.map((node) => ({ node, kind: pick(random, kinds) }));
}

/** Whether a set with one less bears as many faulty nodes. */
function canSpareOne(authorities: number): boolean {
  return faultyOf(authorities - 1) === faultyOf(authorities);
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
  (stage) => ({ kind: 'partition', left: side(stage) }),
  (stage) => ({ kind: 'asymmetric partition', left: side(stage) }),
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
  ({ random, weak }) => ({ kind: 'lost blocks', node: pick(random, weak) }),
  ({ random, weak }) => ({ kind: 'clock step', node: pick(random, weak), byMs: random.below(20_000) - 10_000 }),
  ({ random, weak }) => ({ kind: 'clock drift', node: pick(random, weak), perMille: random.below(200) - 100 }),
];

function drawAction(stage: Stage): FaultAction {
  return pick(stage.random, stage.weak.length === 0 ? ANYWHERE : [...ANYWHERE, ...OF_THE_WEAK])(stage);
}

function side({ random, all }: Stage): readonly number[] {
  return shuffled(random, range(all)).slice(0, 1 + random.below(all - 1));
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
