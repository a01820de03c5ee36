/**
 * A run of catching up that somebody keeps busy: who has the blocks is found all the same, soon, whoever else keeps silent, comes, goes or
 * changes its story; and no run is kept open for ever. SPEC §9.4.
 */

import t from 'tap';
import { TestNetwork } from '../chain/state-fixture.ts';
import { FollowerWorld, honest, madeChain, type PeerScript, type PlayedPeer, pageOf } from './follower.ts';

const network = new TestNetwork();
const BLOCKS = 200;
const GREAT = Number.MAX_SAFE_INTEGER;
const chain = await madeChain(network, BLOCKS, () => ({ transactions: [], by: network.nodes }));
const SILENT: PeerScript = { status: () => BLOCKS, blocks: () => null };
/** Of a question for blocks. */
const TIME_OUT_MS = 10_000;

/** Milliseconds until the follower has the chain; null when it never gets there. */
async function timeToReach(world: FollowerWorld, limitMs = 60_000): Promise<number | null> {
  const startedMs = world.time.nowMs;
  return (await world.reaches(chain, limitMs)) ? world.time.nowMs - startedMs : null;
}

t.test('a peer that had nothing and has it now is asked again while another keeps silent', async (t) => {
  const world = new FollowerWorld(network, 75);
  let has = 1;
  await world.play({ status: () => has, blocks: (from, max) => (has === 1 ? pageOf([], from, max) : pageOf(chain, from, max)) });
  await world.play(SILENT);
  world.time.timers.set(3_000, () => {
    has = BLOCKS;
  });
  await world.start();
  t.ok(((await timeToReach(world)) ?? TIME_OUT_MS) < TIME_OUT_MS, "before the silent one's time-out");
  t.same(world.punished(), []);
});

t.test('an answer that is lost is asked for again, of the same peer where there is no other', async (t) => {
  const world = new FollowerWorld(network, 82);
  const page = chain.slice(0, 50);
  let isLost = true;
  await world.play({
    status: () => page.length,
    blocks: (from, max) => {
      const answer = isLost ? null : pageOf(page, from, max);
      isLost = false;
      return answer;
    },
  });
  await world.start();
  t.ok(await world.reaches(page, 3_000), 'long before the time-out');
});

t.test('a second question to the same peer that is refused leaves the first one alone', async (t) => {
  const world = new FollowerWorld(network, 83);
  const page = chain.slice(0, 50);
  let count = 0;
  const { asked } = await world.play({
    status: () => page.length,
    answerMs: 3_000,
    blocks: (from, max) => {
      count += 1;
      if (count % 2 === 0) throw new RangeError('busy');
      return pageOf(page, from, max);
    },
  });
  await world.start();
  t.ok(await world.reaches(page, 5_000));
  t.equal(asked.length, 2);
});

t.test('a peer that connects while the run waits for a silent one is asked at once', async (t) => {
  const world = new FollowerWorld(network, 76);
  await world.play(SILENT);
  await world.start();
  await world.time.advance(3_000);
  await world.play(honest(chain));
  t.ok(((await timeToReach(world)) ?? TIME_OUT_MS) < 1_000);
});

t.test('a peer that is cut off while it is asked, and comes back, is asked again', async (t) => {
  const world = new FollowerWorld(network, 77);
  const good = await world.play({ ...honest(chain), answerMs: 500 });
  await world.play(SILENT);
  await world.start();
  world.time.timers.set(200, () => void good.network.stop());
  world.time.timers.set(1_200, () => void good.network.start());
  t.ok(((await timeToReach(world)) ?? TIME_OUT_MS) < 5_000);
});

t.test('a peer that gives, if slowly once, is asked before those that only claim to have blocks', async (t) => {
  const world = new FollowerWorld(network, 78);
  let answerMs = 0;
  const good: PeerScript = {
    ...honest(chain),
    get answerMs() {
      return answerMs;
    },
    blocks: (from, max) => {
      answerMs = from === 1 ? 3_000 : 0;
      return pageOf(chain, from, max);
    },
  };
  const first: PeerScript = { status: () => BLOCKS, blocks: (from, max) => (from === 1 ? pageOf(chain, from, max) : null) };
  const { asked } = await world.play(good);
  await world.start();
  await world.time.until(() => asked.length > 0, 5_000);
  for (let count = 0; count < 24; count += 1) await world.play(first);
  t.ok(((await timeToReach(world, 900_000)) ?? 900_000) < 120_000);
});

t.test('liars that gave the newest block and claim more do not keep the node syncing', async (t) => {
  const world = new FollowerWorld(network, 79);
  const liars: PlayedPeer[] = [];
  for (let count = 0; count < 6; count += 1)
    liars.push(await world.play({ status: () => GREAT, blocks: (from, max) => (from <= BLOCKS ? pageOf(chain, from, max) : null) }));
  await world.start();
  t.ok(await world.reaches(chain, 60_000));
  await world.play(honest(chain));
  await world.time.advance(60_000);
  let syncing = 0;
  const before = liars.flatMap(({ asked }) => asked).length;
  for (let second = 0; second < 300; second += 1) {
    await world.time.advance(1_000);
    if (world.own.sync.syncing) syncing += 1;
  }
  t.equal(syncing, 0);
  t.equal(world.own.sync.targetHeight, BLOCKS);
  t.ok(liars.flatMap(({ asked }) => asked).length - before < 6 * 60, 'each is asked once in five seconds at the most');
});

t.test('after one short answer the next pages are whole again', async (t) => {
  const world = new FollowerWorld(network, 80);
  let isFirst = true;
  await world.play({
    status: () => BLOCKS,
    blocks: (from, max) => {
      const count = isFirst ? 1 : max;
      isFirst = false;
      return pageOf(chain, from, count);
    },
  });
  const good = await world.play(honest(chain));
  await world.start();
  t.ok(await world.reaches(chain, 5_000));
  t.ok(good.asked.length <= 8, `asked ${good.asked.length} times for 200 blocks`);
});

t.test('a clock that is put back by ten minutes stops nothing', async (t) => {
  const world = new FollowerWorld(network, 81);
  const { nowMs } = world.time.clock;
  let backMs = 0;
  Object.assign(world.time.clock, { nowMs: () => nowMs() - backMs });
  let has = 5;
  await world.play({ status: () => has, blocks: (from, max) => pageOf(has === 5 ? [] : chain, from, max) });
  await world.start();
  await world.time.advance(300);
  backMs = 600_000;
  has = BLOCKS;
  t.ok(((await timeToReach(world)) ?? TIME_OUT_MS) < TIME_OUT_MS);
});
