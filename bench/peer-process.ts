/** One of the four processes of floor.ts: the node's libp2p network with one topic, and nothing else. Ended by its parent. */

import '../src/polyfill.ts';
import { openLibp2pNetwork } from '../src/network/libp2p-network.ts';
import type { Logger } from '../src/ports.ts';
import { systemClock, systemRandom, systemTimers } from '../src/world/clock.ts';

const TOPIC = 'floor';
const ANSWERER = 1;
const [index = '0', ...peers] = process.argv.slice(2);
const own = Number(index);
const silent: Logger = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };

const network = await openLibp2pNetwork(
  { networkSeed: systemRandom.bytes(32), chainId: 'f1'.repeat(32), listen: ['/ip4/127.0.0.1/tcp/0'], peers, dht: false },
  { clock: systemClock, timers: systemTimers, random: systemRandom, logger: silent },
);
let onAnswer: () => void = () => {};

/** 200 bytes: a kind, a number, and chance, as a signed vote has. */
function message(kind: number, number: number): Uint8Array {
  const bytes = systemRandom.bytes(200);
  bytes[0] = kind;
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(1, number);
  return bytes;
}

network.subscribe(TOPIC, (_from, bytes) => {
  const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  if (bytes[0] === 1 && own === ANSWERER) void network.publish(TOPIC, message(2, number));
  if (bytes[0] === 2) onAnswer();
  return 'accept';
});
await network.start();
process.send?.({ address: network.addresses()[0] });

process.on('message', (order: { readonly count: number; readonly peers: number }) => {
  measure(order).then(
    (roundTripsMs) => process.send?.({ roundTripsMs }),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});

async function measure({ count, peers: wanted }: { readonly count: number; readonly peers: number }): Promise<readonly number[]> {
  while (network.peers().length < wanted) await pause(50);
  await pause(2000);
  const roundTripsMs: number[] = [];
  for (let number = 0; number < count; number += 1) {
    const answered = new Promise<boolean>((resolve) => {
      onAnswer = () => resolve(true);
      setTimeout(() => resolve(false), 1000);
    });
    const started = performance.now();
    await network.publish(TOPIC, message(1, number));
    if (await answered) roundTripsMs.push(performance.now() - started);
    await pause(5);
  }
  return roundTripsMs;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
