/**
 * Rotations that the chain has decided, brought into the keys folder before a node starts: the next key takes the place of the old one once
 * nothing is signed with that any more. Docs: docs/operations.md, "Rotating a key". Never deletes a key.
 */

import { activeNodes, type ChainView, sameBytes, validatorSetAt } from '../chain/index.ts';
import { type KeyFileUse, loadNextKeys, publicKeyOf, takeNextKey } from '../genesis/index.ts';
import type { Logger } from './ports.ts';

/** `view`: of the chain on this node's disk; asked for only where there is a next key. */
export async function settleRotations(
  folder: string,
  deps: { readonly view: () => Promise<ChainView>; readonly log: Logger },
): Promise<void> {
  const next = Object.entries(await loadNextKeys(folder)) as [KeyFileUse, Uint8Array][];
  if (next.length === 0) return;
  const view = await deps.view();
  for (const [use, seed] of next) {
    if (!isInForce(view, use, publicKeyOf(seed))) continue;
    const kept = await takeNextKey(folder, use);
    deps.log.info({ use, kept }, 'a rotated key has taken its place; the old one is kept aside');
  }
}

/** Whether the chain has the key, and no height to come is signed for with the one before it. */
function isInForce(view: ChainView, use: KeyFileUse, publicKey: Uint8Array): boolean {
  const node = activeNodes(view.state).find((one) => sameBytes(one[`${use}Key`], publicKey));
  if (node === undefined || use !== 'consensus') return node !== undefined;
  return validatorSetAt(view, view.height + 1).some((member) => sameBytes(member.consensusKey, publicKey));
}
