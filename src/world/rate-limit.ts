/**
 * A token bucket: so much a second in the long run, so much at once. Knows nothing of who is limited, or why.
 */

import type { Clock } from '../ports.ts';

export interface TokenBucket {
  /** Takes `amount` if that much is there; false, taking nothing, otherwise. */
  readonly take: (amount: number) => boolean;
}

export function tokenBucket(options: { readonly perSecond: number; readonly burst: number }, clock: Clock): TokenBucket {
  let tokens = options.burst;
  let lastMs = clock.nowMs();
  return {
    take: (amount) => {
      const nowMs = clock.nowMs();
      tokens = Math.min(options.burst, tokens + (Math.max(0, nowMs - lastMs) * options.perSecond) / 1000);
      lastMs = nowMs;
      if (tokens < amount) return false;
      tokens -= amount;
      return true;
    },
  };
}
