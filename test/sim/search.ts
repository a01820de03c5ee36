/** Runs many seeds on all cores, and makes the plan of a failing one smaller while it still fails the same way. */

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Coverage } from './coverage.ts';
import { drawPlan } from './draw-plan.ts';
import type { Plan } from './plan.ts';
import { type Outcome, type SimulationOptions, simulate } from './simulation.ts';

/** Of a thread's young objects: what a world makes is mostly gone before so much is there. */
const YOUNG_MB = 64;

export interface SearchResult {
  readonly seeds: number;
  readonly heights: number;
  /** How many seeds took how many rounds to the first decision after healing. */
  readonly roundsToHeal: ReadonlyMap<number, number>;
  /** Of those that took the most rounds, the first. */
  readonly slowest: Outcome | null;
  /** Faults that happened, in all seeds and in the one with the fewest. */
  readonly faults: number;
  readonly fewestFaults: number;
  readonly failures: readonly Outcome[];
  readonly coverage: Coverage;
}

export interface SearchOptions {
  readonly isEnough: (seeds: number) => boolean;
  /** After each seed. */
  readonly onSeed?: (soFar: SearchResult) => void;
  readonly onFailure?: (outcome: Outcome) => void;
}

/** Runs seeds from `from` on until `isEnough`; goes on after a failure. */
export async function search(from: number, options: SearchOptions): Promise<SearchResult> {
  return await searchPlans(plansFrom(from), options);
}

/** Runs plan after plan, on all threads, until there is none left, or `isEnough`. */
export async function searchPlans(plans: Iterable<Plan>, options: SearchOptions): Promise<SearchResult> {
  const tally = new Tally();
  const shared = plans[Symbol.iterator]();
  const broken: unknown[] = [];
  let begun = 0;
  const work = async (): Promise<void> => {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB } });
    try {
      while (broken.length === 0 && !options.isEnough(begun)) {
        const next = shared.next();
        if (next.done === true) break;
        begun += 1;
        const outcome = await answerOf(worker, next.value);
        tally.take(outcome);
        if (outcome.violation !== null) options.onFailure?.(outcome);
        options.onSeed?.(tally);
      }
    } catch (error) {
      broken.push(error);
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  if (broken.length === 0) return tally;
  throw new AggregateError(broken, `the search broke off after ${tally.seeds} seeds with ${tally.failures.length} violations`);
}

class Tally implements SearchResult {
  readonly coverage = new Coverage();
  readonly failures: Outcome[] = [];
  readonly roundsToHeal = new Map<number, number>();
  slowest: Outcome | null = null;
  seeds = 0;
  heights = 0;
  faults = 0;
  fewestFaults = Number.POSITIVE_INFINITY;

  take(outcome: Outcome): void {
    this.seeds += 1;
    this.coverage.add(outcome.coverage);
    this.heights += outcome.height;
    this.roundsToHeal.set(outcome.roundsToHeal, (this.roundsToHeal.get(outcome.roundsToHeal) ?? 0) + 1);
    if (outcome.roundsToHeal > (this.slowest?.roundsToHeal ?? -1)) this.slowest = outcome;
    this.faults += outcome.faults;
    this.fewestFaults = Math.min(this.fewestFaults, outcome.faults);
    if (outcome.violation !== null) this.failures.push(outcome);
  }
}

/** Rejects when the thread itself fails; what fails in a world is a violation. */
function answerOf(worker: Worker, plan: Plan): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void =>
      reject(new Error(`the thread ended on seed ${plan.seed}, or for want of memory`, { cause: error }));
    worker.removeAllListeners();
    worker.once('message', resolve).once('error', fail).once('exit', fail);
    worker.postMessage(plan);
  });
}

export function* plansFrom(seed: number): Generator<Plan> {
  for (let next = seed; ; next += 1) yield drawPlan(next);
}

/** The smallest plan found that breaks the same invariant: without the heights, faults, liars and weather that it does not need. */
export async function shrink(failed: Outcome, options: SimulationOptions = {}): Promise<Outcome> {
  let smallest = failed;
  for (let hasShrunk = true; hasShrunk; ) {
    hasShrunk = false;
    for (const plan of smallerThan(smallest.plan)) {
      const outcome = await simulate(plan, options);
      if (outcome.violation?.invariant !== failed.violation?.invariant) continue;
      smallest = outcome;
      hasShrunk = true;
      break;
    }
  }
  return smallest;
}

/** Plans with one thing less, the greatest cuts first. */
function* smallerThan(plan: Plan): Generator<Plan> {
  const { faults, liars, weather, changes, heights } = plan;
  for (let size = Math.ceil(faults.length / 2); size >= 1; size >>= 1) {
    for (let from = 0; from < faults.length; from += size) {
      yield { ...plan, faults: faults.filter((_, index) => index < from || index >= from + size) };
    }
  }
  for (const wanted of [1, heights >> 1]) if (wanted >= 1 && wanted < heights) yield { ...plan, heights: wanted };
  const lastMs = Math.max(0, ...faults.map(({ atMs, forMs }) => atMs + forMs));
  if (lastMs < plan.stormMs) yield { ...plan, stormMs: lastMs };
  if (changes.length > 0) yield { ...plan, changes: [] };
  if (plan.upgrade !== null) yield { ...plan, upgrade: null };
  if (plan.removeGuilty) yield { ...plan, removeGuilty: false };
  if (plan.rivals > 0) yield { ...plan, rivals: 0 };
  if (plan.removalsMs > 0) yield { ...plan, removalsMs: 0 };
  for (const liar of liars) yield { ...plan, liars: liars.filter((one) => one !== liar) };
  const calm = { ...weather, loss: 0, duplication: 0, reordering: 0 };
  if (weather.loss + weather.duplication + weather.reordering > 0) yield { ...plan, weather: calm };
  if (plan.mirrors > 0 && faults.every(({ action }) => !('node' in action) || action.node < plan.authorities))
    yield { ...plan, mirrors: 0 };
}
