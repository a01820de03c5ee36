/**
 * Whole nodes on virtual time, disk and network: they agree, survive loss and crashes, and a seed replays to the letter.
 */

import { createHash } from 'node:crypto';
import t from 'tap';
import { encode, sealedTransaction } from '../../chain/index.ts';
import type { Inhabitant } from './inhabitant.ts';
import { disagreement, fatals } from './watch.ts';
import { decidedAt, VirtualWorld } from './world.ts';

const MINUTE_MS = 60_000;

function submit(world: VirtualWorld, one: Inhabitant, version: string): void {
  void one.node?.operations.submit(encode(sealedTransaction, world.sealed(version)));
}

async function reach(world: VirtualWorld, height: number, limitMs: number): Promise<boolean> {
  return await world.time.until(() => world.heights().length > 0 && world.heights().every((one) => one >= height), limitMs);
}

t.test('four authorities and a mirror commit what one of them is given', async (t) => {
  const world = new VirtualWorld({ seed: 1, authorities: 4, mirrors: 1 });
  await world.startAll();
  for (let round = 1; round <= 5; round += 1) {
    for (const one of world.authorities()) submit(world, one, `1.0.${round}`);
    t.ok(await reach(world, round, MINUTE_MS), `all are at height ${round}`);
  }
  t.equal(disagreement(world), null);
  t.same(fatals(world), []);
  for (const node of world.running) t.equal(node.head.store.counts.artifacts, 5);
  await world.close();
});

t.test('no work, no block: an idle network stands still until the heartbeat', async (t) => {
  const world = new VirtualWorld({ seed: 2, authorities: 4, mirrors: 0 });
  await world.startAll();
  await world.time.advance(9 * MINUTE_MS);
  t.same(world.heights(), [0, 0, 0, 0]);
  t.ok(await reach(world, 1, 3 * MINUTE_MS), 'the heartbeat makes an empty block');
  await world.close();
});

t.test('one of four down: commits go on, and it catches up; two down: they stop, and go on with one back', async (t) => {
  const world = new VirtualWorld({ seed: 3, authorities: 4, mirrors: 0 });
  await world.startAll();
  const [first, second, third, fourth] = world.authorities();
  if (first === undefined || second === undefined || third === undefined || fourth === undefined) throw new Error('expected four');
  world.crash(fourth);
  for (let round = 1; round <= 3; round += 1) {
    for (const one of [first, second, third]) submit(world, one, `1.0.${round}`);
    t.ok(await reach(world, round, 2 * MINUTE_MS), `three are at height ${round}`);
  }
  world.crash(third);
  submit(world, first, '2.0.0');
  submit(world, second, '2.0.0');
  await world.time.advance(30_000);
  t.same(world.heights(), [3, 3], 'two of four decide nothing');
  await world.start(fourth);
  t.ok(await reach(world, 4, 2 * MINUTE_MS), 'with a third they go on');
  await world.start(third);
  t.ok(await reach(world, 4, 2 * MINUTE_MS), 'and the last one catches up');
  t.equal(disagreement(world), null);
  t.same(fatals(world), []);
  await world.close();
});

/** A run with bad weather and crashes; yields a hash of everything that was decided and when. */
async function storm(seed: number): Promise<{ readonly trace: string; readonly problem: string | null; readonly height: number }> {
  const world = new VirtualWorld({ seed, authorities: 4, mirrors: 1 });
  const trace = createHash('sha256');
  await world.startAll();
  Object.assign(world.air.weather, { loss: 0.15, duplication: 0.3, delayMs: 20 });
  for (let round = 0; round < 8; round += 1) {
    for (const one of world.authorities()) submit(world, one, `${seed}.${round}.0`);
    await world.time.advance(world.random.exponential(3_000));
    const victim = world.inhabitants[world.random.below(world.inhabitants.length)];
    if (victim === undefined) continue;
    if (victim.node === null) await world.start(victim);
    else world.crash(victim);
    trace.update(`${world.time.nowMs}/${world.heights().join()};`);
  }
  Object.assign(world.air.weather, { loss: 0, duplication: 0, delayMs: 2 });
  for (const one of world.inhabitants) if (one.node === null) await world.start(one);
  for (const one of world.authorities()) submit(world, one, `${seed}.last.0`);
  const last = (): boolean => world.running.every((node) => node.head.height > 0 && node.mempool.size === 0);
  const even = (): boolean => new Set(world.heights()).size === 1;
  const healed = await world.time.until(() => last() && even(), 5 * MINUTE_MS);
  const problem =
    disagreement(world) ??
    fatals(world)[0] ??
    (healed
      ? null
      : `not healed: ${world.inhabitants.map((one) => `${one.name} height ${one.node?.head.height} mempool ${one.node?.mempool.size} ${JSON.stringify(one.node?.engine?.machine.consensus)}`).join('; ')}`);
  const [node] = world.running;
  for (let height = 1; node !== undefined && height <= node.head.height; height += 1) trace.update(`${decidedAt(node, height)};`);
  await world.close();
  return { trace: trace.digest('hex'), problem, height: node?.head.height ?? 0 };
}

t.test('loss, duplication, crashes and restarts: no disagreement, and progress after healing', async (t) => {
  for (let seed = 10; seed < 30; seed += 1) {
    const run = await storm(seed);
    t.equal(run.problem, null, `seed ${seed}`);
    t.ok(run.height > 0, `seed ${seed} decided something`);
  }
});

t.test('the same seed gives the same world', async (t) => {
  const [once, again] = [await storm(77), await storm(77)];
  t.equal(once.trace, again.trace);
});
