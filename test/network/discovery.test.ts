/** How real networks learn of nodes that nobody told them of: through the DHT, beginning with one address that need not last. */

import '../../src/polyfill.ts';
import t, { type Test } from 'tap';
import type { Network } from '../../src/ports.ts';
import { openLoopback, until } from './loopback.ts';

async function started(t: Test, bootstrap: readonly string[]): Promise<Network> {
  const network = await openLoopback({ bootstrap });
  await network.start();
  t.teardown(() => network.stop());
  return network;
}

function areMet(networks: readonly Network[]): boolean {
  return networks.every((one) => networks.every((other) => one === other || one.peers().some(({ peerId }) => peerId === other.peerId)));
}

t.test('all learn of all through one bootstrap node; without it they live on and take in a new node', async (t) => {
  const bootstrap = await openLoopback();
  await bootstrap.start();
  const addresses = bootstrap.addresses();
  const nodes = [await started(t, addresses), await started(t, addresses), await started(t, addresses)];
  await until(() => areMet([bootstrap, ...nodes]));
  await bootstrap.stop();
  await until(() => nodes.every((one) => one.peers().length === nodes.length - 1));
  t.ok(areMet(nodes), 'the others are still connected with each other');
  const newcomer = await started(t, [...addresses, ...(nodes[0]?.addresses() ?? [])]);
  await until(() => areMet([newcomer, ...nodes]));
  t.pass('who knows one of them gets to know all');
});
