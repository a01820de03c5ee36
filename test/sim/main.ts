/**
 * The simulator's command: `npm run simulate -- --seed S` replays one seed with a readable trace, `-- --minutes M [--from S]` searches,
 * prints what it met, and shrinks the plan of what failed. Ends with 1 when an invariant was broken.
 */

import { parseArgs } from 'node:util';
import { drawPlan } from './plan.ts';
import { search, shrink } from './search.ts';
import { type Outcome, simulate } from './simulation.ts';

const USAGE = 'usage: npm run simulate -- --seed S [--quiet] | --minutes M [--from S] | --seeds N [--from S]';

export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      quiet: { type: 'boolean' },
      minutes: { type: 'string' },
      seeds: { type: 'string' },
      from: { type: 'string' },
    },
  });
  if (values.seed !== undefined) return await replay(Number(values.seed), values.quiet === true);
  const from = Number(values.from ?? Math.floor(performance.timeOrigin / 1000) % 1_000_000_000);
  if (values.seeds !== undefined) return await searchFrom(from, { seeds: Number(values.seeds) });
  if (values.minutes !== undefined) return await searchFrom(from, { minutes: Number(values.minutes) });
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

async function searchFrom(from: number, limit: { readonly seeds: number } | { readonly minutes: number }): Promise<number> {
  const startMs = performance.now();
  const secondsGone = (): number => (performance.now() - startMs) / 1000;
  const isEnough = (seeds: number): boolean => ('seeds' in limit ? seeds >= limit.seeds : secondsGone() >= limit.minutes * 60);
  const onFailure = (outcome: Outcome): void => say(`seed ${outcome.plan.seed}: ${describe(outcome)}`);
  const found = await search(from, { isEnough, onFailure });
  const rate = (found.heights / secondsGone()).toFixed(0);
  for (const line of found.coverage.table()) say(line);
  say(`${found.seeds} seeds from ${from}, ${found.heights} heights, ${rate} a second, ${found.failures.length} violations`);
  say(`rounds to the first decision after healing: at most ${found.worstRoundsToHeal}`);
  for (const failure of found.failures.slice(0, 3)) {
    const small = await shrink(failure);
    say(`seed ${failure.plan.seed} shrunk to ${small.plan.faults.length} faults: ${describe(small)}`);
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
