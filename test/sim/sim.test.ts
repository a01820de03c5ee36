/** The simulator's own tests: seeds that must hold, the same trace twice, a plan that only depends on its seed, and every alarm's mutant. */

import t from 'tap';
import { FOUND } from './found.ts';
import { INVARIANT_NAMES } from './invariants.ts';
import { MUTANTS, mutantPlan } from './mutants.ts';
import { drawPlan } from './plan.ts';
import { search } from './search.ts';
import { simulate } from './simulation.ts';

/** Keeps the run below a minute of one core. */
const SEEDS = 25;
const TIMEOUT_MS = 240_000;
const FROM = 1_000;

t.test('no seed breaks an invariant', { timeout: TIMEOUT_MS }, async (t) => {
  const found = await search(FROM, { isEnough: (seeds) => seeds >= SEEDS });
  for (const { plan, violation } of found.failures) t.fail(`seed ${plan.seed}: "${violation?.invariant}": ${violation?.detail}`);
  t.ok(found.heights >= SEEDS * 20, `${found.heights} heights in ${found.seeds} seeds`);
  for (const line of found.coverage.table()) t.comment(line);
  for (const what of ['decision in a later round', 'proposal made again', 'evidence on the chain', 'log replayed', 'fetched by block sync'])
    t.ok(found.coverage.counts.has(what), `met: ${what}`);
});

t.test('a plan has at least five faults, and comes from its seed alone', async (t) => {
  for (let seed = 0; seed < 200; seed += 1) {
    const plan = drawPlan(seed);
    t.ok(plan.faults.length >= 5 && plan.heights >= 20);
    t.same(plan, drawPlan(seed));
  }
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
