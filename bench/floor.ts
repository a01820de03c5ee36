/**
 * What a commit can't do without, measured beside it: three deliveries (proposal, prevote, precommit) over the same libp2p among four
 * processes, and the syncs in between. Uses the node's own network and store code, and none of its consensus.
 */

import '../src/polyfill.ts';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openLevelStore } from '../chain/store/index.ts';
import { nodeEnvironment } from '../src/localnet/index.ts';
import { quantile } from './table.ts';

const WARM_UP = 30;
const DELIVERIES = 200;
const SYNCS = 200;
const OTHERS = 3;

export interface Floor {
  /** One 200-byte message published → seen by another process. */
  readonly deliveryMs: { readonly p50: number; readonly p99: number };
  /** One 200-byte append and fdatasync, as a sign state or log needs it. */
  readonly appendMs: { readonly p50: number; readonly p99: number };
  /** One synced batch of twelve small keys, about a block with one claim. */
  readonly blockMs: { readonly p50: number; readonly p99: number };
  /** One synced batch for a block of 500 claims. */
  readonly bigBlockMs: { readonly p50: number; readonly p99: number };
}

export async function measureFloor(folder: string): Promise<Floor> {
  return {
    deliveryMs: spread(await deliveries()),
    appendMs: spread(await appends(path.join(folder, 'append'))),
    blockMs: spread(await batches(path.join(folder, 'small'), 12, SYNCS)),
    bigBlockMs: spread(await batches(path.join(folder, 'big'), 1500, 40)),
  };
}

/** Three deliveries, three appends (proposal, prevote, precommit are written before they leave) and one block. */
export function floorOf(floor: Floor, at: 'p50' | 'p99'): number {
  return 3 * floor.deliveryMs[at] + 3 * floor.appendMs[at] + floor.blockMs[at];
}

function spread(values: readonly number[]): { readonly p50: number; readonly p99: number } {
  return { p50: quantile(values, 0.5), p99: quantile(values, 0.99) };
}

interface Peer {
  readonly child: ChildProcess;
  readonly address: string;
}

/** Four processes in a full mesh; one asks, one answers: half a round trip is a delivery. */
async function deliveries(): Promise<readonly number[]> {
  const peers: Peer[] = [];
  try {
    for (let index = 0; index <= OTHERS; index += 1) peers.push(await startPeer(peers, index));
    const [asker] = peers;
    if (asker === undefined) throw new Error('no peer was started');
    asker.child.send({ kind: 'measure', count: WARM_UP + DELIVERIES, peers: OTHERS });
    const { roundTripsMs } = await answer<{ roundTripsMs: readonly number[] }>(asker.child);
    return roundTripsMs.slice(WARM_UP).map((roundTrip) => roundTrip / 2);
  } finally {
    for (const { child } of peers) child.kill('SIGKILL');
  }
}

async function startPeer(earlier: readonly Peer[], index: number): Promise<Peer> {
  const file = fileURLToPath(new URL('./peer-process.js', import.meta.url));
  const child = fork(file, [String(index), ...earlier.map((peer) => peer.address)], { env: nodeEnvironment(process.env) });
  const { address } = await answer<{ address: string }>(child);
  return { child, address };
}

async function answer<T>(child: ChildProcess): Promise<T> {
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`a peer process ended with exit code ${String(code)}`);
  });
  ended.catch(() => {});
  const [message] = (await Promise.race([once(child, 'message'), ended])) as [T];
  return message;
}

async function appends(file: string): Promise<readonly number[]> {
  const handle = await open(file, 'a');
  const record = Buffer.alloc(200, 7);
  const times: number[] = [];
  for (let count = 0; count < SYNCS; count += 1) {
    const started = performance.now();
    await handle.write(record);
    await handle.datasync();
    times.push(performance.now() - started);
  }
  await handle.close();
  return times;
}

async function batches(folder: string, keys: number, count: number): Promise<readonly number[]> {
  const store = await openLevelStore(folder);
  const times: number[] = [];
  for (let block = 0; block < count; block += 1) {
    const puts = Array.from({ length: keys }, (_, index) => ({
      key: `${String(block).padStart(12, '0')}/${(index * 7919) % keys}`,
      value: Buffer.alloc(100, index),
    }));
    const started = performance.now();
    await store.write(puts);
    times.push(performance.now() - started);
  }
  await store.close();
  return times;
}
