/** Nobody's mere claim of a height makes a node look behind: not a stranger's, not that of less than a third of the authorities. */

import t from 'tap';
import { digestOf } from '../chain/arbitraries.ts';
import { Forge, HostilePeer, statusBytes } from './hostile-peer.ts';
import { VirtualWorld } from './world.ts';

const GREAT = Number.MAX_SAFE_INTEGER;

t.test('a liar among the authorities, and a stranger that is connected, change no shown height', async (t) => {
  const world = new VirtualWorld({ seed: 8, authorities: 4, mirrors: 1 });
  await world.startAll();
  const [liar, second] = world.authorities();
  if (liar === undefined || second === undefined) throw new Error('expected authorities');
  world.crash(liar);
  const stranger = await HostilePeer.join(world, null);
  stranger.answer('status', () => statusBytes(GREAT, digestOf(3)));
  await world.time.advance(7_000);
  const forge = new Forge(world);
  void stranger.say('status', forge.status(liar.nodeId, GREAT, world.time.clock.nowMs()));
  await world.time.advance(3_000);
  for (const node of world.running) {
    const { chain } = await node.operations.status();
    t.equal(chain.targetHeight, 0);
    t.notOk(chain.syncing);
  }
  void stranger.say('status', forge.status(second.nodeId, 9, world.time.clock.nowMs()));
  await world.time.advance(1_000);
  const seen = await Promise.all(world.running.map(async (node) => (await node.operations.status()).chain.targetHeight));
  t.ok(seen.includes(9), 'what more than a third of the power says is shown');
  await world.close();
});
