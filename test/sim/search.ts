/** Runs many seeds, and makes the plan of a failing one smaller while it still fails the same way. */

import { Coverage } from './coverage.ts';
import { drawPlan, type Plan } from './plan.ts';
import { type Outcome, type SimulationOptions, simulate } from './simulation.ts';

export interface SearchResult {
  readonly seeds: number;
  readonly heights: number;
  readonly worstRoundsToHeal: number;
  readonly failures: readonly Outcome[];
  readonly coverage: Coverage;
}

/** Runs seeds from `from` on until `isEnough`; goes on after a failure. */
export async function search(
  from: number,
  options: { readonly isEnough: (seeds: number) => boolean; readonly onFailure?: (outcome: Outcome) => void },
): Promise<SearchResult> {
  const coverage = new Coverage();
  const failures: Outcome[] = [];
  let seeds = 0;
  let heights = 0;
  let worstRoundsToHeal = 0;
  for (; !options.isEnough(seeds); seeds += 1) {
    const outcome = await simulate(drawPlan(from + seeds));
    coverage.add(outcome.coverage);
    heights += outcome.height;
    worstRoundsToHeal = Math.max(worstRoundsToHeal, outcome.roundsToHeal);
    if (outcome.violation === null) continue;
    failures.push(outcome);
    options.onFailure?.(outcome);
  }
  return { seeds, heights, worstRoundsToHeal, failures, coverage };
}

/** The smallest plan found that breaks the same invariant: without faults, liars and weather that it does not need. */
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
  const { faults, liars, weather } = plan;
  for (let size = faults.length >> 1; size >= 1; size >>= 1) {
    for (let from = 0; from < faults.length; from += size) {
      yield { ...plan, faults: faults.filter((_, index) => index < from || index >= from + size) };
    }
  }
  for (const liar of liars) yield { ...plan, liars: liars.filter((one) => one !== liar) };
  const calm = { ...weather, loss: 0, duplication: 0, reordering: 0 };
  if (weather.loss + weather.duplication + weather.reordering > 0) yield { ...plan, weather: calm };
  if (plan.mirrors > 0 && faults.every(({ action }) => !('node' in action) || action.node < plan.authorities))
    yield { ...plan, mirrors: 0 };
}
