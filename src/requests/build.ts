/**
 * One build on one authority: from what was asked for to its commit. It looks at the upstream, waits for its turn among the authors, publishes
 * a candidate if nobody else has published the same, and ends when the chain has it or no quorum can come together. SPEC §3.7. Never decides
 * what is genuine: this node's own judge looks at its candidate like at everybody else's.
 */

import {
  type AddArtifact,
  type Claim,
  type Digest,
  digestToHex,
  heightOf,
  keyOf,
  type RequestSubject,
  rankAuthors,
  ruleFor,
  type Sha256,
  sameBytes,
  transactionId,
  validatorSetAt,
} from '../../chain/index.ts';
import { RegistryError, type Resolver } from '../../registry/index.ts';
import type { ClaimPool } from '../claims/claim-pool.ts';
import { refusalOf } from '../claims/pending.ts';
import type { Head } from '../ledger/head.ts';
import type { Clock, Logger, Timers } from '../ports.ts';
import { describeSubject, keyOfSubject, packageOf, standingOf, versionOf } from './subject.ts';
import type { VerdictBook } from './verdict-book.ts';

export type BuildState = 'running' | 'committed' | 'absent' | 'refused' | 'failed';

export interface BuildDeps {
  readonly chainId: Digest;
  readonly nodeId: Digest;
  readonly head: Head;
  readonly pool: ClaimPool;
  readonly verdicts: VerdictBook;
  /** By ecosystem name. */
  readonly resolvers: ReadonlyMap<string, Resolver>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly sha256: Sha256;
  readonly log: Logger;
}

/** How a build ends. `parts` have been told of before. */
export interface BuildEnd {
  readonly state: Exclude<BuildState, 'running'>;
  readonly detail: string;
}

export interface BuildPlan {
  readonly subject: RequestSubject;
  readonly startedMs: number;
  /** Only a label that the upstream moved is news; else whatever live version the label names will do. */
  readonly refresh: boolean;
  /** What belongs to it is to be built too. */
  readonly onParts: (parts: readonly RequestSubject[]) => void;
  readonly signal: AbortSignal;
}

/** An endorsed candidate is committed in seconds; a check of many bytes may take minutes. */
const MOST_MS = 600_000;
const LOOK_MS = 250;

/** Runs to the end; never rejects but for a bug. */
export async function runBuild(plan: BuildPlan, deps: BuildDeps): Promise<BuildEnd> {
  const { subject } = plan;
  const rule = ruleFor(deps.head.parameters.policy, packageOf(subject));
  const resolver = deps.resolvers.get(subject.ecosystem);
  if (rule === null || resolver === undefined)
    return { state: 'refused', detail: `the policy admits nothing of ${describeSubject(subject)}` };
  const late = new AbortController();
  const timer = deps.timers.set(MOST_MS, () => late.abort());
  try {
    const found = await resolver.resolve(subject, { rule, signal: AbortSignal.any([plan.signal, late.signal]) });
    if (found.kind === 'refused') return { state: 'refused', detail: found.reason };
    plan.onParts(found.parts);
    return await carry(plan, deps, found.artifact);
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    deps.log[error.code === 'UPSTREAM_ABSENT' ? 'info' : 'warn'](
      { subject: describeSubject(subject), code: error.code, error: error.message },
      'what was asked for could not be fetched',
    );
    return { state: stateOfError(error), detail: error.message };
  } finally {
    timer.cancel();
  }
}

function stateOfError({ code }: RegistryError): BuildEnd['state'] {
  if (code === 'UPSTREAM_ABSENT') return 'absent';
  return code === 'MISMATCH' || code === 'TOO_LARGE' ? 'refused' : 'failed';
}

/** Until the chain has what was found here, or never will. */
async function carry(plan: BuildPlan, deps: BuildDeps, artifact: AddArtifact): Promise<BuildEnd> {
  const { clock, verdicts, pool, head } = deps;
  let height: number | null = null;
  let wanted: Wanted | BuildEnd | null = null;
  for (;;) {
    if (plan.signal.aborted) return { state: 'failed', detail: 'the node stops' };
    // A claim may be large, and says the same until the state is another.
    if (wanted === null || height !== head.height) wanted = wantedOf(plan, deps, artifact);
    height = head.height;
    if ('state' in wanted) return wanted;
    const { claims, id } = wanted;
    const set = validatorSetAt(head.view, height + 1);
    if (verdicts.isHopeless(id, set, plan.startedMs)) return { state: 'refused', detail: reasonsAgainst(id, deps) };
    if (clock.nowMs() - plan.startedMs > MOST_MS) return { state: 'failed', detail: 'no quorum endorsed it in time' };
    if (!pool.isSpoken(id) && isTurn(plan, deps, claims) && pool.submit(claims, []) !== null)
      deps.log.info({ subject: describeSubject(plan.subject), transactionId: digestToHex(id) }, 'candidate published');
    await change(deps, id);
  }
}

interface Wanted {
  readonly claims: readonly Claim[];
  readonly id: Digest;
}

function wantedOf(plan: BuildPlan, { head, sha256 }: BuildDeps, artifact: AddArtifact): Wanted | BuildEnd {
  const claims = claimsOf(plan, head, artifact);
  if (claims === null) return { state: 'committed', detail: '' };
  // Too large, banned or against a policy that has changed: said here, since nobody answers a candidate that the chain would refuse.
  const unfit = typeof claims === 'string' ? claims : refusalOf(head, claims, sha256);
  if (typeof claims === 'string' || unfit !== null) return { state: 'refused', detail: unfit ?? '' };
  return { claims, id: transactionId(sha256, claims) };
}

/** What is still missing of the artifact and its label: claims, null when nothing is, or why it can't be claimed. */
function claimsOf(plan: BuildPlan, head: Head, artifact: AddArtifact): readonly Claim[] | string | null {
  const { state } = head.view;
  const { subject } = plan;
  const { coordinates } = artifact;
  const found = standingOf(state, { ...packageOf(subject), reference: coordinates.version });
  if (found.kind === 'removed') return `${coordinates.version} was removed at height ${found.height}: ${found.reason}`;
  const named = standingOf(state, subject);
  const isDone = named.kind === 'live' && (!plan.refresh || named.coordinates.version === coordinates.version);
  if (isDone) return null;
  const missing: Claim[] = found.kind === 'live' ? [] : [artifact];
  if (versionOf(subject) === null) {
    const { ecosystem, registry, namespace, name, reference: label } = subject;
    const claim: Claim = { kind: 'SetName', ecosystem, registry, namespace, name, label, target: coordinates, replaces: null };
    missing.push({ ...claim, replaces: heightOf(state.get(keyOf(claim))) });
  }
  return missing;
}

/** Rank k may publish k · candidateMs after the start, or at once when > 1/3 have refused another's candidate. SPEC §3.6. */
function isTurn(plan: BuildPlan, deps: BuildDeps, claims: readonly Claim[]): boolean {
  const { head, verdicts, chainId, nodeId, clock } = deps;
  const set = head.voters;
  const key = keyOfSubject(plan.subject);
  const replaces = claims.find((claim) => keyOf(claim) === key)?.replaces ?? null;
  const rank = rankAuthors(deps.sha256, { chainId, key, replaces }, set).findIndex((id) => sameBytes(id, nodeId));
  if (rank < 0) return false;
  const waitedMs = clock.nowMs() - plan.startedMs;
  if (waitedMs >= rank * head.parameters.candidateMs) return true;
  return verdicts.about(key, plan.startedMs).some(({ id }) => verdicts.isHopeless(id, set, plan.startedMs));
}

/** Who refused it, and why. */
function reasonsAgainst(id: Digest, { verdicts, head }: BuildDeps): string {
  const heard = verdicts.get(id)?.verdicts;
  const named = head.voters.flatMap(({ nodeId }) => {
    const verdict = heard?.get(digestToHex(nodeId));
    return verdict?.verdict === 'refused' ? [verdict.detail] : [];
  });
  return [...new Set(named)].join('; ');
}

/** The next commit, the next word about the candidate, or a moment. */
function change(deps: BuildDeps, id: Digest): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel();
      stopCommits();
      stopVerdicts();
      resolve();
    };
    const timer = deps.timers.set(LOOK_MS, done);
    const stopCommits = deps.head.onCommit(done);
    const stopVerdicts = deps.verdicts.onChange((about) => sameBytes(about, id) && done());
  });
}
