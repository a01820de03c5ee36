/**
 * One of the processes of catch-up.ts: with `serve FOLDER` it gives the made chain of the folder over libp2p; with `follow FOLDER HEIGHT
 * ADDRESS…` it starts empty and catches up from those peers by the node's own code, then tells how long it took and what it kept in memory.
 */

import '../src/polyfill.ts';
import path from 'node:path';
import { digestToHex } from '../chain/index.ts';
import { openChainStore, openLevelStore } from '../chain/store/index.ts';
import { chainIdOf, generateNodeKeys, loadGenesis } from '../genesis/index.ts';
import { openEd25519Verifier } from '../src/crypto/ed25519.ts';
import { sha256 } from '../src/crypto/sha256.ts';
import { seedSigner } from '../src/crypto/signer.ts';
import { rememberingVerifier } from '../src/crypto/verified-cache.ts';
import { Head } from '../src/ledger/head.ts';
import { openLibp2pNetwork } from '../src/network/libp2p-network.ts';
import type { Logger } from '../src/ports.ts';
import { BlockSync } from '../src/sync/block-sync.ts';
import { systemClock, systemRandom, systemTimers } from '../src/world/clock.ts';
import { chainFolderOf, GENESIS_FILE } from './made-chain.ts';

const MIB = 1024 * 1024;
const [role, folder = '', height = '0', ...addresses] = process.argv.slice(2);
const target = Number(height);

const silent: Logger = { error: say, warn: say, info: () => {}, debug: () => {} };
function say(fields: object, message: string): void {
  process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
}

const genesis = await loadGenesis(path.join(folder, GENESIS_FILE));
const chainId = chainIdOf(genesis);
const keys = generateNodeKeys();
const network = await openLibp2pNetwork(
  { networkSeed: keys.network, chainId: digestToHex(chainId), listen: ['/ip4/127.0.0.1/tcp/0'], peers: addresses, dht: false },
  { clock: systemClock, timers: systemTimers, random: systemRandom, logger: silent },
);
const kv = await openLevelStore(role === 'serve' ? chainFolderOf(folder) : path.join(folder, `follower-${process.pid}`));
const store = await openChainStore({ kv, sha256 }, { chainId, ...genesis });
const verifier = rememberingVerifier(openEd25519Verifier({}, { clock: systemClock, timers: systemTimers }));
const head = new Head({ store, sha256, verifier });
const sync = new BlockSync(
  { chainId, nodeId: null },
  {
    head,
    network,
    verifier,
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom,
    signer: seedSigner(keys),
    log: silent,
    onBehind: () => {},
    isAtWork: () => false,
    fatal: (error) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  },
);

/** What is in use after a collection. */
function usedMiB(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / MIB;
}

let startedMs = 0;
let startedCpu = process.cpuUsage();
let firstMiB = 0;
head.onCommit(({ effects }) => {
  if (startedMs === 0) {
    startedMs = performance.now();
    startedCpu = process.cpuUsage();
  }
  if (effects.height === target / 10) firstMiB = usedMiB();
  if (effects.height !== target) return;
  const seconds = (performance.now() - startedMs) / 1000;
  const { user, system } = process.cpuUsage(startedCpu);
  process.send?.({ seconds, cpuSeconds: (user + system) / 1e6, memoryMiB: { first: firstMiB, last: usedMiB() } });
});
await network.start();
sync.start();
if (role === 'serve') process.send?.({ address: network.addresses()[0] });
