/** Commits what a peer gave, block after block, and names the peer when a block is not one of this chain. SPEC §9.4. */

import type { BlocksResponse } from '../../chain/index.ts';
import { decodeBlock, decodeCertificate, type Head } from '../ledger/head.ts';
import type { Logger, Network } from '../ports.ts';

export interface CommitPageDeps {
  readonly head: Head;
  readonly network: Network;
  readonly log: Logger;
  /** Others are at this height or above it; told after each block, before anything else can happen at the next height. */
  readonly onBehind: (height: number) => void;
}

/** Stops at the first block that can't be committed; true when at least one was. */
export async function commitPage(
  deps: CommitPageDeps,
  given: { readonly peer: string; readonly page: BlocksResponse; readonly from: number },
): Promise<boolean> {
  const { head, network, log } = deps;
  const { peer, page, from } = given;
  let committed = false;
  for (const [index, entry] of page.blocks.entries()) {
    const block = decodeBlock(entry.block);
    const certificate = decodeCertificate(entry.certificate);
    if (!block.ok || !certificate.ok) {
      network.penalize(peer, 'bad-block', 'a block or certificate does not decode');
      break;
    }
    const { height } = block.value.header;
    if (height !== from + index) {
      network.penalize(peer, 'bad-block', 'blocks of other heights than were asked for');
      break;
    }
    const result = await head.extend(block.value, certificate.value);
    if (result.kind === 'committed') {
      committed = true;
      deps.onBehind(head.height + 1);
    }
    if (result.kind === 'unknown') break;
    if (result.kind !== 'refused') continue;
    if (result.refusal.code === 'versionUnknown') {
      log.error({ height, detail: result.refusal.detail }, 'this software is too old for the next block');
      break;
    }
    log.warn({ peer, height, ...result.refusal }, 'a peer sent a block that is not of this chain');
    network.penalize(peer, 'bad-block', result.refusal.code);
    break;
  }
  return committed;
}
