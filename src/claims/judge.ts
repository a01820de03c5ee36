/**
 * This authority's own verdict on a claim: policy first, then the admin's mark where a human hand is needed, then the ecosystem's check of
 * the bytes. SPEC §3.5. Knows nothing of other authorities' verdicts.
 */

import { type Claim, checkAgainstPolicy, keyOf, ruleFor } from '../../chain/index.ts';
import type { CheckVerdict, ClaimChecker } from '../../registry/index.ts';
import type { Head } from '../ledger/head.ts';
import type { FirstSeen } from './first-seen.ts';
import type { Marks } from './marks.ts';

/** `unmarked`: genuine or not, it waits for this node's admin. */
export type Verdict = CheckVerdict | { readonly kind: 'unmarked' };

export interface JudgeDeps {
  readonly head: Pick<Head, 'parameters'>;
  readonly marks: Marks;
  readonly firstSeen: FirstSeen;
  /** By ecosystem name. */
  readonly checkers: ReadonlyMap<string, ClaimChecker>;
}

export interface JudgeContext {
  readonly authorPeerId: string;
  readonly signal: AbortSignal;
}

/** Judges every claim of a transaction, labels first since they cost only a look; the first that is not genuine decides. */
export async function judge(deps: JudgeDeps, claims: readonly Claim[], context: JudgeContext): Promise<Verdict> {
  const labels = claims.filter((claim) => claim.kind === 'SetName');
  for (const claim of [...labels, ...claims.filter((one) => one.kind !== 'SetName')]) {
    const verdict = await judgeClaim(deps, claim, context);
    if (verdict.kind !== 'genuine') return verdict;
  }
  return { kind: 'genuine' };
}

async function judgeClaim(deps: JudgeDeps, claim: Claim, context: JudgeContext): Promise<Verdict> {
  if (claim.kind === 'AddArtifact') {
    const refusal = checkAgainstPolicy(deps.head.parameters, claim);
    if (refusal !== null) return { kind: 'refused', reason: refusal.detail };
  }
  const minimumAgeMs = minimumAgeOf(deps, claim);
  const ageMs = minimumAgeMs === 0 ? 0 : deps.firstSeen.ageMs(keyOf(claim));
  if (ageMs !== null && ageMs < minimumAgeMs) return young(minimumAgeMs - ageMs);
  if (needsMark(deps, claim)) {
    const verdict = judgeMarked(deps, claim);
    if (verdict.kind !== 'genuine' || claim.kind !== 'AddArtifact') return verdict;
  }
  const { ecosystem } = claim.kind === 'AddArtifact' ? claim.coordinates : (claim as SetName);
  const checker = deps.checkers.get(ecosystem);
  if (checker === undefined) return { kind: 'refused', reason: `this node does not check ${ecosystem} packages` };
  const verdict = await checker.check(claim, context);
  if (ageMs !== null || verdict.kind !== 'genuine') return verdict;
  // Seen is what the upstream has: were a claim enough, one liar could let a version grow old before it is published.
  await deps.firstSeen.note(keyOf(claim));
  return young(minimumAgeMs);
}

/** Of what comes from an upstream, from when this authority saw it there first; what a publisher vouches for has none. */
function minimumAgeOf({ head }: JudgeDeps, claim: Claim): number {
  if (claim.kind !== 'AddArtifact' || claim.source.kind !== 'upstream') return 0;
  return ruleFor(head.parameters.policy, claim.coordinates)?.minimumAgeMs ?? 0;
}

function young(leftMs: number): Verdict {
  const left = Math.ceil(leftMs / 1000);
  return { kind: 'refused', reason: `seen here too short a time ago for the policy's minimum age: ask again in ${left} s` };
}

type SetName = Extract<Claim, { readonly kind: 'SetName' }>;

/**
 * True for what takes this node's admin's hand: everything but versions, and labels of what comes from an upstream; of those too what the
 * policy wants so, and a version that was removed before.
 */
export function needsMark({ head }: Pick<JudgeDeps, 'head'>, claim: Claim): boolean {
  const { policy } = head.parameters;
  if (claim.kind === 'AddArtifact') return claim.replaces !== null || ruleFor(policy, claim.coordinates)?.manual === true;
  const rule = claim.kind === 'SetName' ? ruleFor(policy, claim) : null;
  return rule === null || rule.upstream === null || rule.manual;
}

function judgeMarked(deps: JudgeDeps, claim: Claim): Verdict {
  switch (deps.marks.covers(claim)) {
    case 'yes':
      return { kind: 'genuine' };
    case 'unmarked':
      return { kind: 'unmarked' };
    case 'other-reason':
      return { kind: 'refused', reason: 'this node is marked for it with another reason' };
  }
}
