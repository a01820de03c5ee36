/**
 * The simulator's command: `npm run simulate -- --seed S` replays one seed with a readable trace, `-- --minutes M` or `-- --seeds N`, both
 * with `--from S`, searches, prints what it met, and shrinks the plan of what failed; `-- --twins L` goes through every sequence of L
 * partings with every authority doubled; `-- --calm N` tells how fast it is: N heights of four nodes in fair weather. Ctrl-C ends a search
 * with its report. Ends with 1 when an invariant was broken.
 */

import { parseArgs } from 'node:util';
import { drawPlan } from './draw-plan.ts';
import { mutantPlan } from './mutants.ts';
import type { Plan } from './plan.ts';
import { plansFrom, type SearchOptions, searchPlans, shrink } from './search.ts';
import { type Outcome, simulate } from './simulation.ts';
import { twinPlans } from './twins.ts';

const USAGE = 'usage: npm run simulate -- --seed S [--quiet] | --minutes M [--from S] | --seeds N [--from S] | --twins L | --calm N';

export async function main(args: readonly string[]): Promise<number> {
  // Whoever was reading has enough, as `head` has.
  process.stdout.on('error', () => process.exit(1));
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      quiet: { type: 'boolean' },
      minutes: { type: 'string' },
      seeds: { type: 'string' },
      from: { type: 'string' },
      twins: { type: 'string' },
      calm: { type: 'string' },
    },
  });
  const numbers = [values.seed, values.minutes, values.seeds, values.from, values.twins, values.calm];
  if (numbers.some((one) => one !== undefined && !/^\d+(\.\d+)?$/.test(one))) {
    say(USAGE);
    return 1;
  }
  if (values.seed !== undefined) return await replay(Number(values.seed), values.quiet === true);
  if (values.twins !== undefined) {
    const sequence = Number(values.twins);
    return await searchIn(twinPlans(sequence), { what: `twins under ${sequence} partings`, isEnough: () => false });
  }
  if (values.calm !== undefined) return await speed(Number(values.calm));
  const from = Number(values.from ?? Math.floor(performance.timeOrigin / 1000) % 1_000_000_000);
  const endMs = performance.now() + Number(values.minutes) * 60_000;
  const isEnough =
    values.seeds === undefined ? () => performance.now() >= endMs : (seeds: number): boolean => seeds >= Number(values.seeds);
  if (values.seeds !== undefined || values.minutes !== undefined)
    return await searchIn(plansFrom(from), { what: `seeds from ${from}`, isEnough });
  say(USAGE);
  return 1;
}

async function replay(seed: number, isQuiet: boolean): Promise<number> {
  const plan = drawPlan(seed);
  say(JSON.stringify(plan, null, 2));
  const outcome = await simulate(plan, isQuiet ? {} : { print: say });
  say(`height ${outcome.height}, ${(outcome.virtualMs / 1000).toFixed(1)} s of virtual time, trace ${outcome.trace}`);
  say(describe(outcome));
  return outcome.violation === null ? 0 : 1;
}

/** On this thread alone. */
async function speed(heights: number): Promise<number> {
  const plan = mutantPlan(drawPlan(1), { name: 'none', trips: 'none', plan: { heights, stormMs: 1_000 } });
  const startMs = performance.now();
  const outcome = await simulate(plan);
  const seconds = (performance.now() - startMs) / 1000;
  say(
    `${outcome.height} heights of a calm network of four in ${seconds.toFixed(2)} s: ${(outcome.height / seconds).toFixed(0)} heights a second`,
  );
  say(describe(outcome));
  return outcome.violation === null ? 0 : 1;
}

async function searchIn(
  plans: Iterable<Plan>,
  options: { readonly what: string; readonly isEnough: (seeds: number) => boolean },
): Promise<number> {
  const startMs = performance.now();
  let isStopped = false;
  process.once('SIGINT', () => {
    isStopped = true;
  });
  const onFailure = (outcome: Outcome): void => say(`seed ${outcome.plan.seed}: ${describe(outcome)}`);
  let minutes = 1;
  const onSeed: SearchOptions['onSeed'] = ({ seeds, heights, failures }) => {
    if (performance.now() < startMs + minutes * 60_000) return;
    say(`after ${minutes} min: ${seeds} seeds, ${heights} heights, ${failures.length} violations`);
    minutes += 1;
  };
  const found = await searchPlans(plans, { isEnough: (seeds) => isStopped || options.isEnough(seeds), onFailure, onSeed });
  const seconds = (performance.now() - startMs) / 1000;
  for (const line of found.coverage.table()) say(line);
  const rate = `${(found.heights / seconds).toFixed(0)} a second, ${((found.seeds / seconds) * 60).toFixed(0)} seeds a minute`;
  say(`${found.seeds} ${options.what}, ${found.heights} heights, ${rate}, ${found.failures.length} violations`);
  say(`${found.faults} faults happened, at least ${found.fewestFaults} in each`);
  const rounds = [...found.roundsToHeal].sort(([left], [right]) => left - right).map(([count, seeds]) => `${count} in ${seeds} seeds`);
  say(`rounds to the first decision after healing: ${rounds.join(', ')}; the most in seed ${found.slowest?.plan.seed ?? 'none'}`);
  for (const failure of found.failures.slice(0, 3)) {
    const small = await shrink(failure);
    say(`seed ${failure.plan.seed} shrunk to ${small.plan.faults.length} faults and ${small.plan.heights} heights: ${describe(small)}`);
    say(JSON.stringify(small.plan, null, 2));
  }
  return found.failures.length === 0 ? 0 : 1;
}

function describe({ violation }: Outcome): string {
  return violation === null
    ? 'every invariant held'
    : `"${violation.invariant}" broken at ${violation.atMs.toFixed(0)} ms: ${violation.detail}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
