/**
 * Keeps away, for a while, peers that did what no honest one does. Each further fault doubles the time, up to a cap; the record is bounded and
 * forgets first whose time is over, then the oldest. Judges by peer id alone: an address may be shared by honest neighbours.
 */

import type { Clock, PeerFault } from '../ports.ts';

export interface PenaltyOptions {
  /** First ban. Default 60 s. */
  readonly banMs?: number;
  /** Longest ban. Default 1 h. */
  readonly maxBanMs?: number;
  /** Peers remembered. Default 4096. */
  readonly maxPeers?: number;
}

export interface Penalties {
  /** Returns how long the peer stays away, in milliseconds. */
  readonly add: (peerId: string, fault: PeerFault) => number;
  readonly isBanned: (peerId: string) => boolean;
}

/** Share of the first ban that a fault costs. Sending too much may be zeal; the rest is not. */
const SEVERITY: Readonly<Record<PeerFault, number>> = {
  'bad-bytes': 1,
  'bad-message': 1,
  'bad-signature': 1,
  'foreign-chain': 1,
  spam: 0.5,
  'bad-block': 1,
};

export function openPenalties(options: PenaltyOptions, clock: Clock): Penalties {
  const banMs = options.banMs ?? 60_000;
  const maxBanMs = options.maxBanMs ?? 3_600_000;
  const maxPeers = options.maxPeers ?? 4096;
  const records = new Map<string, { readonly untilMs: number; readonly lengthMs: number }>();

  return {
    add: (peerId, fault) => {
      const nowMs = clock.nowMs();
      const before = records.get(peerId);
      const first = banMs * SEVERITY[fault];
      // A ban that ended more than its own length ago is forgiven.
      const isRepeated = before !== undefined && nowMs < before.untilMs + before.lengthMs;
      const lengthMs = Math.min(maxBanMs, isRepeated ? Math.max(first, before.lengthMs * 2) : first);
      records.delete(peerId);
      if (records.size >= maxPeers) forgetOne(records, nowMs);
      records.set(peerId, { untilMs: nowMs + lengthMs, lengthMs });
      return lengthMs;
    },
    isBanned: (peerId) => clock.nowMs() < (records.get(peerId)?.untilMs ?? 0),
  };
}

function forgetOne(records: Map<string, { readonly untilMs: number }>, nowMs: number): void {
  for (const [peerId, record] of records) {
    if (record.untilMs > nowMs) continue;
    records.delete(peerId);
    return;
  }
  const oldest = records.keys().next().value;
  if (oldest !== undefined) records.delete(oldest);
}
