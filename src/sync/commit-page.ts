/** Commits what a peer gave, a page in one batch, and names the peer when a block is not one of this chain. SPEC §9.4. */

import type { CertifiedBlock, ExtendManyResult, Head } from '../ledger/head.ts';
import type { Logger, Network } from '../ports.ts';

export interface CommitPageDeps {
  readonly head: Head;
  readonly network: Network;
  readonly log: Logger;
  /** Others are at this height or above it; told after each page, before anything else can happen at the next height. */
  readonly onBehind: (height: number) => void;
}

/**
 * `whole`: all of it is on the chain. `bad`: the peer gave something else from some block on, and was sent away. `stuck`: nothing is said
 * about the peer, and no other one's page would get further just now.
 */
export type PageOutcome = 'whole' | 'bad' | 'stuck';

/** Commits up to the first block that can't be. */
export async function commitPage(
  deps: CommitPageDeps,
  given: { readonly peer: string; readonly blocks: readonly CertifiedBlock[] },
): Promise<{ readonly outcome: PageOutcome; readonly committed: number }> {
  const { committed, stop } = await deps.head.extendMany(given.blocks);
  if (committed > 0) deps.onBehind(deps.head.height + 1);
  return { outcome: stop === null ? 'whole' : judge(deps, given.peer, stop), committed };
}

function judge({ log, network }: CommitPageDeps, peer: string, stop: NonNullable<ExtendManyResult['stop']>): PageOutcome {
  const { height, result } = stop;
  if (result.kind !== 'refused') return 'stuck';
  if (result.refusal.code === 'versionUnknown') {
    log.error({ height, detail: result.refusal.detail }, 'this software is too old for the next block');
    return 'stuck';
  }
  log.warn({ peer, height, ...result.refusal }, 'a peer sent a block that is not of this chain');
  network.penalize(peer, 'bad-block', result.refusal.code);
  return 'bad';
}
