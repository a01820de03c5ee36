/**
 * Authorities that come and go while the network works: a newcomer syncs by itself and votes from its height on, who is removed goes on as a
 * mirror, a key is rotated at the very height that the chain says. Whole nodes on virtual time.
 */

import t from 'tap';
import { nodeOf } from '../../chain/index.ts';
import { publicKeyOf } from '../../genesis/index.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import { consentToRotate, formatConsentNote } from '../../src/orders/consent-note.ts';
import type { Inhabitant } from './inhabitant.ts';
import { agree, consentOf, haveVoted, load, orderAt, settled } from './members.ts';
import { keyedHashes } from './signatures.ts';
import { disagreement, fatals, watchSignatures } from './watch.ts';
import { VirtualWorld } from './world.ts';

const MINUTE_MS = 60_000;

t.test('4 → 7 → 4 under load: newcomers sync and vote without a restart, the removed serve on, nothing forks', async (t) => {
  const world = new VirtualWorld({ seed: 61, authorities: 4, mirrors: 3, signatures: keyedHashes({ onCurve: true }) });
  const watch = watchSignatures(world);
  await world.startAll();
  const work = load(world);
  const founders = world.authorities();
  const newcomers = world.inhabitants.slice(4);
  await world.time.advance(5_000);

  const members = [...founders];
  for (const one of newcomers) {
    const admins = members.slice(0, Math.floor((2 * members.length) / 3) + 1);
    await agree(world, admins, 'add', consentOf(world, one));
    members.push(one);
    await settled(t, world, members, `${one.name} is in`);
  }
  t.ok(await haveVoted(world, world.inhabitants), 'all seven vote');

  for (const one of newcomers) {
    const admins = members.filter((other) => other !== one).slice(0, Math.floor((2 * members.length) / 3) + 1);
    const result = await agree(world, admins, 'remove', one.name);
    t.not(result.kind, 'refused', JSON.stringify(result));
    members.splice(members.indexOf(one), 1);
    await settled(t, world, members, `${one.name} is out`);
  }
  const before = Math.max(...world.heights());
  t.ok(await world.time.until(() => world.heights().every((height) => height > before + 3), MINUTE_MS), 'all seven follow the chain');
  work.stop();
  t.same(watch.doubles, []);
  t.equal(disagreement(world), null);
  t.same(fatals(world), []);
  t.same(world.air.penalties, [], 'nobody was blamed');
  await world.close();
});

/** The consent of a new consensus key, whose private half the node holds from now on. */
function newKeyOf(world: VirtualWorld, one: Inhabitant): string {
  const seed = world.random.bytes(32);
  one.signer = keyedHashes({ onCurve: true }).signer(one.keys, { consensus: seed });
  const publicKey = publicKeyOf(seed);
  const replaces = nodeOf(world.running[0]?.head.view.state ?? { get: () => null }, one.nodeId)?.height ?? 0;
  const about = { chainId: world.chainId, nodeId: one.nodeId, use: 'consensus', publicKey, replaces } as const;
  return formatConsentNote(consentToRotate(about, (use, message) => one.signer.sign(use, message, publicKey), sha256));
}

t.test(
  'a consensus key is rotated under load: from the height on that the chain says the node signs with the new one, over a crash too',
  async (t) => {
    const world = new VirtualWorld({ seed: 62, authorities: 4, mirrors: 1, signatures: keyedHashes({ onCurve: true }) });
    const watch = watchSignatures(world);
    await world.startAll();
    const work = load(world);
    await world.time.advance(5_000);
    const [first, second, third, fourth] = world.authorities();
    if (first === undefined || second === undefined || third === undefined || fourth === undefined) throw new Error('expected four');
    const note = newKeyOf(world, second);
    t.match(await orderAt(world, second, 'rotate', note), { kind: 'refused', reason: /not in this node's own keys folder/ });
    world.crash(second);
    await world.start(second);
    await orderAt(world, second, 'rotate', note);
    await orderAt(world, first, 'rotate', 'node2');
    t.match(await orderAt(world, third, 'rotate', 'node2'), { kind: 'committed' }, 'the others need not carry the text');
    world.crash(second);
    await world.time.advance(3_000);
    await world.start(second);
    t.ok(await haveVoted(world, [second]), 'it votes with the new key');
    const before = Math.max(...world.heights());
    world.crash(fourth);
    t.ok(
      await world.time.until(() => world.heights().every((height) => height > before + 2), 2 * MINUTE_MS),
      'and its vote counts: three of four go on',
    );
    work.stop();
    t.same(watch.doubles, []);
    t.equal(disagreement(world), null);
    t.same(fatals(world), []);
    t.same(world.air.penalties, [], 'nobody was blamed');
    await world.close();
  },
);
