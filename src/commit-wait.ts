/** Waits for a submitted transaction to be on this node's disk, or to have no hope left. Never changes what becomes of it. */

import type { Digest } from '../chain/index.ts';
import type { Mempool } from './claims/mempool.ts';
import type { Head } from './ledger/head.ts';
import type { Timers } from './ports.ts';

export interface CommitWait {
  /** The height; `dropped`: a block left it neither committed nor waiting; `late`: nothing was decided in time. */
  readonly outcome: Promise<number | 'dropped' | 'late'>;
  /** To be said once the mempool has it: from then on its absence counts. */
  readonly held: () => void;
  readonly cancel: () => void;
}

export function awaitCommit(
  id: Digest,
  deps: { readonly head: Head; readonly mempool: Mempool; readonly timers: Timers; readonly timeoutMs: number },
): CommitWait {
  const { head, mempool, timers } = deps;
  let settle: (outcome: number | 'dropped' | 'late') => void = () => {};
  let isHeld = false;
  const outcome = new Promise<number | 'dropped' | 'late'>((resolve) => {
    const timer = timers.set(deps.timeoutMs, () => settle('late'));
    settle = (found) => {
      timer.cancel();
      stop();
      resolve(found);
    };
    const stop = head.onCommit(() => {
      const found = head.store.transactionHeight(id);
      if (found !== null) settle(found);
      else if (isHeld && !mempool.has(id)) settle('dropped');
    });
  });
  const held = (): void => {
    isHeld = true;
  };
  return { outcome, held, cancel: () => settle('late') };
}
