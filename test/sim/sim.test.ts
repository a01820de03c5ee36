/** The simulator's own tests: seeds that must hold, the same trace twice, a plan that only depends on its seed, and every alarm's mutant. */

import t from 'tap';
import { drawPlan, MIN_FAULTS, MIN_HEIGHTS } from './draw-plan.ts';
import { FOUND } from './found.ts';
import { INVARIANT_NAMES } from './invariants.ts';
import { MUTANTS, mutantPlan } from './mutants.ts';
import { isCertain } from './plan.ts';
import { search, searchPlans } from './search.ts';
import { simulate } from './simulation.ts';
import { twinPlans } from './twins.ts';

/** Keeps the run below a minute of one core. */
const SEEDS = 25;
const TIMEOUT_MS = 240_000;
const FROM = 1_000;

t.test('no seed breaks an invariant', { timeout: TIMEOUT_MS }, async (t) => {
  const found = await search(FROM, { isEnough: (seeds) => seeds >= SEEDS });
  for (const { plan, violation } of found.failures) t.fail(`seed ${plan.seed}: "${violation?.invariant}": ${violation?.detail}`);
  t.ok(found.heights >= SEEDS * MIN_HEIGHTS, `${found.heights} heights in ${found.seeds} seeds`);
  t.ok(found.fewestFaults >= MIN_FAULTS, `${found.faults} faults happened, at least ${found.fewestFaults} in each seed`);
  for (const line of found.coverage.table()) t.comment(line);
  for (const what of ['decision in a later round', 'proposal made again', 'evidence on the chain', 'log replayed', 'fetched by block sync'])
    t.ok(found.coverage.counts.has(what), `met: ${what}`);
});

t.test('a plan has at least five faults, and comes from its seed alone', async (t) => {
  for (let seed = 0; seed < 200; seed += 1) {
    const plan = drawPlan(seed);
    t.ok(plan.faults.filter(isCertain).length >= MIN_FAULTS && plan.heights >= MIN_HEIGHTS);
    t.same(plan, drawPlan(seed));
  }
});

t.test('no twin of any of four authorities breaks an invariant, however the five are parted', { timeout: TIMEOUT_MS }, async (t) => {
  const found = await searchPlans(twinPlans(1), { isEnough: () => false });
  t.equal(found.seeds, 60);
  for (const { plan, violation } of found.failures) t.fail(`plan ${plan.seed}: "${violation?.invariant}": ${violation?.detail}`);
  t.ok(found.coverage.counts.has('evidence on the chain'), 'met: evidence on the chain');
});

t.test('the same seed gives the same trace, another seed another one', { timeout: TIMEOUT_MS }, async (t) => {
  for (const seed of [7, 32, 151]) {
    const [once, again, other] = [await simulate(drawPlan(seed)), await simulate(drawPlan(seed)), await simulate(drawPlan(seed + 1))];
    t.equal(once.trace, again.trace, `seed ${seed}`);
    t.not(once.trace, other.trace);
  }
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
