/**
 * How real networks learn of nodes that nobody told them of: through the DHT, beginning with one address that need not last, and on a local
 * network by multicast DNS.
 */

import '../../src/polyfill.ts';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import type { Network } from '../../src/ports.ts';
import { openLoopback, until } from './loopback.ts';

const run = promisify(execFile);
/** A network namespace of its own, which ends with its process. */
const ALONE = process.getuid?.() === 0 ? ['--net'] : ['--user', '--map-root-user', '--net'];
const MULTICAST = 'ip link set lo up && ip link set lo multicast on && ip route add 224.0.0.0/4 dev lo';

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

t.test('two that know no address meet by multicast DNS, in a network of their own', async (t) => {
  try {
    await run('unshare', [...ALONE, 'sh', '-c', MULTICAST]);
  } catch (error) {
    t.pass('needs a network namespace', { skip: `no network namespace can be made here: ${String(error).split('\n')[0]}` });
    return;
  }
  const pair = fileURLToPath(new URL('mdns-pair.js', import.meta.url));
  await run('unshare', [...ALONE, 'sh', '-c', `${MULTICAST} && exec "${process.execPath}" "${pair}"`]);
  t.pass('met');
});
