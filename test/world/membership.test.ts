/**
 * Authorities that come and go while the network works: a newcomer syncs by itself and votes from its height on, who is removed goes on as a
 * mirror, a key is rotated at the very height that the chain says. Whole nodes on virtual time.
 */

import t, { type Test } from 'tap';
import { digestToHex, encode, nodeOf, sealedTransaction, validatorSetAt } from '../../chain/index.ts';
import { nodeRecordOf, publicKeyOf } from '../../genesis/index.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { MarkResult, MembershipOrder } from '../../src/operations.ts';
import { consentToJoin, consentToRotate, formatConsentNote } from '../../src/orders/consent-note.ts';
import { drive } from './drive.ts';
import type { Inhabitant } from './inhabitant.ts';
import { keyedHashes } from './signatures.ts';
import { disagreement, fatals, watchSignatures } from './watch.ts';
import { VirtualWorld } from './world.ts';

const MINUTE_MS = 60_000;

function consentOf(world: VirtualWorld, one: Inhabitant, replaces: number | null = null): string {
  const node = nodeRecordOf(one.keys, one.name);
  return formatConsentNote(consentToJoin({ chainId: world.chainId, node, replaces }, one.signer.sign, sha256));
}

function orderAt(world: VirtualWorld, one: Inhabitant, order: MembershipOrder['order'], target: string): Promise<MarkResult> {
  return drive(world, one.node?.operations.authorize({ order, target, reason: order === 'remove' ? 'moved away' : null }));
}

/** So many admins give the same order. */
async function agree(
  world: VirtualWorld,
  admins: readonly Inhabitant[],
  order: MembershipOrder['order'],
  target: string,
): Promise<MarkResult> {
  let last: MarkResult = { kind: 'refused', reason: 'nobody was asked' };
  for (const one of admins) last = await orderAt(world, one, order, target);
  return last;
}

/** Submits one version after the other at everybody, all the time. */
function load(world: VirtualWorld): { readonly stop: () => void } {
  let count = 0;
  let stopped = false;
  const next = (): void => {
    if (stopped) return;
    count += 1;
    const sealed = sealedByMembers(world, `load.${count}`);
    if (sealed !== null) for (const node of world.running) void node.operations.submit(sealed);
    world.time.timers.set(1_500, next);
  };
  next();
  return {
    stop: () => {
      stopped = true;
    },
  };
}

/** Endorsed by those who are in the set of the next height. */
function sealedByMembers(world: VirtualWorld, version: string): Uint8Array | null {
  const [node] = world.running;
  if (node === undefined) return null;
  const highest = world.running.reduce((best, one) => (one.head.height > best.head.height ? one : best), node);
  const set = validatorSetAt(highest.head.view, highest.head.height + 1);
  return encode(sealedTransaction, world.sealedBy(version, set));
}

const isRole = (one: Inhabitant, role: 'authority' | 'mirror'): boolean => (one.node?.engine !== null) === (role === 'authority');

const setOf = (one: Inhabitant): readonly string[] => {
  const head = one.node?.head;
  return head === undefined ? [] : validatorSetAt(head.view, head.height + 1).map((member) => digestToHex(member.nodeId));
};

async function settled(t: Test, world: VirtualWorld, wanted: readonly Inhabitant[], what: string): Promise<void> {
  const names = wanted.map((one) => digestToHex(one.nodeId)).sort();
  const reached = await world.time.until(
    () =>
      world.inhabitants.every((one) => setOf(one).join() === names.join()) &&
      world.inhabitants.every((one) => isRole(one, wanted.includes(one) ? 'authority' : 'mirror')),
    5 * MINUTE_MS,
  );
  t.ok(reached, `${what}: ${world.inhabitants.map((one) => `${one.name} ${one.node?.head.height} ${setOf(one).length}`).join(', ')}`);
}

/** Whether the last certificates bear the signature of each of them: they do vote. */
async function haveVoted(world: VirtualWorld, wanted: readonly Inhabitant[]): Promise<boolean> {
  const first = world.heights()[0] ?? 0;
  return await world.time.until(
    () => wanted.every((one) => world.running.some((node) => node.head.newestSignatureOf(one.nodeId, 30) > first)),
    2 * MINUTE_MS,
  );
}

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

/** What is refused, and in which words. */
function mistakes(world: VirtualWorld, newcomer: Inhabitant): readonly (readonly [string, MembershipOrder['order'], string, RegExp])[] {
  const second = world.inhabitants[1];
  if (second === undefined) throw new Error('expected four');
  return [
    ['one that is there', 'add', consentOf(world, second), /node2 is an authority already, since height 0/],
    ['itself, by name', 'add', 'node1', /node1 is an authority already/],
    ['a stranger by name', 'add', 'nobody', /no consent of nobody is known here: run cairn keys consent/],
    ['a damaged text', 'add', consentOf(world, newcomer).slice(0, -3), /damaged/],
    ['of another network', 'add', foreignConsent(world, newcomer), /another network/],
    ['forged', 'add', forgedConsent(world, newcomer), /forged: the consent of the consensus key/],
    [
      'as if it had been there',
      'add',
      consentOf(world, newcomer, 3),
      /out of date: .* its record of height 3, and the chain has no record/,
    ],
    ['a consent to join as a rotation', 'rotate', consentOf(world, newcomer), /cairn authorize add/],
    ['a rotation of nothing', 'rotate', 'node2', /no new key of node2 is known here/],
    ['remove a stranger', 'remove', 'nobody', /no node nobody is known/],
  ];
}

t.test('clear answers: twice, unknown, self, forged, stale, from a mirror', async (t) => {
  const world = new VirtualWorld({ seed: 63, authorities: 4, mirrors: 2, signatures: keyedHashes({ onCurve: true }) });
  await world.startAll();
  const [first, , , , newcomer, mirror] = world.inhabitants;
  if (first === undefined || newcomer === undefined || mirror === undefined) throw new Error('expected six');
  for (const [what, order, target, reason] of mistakes(world, newcomer)) {
    t.match(await orderAt(world, first, order, target), { kind: 'refused', reason }, what);
  }
  t.match(await orderAt(world, mirror, 'add', consentOf(world, newcomer)), { kind: 'refused', reason: /this node is a mirror/ });
  t.match(await orderAt(world, first, 'add', consentOf(world, newcomer)), { kind: 'marked', waitingFor: /1 of 4/ });
  t.match(await orderAt(world, first, 'add', 'mirror1'), { kind: 'marked', waitingFor: /1 of 4/ }, 'twice is once');
  const namesake = formatConsentNote(
    consentToJoin({ chainId: world.chainId, node: nodeRecordOf(mirror.keys, newcomer.name), replaces: null }, mirror.signer.sign, sha256),
  );
  const second = world.inhabitants[1] ?? mirror;
  t.match(await orderAt(world, second, 'add', namesake), { kind: 'marked', waitingFor: /1 of 4/ });
  t.match(await orderAt(world, first, 'add', 'mirror1'), { kind: 'refused', reason: /of several with one name, the node id/ });
  t.match(await orderAt(world, first, 'add', digestToHex(newcomer.nodeId)), { kind: 'marked' }, 'an id says which');
  t.ok(await drive(world, first.node?.operations.unmark(digestToHex(newcomer.nodeId))), 'taken back');
  t.notOk(await drive(world, first.node?.operations.unmark(digestToHex(newcomer.nodeId))), 'and gone');
  t.same(fatals(world), []);
  await world.close();
});

t.test(
  'below four: a warning that names what is lost; the own node may go; and who was removed comes back with a new consent',
  async (t) => {
    const world = new VirtualWorld({ seed: 64, authorities: 4, mirrors: 0, signatures: keyedHashes({ onCurve: true }) });
    await world.startAll();
    const [first, second, third, fourth] = world.authorities();
    if (first === undefined || second === undefined || third === undefined || fourth === undefined) throw new Error('expected four');
    t.match(await orderAt(world, first, 'remove', 'node2'), { kind: 'marked', warning: /3 authorities are left: none of them may fail/ });
    t.match(await orderAt(world, second, 'remove', 'node2'), { kind: 'marked', warning: /this is this very node/ });
    await agree(world, [third], 'remove', 'node2');
    await settled(t, world, [first, third, fourth], 'three are left');
    const again = await orderAt(world, first, 'remove', digestToHex(second.nodeId));
    t.match(again, { kind: 'refused', reason: /was removed at height 1/ });
    const stale = await orderAt(world, first, 'add', consentOf(world, second));
    t.match(stale, { kind: 'refused', reason: /it is to replace no record of the node, and the chain has its record of height 1/ });
    const own = (await drive(world, second.node?.operations.members())).own;
    t.match(own, { active: false, recordHeight: 1 }, 'it knows what its consent replaces');
    await agree(world, [first, third, fourth], 'add', consentOf(world, second, own?.recordHeight ?? null));
    await settled(t, world, [first, second, third, fourth], 'who was removed is back');
    t.same(fatals(world), []);
    await world.close();
  },
);

function foreignConsent(world: VirtualWorld, one: Inhabitant): string {
  const about = { chainId: sha256(world.chainId), node: nodeRecordOf(one.keys, one.name), replaces: null };
  return formatConsentNote(consentToJoin(about, one.signer.sign, sha256));
}

function forgedConsent(world: VirtualWorld, one: Inhabitant): string {
  const about = { chainId: world.chainId, node: nodeRecordOf(one.keys, one.name), replaces: null };
  const sign = one.signer.sign;
  return formatConsentNote(
    consentToJoin(about, (use, message) => (use === 'consensus' ? sign('network', message) : sign(use, message)), sha256),
  );
}
