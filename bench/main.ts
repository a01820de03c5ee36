/**
 * `npm run bench`: measures primitives, the floor of a commit, a real network of four authorities, a serving node and a node that catches up;
 * prints one table and writes the figures to .cairn/bench.json. Bounded to about six minutes. Never fails for a slow figure: it says what was
 * wished and what came.
 */

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type CatchUpFigures, measureCatchUp } from './catch-up.ts';
import { type CommitFigures, measureCommits } from './commits.ts';
import { type Floor, floorOf, measureFloor } from './floor.ts';
import { type MirrorFigures, measureMirror, type Pair } from './mirror.ts';
import { measurePrimitives } from './primitives.ts';
import { type Figure, formatFigures } from './table.ts';

const USAGE = 'usage: npm run bench -- [--only primitives|floor|network|mirror|catch-up]\n';
const PARTS = ['primitives', 'floor', 'network', 'mirror', 'catch-up'] as const;

/** Resolves with the exit code. */
export async function main(args: readonly string[], { root }: { readonly root: string }): Promise<number> {
  const only = partOf(args);
  if (only === undefined) {
    process.stderr.write(USAGE);
    return 2;
  }
  const wanted = (part: (typeof PARTS)[number]): boolean => only === null || only === part;
  const folder = await mkdtemp(path.join(os.tmpdir(), 'cairn-bench-'));
  const figures: Figure[] = [];
  try {
    if (wanted('primitives')) figures.push(...(await progress('primitives', measurePrimitives())));
    const floor = wanted('floor') || wanted('network') ? await progress('the floor of a commit', measureFloor(folder)) : null;
    if (floor !== null) figures.push(...floorFigures(floor));
    if (floor !== null && wanted('network')) {
      figures.push(...networkFigures(await progress('four authorities', measureCommits(path.join(folder, 'network'))), floor));
    }
    if (wanted('mirror')) {
      figures.push(...mirrorFigures(await progress('a mirror beside docker-registry', measureMirror(path.join(folder, 'mirror')))));
    }
    if (wanted('catch-up')) figures.push(...(await catchUps(path.join(folder, 'catch-up'))));
    figures.push(...(await testTime(root)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const machine = `Node ${process.versions.node}, ${os.platform()} ${os.arch()}, ${os.cpus().length} × ${os.cpus()[0]?.model ?? 'unknown'}`;
  process.stdout.write(`\n${machine}, load ${os.loadavg()[0]?.toFixed(1)}\n\n${formatFigures(figures)}\n`);
  await mkdir(path.join(root, '.cairn'), { recursive: true });
  await writeFile(path.join(root, '.cairn', 'bench.json'), `${JSON.stringify({ machine, figures }, null, 2)}\n`);
  return 0;
}

/** Null for all, undefined for a bad argument. */
function partOf(args: readonly string[]): (typeof PARTS)[number] | null | undefined {
  try {
    const { only } = parseArgs({ args: [...args], options: { only: { type: 'string' } } }).values;
    return only === undefined ? null : PARTS.find((part) => part === only);
  } catch {
    return undefined;
  }
}

async function progress<T>(what: string, work: Promise<T>): Promise<T> {
  const started = performance.now();
  process.stderr.write(`bench: ${what} …\n`);
  const result = await work;
  process.stderr.write(`bench: ${what}: ${((performance.now() - started) / 1000).toFixed(1)} s\n`);
  return result;
}

function floorFigures(floor: Floor): readonly Figure[] {
  const spread = (name: string, { p50, p99 }: { readonly p50: number; readonly p99: number }): readonly Figure[] => [
    { name: `${name}, p50`, value: p50, unit: 'ms' },
    { name: `${name}, p99`, value: p99, unit: 'ms' },
  ];
  return [
    ...spread('one delivery over libp2p gossip', floor.deliveryMs),
    ...spread('one append and fdatasync', floor.appendMs),
    ...spread('one synced batch, 1 claim', floor.blockMs),
    ...spread('one synced batch, 500 claims', floor.bigBlockMs),
  ];
}

function networkFigures(commits: CommitFigures, floor: Floor): readonly Figure[] {
  const floorMs = floorOf(floor, 'p50');
  const bigBlockMs = floorMs - floor.blockMs.p50 + floor.bigBlockMs.p50;
  const ofFloor = { name: '3 deliveries + 3 appends + 1 batch', value: floorMs };
  return [
    {
      name: `commit latency p50 (${commits.latencyMs.samples} commits)`,
      value: commits.latencyMs.p50,
      unit: 'ms',
      floor: ofFloor,
      wish: { atMost: 60 },
    },
    {
      name: 'commit latency p99',
      value: commits.latencyMs.p99,
      unit: 'ms',
      floor: { name: 'the same at p99', value: floorOf(floor, 'p99') },
      wish: { atMost: 250 },
    },
    {
      name: 'endorsed claims committed',
      value: commits.claimsPerSecond,
      unit: '/s',
      floor: { name: '500 claims in each floor of a block', value: (500 * 1000) / bigBlockMs },
      wish: { atLeast: 1000 },
    },
    { name: 'claims a block under load', value: commits.claimsPerBlock, unit: '' },
    { name: 'commit latency p50 under load', value: commits.loadLatencyMs.p50, unit: 'ms' },
    { name: 'commit latency p99 under load', value: commits.loadLatencyMs.p99, unit: 'ms' },
    { name: 'memory of an idle node (RSS)', value: commits.idleRssMiB, unit: 'MiB', wish: { atMost: 150 } },
    { name: 'memory of a node after the load (RSS)', value: commits.loadedRssMiB, unit: 'MiB' },
  ];
}

function mirrorFigures({ tool, hasBaseline, big, ...warm }: MirrorFigures): readonly Figure[] {
  if (!hasBaseline) process.stderr.write('bench: docker-registry is not installed: nothing to compare a mirror with\n');
  const beside = (name: string, { node, baseline }: Pair, unit: string, ratioAtLeast: number): Figure => {
    const figure = { name: `${name} (${tool})`, value: node, unit };
    return hasBaseline ? { ...figure, floor: { name: 'docker-registry', value: baseline }, wish: { ratioAtLeast } } : figure;
  };
  return [
    beside('warm 100 MiB, 1 connection', warm.oneConnection, 'MiB/s', 0.85),
    beside('warm 100 MiB, 8 connections', warm.eightConnections, 'MiB/s', 1.1),
    beside('small answers, 32 connections', warm.manifests, '/s', 5),
    { name: `2 GiB to 8 clients (${tool})`, value: big.mibPerSecond, unit: 'MiB/s' },
    { name: 'memory of the node before it (RSS)', value: big.rssBeforeMiB, unit: 'MiB' },
    { name: 'memory of the node at its peak (RSS)', value: big.rssPeakMiB, unit: 'MiB', wish: { atMost: 300 } },
    {
      name: `commit latency p50 meanwhile (${big.commitSamples} commits)`,
      value: big.commitMs,
      unit: 'ms',
      floor: { name: 'the same node when idle', value: big.idleCommitMs },
      wish: { ratioAtMost: 3 },
    },
  ];
}

/** Blocks that hold nothing but their certificate, and blocks with a claim, its three endorsements and their index entries. */
async function catchUps(folder: string): Promise<readonly Figure[]> {
  const bare = await progress('catching up, bare blocks', measureCatchUp(path.join(folder, 'bare'), { blocks: 10_000, claims: 0 }));
  const full = await progress('catching up, blocks with a claim', measureCatchUp(path.join(folder, 'full'), { blocks: 2_000, claims: 1 }));
  const speed = (name: string, { blocksPerSecond, floorPerSecond }: CatchUpFigures): Figure => ({
    name,
    value: blocksPerSecond,
    unit: '/s',
    floor: { name: 'their signatures and a synced batch a page', value: floorPerSecond },
  });
  const cpu = (name: string, { cpuMs }: CatchUpFigures): Figure => ({
    name: `processor time a block caught up, ${name}`,
    value: cpuMs.follower,
    unit: 'ms',
    floor: { name: 'the same without the node', value: cpuMs.floor },
  });
  const { first, last } = bare.memoryMiB;
  return [
    { ...speed(`blocks caught up, ${bare.signaturesPerBlock} signatures each`, bare), wish: { atLeast: 1500 } },
    speed(`blocks caught up, a claim and ${full.signaturesPerBlock} signatures each`, full),
    cpu('bare', bare),
    cpu('with a claim', full),
    {
      name: 'memory in use after 10,000 blocks',
      value: last,
      unit: 'MiB',
      floor: { name: 'after 1,000', value: first },
      wish: { ratioAtMost: 1.5 },
    },
  ];
}

/** How long the last `npm test` took, as it noted itself; nothing when there was none. */
async function testTime(root: string): Promise<readonly Figure[]> {
  try {
    const { seconds } = JSON.parse(await readFile(path.join(root, '.cairn', 'test-time.json'), 'utf8')) as { readonly seconds: number };
    return [{ name: 'last npm test', value: seconds, unit: 's', wish: { atMost: 600 } }];
  } catch {
    return [];
  }
}
