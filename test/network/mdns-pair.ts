/** A process with two networks that nobody told of each other: ends with 0 once they have met by multicast DNS. */

import { openLoopback, until } from './loopback.ts';

const options = { mdns: true, dht: false };
const networks = [await openLoopback(options), await openLoopback(options)];
for (const network of networks) await network.start();
await until(() => networks.every((network) => network.peers().length === 1));
for (const network of networks) await network.stop();
