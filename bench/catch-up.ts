/**
 * How fast an empty node catches up, and what it keeps in memory meanwhile: from two processes that hold a made chain, over libp2p, by the
 * node's own code. Beside it, in the same run, what can't be done without: the same number of signatures on the pool, and one synced
 * batch a page.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openLevelStore } from '../chain/store/index.ts';
import { generateNodeKeys } from '../genesis/index.ts';
import { openEd25519Verifier } from '../src/crypto/ed25519.ts';
import { nodeEnvironment } from '../src/localnet/index.ts';
import { systemClock, systemTimers } from '../src/world/clock.ts';
import { endorserOf } from './endorsed-claims.ts';
import { AUTHORITIES, type ChainPlan, ENDORSERS, makeChain } from './made-chain.ts';

const SERVERS = 2;
const PAGE_BLOCKS = 64;
/** Block, certificate, header. */
const KEYS_PER_BLOCK = 3;

export interface CatchUpFigures {
  readonly blocksPerSecond: number;
  /** Blocks a second of nothing but the chain's signatures on the pool and one synced batch a page. */
  readonly floorPerSecond: number;
  /** Processor time a block, of all threads of the follower and of the floor: what other work on the machine hardly changes. */
  readonly cpuMs: { readonly follower: number; readonly floor: number };
  readonly signaturesPerBlock: number;
  /** In use after a collection, in the first tenth of the run and at its end. */
  readonly memoryMiB: { readonly first: number; readonly last: number };
}

interface Followed extends Pick<CatchUpFigures, 'memoryMiB'> {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

export async function measureCatchUp(folder: string, plan: ChainPlan): Promise<CatchUpFigures> {
  const folders = Array.from({ length: SERVERS }, (_, index) => path.join(folder, `server${index}`));
  const [made = folder, ...copies] = folders;
  await mkdir(made, { recursive: true });
  await makeChain(made, plan);
  for (const copy of copies) await cp(made, copy, { recursive: true });
  const children: ChildProcess[] = [];
  try {
    const addresses: string[] = [];
    for (const one of folders) {
      const server = start(children, ['serve', one]);
      addresses.push((await answer<{ address: string }>(server)).address);
    }
    const follower = start(children, ['follow', made, String(plan.blocks), ...addresses]);
    const { seconds, cpuSeconds, memoryMiB } = await answer<Followed>(follower);
    const signaturesPerBlock = plan.claims === 0 ? AUTHORITIES : AUTHORITIES + ENDORSERS;
    for (const child of children.splice(0)) child.kill('SIGKILL');
    const least = await floor(path.join(folder, 'floor'), { blocks: plan.blocks, signaturesPerBlock });
    return {
      blocksPerSecond: (plan.blocks - 1) / seconds,
      floorPerSecond: plan.blocks / least.seconds,
      cpuMs: { follower: (1000 * cpuSeconds) / plan.blocks, floor: (1000 * least.cpuSeconds) / plan.blocks },
      signaturesPerBlock,
      memoryMiB,
    };
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
}

function start(children: ChildProcess[], args: readonly string[]): ChildProcess {
  const file = fileURLToPath(new URL('./catch-up-process.js', import.meta.url));
  const child = fork(file, args, { env: nodeEnvironment(process.env), execArgv: ['--expose-gc'] });
  children.push(child);
  return child;
}

async function answer<T>(child: ChildProcess): Promise<T> {
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`a process of the catch-up ended with exit code ${String(code)}`);
  });
  ended.catch(() => {});
  const [message] = (await Promise.race([once(child, 'message'), ended])) as [T];
  return message;
}

/** Time for the signatures and the synced batches of as many blocks, page by page, one after the other. */
async function floor(
  folder: string,
  chain: { readonly blocks: number; readonly signaturesPerBlock: number },
): Promise<Pick<Followed, 'seconds' | 'cpuSeconds'>> {
  const { signer } = endorserOf(generateNodeKeys());
  const message = Buffer.alloc(150, 3);
  const item = { publicKey: signer.publicKey('consensus'), message, signature: signer.sign('consensus', message) };
  const page = Array.from({ length: PAGE_BLOCKS * chain.signaturesPerBlock }, () => item);
  const verifier = openEd25519Verifier({}, { clock: systemClock, timers: systemTimers });
  const store = await openLevelStore(folder);
  const started = performance.now();
  const startedCpu = process.cpuUsage();
  for (let block = 0; block < chain.blocks; block += PAGE_BLOCKS) {
    await verifier.verifyMany(page);
    const keys = Array.from({ length: PAGE_BLOCKS * KEYS_PER_BLOCK }, (_, index) => `${index % KEYS_PER_BLOCK}/${block + index}`);
    await store.write(keys.map((key) => ({ key, value: Buffer.alloc(500, 1) })));
  }
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(startedCpu);
  await store.close();
  await verifier.close();
  return { seconds, cpuSeconds: (user + system) / 1e6 };
}
