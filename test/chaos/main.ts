/**
 * `npm run chaos -- --minutes M --authorities N`: real authorities and a mirror under load, killed, stopped and parted by a plan that is drawn
 * from a seed; then all must have one chain, nobody may have signed twice, and nothing acknowledged may be lost. Ends with 1 where this fails.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Outcome, runChaos } from './chaos.ts';
import { type ChaosNetwork, openChaosNetwork } from './network.ts';
import { drawPlan } from './plan.ts';
import type { Terrain } from './terrain.ts';

const USAGE = `usage: npm run chaos -- [--minutes M] [--authorities N] [--mirrors N] [--seed S] [--terrain namespaces|proxies] [--base-port N]

Kills, stops and parts real nodes under load for M minutes (1), then checks from outside that they have one chain, that nobody signed
twice, and that all that was acknowledged is with every node. The seed decides what befalls whom, and when. Network namespaces where it is
root, else a proxy between the nodes.
`;
const BOUND_MS = 300_000;
const PUBLISHERS = 4;
const LOAD = { name: 'chaos', paceMs: 250, sizeOf: (nth: number): number => (nth % 20 === 0 ? 1_200_000 : (nth * 7919) % 50_000) };

export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '1' },
      authorities: { type: 'string', default: '7' },
      mirrors: { type: 'string', default: '1' },
      seed: { type: 'string' },
      terrain: { type: 'string' },
      'base-port': { type: 'string', default: '25000' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const terrain = terrainOf(values.terrain);
  if (values.help || terrain === undefined) {
    say(USAGE);
    return values.help ? 0 : 2;
  }
  const seed = Number(values.seed ?? Math.floor(performance.timeOrigin / 1000) % 1_000_000_000);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'cairn-chaos-'));
  say(`seed ${seed}; data and logs in ${folder}`);
  const network = await openChaosNetwork({
    dir: path.join(folder, 'network'),
    authorities: Number(values.authorities),
    mirrors: Number(values.mirrors),
    basePort: Number(values['base-port']),
    terrain,
  });
  const outcome = await attacked(network, { seed, lengthMs: Number(values.minutes) * 60_000 });
  for (const line of summary(outcome)) say(line);
  if (outcome.problems.length > 0) return 1;
  await rm(folder, { recursive: true, force: true });
  return 0;
}

function terrainOf(text: string | undefined): Terrain['kind'] | null | undefined {
  if (text === undefined) return null;
  return text === 'namespaces' || text === 'proxies' ? text : undefined;
}

async function attacked(network: ChaosNetwork, run: { readonly seed: number; readonly lengthMs: number }): Promise<Outcome> {
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => reject(new Error(`ended by ${signal}`)));
  });
  const { localnet, terrain } = network;
  const plan = drawPlan({ ...run, names: localnet.nodes.map((node) => node.name) });
  try {
    const chaos = runChaos(localnet, terrain, { ...run, plan, boundMs: BOUND_MS, publishers: PUBLISHERS, load: LOAD, print: say });
    return await Promise.race([chaos, interrupted]);
  } finally {
    await network.close();
  }
}

function summary(outcome: Outcome): readonly string[] {
  const { struck, convergedMs } = outcome;
  return [
    `${outcome.height} heights, ${outcome.acknowledged} publications acknowledged, ${outcome.downloads} downloads and ${outcome.signed} signed places compared`,
    `${struck.kill} kills, ${struck.pause} pauses, ${struck.part} partitions; converged ${convergedMs === null ? 'never' : `after ${convergedMs} ms`}`,
    ...outcome.problems.slice(0, 20).map((problem) => `PROBLEM ${problem}`),
    outcome.problems.length === 0
      ? 'no fork, no double signature, nothing acknowledged lost, all converged'
      : `${outcome.problems.length} problems; the folder is kept`,
  ];
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
