/** A chain that rots under a running node: whoever meets it first, a client or a peer, the node stops, and it alone. */

import t, { type Test } from 'tap';
import { blocksRequest, encode, sealedTransaction } from '../../chain/index.ts';
import { drive } from './drive.ts';
import { HostilePeer } from './hostile-peer.ts';
import type { Inhabitant } from './inhabitant.ts';
import { keyedHashes } from './signatures.ts';
import { VirtualWorld } from './world.ts';

const MINUTE_MS = 60_000;
const FIRST_BLOCK = 'b|0000000000000001';

/** Four that have decided three heights, and one bit of what the second holds under this key is another. */
async function withRot(t: Test, key: string): Promise<{ readonly world: VirtualWorld; readonly rotten: Inhabitant }> {
  const world = new VirtualWorld({ seed: 91, authorities: 4, mirrors: 0, signatures: keyedHashes() });
  await world.startAll();
  for (let height = 1; height <= 3; height += 1) {
    for (const node of world.running) void node.operations.submit(encode(sealedTransaction, world.sealed(`${height}.0.0`)));
    t.ok(await world.time.until(() => world.heights().every((one) => one === height), MINUTE_MS));
  }
  const rotten = world.inhabitants[1];
  const entries = new Map(rotten?.chainStore.snapshot());
  const value = entries.get(key)?.slice();
  if (rotten === undefined || value === undefined) throw new Error(`expected a second node, with a value under ${key}`);
  value[value.length - 1] = (value.at(-1) ?? 0) ^ 1;
  rotten.chainStore.restore(entries.set(key, value));
  return { world, rotten };
}

function onlyFatal(t: Test, world: VirtualWorld, rotten: Inhabitant): void {
  for (const one of world.inhabitants) {
    if (one === rotten) t.match(one.fatals[0], { name: 'ChainStoreError', code: 'DAMAGED' }, `${one.name} stops`);
    else t.same(one.fatals, [], `${one.name} goes on`);
  }
}

t.test('a client asks for it: it gets an error, and the node stops', async (t) => {
  const { world, rotten } = await withRot(t, FIRST_BLOCK);
  t.same(rotten.fatals, [], 'what nobody reads nobody finds');
  t.throws(() => rotten.node?.operations.block(1), { code: 'DAMAGED' });
  onlyFatal(t, world, rotten);
  await world.close();
});

t.test('a list runs into it', async (t) => {
  const { world, rotten } = await withRot(t, 's|artifact|generic||demo|made-up|1.0.0');
  await t.rejects(async () => await rotten.node?.head.store.records('artifact|', { limit: 10 }), { code: 'DAMAGED' });
  onlyFatal(t, world, rotten);
  await world.close();
});

t.test('a peer asks for it: it gets nothing, and the node stops', async (t) => {
  const { world, rotten } = await withRot(t, FIRST_BLOCK);
  const peer = await HostilePeer.join(world, null);
  await t.rejects(drive(world, peer.ask(rotten, 'blocks', encode(blocksRequest, { from: 1, max: 4 }))), { name: 'NetworkError' });
  onlyFatal(t, world, rotten);
  await world.close();
});
