/**
 * How real networks find and keep each other: bootstrap lists with dead entries, peers that come back, messages passed on, big answers.
 */

import '../../src/polyfill.ts';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { publicKeyOfSeed } from '../../src/crypto/signer.ts';
import { parseAddressList } from '../../src/network/address-list.ts';
import { HERE_AGAIN_MS } from '../../src/network/twin-watch.ts';
import type { Network, Timers } from '../../src/ports.ts';
import { systemRandom, systemTimers } from '../../src/world/clock.ts';
import { openLoopback, until } from './loopback.ts';

const DEAD = [
  '/ip4/127.0.0.1/tcp/1',
  'not an address at all',
  '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWJ5RN5ava4C4eXabEhvahV1bass4DyGrGQ7MJEubPEHCa',
];

type Options = Parameters<typeof openLoopback>[0];

async function started(t: Test, options: Options = {}, prepare: (network: Network) => void = () => {}): Promise<Network> {
  const network = await openLoopback(options);
  prepare(network);
  await network.start();
  t.teardown(() => network.stop());
  return network;
}

t.test('identity: the peer id is that of the key made from the seed', async (t) => {
  const networkSeed = systemRandom.bytes(32);
  const network = await openLoopback({ networkSeed });
  t.equal(network.peerId, network.peerIdOf(publicKeyOfSeed(networkSeed)));
  t.match(network.peerId, /^12D3KooW/);
});

t.test('bootstrap: dead and foul entries and its own address are passed over', async (t) => {
  const first = await started(t);
  const networkSeed = systemRandom.bytes(32);
  const own = (await openLoopback({ networkSeed })).peerId;
  const bootstrap = [...DEAD, `/ip4/127.0.0.1/tcp/1/p2p/${own}`, 'http://127.0.0.1:1/list', ...first.addresses()];
  const second = await started(t, { networkSeed, bootstrap });
  await until(() => second.peers().length === 1 && first.peers().length === 1);
  t.equal(second.peers()[0]?.peerId, first.peerId);
  t.equal(second.peers()[0]?.direction, 'outbound');
  t.equal(first.peers()[0]?.direction, 'inbound');
});

t.test('bootstrap: a URL lists the addresses', async (t) => {
  const first = await started(t);
  const server = createServer((_request, response) => response.end(`# nodes\n${DEAD.join('\n')}\n${first.addresses().join('\n')}\n`));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/nodes`;
  const second = await started(t, { bootstrap: [url] });
  await until(() => second.peers().length === 1);
  t.equal(second.peers()[0]?.peerId, first.peerId);
});

t.test('address list: lines or JSON, nothing else passes', (t) => {
  t.same(parseAddressList('# hi\n/ip4/1.2.3.4/tcp/5 # note\n\nfile:///etc\n'), ['/ip4/1.2.3.4/tcp/5']);
  t.same(parseAddressList(' ["/dns4/a.example/tcp/1", 7, "x", null]'), ['/dns4/a.example/tcp/1']);
  t.same(parseAddressList('<html>'), []);
  t.throws(() => parseAddressList('[broken'));
  t.end();
});

t.test('peers: one that restarts is noticed and connected again, by list and by bootstrap', async (t) => {
  const networkSeed = systemRandom.bytes(32);
  const first = await openLoopback({ networkSeed });
  await first.start();
  const address = first.addresses()[0] ?? '';
  const events: string[] = [];
  const watch = (network: Network): void => network.onPeerChange((peerId, connected) => events.push(`${connected ? '+' : '-'}${peerId}`));
  const byList = await started(t, { peers: [address] }, watch);
  const byBootstrap = await started(t, { bootstrap: [address] });
  await until(() => [byList, byBootstrap].every((network) => network.peers().some((peer) => peer.peerId === first.peerId)));
  await first.stop();
  await until(() => events.includes(`-${first.peerId}`));
  const again = await started(t, { networkSeed, listen: [address.replace(/\/p2p\/.*/, '')] });
  await until(() => [byList, byBootstrap].every((network) => network.peers().some((peer) => peer.peerId === again.peerId)));
  t.equal(again.peerId, first.peerId);
  t.equal(events.filter((event) => event === `+${first.peerId}`).length, 2);
});

t.test('start and stop: twice the same network, and a second start in between is refused', async (t) => {
  const first = await started(t);
  const network = await openLoopback({ peers: first.addresses() });
  for (const round of [1, 2]) {
    await network.start();
    await t.rejects(network.start(), RangeError);
    await until(() => network.peers().length === 1);
    await network.stop();
    t.same(network.peers(), [], `stopped, round ${round}`);
    await t.rejects(network.publish('topic', new Uint8Array(1)), { code: 'stopped' });
    await t.rejects(network.request(first.peerId, '/x', new Uint8Array(1), { timeoutMs: 1000, maxResponseBytes: 1 }), { code: 'stopped' });
  }
});

t.test('listen: a busy port rejects in one line, and leaves nothing behind', async (t) => {
  const first = await started(t);
  const second = await openLoopback({ listen: [(first.addresses()[0] ?? '').replace(/\/p2p\/.*/, '')] });
  await t.rejects(second.start(), {
    code: 'cannot-listen',
    message: /^expected to listen for peers on \/ip4\/127.* another process holds that port/,
  });
  t.same(second.addresses(), []);
});

t.test('gossip: what a node in the middle accepts is passed on, what it ignores is not', async (t) => {
  const topic = '/cairn/test/relay/1';
  const heard: string[] = [];
  const text = (message: Uint8Array): string => Buffer.from(message).toString();
  const middle = await started(t, { dht: false }, (network) =>
    network.subscribe(topic, (_from, message) => (text(message).startsWith('good') ? 'accept' : 'ignore')),
  );
  const sender = await started(t, { dht: false, peers: middle.addresses() }, (network) => network.subscribe(topic, () => 'accept'));
  const hearer = await started(t, { dht: false, peers: middle.addresses() }, (network) =>
    network.subscribe(topic, (from, message) => {
      heard.push(`${from} ${text(message)}`);
      return 'accept';
    }),
  );
  await until(() => middle.peers().length === 2);
  for (let count = 0; heard.length < 3; count += 1) {
    await sender.publish(topic, Buffer.from(`bad ${count}`));
    await sender.publish(topic, Buffer.from(`good ${count}`));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  t.ok(heard.every((entry) => entry.startsWith(`${middle.peerId} good`)));
  t.equal(hearer.peers().length, 1);
});

t.test('requests: many large answers at once arrive whole', async (t) => {
  const protocol = '/cairn/test/large/1';
  const size = 5 * 1024 * 1024;
  const server = await started(t, {}, (network) =>
    network.handle(protocol, { maxRequestBytes: 1, maxConcurrent: 16 }, async (_peerId, body) => new Uint8Array(size).fill(body[0] ?? 0)),
  );
  const client = await started(t, { peers: server.addresses() });
  await until(() => client.peers().length === 1);
  const ask = (value: number): Promise<Uint8Array> =>
    client.request(server.peerId, protocol, new Uint8Array([value]), { timeoutMs: 60_000, maxResponseBytes: size });
  const answers = await Promise.all(Array.from({ length: 12 }, (_, index) => ask(index)));
  t.ok(answers.every((answer, index) => answer.length === size && answer[0] === index && answer[size - 1] === index));
});

t.test('duplicate key: the second node with a key learns of the first from a common peer, a restarted one hears nothing', async (t) => {
  const networkSeed = systemRandom.bytes(32);
  const common = await started(t);
  const reports: string[] = [];
  const twin = (name: string): ReturnType<typeof openLoopback> =>
    openLoopback({ networkSeed, peers: common.addresses() }, { onDuplicateSelf: () => reports.push(name) });
  for (const name of ['first', 'restarted']) {
    const alone = await twin(name);
    await alone.start();
    await until(() => alone.peers().length === 1);
    await alone.ping(common.peerId);
    await alone.stop();
  }
  t.same(reports, []);
  const first = await twin('first');
  await first.start();
  t.teardown(() => first.stop());
  await until(() => first.peers().length === 1);
  await first.ping(common.peerId);
  const second = await twin('second');
  await second.start();
  t.teardown(() => second.stop());
  await until(() => reports.length > 0);
  t.same(reports, ['second'], 'only the younger is told');
  t.equal(common.peers().length, 1, 'the common peer knows one id');
});

t.test('duplicate key: the second node learns of the first also where it was at the common peer before it', async (t) => {
  const networkSeed = systemRandom.bytes(32);
  const common = await started(t);
  const reports: string[] = [];
  const hurried: Timers = { set: (delayMs, callback) => systemTimers.set(delayMs === HERE_AGAIN_MS ? 50 : delayMs, callback) };
  const twin = (name: string): ReturnType<typeof openLoopback> =>
    openLoopback({ networkSeed, peers: common.addresses() }, { timers: hurried, onDuplicateSelf: () => reports.push(name) });
  const first = await twin('first');
  const second = await twin('second');
  for (const one of [second, first]) {
    await one.start();
    t.teardown(() => one.stop());
    await until(() => one.peers().length === 1);
    await one.ping(common.peerId);
  }
  await until(() => reports.includes('second'));
});
