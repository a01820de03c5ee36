/**
 * What is looked for from outside a world: that nodes agree, that none signs two things in one slot, that none gives up. Holds its own record
 * of what was said, so that no node's memory is believed.
 */

import { decode, digestToHex, MAX_PROPOSAL_MESSAGE_BYTES, proposalMessage, voteMessage } from '../../chain/index.ts';
import { topicOf } from '../../src/channels.ts';
import type { VirtualWorld } from './world.ts';
import { decidedAt } from './world.ts';

/** Agreement: no two nodes differ at any height that both have. */
export function disagreement(world: VirtualWorld): string | null {
  const decided = new Map<number, string>();
  for (const one of world.inhabitants) {
    if (one.node === null) continue;
    for (let height = 1; height <= one.node.head.height; height += 1) {
      const here = decidedAt(one.node, height) ?? 'nothing';
      const there = decided.get(height) ?? here;
      if (here !== there) return `${one.name} decided ${here} at ${height}, another ${there}`;
      decided.set(height, here);
    }
  }
  return null;
}

export function fatals(world: VirtualWorld): readonly string[] {
  return world.inhabitants.flatMap((one) =>
    one.fatals.map((error) => `${one.name}: ${error instanceof Error ? String(error.stack) : String(error)}`),
  );
}

/** Listens to every vote and proposal of the world; yields whoever signed two different things in one slot, in whatever life. */
export function watchSignatures(world: VirtualWorld): { readonly doubles: readonly string[]; readonly slots: () => number } {
  const doubles: string[] = [];
  const signed = new Map<string, string>();
  const note = (slot: string, signature: Uint8Array): void => {
    const hex = Buffer.from(signature).toString('hex');
    if ((signed.get(slot) ?? hex) !== hex) doubles.push(slot);
    signed.set(slot, hex);
  };
  world.air.overheard = (_from, topic, message) => {
    if (topic === topicOf(world.chainId, 'vote')) {
      const vote = decode(voteMessage, message, { maxBytes: 512 });
      if (!vote.ok) return;
      const { type, height, round, nodeId, signature } = vote.value.vote;
      note(`${type} ${height}/${round} ${digestToHex(nodeId)}`, signature);
    }
    if (topic === topicOf(world.chainId, 'proposal')) {
      const proposal = decode(proposalMessage, message, { maxBytes: MAX_PROPOSAL_MESSAGE_BYTES });
      if (!proposal.ok) return;
      const { height, round, nodeId, signature } = proposal.value.proposal;
      note(`proposal ${height}/${round} ${digestToHex(nodeId)}`, signature);
    }
  };
  return { doubles, slots: () => signed.size };
}
