/**
 * Builds as operators see them: asked for by image, followed by id, with each authority's verdict beside the others'. What authorities tell
 * is hearsay and shown as such; that something is on the chain is read from the chain.
 */

import {
  type BuildReport,
  type Digest,
  digestFromHex,
  digestToHex,
  type RequestSubject,
  requestIdOf,
  type Sha256,
  sameBytes,
} from '../../chain/index.ts';
import { parseImageReference, subjectOf } from '../../registry/index.ts';
import type { Head } from '../ledger/head.ts';
import type { Members } from '../ledger/members.ts';
import type { BuildResult, BuildStatus, BuildVerdict } from '../operations.ts';
import type { HeardReport } from './request-outcome.ts';
import type { Requests } from './requests.ts';
import { describeSubject, standingOf } from './subject.ts';

export interface BuildsDeps {
  readonly head: Head;
  readonly members: Members;
  readonly requests: Requests;
  readonly sha256: Sha256;
}

export class Builds {
  readonly #deps: BuildsDeps;

  constructor(deps: BuildsDeps) {
    this.#deps = deps;
  }

  build(image: string): BuildResult {
    const { head, requests, sha256 } = this.#deps;
    const parsed = parseImageReference(image);
    if (!parsed.ok) return { kind: 'refused', reason: parsed.reason };
    const subject = subjectOf(parsed);
    const id = requestIdOf(sha256, subject);
    const known = { id: digestToHex(id), image: describeSubject(subject) };
    const standing = standingOf(head.view.state, subject);
    if (standing.kind === 'live') return { kind: 'exists', ...known, height: standing.height, version: standing.coordinates.version };
    if (standing.kind === 'removed') return { kind: 'refused', reason: `removed at height ${standing.height}: ${standing.reason}` };
    const refusal = requests.mayRequest(subject);
    if (refusal !== null) return { kind: 'refused', reason: refusal };
    if (requests.isRunning(id)) return { kind: 'running', ...known };
    return requests.start(subject) === null
      ? { kind: 'refused', reason: 'too many requests of this node are under way: try again' }
      : { kind: 'started', ...known };
  }

  /** Asks every connected authority; null for what is no id. */
  async status(id: string): Promise<BuildStatus | null> {
    if (!/^[0-9a-f]{64}$/.test(id)) return null;
    const digest = digestFromHex(id);
    const { head, requests } = this.#deps;
    const heard = await requests.reports(digest);
    const subject = this.#subjectOf(digest, heard);
    const standing = subject === null ? null : standingOf(head.view.state, subject);
    const live = standing?.kind === 'live' ? standing : null;
    const reports = heard.map(({ report }) => report);
    return {
      id,
      image: subject === null ? null : describeSubject(subject),
      ...outcomeOf(live !== null, requests.isRunning(digest), reports),
      startedMs: reports.reduce<number | null>(
        (first, { startedMs }) => (startedMs > 0 && startedMs < (first ?? Infinity) ? startedMs : first),
        null,
      ),
      fetchedBytes: Math.max(0, ...reports.map(({ fetchedBytes }) => fetchedBytes)),
      height: live?.height ?? null,
      version: live?.coordinates.version ?? null,
      verdicts: this.#verdictsOf(heard),
    };
  }

  /** As an authority tells it; one that makes it up has another id. */
  #subjectOf(id: Digest, heard: readonly HeardReport[]): RequestSubject | null {
    const subjects = heard.map(({ report }) => report.subject).filter((subject) => subject !== null);
    return subjects.find((subject) => digestToHex(requestIdOf(this.#deps.sha256, subject)) === digestToHex(id)) ?? null;
  }

  /** Each authority's verdict on each candidate: its own word first, and a word that was heard somewhere before silence elsewhere. */
  #verdictsOf(heard: readonly HeardReport[]): readonly BuildVerdict[] {
    const names = new Map(this.#deps.members.all().map(({ nodeId, name }) => [digestToHex(nodeId), name]));
    const merged = new Map<string, BuildVerdict>();
    const told = heard.flatMap(({ nodeId: by, report }) => report.verdicts.map((one) => ({ ...one, isOwn: sameBytes(one.nodeId, by) })));
    for (const { nodeId, transactionId, verdict, detail } of [...told.filter(({ isOwn }) => isOwn), ...told]) {
      const candidate = digestToHex(transactionId);
      const key = `${candidate}|${digestToHex(nodeId)}`;
      const before = merged.get(key);
      if (before !== undefined && before.verdict !== 'silent') continue;
      merged.set(key, { authority: names.get(digestToHex(nodeId)) ?? digestToHex(nodeId), candidate, verdict, detail });
    }
    return [...merged.values()].sort((left, right) =>
      left.candidate === right.candidate ? (left.authority < right.authority ? -1 : 1) : left.candidate < right.candidate ? -1 : 1,
    );
  }
}

function outcomeOf(isLive: boolean, isAsked: boolean, reports: readonly BuildReport[]): Pick<BuildStatus, 'state' | 'detail'> {
  if (isLive) return { state: 'success', detail: '' };
  const details = (...states: readonly BuildReport['state'][]): string =>
    [...new Set(reports.filter(({ state }) => states.includes(state)).map(({ detail }) => detail))].filter((one) => one !== '').join('; ');
  if (isAsked || reports.some(({ state }) => state === 'running'))
    return { state: 'running', detail: details('running', 'failed', 'busy') };
  if (reports.some(({ state }) => state === 'absent' || state === 'refused' || state === 'failed'))
    return { state: 'failure', detail: details('absent', 'refused', 'failed') };
  return {
    state: 'unknown',
    detail: reports.length === 0 ? 'no authority is connected' : 'no authority knows of it: it was never asked for, or is forgotten',
  };
}
