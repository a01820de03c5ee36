/**
 * This authority's own verdict on a claim: policy first, then the admin's mark where a human hand is needed, then the ecosystem's check of
 * the bytes. SPEC §3.5. Knows nothing of other authorities' verdicts.
 */

import { type AddArtifact, type Claim, checkAgainstPolicy, ruleFor } from '../../chain/index.ts';
import type { CheckVerdict, ClaimChecker } from '../../registry/index.ts';
import type { Head } from '../ledger/head.ts';
import type { Marks } from './marks.ts';

/** `unmarked`: genuine or not, it waits for this node's admin. */
export type Verdict = CheckVerdict | { readonly kind: 'unmarked' };

export interface JudgeDeps {
  readonly head: Head;
  readonly marks: Marks;
  /** By ecosystem name. */
  readonly checkers: ReadonlyMap<string, ClaimChecker>;
}

export interface JudgeContext {
  readonly authorPeerId: string;
  readonly signal: AbortSignal;
}

/** Judges every claim of a transaction; the first that is not genuine decides. */
export async function judge(deps: JudgeDeps, claims: readonly Claim[], context: JudgeContext): Promise<Verdict> {
  for (const claim of claims) {
    const verdict = claim.kind === 'AddArtifact' ? await judgeArtifact(deps, claim, context) : judgeMarked(deps, claim);
    if (verdict.kind !== 'genuine') return verdict;
  }
  return { kind: 'genuine' };
}

async function judgeArtifact(deps: JudgeDeps, claim: AddArtifact, context: JudgeContext): Promise<Verdict> {
  const { parameters } = deps.head;
  const refusal = checkAgainstPolicy(parameters, claim);
  if (refusal !== null) return { kind: 'refused', reason: refusal.detail };
  if (ruleFor(parameters.policy, claim.coordinates)?.manual === true && deps.marks.covers(claim) !== 'yes') return { kind: 'unmarked' };
  const checker = deps.checkers.get(claim.coordinates.ecosystem);
  if (checker === undefined) return { kind: 'refused', reason: `this node does not check ${claim.coordinates.ecosystem} packages` };
  return await checker.check(claim, context);
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
