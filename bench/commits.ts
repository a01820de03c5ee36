/**
 * Commit latency and endorsed claims a second on a real network of four authorities, each a process of its own: sealed transactions are
 * handed to node1's admin API, which answers when they are committed there. Ends every process that it starts.
 */

import { readFile } from 'node:fs/promises';
import os from 'node:os';
import { busyPorts, createLocalnet, Localnet, type LocalnetNode } from '../src/localnet/index.ts';
import { type ClaimMaker, openClaimMaker } from './endorsed-claims.ts';
import { quantile } from './table.ts';

const WARM_UP = 20;
const SAMPLES = 200;
const LATENCY_BOUND_MS = 40_000;
const IDLE_MS = 5000;
const LOAD_MS = 15_000;
const LOAD_CLAIMS = 200;
const LOAD_IN_FLIGHT = 8;
const ANSWER_MS = 60_000;
const READY_MS = 60_000;

export interface CommitFigures {
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly samples: number };
  readonly claimsPerSecond: number;
  readonly loadLatencyMs: { readonly p50: number; readonly p99: number };
  readonly claimsPerBlock: number;
  /** Largest of the four, before any load. */
  readonly idleRssMiB: number;
  readonly loadedRssMiB: number;
}

export async function measureCommits(dir: string): Promise<CommitFigures> {
  await createLocalnet({ dir, authorities: 4, mirrors: 0, basePort: await freeBasePort() });
  const localnet = await Localnet.open(dir);
  try {
    localnet.start();
    await localnet.waitUntilConnected({ timeoutMs: READY_MS });
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    const idleRssMiB = await largestRss(localnet);
    const [node] = localnet.nodes;
    if (node === undefined) throw new Error('a localnet without nodes');
    const maker = await openClaimMaker(localnet);
    const latencyMs = await commitLatencies(node, maker, { samples: SAMPLES, boundMs: LATENCY_BOUND_MS });
    const load = await throughput(node, maker);
    return { latencyMs, ...load, idleRssMiB, loadedRssMiB: await largestRss(localnet) };
  } catch (error) {
    for (const node of localnet.nodes) process.stderr.write(`${node.name}:\n${node.process.logTail(5).join('\n')}\n`);
    throw error;
  } finally {
    await localnet.stop(10_000);
  }
}

async function freeBasePort(): Promise<number> {
  for (let base = 21_000; base < 31_000; base += 100) {
    const ports = [0, 10, 20, 30].flatMap((node) => [0, 1, 2, 3].map((offset) => base + node + offset));
    if ((await busyPorts(ports)).length === 0) return base;
  }
  throw new Error('found no free block of ports');
}

/** Milliseconds from the submission to the answer that it is committed on that node. */
async function submit(node: LocalnetNode, bytes: Uint8Array): Promise<number> {
  const started = performance.now();
  await node.admin.post('/submit', bytes, 'application/cbor', ANSWER_MS);
  return performance.now() - started;
}

/** One claim at a time; as many as fit into the bound. */
export async function commitLatencies(
  node: LocalnetNode,
  maker: ClaimMaker,
  { samples, boundMs }: { readonly samples: number; readonly boundMs: number },
): Promise<CommitFigures['latencyMs']> {
  const deadline = performance.now() + boundMs;
  const times: number[] = [];
  for (let count = 0; count < WARM_UP + samples && performance.now() < deadline; count += 1) {
    const time = await submit(node, maker.make(1).bytes);
    if (count >= WARM_UP) times.push(time);
  }
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), samples: times.length };
}

/** Batches, some always in flight; what was committed within the time counts. */
async function throughput(
  node: LocalnetNode,
  maker: ClaimMaker,
): Promise<Pick<CommitFigures, 'claimsPerSecond' | 'loadLatencyMs' | 'claimsPerBlock'>> {
  const heightBefore = (await node.admin.status()).chain.height;
  const started = performance.now();
  const deadline = started + LOAD_MS;
  const times: number[] = [];
  const worker = async (): Promise<void> => {
    while (performance.now() < deadline) times.push(await submit(node, maker.make(LOAD_CLAIMS).bytes));
  };
  await Promise.all(Array.from({ length: LOAD_IN_FLIGHT }, worker));
  const seconds = (performance.now() - started) / 1000;
  const blocks = (await node.admin.status()).chain.height - heightBefore;
  const claims = times.length * LOAD_CLAIMS;
  return {
    claimsPerSecond: claims / seconds,
    loadLatencyMs: { p50: quantile(times, 0.5), p99: quantile(times, 0.99) },
    claimsPerBlock: claims / Math.max(1, blocks),
  };
}

/** From /proc; NaN where there is none. */
async function largestRss(localnet: Localnet): Promise<number> {
  if (os.platform() !== 'linux') return Number.NaN;
  const sizes = localnet.nodes.map(async ({ process: { pid } }) => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
  });
  return Math.max(...(await Promise.all(sizes)));
}
