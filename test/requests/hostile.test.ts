/** What hostile upstreams, clients and authorities try with requests, in the virtual world; each test is named by the rule that holds. */

import t from 'tap';
import { decode, encode, refusalMessage } from '../../chain/index.ts';
import { localnetPolicy } from '../../genesis/index.ts';
import { topicOf } from '../../src/channels.ts';
import { fatals } from '../world/watch.ts';
import { ask, MINUTE_MS, scene, subject, tagOn } from './scene.ts';

t.test('an image too large for a transaction is refused, and its author is not taken for a liar', async (t) => {
  const { world, registry, mirror } = await scene(t, { parameters: { maxTransactionBytes: 8192 } });
  const more = Array.from({ length: 50 }, (_, index) => registry.blob(new TextEncoder().encode(`part ${index}`), 'application/x'));
  registry.image('huge', { tag: '1', more });
  t.match(await ask(world, mirror, '1'), { kind: 'refused', reason: /bytes/ });
  t.same(world.air.penalties, []);
  t.same(fatals(world), []);
});

t.test('an image with a layer that was removed from the network is refused', async (t) => {
  const { world, registry, mirror } = await scene(t);
  const bad = registry.image('bad', { tag: '1' });
  t.equal((await ask(world, mirror, '1')).kind, 'committed');
  const layer = registry.blob(bad.layer, 'application/vnd.oci.image.layer.v1.tar');
  for (const one of world.authorities()) void one.node?.operations.markRemoval(layer.digest, 'malware');
  t.ok(await world.time.until(() => mirror.node?.ledger.name(subject('1'), '1') !== null && isBanned(), MINUTE_MS));
  function isBanned(): boolean {
    const target = mirror.node?.ledger.name(subject('1'), '1');
    return target !== null && target !== undefined && mirror.node?.ledger.lookUp(target)?.kind === 'removed';
  }
  registry.image('other', { tag: 'other', more: [layer] });
  t.match(await ask(world, mirror, 'other'), { kind: 'refused', reason: /banned/ });
  t.equal(tagOn(mirror, 'other'), null);
});

t.test('an image that lies about the size of a layer does not harm another that has the layer too', async (t) => {
  const { world, registry, mirror } = await scene(t);
  const base = new TextEncoder().encode('base '.repeat(5000));
  const layer = registry.blob(base, 'application/vnd.oci.image.layer.v1.tar');
  registry.image('liar', { tag: 'liar', more: [{ ...layer, size: layer.size + 1 }] });
  registry.image('good', { tag: 'good', more: [layer] });
  const requests = mirror.node?.requests;
  const lying = requests?.request(subject('liar'), { signal: new AbortController().signal });
  t.equal((await ask(world, mirror, 'good')).kind, 'committed');
  t.equal((await lying)?.kind, 'pending', 'and does not come in with the right one');
  t.equal(tagOn(mirror, 'liar'), null);
});

t.test('images that never come do not hold up another image of the same asker', async (t) => {
  const { world, registry, upstreams, mirror } = await scene(t);
  const stalled = Array.from({ length: 8 }, (_, index) => `stalled-${index}`);
  const layers = stalled.map((tag) => registry.blob(registry.image(tag, { tag }).layer, '').digest);
  for (const upstream of upstreams.values()) for (const layer of layers) upstream.stalled.add(layer);
  registry.image('good', { tag: 'good' });
  const requests = mirror.node?.requests;
  for (const tag of stalled) void requests?.request(subject(tag), { signal: new AbortController().signal });
  await world.time.advance(1_000);
  const startedMs = world.time.nowMs;
  t.equal((await ask(world, mirror, 'good')).kind, 'committed');
  t.ok(world.time.nowMs - startedMs < 10_000);
  t.same(fatals(world), []);
});

t.test('an image that does not come is given up after ten minutes, and may be asked for again', async (t) => {
  const { world, registry, upstreams, mirror } = await scene(t);
  const { layer } = registry.image('slow', { tag: 'slow' });
  for (const upstream of upstreams.values()) upstream.stalled.add(registry.blob(layer, '').digest);
  t.match(await ask(world, mirror, 'slow'), { kind: 'pending' });
  await world.time.advance(11 * MINUTE_MS);
  for (const upstream of upstreams.values()) upstream.stalled.clear();
  t.equal((await ask(world, mirror, 'slow')).kind, 'committed');
});

t.test('one asker cannot take all builds: what another asks for comes meanwhile', async (t) => {
  const { world, registry, upstreams, mirror } = await scene(t, { mirrors: 2 });
  const hog = world.inhabitants.at(-2);
  for (let one = 0; one < 60; one += 1) {
    const { layer } = registry.image(`slow ${one}`, { tag: `slow-${one}` });
    for (const upstream of upstreams.values()) upstream.stalled.add(registry.blob(layer, '').digest);
    void hog?.node?.requests.request(subject(`slow-${one}`), { signal: new AbortController().signal });
  }
  await world.time.advance(2_000);
  registry.image('good', { tag: 'good' });
  t.equal((await ask(world, mirror, 'good')).kind, 'committed');
});

t.test('of an image for a platform that the policy does not take no layer is fetched', async (t) => {
  const policy = localnetPolicy([]).filter(({ ecosystem }) => ecosystem === 'docker');
  const { world, registry, upstreams, mirror } = await scene(t, {
    parameters: { policy: policy.map((rule) => ({ ...rule, platforms: ['linux/amd64'] })) },
  });
  registry.image('arm', { tag: 'arm', architecture: 'arm64' });
  t.match(await ask(world, mirror, 'arm'), { kind: 'refused', reason: /platform linux\/arm64/ });
  for (const { asked } of upstreams.values()) t.equal(asked.blobs, 1, 'its config alone');
});

t.test('clients that ask and leave do not use up the requests of their node', async (t) => {
  const { world, mirror } = await scene(t);
  for (const one of world.authorities()) world.crash(one);
  const requests = mirror.node?.requests;
  const clients = Array.from({ length: 256 }, () => new AbortController());
  for (const [one, { signal }] of clients.entries()) void requests?.request(subject(`left-${one}`), { signal });
  t.equal(requests?.start(subject('other')), null, 'all places are taken');
  for (const client of clients) client.abort();
  await world.time.advance(100);
  t.not(requests?.start(subject('other')), null);
});

t.test('a client that has left before it is heard waits for nothing', async (t) => {
  const { mirror } = await scene(t);
  t.match(await mirror.node?.requests.request(subject('1'), { signal: AbortSignal.abort() }), { kind: 'pending' });
});

t.test('indexes of indexes do not multiply one request', async (t) => {
  const { world, registry, upstreams, mirror } = await scene(t);
  let level = [registry.image('leaf', {}), registry.image('leaf 2', {})];
  for (let depth = 0; depth < 4; depth += 1) {
    level = [0, 1].map((one) => {
      const digest = registry.index(`level-${depth}-${one}`, [
        ...level.map((image) => [image, 'amd64'] as const),
        [registry.image(`${depth} ${one}`), 'arm64'],
      ]);
      return { digest, layer: new Uint8Array() };
    });
  }
  t.equal((await ask(world, mirror, 'level-3-0')).kind, 'committed');
  await world.time.advance(MINUTE_MS);
  for (const { asked } of upstreams.values()) t.equal(asked.manifests, 4, 'what was asked for and what belongs to it at once');
});

t.test('old refusals that a stranger says again do not doom what is asked for anew', async (t) => {
  const policy = localnetPolicy([]).filter(({ ecosystem }) => ecosystem === 'docker');
  const { world, registry, mirror } = await scene(t, { parameters: { policy: policy.map((rule) => ({ ...rule, minimumAgeMs: 60_000 })) } });
  const topic = topicOf(world.chainId, 'refusal');
  const heard: Uint8Array[] = [];
  mirror.network?.subscribe(topic, (_from, message) => {
    heard.push(message);
    return 'ignore';
  });
  registry.image('young', { tag: '1' });
  t.match(await ask(world, mirror, '1'), { kind: 'refused', reason: /minimum age/ });
  t.ok(heard.length >= 3);
  for (const one of world.authorities()) {
    world.crash(one);
    await world.start(one);
  }
  await world.time.advance(90_000);
  let attempt = 1000;
  const again = (): void => {
    for (const message of heard) {
      const said = decode(refusalMessage, message, { maxBytes: 2048 });
      attempt += 1;
      if (said.ok && attempt < 2000) void mirror.network?.publish(topic, encode(refusalMessage, { ...said.value, attempt }));
    }
    world.time.timers.set(50, again);
  };
  again();
  t.equal((await ask(world, mirror, '1')).kind, 'committed');
});
