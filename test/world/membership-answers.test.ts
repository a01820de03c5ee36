/** What an admin is told who wants of the set what can't be, or what costs the network something. Whole nodes on virtual time. */

import t from 'tap';
import { digestToHex } from '../../chain/index.ts';
import { nodeRecordOf } from '../../genesis/index.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { MembershipOrder } from '../../src/operations.ts';
import { consentToJoin, formatConsentNote } from '../../src/orders/consent-note.ts';
import { drive } from './drive.ts';
import type { Inhabitant } from './inhabitant.ts';
import { agree, consentOf, orderAt, settled } from './members.ts';
import { keyedHashes } from './signatures.ts';
import { fatals } from './watch.ts';
import { VirtualWorld } from './world.ts';

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
  t.ok(await drive(world, first.node?.operations.unmark(digestToHex(newcomer.nodeId))), 'taken back');
  t.notOk(await drive(world, first.node?.operations.unmark(digestToHex(newcomer.nodeId))), 'and gone');
  t.same(fatals(world), []);
  await world.close();
});

t.test('of two newcomers with one name only an id says which', async (t) => {
  const world = new VirtualWorld({ seed: 65, authorities: 4, mirrors: 2, signatures: keyedHashes({ onCurve: true }) });
  await world.startAll();
  const [first, second, , , newcomer, mirror] = world.inhabitants;
  if (first === undefined || second === undefined || newcomer === undefined || mirror === undefined) throw new Error('expected six');
  await orderAt(world, first, 'add', consentOf(world, newcomer));
  const namesake = formatConsentNote(
    consentToJoin({ chainId: world.chainId, node: nodeRecordOf(mirror.keys, newcomer.name), replaces: null }, mirror.signer.sign, sha256),
  );
  t.match(await orderAt(world, second, 'add', namesake), { kind: 'marked', waitingFor: /1 of 4/ });
  t.match(await orderAt(world, first, 'add', 'mirror1'), { kind: 'refused', reason: /of several with one name, the node id/ });
  t.match(await orderAt(world, first, 'add', digestToHex(newcomer.nodeId)), { kind: 'marked' }, 'an id says which');
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
