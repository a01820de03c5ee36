/**
 * A new protocol version over a mixed network: the old nodes say so in good time and stop before its height, the new ones go on. And other
 * parameters by the marks of a quorum.
 */

import t from 'tap';
import { decode, encode, sameBytes, sealedTransaction, voteMessage } from '../../chain/index.ts';
import { topicOf } from '../../src/channels.ts';
import type { MarkResult } from '../../src/operations.ts';
import { drive } from './drive.ts';
import type { Inhabitant } from './inhabitant.ts';
import { keyedHashes } from './signatures.ts';
import { disagreement, fatals } from './watch.ts';
import { VirtualWorld } from './world.ts';

const MINUTE_MS = 60_000;
const OLD = ['node4', 'mirror1'];

type Change = Readonly<Record<string, unknown>>;

/** Marks the parameters in force with that change. */
async function propose(world: VirtualWorld, one: Inhabitant, change: Change, atHeight: number | null): Promise<MarkResult> {
  const operations = one.node?.operations;
  const { parameters } = operations?.parameters() ?? { parameters: {} };
  return await drive(world, operations?.propose({ ...(parameters as Change), ...change }, atHeight));
}

async function decide(world: VirtualWorld, version: string): Promise<boolean> {
  const height = Math.max(...world.heights());
  for (const node of world.running) void node.operations.submit(encode(sealedTransaction, world.sealed(version)));
  return await world.time.until(() => Math.max(...world.heights()) > height, MINUTE_MS);
}

t.test('a new protocol version: old nodes stop before its height and say so, the others go on', async (t) => {
  const world = new VirtualWorld({
    seed: 71,
    authorities: 4,
    mirrors: 1,
    signatures: keyedHashes(),
    knownVersion: (name) => (OLD.includes(name) ? 1 : 2),
  });
  await world.startAll();
  const [first, second, third, fourth] = world.authorities();
  if (first === undefined || second === undefined || third === undefined || fourth === undefined) throw new Error('expected four');
  t.match(await propose(world, fourth, { protocolVersion: 2 }, null), { kind: 'refused', reason: /a new protocol version needs a height/ });
  t.match(await propose(world, fourth, { protocolVersion: 2 }, 5), {
    kind: 'marked',
    warning: /this node knows protocol versions up to 1/,
  });
  t.match(await propose(world, first, { protocolVersion: 2 }, 5), { kind: 'marked' });
  t.match(await propose(world, second, { protocolVersion: 2 }, 5), { kind: 'committed', height: 1 });
  await world.time.until(() => world.heights().every((height) => height === 1), MINUTE_MS);
  for (const one of world.inhabitants) {
    const warned = one.lines.some(({ level, message, fields }) => level === 'error' && /too old/.test(message) && fields.atHeight === 5);
    t.equal(warned, OLD.includes(one.name), `${one.name} ${OLD.includes(one.name) ? 'warns' : 'has nothing to say'}`);
  }
  for (let height = 2; height <= 4; height += 1) t.ok(await decide(world, `1.${height}.0`), `height ${height} is decided by all`);
  await world.time.until(() => world.heights().every((height) => height === 4), MINUTE_MS);
  for (const one of world.inhabitants) {
    const [error] = one.fatals;
    if (!OLD.includes(one.name)) t.equal(error, undefined, `${one.name} goes on`);
    else t.match(error, { code: 'OUTDATED', message: /from height 5 on .* protocol version 2, .* knows up to 1/ }, `${one.name} stops`);
  }
  for (const one of world.inhabitants.filter(({ name }) => OLD.includes(name))) world.crash(one);
  t.ok(await decide(world, '2.0.0'), 'the three new ones decide on');
  await world.time.until(() => world.heights().every((height) => height === 5), MINUTE_MS);
  t.equal(world.running[0]?.head.store.header(5)?.version, 2);
  await t.rejects(world.start(fourth), { code: 'OUTDATED' }, 'started again it refuses at once');
  t.equal(disagreement(world), null);
  await world.close();
});

t.test('an old node that would not stop by itself signs nothing at a height whose rules it does not know', async (t) => {
  const world = new VirtualWorld({
    seed: 72,
    authorities: 4,
    mirrors: 0,
    signatures: keyedHashes(),
    knownVersion: (name) => (name === 'node4' ? 1 : 2),
  });
  await world.startAll();
  const fourth = world.inhabitants[3];
  let highest = 0;
  world.air.overheard = (_from, topic, message) => {
    const vote = topic === topicOf(world.chainId, 'vote') ? decode(voteMessage, message, { maxBytes: 512 }) : null;
    if (vote?.ok !== true || !sameBytes(vote.value.vote.nodeId, fourth?.nodeId ?? world.chainId)) return;
    highest = Math.max(highest, vote.value.vote.height);
  };
  for (const one of world.authorities().slice(0, 3)) await propose(world, one, { protocolVersion: 2 }, 3);
  for (const version of ['1.0.0', '2.0.0', '3.0.0']) await decide(world, version);
  t.ok((fourth?.fatals.length ?? 0) > 0, 'it wished to stop');
  t.equal(highest, 2, 'the last height it voted at is the one before');
  await world.close();
});

t.test('parameters and policy: marked by a quorum, in force from the next height on', async (t) => {
  const world = new VirtualWorld({ seed: 73, authorities: 4, mirrors: 1, signatures: keyedHashes() });
  await world.startAll();
  const [first, second, third, fourth] = world.authorities();
  if (first === undefined || second === undefined || third === undefined || fourth === undefined) throw new Error('expected four');
  const { policy } = (first.node?.operations.parameters().parameters ?? { policy: [] }) as { readonly policy: readonly Change[] };
  const narrowed = policy.slice(0, 1).map((rule) => ({ ...rule, maxFiles: 7 }));
  t.match(await propose(world, first, { policy: [{ ...narrowed[0], namespace: '' }, { nonsense: true }] }, null), {
    kind: 'refused',
    reason: /policy/,
  });
  t.match(await propose(world, first, { heartbeatMs: 0 }, null), { kind: 'refused', reason: /heartbeatMs/ });
  t.match(await propose(world, first, {}, null), { kind: 'refused', reason: /in force/ });
  t.match(await propose(world, first, { policy: narrowed, removeGuilty: true }, null), { kind: 'marked', waitingFor: /1 of 4/ });
  await world.time.advance(1_000);
  t.match(second.node?.operations.parameters().waiting, [
    { kind: 'SetParams', about: /removeGuilty: false → true/, endorsers: ['node1'], marked: false },
  ]);
  t.match(await propose(world, second, { policy: narrowed }, null), { kind: 'marked' }, 'another proposal is not the same');
  t.match(await propose(world, third, { policy: narrowed, removeGuilty: true }, null), { kind: 'marked', waitingFor: /2 of 4/ });
  t.match(await propose(world, fourth, { policy: narrowed, removeGuilty: true }, null), { kind: 'committed' });
  await world.time.until(() => world.heights().every((height) => height >= 1), MINUTE_MS);
  for (const node of world.running)
    t.match(node.operations.parameters(), { height: 1, parameters: { removeGuilty: true, policy: [{ maxFiles: 7 }] } });
  t.same(fatals(world), []);
  await world.close();
});
