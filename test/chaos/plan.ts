/**
 * What befalls a network, and when, drawn from a seed: nodes killed, stopped for a while, parted from each other; several at a time, also more
 * than the protocol bears, for safety must hold then too. The same seed gives the same plan; what the processes make of it is their own.
 */

import { SeededRandom } from '../world/seeded-random.ts';
import type { Groups } from './terrain.ts';

/** `kill`: SIGKILL, and a new start after `lastsMs`. `pause`: SIGSTOP, and SIGCONT after `lastsMs`. `part`: for `lastsMs`. */
export type Fault =
  | { readonly kind: 'kill' | 'pause'; readonly atMs: number; readonly lastsMs: number; readonly names: readonly string[] }
  | { readonly kind: 'part'; readonly atMs: number; readonly lastsMs: number; readonly groups: Groups };

export interface PlanOptions {
  readonly seed: number;
  readonly names: readonly string[];
  readonly lengthMs: number;
}

/** Mean time between two faults. */
const CALM_MS = 7_000;
/** How long each kind lasts, at least and at most. */
const LASTS = { kill: [200, 8_000], pause: [300, 12_000], part: [1_000, 15_000] } as const;
const MOST_STRUCK = 4;

export function drawPlan(options: PlanOptions): readonly Fault[] {
  const random = new SeededRandom(options.seed);
  const faults: Fault[] = [];
  for (let atMs = random.exponential(CALM_MS); atMs < options.lengthMs; atMs += random.exponential(CALM_MS)) {
    faults.push(drawFault(random, options.names, atMs));
  }
  return faults;
}

function drawFault(random: SeededRandom, names: readonly string[], atMs: number): Fault {
  const kind = (['kill', 'kill', 'pause', 'part'] as const)[random.below(4)] ?? 'kill';
  const [least, most] = LASTS[kind];
  const lastsMs = least + random.below(most - least);
  if (kind === 'part') return { kind, atMs, lastsMs, groups: drawGroups(random, names) };
  // One most often, sometimes more than a third.
  const count = random.chance(0.7) ? 1 : 1 + random.below(MOST_STRUCK);
  return { kind, atMs, lastsMs, names: shuffled(random, names).slice(0, count) };
}

/** Two or three groups, or one node alone; now and then somebody is in none. */
function drawGroups(random: SeededRandom, names: readonly string[]): Groups {
  const order = shuffled(random, names);
  if (random.chance(0.4)) return [order.slice(1), order.slice(0, 1)];
  const count = 2 + random.below(2);
  const left = random.chance(0.2) ? order.slice(1) : order;
  return Array.from({ length: count }, (_, group) => left.filter((__, index) => index % count === group));
}

function shuffled(random: SeededRandom, names: readonly string[]): readonly string[] {
  return names
    .map((name) => ({ name, place: random.next() }))
    .sort((left, right) => left.place - right.place)
    .map(({ name }) => name);
}
