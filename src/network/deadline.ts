/**
 * An AbortSignal that fires at a deadline or with another signal, and leaves neither a timer nor a listener behind.
 * Stands in for AbortSignal.any and AbortSignal.timeout, which hold on to long-lived signals and know nothing of the node's timers.
 */

import { setMaxListeners } from 'node:events';
import type { Timers } from '../ports.ts';
import { NetworkError } from './errors.ts';

/** Runs `work` under the deadline; the signal's reason is a NetworkError `timeout` or `aborted`. */
export async function withDeadline<T>(
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined; readonly timers: Timers },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const { signal: outer, timeoutMs } = options;
  const onOuterAbort = (): void =>
    controller.abort(new NetworkError('aborted', 'expected an answer, but the caller gave up', outer?.reason));
  if (outer?.aborted === true) onOuterAbort();
  // Many calls may share a signal, and each takes its listener away: Node's warning of a leak would be wrong.
  if (outer !== undefined) setMaxListeners(Number.POSITIVE_INFINITY, outer);
  outer?.addEventListener('abort', onOuterAbort, { once: true });
  const timer = options.timers.set(timeoutMs, () => {
    controller.abort(new NetworkError('timeout', `expected an answer within ${timeoutMs} ms`));
  });
  try {
    return await work(controller.signal);
  } finally {
    timer.cancel();
    outer?.removeEventListener('abort', onOuterAbort);
  }
}

/** The signal's reason as an Error. */
export function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new NetworkError('aborted', 'expected an answer, but the caller gave up');
}
