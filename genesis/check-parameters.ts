/**
 * Whether a network can live with its parameters: bounds within which the protocol holds its promises. Follows docs/SPEC.md §6 and §8. Pure;
 * the shape has been checked by the schema.
 */

import { checkNamespace, checkRegistry, MAX_CLAIMS, type Parameters, type PolicyRule } from '../chain/index.ts';

const HOUR_MS = 3_600_000;
const PROTOCOL_VERSION = 1;

interface Bound {
  readonly min: number;
  readonly max: number;
}

const BOUNDS: Readonly<Record<Exclude<keyof Parameters, 'protocolVersion' | 'timeouts' | 'policy'>, Bound>> = {
  heartbeatMs: { min: 1000, max: 24 * HOUR_MS },
  candidateMs: { min: 100, max: 10 * 60_000 },
  endorsementMs: { min: 1000, max: HOUR_MS },
  requestOnMissMs: { min: 0, max: HOUR_MS },
  nameRefreshMs: { min: 1000, max: 365 * 24 * HOUR_MS },
  precisionMs: { min: 1, max: 60_000 },
  messageDelayMs: { min: 1, max: 60_000 },
  messageDelayGrowthMs: { min: 0, max: 60_000 },
  maxBlockBytes: { min: 65_536, max: 2_097_152 },
  maxTransactionBytes: { min: 1024, max: 262_144 },
  maxTransactionClaims: { min: 1, max: MAX_CLAIMS },
  maxBlockOperations: { min: 1, max: 2000 },
  maxEvidenceAgeBlocks: { min: 1, max: 10_000_000 },
};

const TIMEOUT_BOUND: Bound = { min: 1, max: 10 * 60_000 };
const DELTA_BOUND: Bound = { min: 0, max: 60_000 };

/** Null, or the first parameter that is out of bounds and why. */
export function checkParameters(parameters: Parameters): string | null {
  if (parameters.protocolVersion !== PROTOCOL_VERSION)
    return `protocolVersion: expected ${PROTOCOL_VERSION}, got ${parameters.protocolVersion}`;
  for (const [name, bound] of Object.entries(BOUNDS)) {
    const refusal = checkBound(name, parameters[name as keyof typeof BOUNDS], bound);
    if (refusal !== null) return refusal;
  }
  if (parameters.maxTransactionBytes > parameters.maxBlockBytes / 2) return 'maxTransactionBytes: expected at most half of maxBlockBytes';
  if (parameters.maxTransactionClaims > parameters.maxBlockOperations) return 'maxTransactionClaims: expected at most maxBlockOperations';
  return checkTimeouts(parameters.timeouts) ?? firstRefusal(parameters.policy);
}

function checkTimeouts(timeouts: Parameters['timeouts']): string | null {
  for (const [name, value] of Object.entries(timeouts)) {
    const refusal = checkBound(`timeouts.${name}`, value, name.endsWith('DeltaMs') ? DELTA_BOUND : TIMEOUT_BOUND);
    if (refusal !== null) return refusal;
  }
  const longest = Math.max(timeouts.proposeMs, timeouts.prevoteMs, timeouts.precommitMs);
  if (timeouts.capMs < longest) return `timeouts.capMs: expected at least ${longest}, the longest first timeout`;
  const grows = Math.min(timeouts.proposeDeltaMs, timeouts.prevoteDeltaMs, timeouts.precommitDeltaMs) > 0;
  return grows ? null : 'timeouts: expected every timeout to grow with the round (…DeltaMs above 0)';
}

function firstRefusal(policy: readonly PolicyRule[]): string | null {
  for (const [index, rule] of policy.entries()) {
    const refusal = checkRule(rule);
    if (refusal !== null) return `policy[${index}]: ${refusal}`;
  }
  return null;
}

function checkRule(rule: PolicyRule): string | null {
  const prefix = rule.namespace.endsWith('/*') ? rule.namespace.slice(0, -2) : rule.namespace;
  const refusal = checkRegistry(rule.ecosystem, rule.registry) ?? (prefix === '*' ? null : checkNamespace(rule.ecosystem, prefix));
  if (refusal !== null) return refusal;
  if (rule.maxFiles === 0 || rule.maxFileBytes === 0) return 'maxFiles and maxFileBytes: expected at least 1';
  if (rule.verification === 'published' && rule.publishers.length === 0) return "publishers: expected at least one for 'published'";
  if (rule.verification !== 'published' && rule.verification !== 'manual' && rule.upstream === null)
    return `upstream: expected one for '${rule.verification}'`;
  return null;
}

function checkBound(name: string, value: number, { min, max }: Bound): string | null {
  return value >= min && value <= max ? null : `${name}: expected ${min} to ${max}, got ${value}`;
}
