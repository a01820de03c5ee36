/**
 * Proposer-based time: a fresh proposal is timely when its time could be the proposer's clock a moment ago. SPEC §5.5. Decided by each
 * node for itself and never for a value proposed again.
 */

import type { BlockHeader, Parameters } from '../../chain/index.ts';

/** Whether a header received at `receivedMs` bears a believable time; the allowed delay grows with the round. */
export function isTimely(parameters: Parameters, header: BlockHeader, round: number, receivedMs: number): boolean {
  const delayMs = parameters.messageDelayMs + round * parameters.messageDelayGrowthMs;
  return header.timeMs <= receivedMs + parameters.precisionMs && header.timeMs + delayMs + parameters.precisionMs >= receivedMs;
}
