/** Seeds that must hold, the same trace twice, and a plan that depends on its seed alone. */

import t from 'tap';
import { drawPlan, MIN_FAULTS, MIN_HEIGHTS } from './draw-plan.ts';
import { isCertain, LIAR_KINDS, MOMENTS } from './plan.ts';
import { search } from './search.ts';
import { simulate } from './simulation.ts';

/** About four minutes of two cores. */
const SEEDS = 1_000;
const TIMEOUT_MS = 850_000;
const FROM = 1_000;
/** What so many seeds cannot fail to meet. */
const MET = [
  'decision in a later round',
  'decision of round 2 or later',
  'proposal made again',
  'late polka proposed',
  'polka of an older round followed',
  'nil precommitted',
  'another value precommitted after a lock',
  'round skipped',
  'decision of an earlier round',
  'crash after the sign state is synced',
  'crash before a vote is sent',
  'evidence on the chain',
  'authority removed',
  'authority admitted again',
  'newcomer admitted',
  'guilty one removed',
  'key rotated',
  'block of a new version',
  'stopped for newer software',
  'vote of a removed validator',
  'rival claims',
  'lost blocks',
  'log replayed',
  'fetched by block sync',
  'proposal refused',
  ...LIAR_KINDS.map((kind) => `liar: ${kind}`),
  ...MOMENTS.map((moment) => `crash ${moment}`),
];

t.test('no seed breaks an invariant', { timeout: TIMEOUT_MS }, async (t) => {
  const found = await search(FROM, { isEnough: (seeds) => seeds >= SEEDS });
  for (const { plan, violation } of found.failures) t.fail(`seed ${plan.seed}: "${violation?.invariant}": ${violation?.detail}`);
  t.ok(found.heights >= SEEDS * MIN_HEIGHTS, `${found.heights} heights in ${found.seeds} seeds`);
  t.ok(found.fewestFaults >= MIN_FAULTS, `${found.faults} faults happened, at least ${found.fewestFaults} in each seed`);
  for (const line of found.coverage.table()) t.comment(line);
  for (const what of MET) t.ok(found.coverage.counts.has(what), `met: ${what}`);
});

t.test('a plan has at least five faults, and comes from its seed alone', async (t) => {
  for (let seed = 0; seed < 200; seed += 1) {
    const plan = drawPlan(seed);
    t.ok(plan.faults.filter(isCertain).length >= MIN_FAULTS && plan.heights >= MIN_HEIGHTS);
    t.same(plan, drawPlan(seed));
  }
});

t.test('the same seed gives the same trace, another seed another one', { timeout: TIMEOUT_MS }, async (t) => {
  for (const seed of [7, 100, 151]) {
    const [once, again, other] = [await simulate(drawPlan(seed)), await simulate(drawPlan(seed)), await simulate(drawPlan(seed + 1))];
    t.equal(once.trace, again.trace, `seed ${seed}`);
    t.not(once.trace, other.trace);
  }
});
