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
  removeGuilty: false,
  policy: [],
};

/** The upstream id under which a localnet's policy lets images of `docker.io` in. */
export const LOCALNET_UPSTREAM = 'docker-hub';

/**
 * A localnet's authorities may publish below generic/demo, files of up to 4 GiB; and every node may ask them for any image of `docker.io`,
 * which they fetch from the upstream `docker-hub` of their own configuration.
 */
export function localnetPolicy(publishers: readonly Digest[]): readonly PolicyRule[] {
  const rule = { maxFileBytes: 4_294_967_296, maxFiles: 1024, minimumAgeMs: 0, manual: false, platforms: [] } as const;
  const demo = {
    ...rule,
    ecosystem: 'generic',
    registry: '',
    verification: 'published',
    upstream: null,
    publishers,
    requests: 'none',
  } as const;
  return [
    { ...demo, namespace: 'demo' },
    { ...demo, namespace: 'demo/*' },
    {
      ...rule,
      ecosystem: 'docker',
      registry: 'docker.io',
      namespace: '*',
      verification: 'mirrored',
      upstream: LOCALNET_UPSTREAM,
      publishers: [],
      requests: 'everyone',
    },
  ];
}
