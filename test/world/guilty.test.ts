/**
 * One who votes twice, from outside: every honest node says so, the chain holds it once, and where the parameters want it the guilty one is
 * taken out of the set while the others go on. It comes back as a mirror.
 */

import t, { type Test } from 'tap';
import { digestToHex, encode, sealedTransaction } from '../../chain/index.ts';
import { drive } from './drive.ts';
import { Forge, HostilePeer } from './hostile-peer.ts';
import type { Inhabitant } from './inhabitant.ts';
import { keyedHashes } from './signatures.ts';
import { disagreement, fatals } from './watch.ts';
import { VirtualWorld } from './world.ts';

const MINUTE_MS = 60_000;

async function decide(world: VirtualWorld, version: string, height: number): Promise<boolean> {
  for (const node of world.running) void node.operations.submit(encode(sealedTransaction, world.sealed(version)));
  return await world.time.until(() => world.heights().every((one) => one >= height), MINUTE_MS);
}

/** Somebody with the fourth node's consensus key says two things about height 1, other two to each of the others. */
async function voteTwice(world: VirtualWorld, guilty: Inhabitant): Promise<HostilePeer> {
  const peer = await HostilePeer.join(world, null);
  const forge = new Forge(world);
  const slot = { type: 'precommit', height: 1, round: 0 } as const;
  for (const [index, one] of world.inhabitants.slice(0, 3).entries()) {
    for (const byte of [10, 20 + index]) {
      const blockId = world.chainId.map((old, at) => (at === 0 ? byte : old)) as typeof world.chainId;
      const topic = `/cairn/${digestToHex(world.chainId).slice(0, 16)}/vote/1`;
      peer.network.sendTo(one.network?.peerId ?? '', topic, forge.vote(guilty.nodeId, { ...slot, blockId }, byte));
    }
  }
  await world.time.advance(1_000);
  return peer;
}

async function withGuilty(t: Test, removeGuilty: boolean): Promise<{ readonly world: VirtualWorld; readonly guilty: Inhabitant }> {
  const world = new VirtualWorld({ seed: 81, authorities: 4, mirrors: 1, signatures: keyedHashes(), parameters: { removeGuilty } });
  await world.startAll();
  const guilty = world.inhabitants[3];
  if (guilty === undefined) throw new Error('expected four');
  world.crash(guilty);
  const peer = await voteTwice(world, guilty);
  t.ok(await decide(world, '1.0.0', 2), 'the block after the fault holds the evidence');
  await peer.leave();
  return { world, guilty };
}

t.test('evidence is on the chain once, with a line in the log, and an operator finds it', async (t) => {
  const { world, guilty } = await withGuilty(t, false);
  await world.time.advance(MINUTE_MS);
  const height = Math.max(...world.heights());
  await world.time.advance(MINUTE_MS);
  t.ok(
    world.heights().every((one) => one === height),
    'what others saw otherwise of the same fault is no further work',
  );
  for (const one of world.inhabitants.slice(0, 3)) {
    t.ok(
      one.lines.some(({ level, message }) => level === 'error' && message === 'evidence of a duplicateVote'),
      `${one.name} says so`,
    );
  }
  const told = 'an authority signed two things in one place: the chain has the evidence';
  for (const one of world.inhabitants.filter(({ node }) => node !== null)) {
    t.match(
      one.lines.filter(({ message }) => message === told).map(({ fields }) => fields),
      [{ recordedAt: 2, nodeId: digestToHex(guilty.nodeId), name: 'node4', height: 1, round: 0 }],
      `${one.name} says so, once`,
    );
    const found = await drive(world, one.node?.operations.evidence({ after: null, limit: 100 }));
    const nodeId = digestToHex(guilty.nodeId);
    t.match(found, [{ nodeId, name: 'node4', type: 'precommit', height: 1, round: 0, recordedAt: 2, active: true }]);
    t.equal(found.length, 1);
    t.same(await drive(world, one.node?.operations.evidence({ after: found[0]?.key ?? null, limit: 100 })), [], 'the next page is empty');
  }
  t.same(fatals(world), []);
  await world.close();
});

t.test('where the parameters say so the guilty one is out two blocks on, and goes on as a mirror', async (t) => {
  const { world, guilty } = await withGuilty(t, true);
  t.ok(
    await world.time.until(
      () => world.running.every((node) => node.operations.parameters().height === 0 && node.head.height >= 3),
      MINUTE_MS,
    ),
    'the change of the set makes a block by itself',
  );
  await world.start(guilty);
  t.ok(await world.time.until(() => guilty.node?.engine === null && guilty.node.head.height >= 3, MINUTE_MS), 'it serves as a mirror');
  for (const node of world.running) {
    const { sets, nodes } = await drive(world, node.operations.members());
    t.same(
      sets.map(({ height, nodeIds }) => [height, nodeIds.length]),
      [
        [3, 4],
        [4, 3],
        [5, 3],
      ],
    );
    t.match(
      nodes.find(({ name }) => name === 'node4'),
      { active: false, recordHeight: 2 },
    );
  }
  t.equal(disagreement(world), null);
  t.same(fatals(world), []);
  await world.close();
});
