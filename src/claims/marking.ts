/**
 * From an admin's order to a mark and a candidate that carries it: noted on this node, said to the others, and waited for a little while.
 * SPEC §3.5. Whether the order makes sense is asked before.
 */

import { type Claim, type Consent, keyOf, totalPower } from '../../chain/index.ts';
import type { Head } from '../ledger/head.ts';
import type { MarkResult } from '../operations.ts';
import type { ClaimPool } from './claim-pool.ts';

/** An operator's command line waits this long for the other marks. */
const MARK_WAIT_MS = 3_000;
export const TOO_MANY = 'too many candidates of this node wait for their endorsements: try again';

export interface Order {
  readonly claim: Claim;
  readonly consents: readonly Consent[];
  /** Writes the mark down. */
  readonly mark: () => Promise<void>;
  readonly warning?: string;
}

export async function carryOut({ head, pool }: { readonly head: Head; readonly pool: ClaimPool }, order: Order): Promise<MarkResult> {
  const { claim, consents, mark } = order;
  const warning = order.warning === undefined ? {} : { warning: order.warning };
  await mark();
  const id = pool.submit([claim], consents);
  if (id === null) return { kind: 'refused', reason: TOO_MANY };
  pool.marksChanged();
  const outcome = await pool.outcome(id, MARK_WAIT_MS);
  if (outcome.kind === 'committed') return { ...outcome, ...warning };
  const authorities = totalPower(head.voters);
  return {
    kind: 'marked',
    key: keyOf(claim),
    waitingFor: `marked by ${pool.endorsementsOf(id)} of ${authorities} authorities so far; more than two thirds must mark it`,
    ...warning,
  };
}
