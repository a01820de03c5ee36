/** Every alarm has a mutant that sets it off; what once went wrong holds; and twins, systematically. */

import t from 'tap';
import { drawPlan } from './draw-plan.ts';
import { FOUND } from './found.ts';
import { INVARIANT_NAMES } from './invariants.ts';
import { MUTANTS, mutantPlan } from './mutants.ts';
import { searchPlans, shrink } from './search.ts';
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
      until: mutant.trips,
      mutate: (world) => {
        undo = mutant.mutate?.(world);
      },
    });
    if (typeof undo === 'function') undo();
    t.equal(outcome.violation?.invariant ?? null, mutant.trips, `${mutant.name}: ${outcome.violation?.detail ?? 'nobody saw it'}`);
    const others = outcome.broken.filter((name) => name !== mutant.trips);
    const before = others.length === 0 ? '' : `, before it: ${others.join(', ')}`;
    t.comment(`${mutant.trips.padEnd(28)} ${mutant.name}, after ${outcome.violation?.atMs.toFixed(0)} ms${before}`);
  }
});

t.test('a failing plan is shrunk to what it needs', { timeout: TIMEOUT_MS }, async (t) => {
  const mutant = MUTANTS.find(({ trips }) => trips === 'lock discipline');
  if (mutant === undefined) throw new Error('expected a mutant without locks');
  const drawn = drawPlan(1);
  const options = { until: mutant.trips, mutate: mutant.mutate ?? ((): undefined => undefined) };
  const failed = await simulate({ ...mutantPlan(drawn, mutant), faults: drawn.faults, rivals: 0.2, mirrors: 1 }, options);
  t.equal(failed.violation?.invariant, mutant.trips);
  const { plan, violation } = await shrink(failed, options);
  t.equal(violation?.invariant, mutant.trips);
  t.same([plan.faults.length, plan.heights, plan.rivals, plan.mirrors], [0, 1, 0, 0]);
});

t.test('without a mutant that calm plan holds', async (t) => {
  const outcome = await simulate(mutantPlan(drawPlan(1), { name: 'none', trips: 'none' }));
  t.equal(outcome.violation, null);
});
