/**
 * What a mirror serves, beside Debian's `docker-registry` holding the same bytes, loaded with the same tool in the same run; and what serving
 * costs a node in memory and in the latency of its commits. One real authority, so that the figures are those of one node and not of four that
 * share the machine. Ends every process that it starts.
 */

import { randomFillSync } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import { request } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { busyPorts, createLocalnet, Localnet, type LocalnetNode } from '../src/localnet/index.ts';
import { commitLatencies } from './commits.ts';
import { type Baseline, startDockerRegistry } from './docker-registry.ts';
import { openClaimMaker } from './endorsed-claims.ts';
import { type LoadFigures, loadTool, runLoad } from './load.ts';
import { quantile } from './table.ts';

const MIB = 1_048_576;
const READY_MS = 60_000;
const ROUNDS = 7;
const ROUND_SECONDS = 1;
const BIG_SECONDS = 10;
const SAMPLES = 100;
const RSS_POLL_MS = 100;

/** Where the node serves what is measured. */
interface MirrorTargets {
  readonly blob: string;
  readonly manifest: string;
  readonly manifestHeaders: Readonly<Record<string, string>>;
}

/** Without docker-registry there is no upstream to have an image from, and nothing to compare with: published files stand for it. */
const GENERIC: MirrorTargets = {
  blob: '/generic/demo/bench/1.0.0/blob',
  manifest: '/generic/demo/bench/1.0.1/manifest',
  manifestHeaders: {},
};
const BIG_BLOB = '/generic/demo/bench/1.0.2/big';

export interface Pair {
  readonly node: number;
  /** NaN without docker-registry. */
  readonly baseline: number;
}

export interface MirrorFigures {
  readonly tool: string;
  readonly hasBaseline: boolean;
  readonly oneConnection: Pair;
  readonly eightConnections: Pair;
  readonly manifests: Pair;
  readonly big: {
    readonly mibPerSecond: number;
    readonly rssBeforeMiB: number;
    readonly rssPeakMiB: number;
    readonly idleCommitMs: number;
    readonly commitMs: number;
    readonly commitSamples: number;
  };
}

export async function measureMirror(dir: string): Promise<MirrorFigures> {
  const [basePort, registryPort] = await freePorts();
  await mkdir(dir, { recursive: true });
  const blob = await writeRandom(path.join(dir, 'blob'), 100);
  const baseline = await startDockerRegistry({ folder: dir, port: registryPort, blob });
  const network = path.join(dir, 'network');
  await createLocalnet({ dir: network, authorities: 1, mirrors: 0, basePort, upstream: baseline?.origin ?? null });
  const localnet = await Localnet.open(network);
  const [node] = localnet.nodes;
  if (node === undefined) throw new Error('a localnet without nodes');
  try {
    localnet.start();
    await localnet.waitUntilConnected({ timeoutMs: READY_MS });
    const targets = baseline === null ? await publishBoth(node, blob) : await requestImage(node, baseline);
    const warm = await throughputs(node, baseline, targets);
    await baseline?.stop();
    return { tool: loadTool(), hasBaseline: baseline !== null, ...warm, big: await bigBlob(localnet, node) };
  } catch (error) {
    process.stderr.write(`${node.process.logTail(5).join('\n')}\n`);
    throw error;
  } finally {
    await baseline?.stop();
    await localnet.stop(10_000);
  }
}

/** The image of the registry, asked for at the node as any client would, and its blob fetched once. */
async function requestImage(node: LocalnetNode, { manifestPath, blobPath, manifestHeaders }: Baseline): Promise<MirrorTargets> {
  for (const target of [manifestPath, blobPath]) {
    const answer = await fetch(urlOf(node, target), { headers: manifestHeaders });
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error(`${node.name} answered ${answer.status} to ${target}`);
  }
  return { blob: blobPath, manifest: manifestPath, manifestHeaders };
}

async function publishBoth(node: LocalnetNode, blob: string): Promise<MirrorTargets> {
  await publish(node, GENERIC.blob, createReadStream(blob, { highWaterMark: MIB }), 100 * MIB);
  await publish(node, GENERIC.manifest, [Buffer.alloc(1500, 'm')], 1500);
  return GENERIC;
}

/** In turns, so that whatever else the machine does falls on both; the median of the rounds. */
async function throughputs(
  node: LocalnetNode,
  baseline: Baseline | null,
  targets: MirrorTargets,
): Promise<Pick<MirrorFigures, 'oneConnection' | 'eightConnections' | 'manifests'>> {
  const blob = {
    node: { url: urlOf(node, targets.blob) },
    baseline: baseline === null ? null : { url: baseline.origin + baseline.blobPath },
  };
  const manifest = {
    node: { url: urlOf(node, targets.manifest), headers: targets.manifestHeaders },
    baseline: baseline === null ? null : { url: baseline.origin + baseline.manifestPath, headers: baseline.manifestHeaders },
  };
  const compare = async (what: typeof blob | typeof manifest, connections: number, of: keyof LoadFigures): Promise<Pair> => {
    const found: { node: number[]; baseline: number[] } = { node: [], baseline: [] };
    for (let round = 0; round < ROUNDS; round += 1) {
      const load = { connections, seconds: ROUND_SECONDS };
      found.node.push((await runLoad({ ...what.node, ...load }))[of]);
      if (what.baseline !== null) found.baseline.push((await runLoad({ ...what.baseline, ...load }))[of]);
    }
    return { node: quantile(found.node, 0.5), baseline: quantile(found.baseline, 0.5) };
  };
  return {
    oneConnection: await compare(blob, 1, 'mibPerSecond'),
    eightConnections: await compare(blob, 8, 'mibPerSecond'),
    manifests: await compare(manifest, 32, 'requestsPerSecond'),
  };
}

/** 2 GiB to eight clients, and commits meanwhile. */
async function bigBlob(localnet: Localnet, node: LocalnetNode): Promise<MirrorFigures['big']> {
  await publish(node, BIG_BLOB, randomBlocks(2048), 2048 * MIB);
  const maker = await openClaimMaker(localnet);
  const idle = await commitLatencies(node, maker, { samples: SAMPLES, boundMs: BIG_SECONDS * 1000 });
  const rssBeforeMiB = await rssMiB(node);
  let rssPeakMiB = rssBeforeMiB;
  const poll = setInterval(() => void rssMiB(node).then((found) => (rssPeakMiB = Math.max(rssPeakMiB, found))), RSS_POLL_MS);
  try {
    const load = runLoad({ url: urlOf(node, BIG_BLOB), connections: 8, seconds: BIG_SECONDS });
    load.catch(() => {});
    const busy = await commitLatencies(node, maker, { samples: SAMPLES, boundMs: (BIG_SECONDS - 2) * 1000 });
    const { mibPerSecond } = await load;
    return { mibPerSecond, rssBeforeMiB, rssPeakMiB, idleCommitMs: idle.p50, commitMs: busy.p50, commitSamples: busy.samples };
  } finally {
    clearInterval(poll);
  }
}

/** PUTs at the node with its own publish token. */
async function publish(
  node: LocalnetNode,
  target: string,
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  sizeBytes: number,
): Promise<void> {
  const token = (await readFile(path.join(node.dataDir, 'publish-token'), 'utf8')).trim();
  const headers = { authorization: `Bearer ${token}`, 'content-length': sizeBytes };
  const asked = request(urlOf(node, target), { method: 'PUT', headers });
  const answered = new Promise<string>((resolve, reject) => {
    asked.on('error', reject).on('response', (answer) => {
      const status = `${answer.statusCode}`;
      answer.resume().on('end', () => resolve(status));
    });
  });
  for await (const chunk of body) if (!asked.write(chunk)) await new Promise((resolve) => asked.once('drain', resolve));
  asked.end();
  const status = await answered;
  if (status !== '201') throw new Error(`${node.name} answered ${status} to the publication of ${target}`);
}

function* randomBlocks(mebibytes: number): Generator<Uint8Array> {
  for (let block = 0; block < mebibytes; block += 1) yield randomFillSync(Buffer.allocUnsafe(MIB));
}

async function writeRandom(file: string, mebibytes: number): Promise<string> {
  const handle = await open(file, 'w');
  for (const block of randomBlocks(mebibytes)) await handle.write(block);
  await handle.close();
  return file;
}

function urlOf(node: LocalnetNode, target: string): string {
  return `http://127.0.0.1:${node.ports.http}${target}`;
}

/** From /proc; NaN where there is none. */
async function rssMiB({ process: { pid } }: LocalnetNode): Promise<number> {
  if (os.platform() !== 'linux') return Number.NaN;
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

async function freePorts(): Promise<readonly [number, number]> {
  for (let base = 21_000; base < 31_000; base += 100) {
    const ports = [0, 1, 2, 3].map((offset) => base + offset);
    if ((await busyPorts([...ports, base + 50])).length === 0) return [base, base + 50];
  }
  throw new Error('found no free block of ports');
}
