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
} from '../../chain/index.ts';
import type { Metrics } from '../metrics/types.ts';
import { shortened } from '../shortened.ts';
import { type TokenBucket, tokenBucket } from '../world/rate-limit.ts';
import { type BuildDeps, type BuildEnd, type BuildState, runBuild } from './build.ts';
import { describeSubject, keyOfSubject, packageOf, standingOf } from './subject.ts';

/** Builds under way; more wait. Of one asker fewer, so that slow ones hold up only who asked for them; and fewer of what is fetched along. */
const MAX_RUNNING = 48;
const MAX_RUNNING_OF_ONE = 12;
const MAX_RUNNING_ALONG = 4;
/** Builds remembered, waiting ones included; the oldest that have ended are forgotten first. */
const MAX_BUILDS = 2048;
/** Open builds above which nodes that are no authorities are put off, and above which nothing is fetched along. */
const MAX_OPEN_OF_STRANGERS = 1536;
const MAX_OPEN_ALONG = 1024;
/** Askers remembered of one build. */
const MAX_WANTING = 16;
/** An outcome other than a commit is believed for so long before the upstream is asked again. */
const SETTLED_MS = 15_000;
/** New builds of one asker, and of all that one authority passes on, whoever has signed them. */
const QUOTA = { perSecond: 2, burst: 64 } as const;
const RELAY_QUOTA = { perSecond: 16, burst: 512 } as const;
const MAX_ASKERS = 4096;

interface Build {
  readonly id: Digest;
  readonly subject: RequestSubject;
  readonly refresh: boolean;
  readonly startedMs: number;
  /** False of what is fetched along with another. */
  isWanted: boolean;
  /** Who pays for it: the build takes one of the places of the first that has one left. */
  readonly askers: Set<string>;
  state: BuildState | 'waiting';
  detail: string;
  endedMs: number | null;
}

/** Who wants it: a peer, and the authority that passed its word on, if one did; this node's own clients; or a build that this belongs to. */
export type Asker =
  | { readonly kind: 'peer'; readonly id: string; readonly isAuthority: boolean; readonly relay: string | null }
  | { readonly kind: 'own' }
  | { readonly kind: 'build'; readonly payer: string };

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
  /** By who pays for them. */
  readonly #running: Map<string, number> = new Map();

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
      this.#want(known, asker);
      return old(this.#reportOf(id, subject, known, known.state));
    }
    if (!this.#paysFor(asker)) return old(this.#bare(id, 'busy', 'too many requests of this node at once: come again'));
    const build = this.#add(subject, asker, { refresh: false });
    if (build === null) return old(this.#bare(id, 'busy', 'too many builds are waiting: come again'));
    return { report: this.#reportOf(id, subject, build, build.state), isNew: true };
  }

  /** Builds under way, not those that wait. */
  get running(): number {
    return [...this.#running.values()].reduce((sum, running) => sum + running, 0);
  }

  /** Looks at a label again that the upstream has moved. */
  refresh(subject: RequestSubject): void {
    const known = this.#builds.get(digestToHex(requestIdOf(this.#deps.sha256, subject)));
    if (known === undefined || known.endedMs !== null) this.#add(subject, { kind: 'build', payer: REFRESH }, { refresh: true });
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

  /** One more waits for it: what somebody waits for goes before what is only fetched along. */
  #want(build: Build, asker: Asker): void {
    if (build.state !== 'waiting') return;
    if (asker.kind !== 'build') build.isWanted = true;
    if (build.askers.size < MAX_WANTING) build.askers.add(payerOf(asker));
    this.#startNext();
  }

  #add(subject: RequestSubject, asker: Asker, { refresh }: { readonly refresh: boolean }): Build | null {
    const isWanted = asker.kind !== 'build';
    if (!this.#makeRoom(asker)) return null;
    const id = requestIdOf(this.#deps.sha256, subject);
    const build: Build = {
      id,
      subject,
      refresh,
      startedMs: this.#deps.clock.nowMs(),
      isWanted,
      askers: new Set([payerOf(asker)]),
      state: 'waiting',
      detail: '',
      endedMs: null,
    };
    this.#builds.delete(digestToHex(id));
    this.#builds.set(digestToHex(id), build);
    this.#startNext();
    return build;
  }

  /** True when one more may be remembered; what has ended is forgotten for it. */
  #makeRoom(asker: Asker): boolean {
    let open = 0;
    for (const { endedMs } of this.#builds.values()) if (endedMs === null) open += 1;
    if (open >= mostOpen(asker)) return false;
    for (const [key, build] of this.#builds) {
      if (this.#builds.size < MAX_BUILDS) break;
      if (build.endedMs !== null) this.#builds.delete(key);
    }
    return true;
  }

  #startNext(): void {
    const waiting = [...this.#builds.values()].filter(({ state }) => state === 'waiting');
    for (const build of [...waiting.filter(({ isWanted }) => isWanted), ...waiting.filter(({ isWanted }) => !isWanted)]) {
      if (this.running >= MAX_RUNNING || this.#stopped.signal.aborted) return;
      const payer = [...build.askers].find((one) => (this.#running.get(one) ?? 0) < mostRunning(one));
      if (payer !== undefined) this.#begin(build, payer);
    }
  }

  #begin(build: Build, payer: string): void {
    build.state = 'running';
    this.#running.set(payer, (this.#running.get(payer) ?? 0) + 1);
    this.#run(build, payer).then(
      (end) => this.#end(build, payer, end),
      (error: unknown) => this.#deps.fatal(error),
    );
  }

  async #run(build: Build, payer: string): Promise<BuildEnd> {
    const { subject, refresh, startedMs } = build;
    this.#deps.log.info({ subject: describeSubject(subject), step: 'requested' }, 'build started');
    const onParts = (parts: readonly RequestSubject[]): void => {
      // Parts of parts come when somebody asks for them: indexes of indexes would multiply one request by thousands.
      if (build.isWanted || refresh) for (const part of parts) this.ask(part, { kind: 'build', payer });
    };
    return await runBuild({ subject, refresh, startedMs, onParts, signal: this.#stopped.signal }, this.#deps);
  }

  #end(build: Build, payer: string, { state, detail }: BuildEnd): void {
    build.state = state;
    build.detail = detail;
    build.endedMs = this.#deps.clock.nowMs();
    const left = (this.#running.get(payer) ?? 1) - 1;
    if (left === 0) this.#running.delete(payer);
    else this.#running.set(payer, left);
    const durationMs = build.endedMs - build.startedMs;
    this.#deps.metrics.buildEnded(state);
    this.#deps.log.info({ subject: describeSubject(build.subject), outcome: state, reason: detail, durationMs }, 'build ended');
    this.#startNext();
  }

  /** Takes the asking out of the quotas of who asks and of who passed it on. */
  #paysFor(asker: Asker): boolean {
    if (asker.kind !== 'peer') return true;
    if (asker.relay !== null && !this.#quotaOf(`by ${asker.relay}`, RELAY_QUOTA).take(1)) return false;
    return this.#quotaOf(asker.id, QUOTA).take(1);
  }

  #quotaOf(asker: string, limits: { readonly perSecond: number; readonly burst: number }): TokenBucket {
    const quota = this.#quotas.get(asker) ?? tokenBucket(limits, this.#deps.clock);
    this.#quotas.delete(asker);
    this.#quotas.set(asker, quota);
    for (const [oldest] of this.#quotas) {
      if (this.#quotas.size <= MAX_ASKERS) break;
      this.#quotas.delete(oldest);
    }
    return quota;
  }

  #bare(requestId: Digest, state: BuildReport['state'], detail: string): BuildReport {
    return { requestId, subject: null, state, detail: shortened(detail, 512), startedMs: 0, fetchedBytes: 0, verdicts: [] };
  }

  #reportOf(requestId: Digest, subject: RequestSubject, build: Build | null, state: BuildReport['state'] | 'waiting'): BuildReport {
    const { head, verdicts, resolvers } = this.#deps;
    const startedMs = build?.startedMs ?? 0;
    const set = head.voters;
    const fetchedBytes = resolvers.get(subject.ecosystem)?.fetchedBytes(subject) ?? 0;
    const heard = verdicts.about(keyOfSubject(subject), startedMs).flatMap(({ id, says, verdicts: said }) =>
      set.map(({ nodeId }) => {
        const one = said.get(digestToHex(nodeId));
        const detail = one?.verdict === 'endorsed' ? says : (one?.detail ?? '');
        return { nodeId, transactionId: id, verdict: one?.verdict ?? ('silent' as const), detail: shortened(detail, 512) };
      }),
    );
    return {
      requestId,
      subject,
      state: state === 'waiting' ? 'running' : state,
      detail: shortened(build?.detail ?? '', 512),
      startedMs,
      fetchedBytes,
      verdicts: heard.slice(-512),
    };
  }
}

/** Labels that are looked at again are paid for by nobody else. */
const REFRESH = 'refresh';
const ALONG = 'along with ';

function mostRunning(payer: string): number {
  return payer.startsWith(ALONG) ? MAX_RUNNING_ALONG : MAX_RUNNING_OF_ONE;
}

function payerOf(asker: Asker): string {
  switch (asker.kind) {
    case 'peer':
      // Who passes on what others sign may have made up the others.
      return asker.relay === null ? asker.id : `by ${asker.relay}`;
    case 'own':
      return 'own';
    case 'build':
      return `${ALONG}${asker.payer}`;
  }
}

function mostOpen(asker: Asker): number {
  if (asker.kind === 'build') return MAX_OPEN_ALONG;
  return asker.kind === 'own' || asker.isAuthority ? MAX_BUILDS : MAX_OPEN_OF_STRANGERS;
}
