/**
 * Real libp2p networks on loopback with ports the system chooses, for the tests of this folder.
 */

import '../../src/polyfill.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { type Libp2pNetworkDeps, type Libp2pNetworkOptions, openLibp2pNetwork } from '../../src/network/libp2p-network.ts';
import type { Logger, Network } from '../../src/ports.ts';
import { systemClock, systemRandom, systemTimers } from '../../src/world/clock.ts';
import type { MakeNetworks } from './contract.ts';

export const CHAIN_ID: string = `${'c0ffee'.repeat(10)}abcd`;

const WAIT_MS = 120_000;

export const silentLogger: Logger = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };

export function openLoopback(options: Partial<Libp2pNetworkOptions> = {}, deps: Partial<Libp2pNetworkDeps> = {}): Promise<Network> {
  return openLibp2pNetwork(
    { networkSeed: systemRandom.bytes(32), chainId: CHAIN_ID, listen: ['/ip4/127.0.0.1/tcp/0'], ...options },
    { clock: systemClock, timers: systemTimers, random: systemRandom, logger: silentLogger, ...deps },
  );
}

/** Looks every few milliseconds. A wait in vain ends by itself, long before the runner's limit, and says what it was for. */
export async function until(condition: () => boolean): Promise<void> {
  for (const endMs = systemClock.nowMs() + WAIT_MS; !condition(); await delay(5)) {
    if (systemClock.nowMs() > endMs) throw new Error(`waited ${WAIT_MS / 1000} s in vain for ${String(condition)}`);
  }
}

/** Each dials all that came before it. */
export const makeLoopbackNetworks: MakeNetworks = async (count, prepare) => {
  const networks: Network[] = [];
  for (let index = 0; index < count; index += 1) {
    const network = await openLoopback({ peers: networks.flatMap((earlier) => [...earlier.addresses()]) });
    prepare(network, index);
    await network.start();
    networks.push(network);
  }
  await until(() => networks.every((network) => network.peers().length === count - 1));
  return {
    networks,
    until,
    drive: (work) => work,
    close: async () => {
      await Promise.all(networks.map((network) => network.stop()));
    },
  };
};
