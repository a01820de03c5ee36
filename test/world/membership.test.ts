/**
 * Authorities that come and go while the network works: a newcomer syncs by itself and votes from its height on, who is removed goes on as a
 * mirror, a key is rotated at the very height that the chain says. Whole nodes on virtual time.
 */

import t, { type Test } from 'tap';
import { digestToHex, encode, sealedTransaction, validatorSetAt } from '../../chain/index.ts';
import { nodeRecordOf } from '../../genesis/index.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { MarkResult } from '../../src/operations.ts';
import { consentToJoin, formatConsentNote } from '../../src/orders/consent-note.ts';
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

function orderAt(world: VirtualWorld, one: Inhabitant, order: 'add' | 'remove', target: string): Promise<MarkResult> {
  return drive(world, one.node?.operations.authorize({ order, target, reason: order === 'remove' ? 'moved away' : null }));
}

/** So many admins give the same order. */
async function agree(world: VirtualWorld, admins: readonly Inhabitant[], order: 'add' | 'remove', target: string): Promise<MarkResult> {
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
    world.time.timers.set(400, next);
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
  return encode(
    sealedTransaction,
    world.sealedBy(
      version,
      set.map((member) => member.nodeId),
    ),
  );
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
  const world = new VirtualWorld({ seed: 61, authorities: 4, mirrors: 3, signatures: keyedHashes() });
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
