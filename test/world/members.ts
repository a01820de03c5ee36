/** Admins of a virtual world who change its set, load meanwhile, and what is to be seen of it from outside. */

import type { Test } from 'tap';
import { digestToHex, encode, sealedTransaction, validatorSetAt } from '../../chain/index.ts';
import { nodeRecordOf } from '../../genesis/index.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { MarkResult, MembershipOrder } from '../../src/operations.ts';
import { consentToJoin, formatConsentNote } from '../../src/orders/consent-note.ts';
import { drive } from './drive.ts';
import type { Inhabitant } from './inhabitant.ts';
import type { VirtualWorld } from './world.ts';

const MINUTE_MS = 60_000;

export function consentOf(world: VirtualWorld, one: Inhabitant, replaces: number | null = null): string {
  const node = nodeRecordOf(one.keys, one.name);
  return formatConsentNote(consentToJoin({ chainId: world.chainId, node, replaces }, one.signer.sign, sha256));
}

export function orderAt(world: VirtualWorld, one: Inhabitant, order: MembershipOrder['order'], target: string): Promise<MarkResult> {
  return drive(world, one.node?.operations.authorize({ order, target, reason: order === 'remove' ? 'moved away' : null }));
}

/** So many admins give the same order. */
export async function agree(
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
export function load(world: VirtualWorld): { readonly stop: () => void } {
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
  return encode(sealedTransaction, world.sealedBy([world.claim(version)], set));
}

const isRole = (one: Inhabitant, role: 'authority' | 'mirror'): boolean => (one.node?.engine !== null) === (role === 'authority');

const setOf = (one: Inhabitant): readonly string[] => {
  const head = one.node?.head;
  return head === undefined ? [] : validatorSetAt(head.view, head.height + 1).map((member) => digestToHex(member.nodeId));
};

export async function settled(t: Test, world: VirtualWorld, wanted: readonly Inhabitant[], what: string): Promise<void> {
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
export async function haveVoted(world: VirtualWorld, wanted: readonly Inhabitant[]): Promise<boolean> {
  const first = world.heights()[0] ?? 0;
  return await world.time.until(
    () => wanted.every((one) => world.running.some((node) => node.head.newestSignatureOf(one.nodeId, 30) > first)),
    2 * MINUTE_MS,
  );
}
