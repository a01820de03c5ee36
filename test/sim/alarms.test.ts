/** Every alarm has a mutant that sets it off; what once went wrong holds; and twins, systematically. */

import t from 'tap';
import { drawPlan } from './draw-plan.ts';
import { FOUND } from './found.ts';
import { INVARIANT_NAMES } from './invariants.ts';
import { MUTANTS, mutantPlan } from './mutants.ts';
import { searchPlans } from './search.ts';
import { simulate } from './simulation.ts';
import { twinPlans } from './twins.ts';

const TIMEOUT_MS = 900_000;

t.test('no twin of any of four authorities breaks an invariant, however the five are parted', { timeout: TIMEOUT_MS }, async (t) => {
  const found = await searchPlans(twinPlans(1), { isEnough: () => false });
  t.equal(found.seeds, 60);
  for (const { plan, violation } of found.failures) t.fail(`plan ${plan.seed}: "${violation?.invariant}": ${violation?.detail}`);
  t.ok(found.coverage.counts.has('evidence on the chain'), 'met: evidence on the chain');
});

for (const { seed, was, plan } of FOUND) {
  t.test(`seed ${seed}: ${was}`, { timeout: TIMEOUT_MS }, async (t) => {
    const { violation } = await simulate(plan);
    t.equal(violation, null);
  });
}

t.test('every invariant has a mutant that trips it', { timeout: TIMEOUT_MS }, async (t) => {
  t.same([...new Set(MUTANTS.map(({ trips }) => trips))].sort(), [...INVARIANT_NAMES].sort());
  for (const mutant of MUTANTS) {
    let undo: unknown;
    const lens = mutant.lens?.();
    const outcome = await simulate(mutantPlan(drawPlan(1), mutant), {
      ...(lens === undefined ? {} : { lens }),
      only: mutant.trips,
      mutate: (world) => {
        undo = mutant.mutate?.(world);
      },
    });
    if (typeof undo === 'function') undo();
    t.equal(outcome.violation?.invariant ?? null, mutant.trips, `${mutant.name}: ${outcome.violation?.detail ?? 'nobody saw it'}`);
    t.comment(`${mutant.trips.padEnd(28)} ${mutant.name}, after ${outcome.violation?.atMs.toFixed(0)} ms`);
  }
});

t.test('without a mutant that calm plan holds', async (t) => {
  const outcome = await simulate(mutantPlan(drawPlan(1), { name: 'none', trips: 'none' }));
  t.equal(outcome.violation, null);
});
