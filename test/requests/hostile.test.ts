/** What hostile upstreams, clients and authorities try with requests, in the virtual world; each test is named by the rule that holds. */

import t from 'tap';
import { fatals } from '../world/watch.ts';
import { ask, MINUTE_MS, scene, subject, tagOn } from './scene.ts';

t.test('an image too large for a transaction is refused, and its author is not taken for a liar', async (t) => {
  const { world, registry, mirror } = await scene(t);
  const mediaType = `application/${'x'.repeat(120)}`;
  const more = Array.from({ length: 900 }, (_, index) => registry.blob(new TextEncoder().encode(`part ${index}`), mediaType));
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
