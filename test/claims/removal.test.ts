/** Removal by the admins' hands, over whole nodes: marked, joined without a reason, carried out, taken back. */

import t from 'tap';
import { encode, sealedTransaction } from '../../chain/index.ts';
import { drive } from '../world/drive.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import { fatals } from '../world/watch.ts';
import { VirtualWorld } from '../world/world.ts';

const PURL = 'pkg:generic/demo/made-up@1.0.0';

async function worldWithArtifact(seed: number): Promise<{ readonly world: VirtualWorld; readonly admins: readonly Inhabitant[] }> {
  const world = new VirtualWorld({ seed, authorities: 4, mirrors: 0 });
  await world.startAll();
  const [first] = world.authorities();
  void first?.node?.operations.submit(encode(sealedTransaction, world.sealed('1.0.0')));
  await world.time.until(() => world.heights().every((height) => height >= 1), 60_000);
  return { world, admins: world.authorities() };
}

t.test('three of four marks remove a version, and the marks go with it', async (t) => {
  const { world, admins } = await worldWithArtifact(41);
  const mark = (index: number, reason: string | null): Promise<{ readonly kind: string }> =>
    drive(world, admins[index]?.node?.operations.markRemoval(PURL, reason));
  t.match(await mark(0, null), { kind: 'refused', reason: /give a reason/ }, 'the first admin says why');
  t.match(await mark(0, 'poisoned'), { kind: 'marked', waitingFor: /marked by 1 of 4/ });
  t.match(await mark(1, 'another'), { kind: 'refused', reason: /"poisoned"/ }, 'one reason for all');
  t.match(await mark(1, null), { kind: 'marked' }, 'the others need not repeat it');
  t.match(await mark(2, 'poisoned'), { kind: 'committed' });
  await world.time.until(() => world.heights().every((height) => height >= 2), 60_000);
  for (const admin of admins) t.same(await drive(world, admin.node?.operations.marks()), [], `${admin.name} has no mark left`);
  const again = await mark(3, null);
  t.match(again, { kind: 'refused', reason: /removed at height 2/ }, 'the fourth admin learns that it is done');
  t.match(again, { reason: new RegExp(PURL.replaceAll('.', '\\.')) }, 'in the words he used');
  t.same(fatals(world), []);
  await world.close();
});

t.test('a mark that was taken back is endorsed no longer', async (t) => {
  const { world, admins } = await worldWithArtifact(42);
  const [first, second, third] = admins;
  await drive(world, first?.node?.operations.markRemoval(PURL, 'mistaken'));
  await drive(world, second?.node?.operations.markRemoval(PURL, 'mistaken'));
  t.ok(await drive(world, first?.node?.operations.unmark(PURL)));
  // What was signed stays good until it expires; nothing renews it.
  await world.time.advance(120_000);
  t.match(await drive(world, third?.node?.operations.markRemoval(PURL, 'mistaken')), { kind: 'marked' });
  await world.time.advance(30_000);
  t.ok(
    world.running.every((node) => node.head.store.counts.artifacts === 1),
    'two of four remove nothing',
  );
  t.same(fatals(world), []);
  await world.close();
});
