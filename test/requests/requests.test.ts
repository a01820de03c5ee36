/**
 * Request-on-miss in the virtual world: whole nodes, whose authorities see made-up upstreams. One build however many ask; committed only where
 * a quorum sees the same; the next in rank where the first is silent. SPEC §3.6, §3.7.
 */

import t from 'tap';
import { localnetPolicy } from '../../genesis/index.ts';
import { describeCoordinates } from '../../src/purl.ts';
import { fatals } from '../world/watch.ts';
import { MemoryRegistry } from './memory-upstream.ts';
import { ask, MINUTE_MS, scene, subject, tagOn } from './scene.ts';

t.test('a tag that is asked for is fetched by every authority and committed, once however many ask', async (t) => {
  const { world, registry, upstreams, mirror } = await scene(t);
  const { digest } = registry.image('one', { tag: '1' });
  const requests = mirror.node?.requests;
  if (requests === undefined) throw new Error('expected the mirror to run');
  const asking = Array.from({ length: 50 }, () => requests.request(subject('1'), { signal: new AbortController().signal }));
  await ask(world, mirror, '1');
  t.same(
    (await Promise.all(asking)).map((one) => one.kind),
    Array.from({ length: 50 }, () => 'committed'),
  );
  t.equal(tagOn(mirror, '1'), digest);
  await world.time.advance(5_000);
  for (const [name, { asked }] of upstreams) t.same(asked, { manifests: 1, resolves: 0, blobs: 2 }, `${name} fetched each thing once`);
  t.equal(world.heights()[0], 1, 'in one block');
  t.same(fatals(world), []);
});

t.test('an index comes with its images, each an artifact of its own', async (t) => {
  const { world, registry, mirror } = await scene(t);
  const images = ['amd64', 'arm64'].map((architecture) => [registry.image(architecture, { architecture }), architecture] as const);
  const index = registry.index('multi', images);
  t.equal((await ask(world, mirror, 'multi')).kind, 'committed');
  t.equal(tagOn(mirror, 'multi'), index);
  for (const [{ digest }] of images) t.equal((await ask(world, mirror, digest)).kind, 'committed');
  t.equal(mirror.node?.head.store.counts.artifacts, 3);
  const record = mirror.node?.ledger.lookUp({
    ecosystem: 'docker',
    registry: 'docker.io',
    namespace: 'library',
    name: 'tool',
    version: index,
  });
  t.same(record?.kind === 'live' && record.dependencies.map(({ version }) => version), images.map(([{ digest }]) => digest).sort());
});

t.test('only platforms that the policy takes come in', async (t) => {
  const policy = localnetPolicy([]).filter(({ ecosystem }) => ecosystem === 'docker');
  const { world, registry, mirror } = await scene(t, {
    parameters: { policy: policy.map((rule) => ({ ...rule, platforms: ['linux/amd64'] })) },
  });
  const amd64 = registry.image('amd64', { architecture: 'amd64' });
  const arm64 = registry.image('arm64', { architecture: 'arm64' });
  registry.index('multi', [
    [amd64, 'amd64'],
    [arm64, 'arm64'],
  ]);
  t.equal((await ask(world, mirror, 'multi')).kind, 'committed');
  t.equal((await ask(world, mirror, amd64.digest)).kind, 'committed');
  const other = await ask(world, mirror, arm64.digest);
  t.equal(other.kind, 'refused');
  t.match(other, { reason: /platform linux\/arm64/ });
});

t.test('a version younger than the policy wants is refused, and comes in once it is old enough, also over a restart', async (t) => {
  const policy = localnetPolicy([]).filter(({ ecosystem }) => ecosystem === 'docker');
  const { world, registry, mirror } = await scene(t, {
    parameters: { policy: policy.map((rule) => ({ ...rule, minimumAgeMs: 600_000 })) },
  });
  registry.image('young', { tag: '1' });
  t.match(await ask(world, mirror, '1'), { kind: 'refused', reason: /minimum age/ });
  for (const one of world.authorities()) {
    world.crash(one);
    await world.start(one);
  }
  await world.time.advance(5 * MINUTE_MS);
  t.match(await ask(world, mirror, '1'), { kind: 'refused', reason: /minimum age/ });
  await world.time.advance(6 * MINUTE_MS);
  t.equal((await ask(world, mirror, '1')).kind, 'committed');
});

t.test('a manifest that names what the upstream does not have is refused, not absent', async (t) => {
  const { world, registry, mirror } = await scene(t);
  const { layer } = registry.image('torn', { tag: '1' });
  for (const [digest, { bytes }] of registry.blobs) if (bytes === layer) registry.blobs.delete(digest);
  t.match(await ask(world, mirror, '1'), { kind: 'refused', reason: /its manifest names sha256:/ });
});

t.test('one authority that sees another image does not stop a quorum, whoever is first in rank', async (t) => {
  for (const odd of ['node1', 'node2', 'node3', 'node4']) {
    const { world, registry, upstreams, mirror } = await scene(t);
    const { digest } = registry.image('true', { tag: '1' });
    const other = new MemoryRegistry();
    other.image('false', { tag: '1' });
    const view = upstreams.get(odd);
    if (view !== undefined) view.shows = other;
    t.equal((await ask(world, mirror, '1')).kind, 'committed', `${odd} differs`);
    t.equal(tagOn(mirror, '1'), digest);
  }
});

t.test('two of four that differ: refused, with the verdicts of each', async (t) => {
  const { world, registry, upstreams, mirror } = await scene(t);
  const { digest } = registry.image('true', { tag: '1' });
  const other = new MemoryRegistry();
  const { digest: otherDigest } = other.image('false', { tag: '1' });
  for (const odd of ['node1', 'node2']) {
    const view = upstreams.get(odd);
    if (view !== undefined) view.shows = other;
  }
  const outcome = await ask(world, mirror, '1');
  t.equal(outcome.kind, 'refused');
  t.match(outcome, { reason: new RegExp(`${otherDigest}|${digest}`) });
  t.equal(tagOn(mirror, '1'), null);
  const asked = mirror.node?.operations.build('tool:1');
  const id = asked !== undefined && 'id' in asked ? asked.id : '';
  let status: unknown;
  void mirror.node?.operations.buildStatus(id).then((found) => {
    status = found;
  });
  await world.time.until(() => status !== undefined, MINUTE_MS);
  const { verdicts } = status as { verdicts: readonly { authority: string; verdict: string; detail: string }[] };
  t.same([...new Set(verdicts.map(({ authority }) => authority))].sort(), ['node1', 'node2', 'node3', 'node4']);
  t.ok(verdicts.some(({ verdict, detail }) => verdict === 'refused' && detail.includes('is sha256:')));
  t.ok(verdicts.some(({ verdict }) => verdict === 'endorsed'));
});

t.test('what the upstream has not is absent, and soon told', async (t) => {
  const { world, mirror } = await scene(t);
  const startedMs = world.time.nowMs;
  t.equal((await ask(world, mirror, 'nothing')).kind, 'absent');
  t.ok(world.time.nowMs - startedMs < 5_000);
});

t.test('an upstream that is down is no verdict: come again', async (t) => {
  const { world, registry, upstreams, mirror } = await scene(t);
  registry.image('one', { tag: '1' });
  for (const upstream of upstreams.values()) upstream.down = true;
  t.match(await ask(world, mirror, '1'), { kind: 'pending', reason: /down/ });
  for (const upstream of upstreams.values()) upstream.down = false;
  await world.time.advance(MINUTE_MS);
  t.equal((await ask(world, mirror, '1')).kind, 'committed', 'and once it is back it comes');
});

t.test('a silent first author: the next in rank publishes', async (t) => {
  for (const silent of [0, 1, 2, 3]) {
    const { world, registry, mirror } = await scene(t);
    registry.image('one', { tag: '1' });
    const one = world.authorities()[silent];
    if (one !== undefined) world.crash(one);
    t.equal((await ask(world, mirror, '1')).kind, 'committed', `node${silent + 1} is dead`);
  }
});

t.test('a tag that its upstream moves is moved on the chain; one that stays makes no claim', async (t) => {
  const { world, registry, mirror } = await scene(t, { parameters: { nameRefreshMs: 60_000 } });
  registry.image('first', { tag: '1' });
  registry.image('other', { tag: 'stays' });
  t.equal((await ask(world, mirror, '1')).kind, 'committed');
  t.equal((await ask(world, mirror, 'stays')).kind, 'committed');
  await world.time.advance(3 * MINUTE_MS);
  t.same(world.heights(), [2, 2, 2, 2, 2], 'nothing moved, nothing was claimed');
  const { digest } = registry.image('second', { tag: '1' });
  t.ok(await world.time.until(() => tagOn(mirror, '1') === digest, 5 * MINUTE_MS));
  t.same(world.heights()[0], 3, 'by one claim');
});

t.test('what was removed does not come back by a request', async (t) => {
  const { world, registry, mirror } = await scene(t);
  const { digest } = registry.image('one', { tag: '1' });
  t.equal((await ask(world, mirror, '1')).kind, 'committed');
  const version = { ecosystem: 'docker', registry: 'docker.io', namespace: 'library', name: 'tool', version: digest } as const;
  const purl = describeCoordinates(version);
  for (const one of world.authorities()) void one.node?.operations.markRemoval(purl, 'malware');
  const removed = (): boolean => mirror.node?.ledger.lookUp(version)?.kind === 'removed';
  t.ok(await world.time.until(removed, MINUTE_MS));
  registry.tags.set('again', digest);
  t.match(await ask(world, mirror, 'again'), { kind: 'refused', reason: /removed/ });
});

t.test('without a rule, or with one that lets nobody ask, nothing is asked', async (t) => {
  const { mirror } = await scene(t);
  t.match(mirror.node?.requests.mayRequest({ ...subject('1'), registry: 'other.example' }), /policy/);
  t.match(mirror.node?.requests.mayRequest({ ...subject('1'), ecosystem: 'generic', registry: '', namespace: 'demo' }), /upstream/);
});
