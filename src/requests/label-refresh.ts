/**
 * Looks again, every `nameRefreshMs`, at the labels that came from an upstream: a Docker tag moves. SPEC §3.7. Each authority looks by itself,
 * the first in rank first; one that has moved becomes a build like any other, and one that has not makes no claim.
 */

import {
  type Digest,
  parametersOf,
  type RequestSubject,
  rankAuthors,
  ruleFor,
  type Sha256,
  type StateRecord,
  sameBytes,
} from '../../chain/index.ts';
import { RegistryError, type Resolver } from '../../registry/index.ts';
import type { Head } from '../ledger/head.ts';
import type { Clock, Logger, Timer, Timers } from '../ports.ts';
import type { RequestDesk } from './request-desk.ts';
import { describeSubject, packageOf } from './subject.ts';

/** Labels looked at in one go; the rest in the next. */
const PAGE = 200;
/** Labels whose last look is remembered. */
const MAX_LOOKED = 100_000;
const MOST_PAUSE_MS = 30_000;

export interface LabelRefreshDeps {
  readonly chainId: Digest;
  readonly nodeId: Digest;
  readonly head: Head;
  readonly desk: RequestDesk;
  readonly resolvers: ReadonlyMap<string, Resolver>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly sha256: Sha256;
  readonly log: Logger;
}

type NameRecord = Extract<StateRecord, { readonly kind: 'name' }>;

export class LabelRefresh {
  readonly #deps: LabelRefreshDeps;
  /** When each label was looked at last, by its state key. */
  readonly #lookedMs: Map<string, number> = new Map();
  readonly #stopped: AbortController = new AbortController();
  #timer: Timer | null = null;
  #after: string | null = null;

  constructor(deps: LabelRefreshDeps) {
    this.#deps = deps;
  }

  start(): void {
    const { nameRefreshMs } = this.#deps.head.parameters;
    this.#timer = this.#deps.timers.set(Math.min(MOST_PAUSE_MS, Math.ceil(nameRefreshMs / 4)), () => {
      this.#look()
        .catch((error: unknown) => this.#deps.log.warn({ error: String(error) }, 'labels could not be looked at again'))
        .finally(() => !this.#stopped.signal.aborted && this.start());
    });
  }

  stop(): void {
    this.#stopped.abort();
    this.#timer?.cancel();
  }

  /** One page of labels, those first whose turn came before. */
  async #look(): Promise<void> {
    const found = await this.#deps.head.store.records('name|', { ...(this.#after === null ? {} : { after: this.#after }), limit: PAGE });
    this.#after = found.length < PAGE ? null : (found.at(-1)?.[0] ?? null);
    for (const [key, record] of found) {
      if (this.#stopped.signal.aborted) return;
      const subject = record.kind === 'name' ? subjectOf(key) : null;
      if (subject !== null && record.kind === 'name' && this.#isDue(key, record)) await this.#lookAt(key, subject, record);
    }
  }

  /** Rank k waits k · candidateMs longer, so that the first has published before the next looks. */
  #isDue(key: string, record: NameRecord): boolean {
    const { head, chainId, nodeId, sha256, clock } = this.#deps;
    const { nameRefreshMs, candidateMs } = parametersOf(head.view);
    const set = head.voters;
    const rank = rankAuthors(sha256, { chainId, key, replaces: record.height }, set).findIndex((id) => sameBytes(id, nodeId));
    const lastMs = Math.max(this.#lookedMs.get(key) ?? 0, head.store.timeMsAt(record.height) ?? 0);
    return rank >= 0 && clock.nowMs() - lastMs >= nameRefreshMs + rank * candidateMs;
  }

  async #lookAt(key: string, subject: RequestSubject, record: NameRecord): Promise<void> {
    const { head, resolvers, clock, desk, log } = this.#deps;
    const rule = ruleFor(head.parameters.policy, packageOf(subject));
    const resolver = resolvers.get(subject.ecosystem);
    if (rule === null || rule.upstream === null || resolver === undefined) return;
    this.#remember(key, clock.nowMs());
    try {
      const version = await resolver.peek(subject, { rule, signal: this.#stopped.signal });
      if (version === record.target.version) return;
      log.info({ subject: describeSubject(subject), from: record.target.version, to: version }, 'a label was moved by its upstream');
      desk.refresh(subject);
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      log.debug({ subject: describeSubject(subject), code: error.code }, 'a label could not be looked at');
    }
  }

  #remember(key: string, nowMs: number): void {
    this.#lookedMs.delete(key);
    this.#lookedMs.set(key, nowMs);
    const [oldest] = this.#lookedMs.keys();
    if (this.#lookedMs.size > MAX_LOOKED && oldest !== undefined) this.#lookedMs.delete(oldest);
  }
}

/** `name|ecosystem|registry|namespace|name|label`, the key of a name's record; no part holds a `|`. */
function subjectOf(key: string): RequestSubject | null {
  const [kind, ecosystem, registry, namespace, name, reference] = key.split('|');
  if (kind !== 'name' || ecosystem !== 'docker' || registry === undefined || namespace === undefined) return null;
  return name === undefined || reference === undefined ? null : { ecosystem, registry, namespace, name, reference };
}
