/**
 * Whether the parameters that all nodes must agree on make sense together. Follows docs/SPEC.md §8. Checked in genesis and in every
 * SetParams; changes none and fills in none.
 */

import { MAX_BLOCK_BYTES, MAX_BLOCK_OPERATIONS, MAX_DURATION_MS, MAX_SEALED_BYTES, MAX_TRANSACTION_BYTES } from './limits.ts';
import { checkPolicy } from './policy.ts';
import { MAX_CLAIMS, type Parameters } from './structures.ts';

/** [lowest, highest] of each plain number; durations in milliseconds, sizes in bytes. */
const RANGES = {
  protocolVersion: [1, 0xffff],
  heartbeatMs: [1, MAX_DURATION_MS],
  candidateMs: [1, MAX_DURATION_MS],
  endorsementMs: [1, MAX_DURATION_MS],
  requestOnMissMs: [0, MAX_DURATION_MS],
  nameRefreshMs: [1, MAX_DURATION_MS],
  precisionMs: [0, MAX_DURATION_MS],
  messageDelayMs: [0, MAX_DURATION_MS],
  messageDelayGrowthMs: [0, MAX_DURATION_MS],
  maxBlockBytes: [16 * 1024, MAX_BLOCK_BYTES],
  maxTransactionBytes: [1024, MAX_TRANSACTION_BYTES],
  maxTransactionClaims: [1, MAX_CLAIMS],
  maxBlockOperations: [1, MAX_BLOCK_OPERATIONS],
  maxEvidenceAgeBlocks: [1, Number.MAX_SAFE_INTEGER],
} as const satisfies Partial<Record<keyof Parameters, readonly [number, number]>>;

/** Room that a block keeps beside its largest transaction: header, last certificate, evidence, endorsements. */
const BLOCK_OVERHEAD_BYTES = MAX_SEALED_BYTES - MAX_TRANSACTION_BYTES;

/** Null when the parameters may be in force, else which one is wrong. */
export function checkParameters(parameters: Parameters): string | null {
  for (const [name, [low, high]] of Object.entries(RANGES)) {
    const value = parameters[name as keyof typeof RANGES];
    if (value < low || value > high) return `${name}: expected ${low} to ${high}, got ${value}`;
  }
  return checkTimeouts(parameters.timeouts) ?? checkSizes(parameters) ?? checkPolicy(parameters.policy);
}

function checkTimeouts(timeouts: Parameters['timeouts']): string | null {
  const { proposeMs, prevoteMs, precommitMs, capMs } = timeouts;
  if (capMs > MAX_DURATION_MS) return `timeouts.capMs: expected at most ${MAX_DURATION_MS}, got ${capMs}`;
  for (const [name, value] of Object.entries({ proposeMs, prevoteMs, precommitMs })) {
    if (value < 1 || value > capMs) return `timeouts.${name}: expected 1 to capMs (${capMs}), got ${value}`;
  }
  const { proposeDeltaMs, prevoteDeltaMs, precommitDeltaMs } = timeouts;
  for (const [name, value] of Object.entries({ proposeDeltaMs, prevoteDeltaMs, precommitDeltaMs })) {
    // Without growth, a network slower than its timeouts would never decide.
    if (value < 1 || value > MAX_DURATION_MS) return `timeouts.${name}: expected 1 to ${MAX_DURATION_MS}, got ${value}`;
  }
  return null;
}

function checkSizes(parameters: Parameters): string | null {
  const { maxBlockBytes, maxTransactionBytes, maxTransactionClaims, maxBlockOperations } = parameters;
  if (maxBlockBytes < maxTransactionBytes + BLOCK_OVERHEAD_BYTES) {
    return `maxBlockBytes: expected at least maxTransactionBytes + ${BLOCK_OVERHEAD_BYTES}, got ${maxBlockBytes}`;
  }
  return maxTransactionClaims <= maxBlockOperations
    ? null
    : `maxTransactionClaims: expected at most maxBlockOperations (${maxBlockOperations}), got ${maxTransactionClaims}`;
}
