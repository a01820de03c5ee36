/** Sensible parameters for a new network, and the admission policy of a localnet. Follows docs/SPEC.md §10; changes nothing by itself. */

import type { Digest, Parameters, PolicyRule } from '../chain/index.ts';

/** Everything but the policy, whose default is to admit nothing. */
export const DEFAULT_PARAMETERS: Parameters = {
  protocolVersion: 1,
  heartbeatMs: 600_000,
  candidateMs: 3000,
  endorsementMs: 60_000,
  requestOnMissMs: 20_000,
  nameRefreshMs: 3_600_000,
  precisionMs: 500,
  messageDelayMs: 2000,
  messageDelayGrowthMs: 500,
  timeouts: {
    proposeMs: 3000,
    proposeDeltaMs: 500,
    prevoteMs: 1000,
    prevoteDeltaMs: 500,
    precommitMs: 1000,
    precommitDeltaMs: 500,
    capMs: 30_000,
  },
  maxBlockBytes: 2_097_152,
  maxTransactionBytes: 262_144,
  maxTransactionClaims: 256,
  maxBlockOperations: 2000,
  maxEvidenceAgeBlocks: 100_000,
  policy: [],
};

/** A localnet's authorities may publish below generic/demo, files of up to 4 GiB. */
export function localnetPolicy(publishers: readonly Digest[]): readonly PolicyRule[] {
  const rule = {
    ecosystem: 'generic',
    registry: '',
    verification: 'published',
    upstream: null,
    publishers,
    maxFileBytes: 4_294_967_296,
    maxFiles: 1024,
    minimumAgeMs: 0,
    manual: false,
    requests: 'none',
    platforms: [],
  } as const;
  return [
    { ...rule, namespace: 'demo' },
    { ...rule, namespace: 'demo/*' },
  ];
}
