/**
 * The builds of an authority: which are under way, which have ended and how, how many run at once, and who has asked for too much. SPEC §3.7.
 * One build a subject, however many ask. Says what it knows; the chain alone says what is true.
 */

import {
  type BuildReport,
  checkRequestSubject,
  type Digest,
  digestToHex,
  type RequestSubject,
  requestIdOf,
  ruleFor,
  validatorSetAt,
} from '../../chain/index.ts';
import type { Metrics } from '../metrics/types.ts';
import { type TokenBucket, tokenBucket } from '../world/rate-limit.ts';
import { type BuildDeps, type BuildEnd, type BuildState, runBuild } from './build.ts';
import { describeSubject, keyOfSubject, packageOf, standingOf } from './subject.ts';

/** Builds under way; more wait. */
const MAX_RUNNING = 32;
/** Builds remembered, waiting ones included; the oldest that have ended are forgotten first. */
const MAX_BUILDS = 2048;
/** An outcome other than a commit is believed for so long before the upstream is asked again. */
const SETTLED_MS = 15_000;
/** New builds of one asker. */
const QUOTA = { perSecond: 2, burst: 64 } as const;
const MAX_ASKERS = 4096;

interface Build {
  readonly id: Digest;
  readonly subject: RequestSubject;
  readonly refresh: boolean;
  readonly startedMs: number;
  state: BuildState | 'waiting';
  detail: string;
  endedMs: number | null;
}

/** Who wants it: a peer, which pays for it; this node's own clients; or a build that this belongs to. */
export type Asker =
  | { readonly kind: 'peer'; readonly id: string; readonly isAuthority: boolean }
  | { readonly kind: 'own' }
  | { readonly kind: 'build' };

/** `isNew`: this asking began the build. */
export interface Asked {
  readonly report: BuildReport;
  readonly isNew: boolean;
}

export interface RequestDeskDeps extends BuildDeps {
  /** A bug in a build is one of the node. */
  readonly fatal: (error: unknown) => void;
  readonly metrics: Pick<Metrics, 'buildEnded'>;
}

export class RequestDesk {
  readonly #deps: RequestDeskDeps;
  readonly #builds: Map<string, Build> = new Map();
  readonly #quotas: Map<string, TokenBucket> = new Map();
  readonly #stopped: AbortController = new AbortController();
  #running = 0;

  constructor(deps: RequestDeskDeps) {
    this.#deps = deps;
  }

  /** Begins the build unless it is under way, done, or was just refused. */
  ask(subject: RequestSubject, asker: Asker): Asked {
    const id = requestIdOf(this.#deps.sha256, subject);
    const old = (report: BuildReport): Asked => ({ report, isNew: false });
    const refusal = this.#refusalOf(subject, asker);
    if (refusal !== null) return old(this.#bare(id, 'refused', refusal));
    const known = this.#builds.get(digestToHex(id)) ?? null;
    const standing = standingOf(this.#deps.head.view.state, subject);
    if (standing.kind === 'live') return old(this.#reportOf(id, subject, known, 'committed'));
    if (standing.kind === 'removed') return old(this.#bare(id, 'refused', `removed at height ${standing.height}: ${standing.reason}`));
    if (known !== null && !this.#isStale(known)) {
      if (asker.kind !== 'build') this.#prefer(known);
      return old(this.#reportOf(id, subject, known, known.state));
    }
    if (asker.kind === 'peer' && !this.#quotaOf(asker.id).take(1))
      return old(this.#bare(id, 'busy', 'too many requests of this node at once: come again'));
    const build = this.#add(subject, { refresh: false, first: asker.kind !== 'build' });
    if (build === null) return old(this.#bare(id, 'busy', 'too many builds are waiting: come again'));
    return { report: this.#reportOf(id, subject, build, build.state), isNew: true };
  }

  /** Builds under way, not those that wait. */
  get running(): number {
    return this.#running;
  }

  /** Looks at a label again that the upstream has moved. */
  refresh(subject: RequestSubject): void {
    const known = this.#builds.get(digestToHex(requestIdOf(this.#deps.sha256, subject)));
    if (known === undefined || known.endedMs !== null) this.#add(subject, { refresh: true, first: false });
  }

  report(id: Digest): BuildReport {
    const known = this.#builds.get(digestToHex(id));
    if (known === undefined) return this.#bare(id, 'unknown', 'never asked for at this authority, or forgotten');
    return this.#reportOf(id, known.subject, known, known.state);
  }

  stop(): void {
    this.#stopped.abort();
  }

  #refusalOf(subject: RequestSubject, asker: Asker): string | null {
    const form = checkRequestSubject(subject);
    if (form !== null) return form;
    const rule = ruleFor(this.#deps.head.parameters.policy, packageOf(subject));
    const resolver = this.#deps.resolvers.get(subject.ecosystem);
    if (rule === null || resolver === undefined) return `the policy admits nothing of ${describeSubject(subject)}`;
    const isAuthority = asker.kind !== 'peer' || asker.isAuthority;
    if (rule.requests === 'none' || (rule.requests === 'authorities' && !isAuthority))
      return 'the policy does not let this node ask for it';
    return resolver.mayUse(rule);
  }

  /** An ended build may be tried again after a while; one whose commit the state has overtaken at once. */
  #isStale(build: Build): boolean {
    if (build.endedMs === null) return false;
    return build.state === 'committed' || this.#deps.clock.nowMs() - build.endedMs >= SETTLED_MS;
  }

  /** What somebody waits for goes before what is only fetched along. */
  #prefer(build: Build): void {
    if (build.state !== 'waiting') return;
    const hex = digestToHex(build.id);
    const others = [...this.#builds].filter(([key]) => key !== hex);
    this.#builds.clear();
    for (const [key, one] of [[hex, build] as const, ...others]) this.#builds.set(key, one);
  }

  #add(subject: RequestSubject, options: { readonly refresh: boolean; readonly first: boolean }): Build | null {
    this.#makeRoom();
    if (this.#builds.size >= MAX_BUILDS) return null;
    const id = requestIdOf(this.#deps.sha256, subject);
    const startedMs = this.#deps.clock.nowMs();
    const build: Build = { id, subject, refresh: options.refresh, startedMs, state: 'waiting', detail: '', endedMs: null };
    this.#builds.delete(digestToHex(id));
    this.#builds.set(digestToHex(id), build);
    if (options.first) this.#prefer(build);
    this.#startNext();
    return build;
  }

  #makeRoom(): void {
    for (const [key, build] of this.#builds) {
      if (this.#builds.size < MAX_BUILDS) return;
      if (build.endedMs !== null) this.#builds.delete(key);
    }
  }

  #startNext(): void {
    for (const build of this.#builds.values()) {
      if (this.#running >= MAX_RUNNING || this.#stopped.signal.aborted) return;
      if (build.state !== 'waiting') continue;
      build.state = 'running';
      this.#running += 1;
      this.#run(build).then(
        (end) => this.#end(build, end),
        (error: unknown) => this.#deps.fatal(error),
      );
    }
  }

  async #run(build: Build): Promise<BuildEnd> {
    const { subject, refresh, startedMs } = build;
    this.#deps.log.info({ subject: describeSubject(subject), step: 'requested' }, 'build started');
    const onParts = (parts: readonly RequestSubject[]): void => {
      for (const part of parts) this.ask(part, { kind: 'build' });
    };
    return await runBuild({ subject, refresh, startedMs, onParts, signal: this.#stopped.signal }, this.#deps);
  }

  #end(build: Build, { state, detail }: BuildEnd): void {
    build.state = state;
    build.detail = detail;
    build.endedMs = this.#deps.clock.nowMs();
    this.#running -= 1;
    const durationMs = build.endedMs - build.startedMs;
    this.#deps.metrics.buildEnded(state);
    this.#deps.log.info({ subject: describeSubject(build.subject), outcome: state, reason: detail, durationMs }, 'build ended');
    this.#startNext();
  }

  #quotaOf(asker: string): TokenBucket {
    const quota = this.#quotas.get(asker) ?? tokenBucket(QUOTA, this.#deps.clock);
    this.#quotas.delete(asker);
    this.#quotas.set(asker, quota);
    for (const [oldest] of this.#quotas) {
      if (this.#quotas.size <= MAX_ASKERS) break;
      this.#quotas.delete(oldest);
    }
    return quota;
  }

  #bare(requestId: Digest, state: BuildReport['state'], detail: string): BuildReport {
    return { requestId, subject: null, state, detail: detail.slice(0, 512), startedMs: 0, fetchedBytes: 0, verdicts: [] };
  }

  #reportOf(requestId: Digest, subject: RequestSubject, build: Build | null, state: BuildReport['state'] | 'waiting'): BuildReport {
    const { head, verdicts, resolvers } = this.#deps;
    const startedMs = build?.startedMs ?? 0;
    const set = validatorSetAt(head.view, head.height + 1);
    const fetchedBytes = resolvers.get(subject.ecosystem)?.fetchedBytes(subject) ?? 0;
    const heard = verdicts.about(keyOfSubject(subject), startedMs).flatMap(({ id, says, verdicts: said }) =>
      set.map(({ nodeId }) => {
        const one = said.get(digestToHex(nodeId));
        const detail = one?.verdict === 'endorsed' ? says : (one?.detail ?? '');
        return { nodeId, transactionId: id, verdict: one?.verdict ?? ('silent' as const), detail: detail.slice(0, 512) };
      }),
    );
    return {
      requestId,
      subject,
      state: state === 'waiting' ? 'running' : state,
      detail: (build?.detail ?? '').slice(0, 512),
      startedMs,
      fetchedBytes,
      verdicts: heard.slice(-512),
    };
  }
}
