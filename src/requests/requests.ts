/**
 * Asks the authorities for what the chain does not have, on behalf of this node's clients: one signed request however many wait, said to the
 * authorities in the order of their rank, followed until the chain has it or more than a third of them say that it never will. SPEC §3.7.
 * Believes no single authority: only the chain makes anything servable.
 */

import { setMaxListeners } from 'node:events';
import {
  type BuildQuestion,
  buildQuestion,
  buildReport,
  checkRequestSubject,
  type Digest,
  decode,
  digestToHex,
  encode,
  MAX_BUILD_REPORT_BYTES,
  type Request,
  type RequestSubject,
  rankAuthors,
  requestIdOf,
  requestPayload,
  ruleFor,
  type Sha256,
  type ValidatorSetRecord,
} from '../../chain/index.ts';
import { pause, type Requesting, type RequestOutcome } from '../../registry/index.ts';
import { protocolOf } from '../channels.ts';
import type { Head } from '../ledger/head.ts';
import type { Members } from '../ledger/members.ts';
import type { Metrics } from '../metrics/types.ts';
import type { Clock, Logger, Network, Signer, Timers } from '../ports.ts';
import type { RequestCourier } from './request-courier.ts';
import type { RequestDesk } from './request-desk.ts';
import { type HeardReport, lastWord, outcomeOf } from './request-outcome.ts';
import { describeSubject, keyOfSubject, packageOf, standingOf } from './subject.ts';

/** Authorities asked directly; the rest hears of it from them. */
const MAX_ASKED = 32;
const ANSWER_MS = 5_000;
/** How often the authorities are asked how far it is: while somebody waits, and when nobody does. */
const POLL_MS = 500;
const IDLE_POLL_MS = 5_000;
/** A request that nobody waits for any more is followed for so long. */
const FOLLOW_MS = 600_000;
/** Different requests of this node under way. */
const MAX_RUNNING = 256;

export interface RequestsDeps {
  readonly chainId: Digest;
  readonly head: Head;
  readonly members: Members;
  readonly network: Network;
  readonly signer: Signer;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly sha256: Sha256;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'requestEnded'>;
  /** Null on a mirror. */
  readonly own: { readonly nodeId: Digest; readonly desk: RequestDesk; readonly courier: RequestCourier } | null;
}

interface Running {
  readonly subject: RequestSubject;
  readonly startedMs: number;
  readonly outcome: Promise<RequestOutcome>;
  reports: readonly HeardReport[];
  /** Clients that wait for it. */
  waiting: number;
  /** Followed no further, in favour of one that somebody waits for. */
  isLetGo: boolean;
}

export class Requests implements Requesting {
  readonly #deps: RequestsDeps;
  readonly #running: Map<string, Running> = new Map();
  readonly #stopped: AbortController = new AbortController();

  constructor(deps: RequestsDeps) {
    this.#deps = deps;
    // Every question under way listens.
    setMaxListeners(0, this.#stopped.signal);
  }

  readonly mayRequest = (subject: RequestSubject): string | null => {
    const form = checkRequestSubject(subject);
    if (form !== null) return form;
    const rule = ruleFor(this.#deps.head.parameters.policy, packageOf(subject));
    if (rule === null || rule.upstream === null)
      return `the network's policy takes nothing of ${describeSubject(subject)} from an upstream`;
    if (rule.requests === 'everyone' || (rule.requests === 'authorities' && this.#deps.own !== null)) return null;
    return "the network's policy does not let this node ask for it";
  };

  readonly request = async (subject: RequestSubject, options: { readonly signal: AbortSignal }): Promise<RequestOutcome> => {
    const refused = this.mayRequest(subject);
    if (refused !== null) return { kind: 'refused', reason: refused };
    const running = this.start(subject);
    if (running === null) return { kind: 'pending', reason: `${MAX_RUNNING} requests of this node are under way` };
    return await this.#atMost(running, options.signal);
  };

  /** The request, begun unless it is under way; null when too many are. */
  start(subject: RequestSubject): Running | null {
    const id = digestToHex(requestIdOf(this.#deps.sha256, subject));
    const known = this.#running.get(id);
    if (known !== undefined) return known;
    if (this.#running.size >= MAX_RUNNING && !this.#letGo()) return null;
    const startedMs = this.#deps.clock.nowMs();
    const outcome = Promise.resolve().then(() => this.#follow(running));
    const running: Running = { subject, startedMs, outcome, reports: [], waiting: 0, isLetGo: false };
    this.#running.set(id, running);
    this.#deps.log.info({ subject: describeSubject(subject), step: 'requested' }, 'request begun');
    outcome
      .then((ended) => {
        this.#deps.metrics.requestEnded(ended.kind);
        this.#deps.log.info({ subject: describeSubject(subject), step: ended.kind }, 'request ended');
      })
      .catch((error: unknown) => this.#deps.log.error({ error: String(error) }, 'request broke off'))
      .finally(() => this.#running.get(id) === running && this.#running.delete(id));
    return running;
  }

  /** Requests of this node under way. */
  get size(): number {
    return this.#running.size;
  }

  /** Builds under way on this authority. */
  get builds(): number {
    return this.#deps.own?.desk.running ?? 0;
  }

  /** Gives up the oldest that nobody waits for: the authorities go on, and whoever comes back finds it further on. */
  #letGo(): boolean {
    for (const [id, running] of this.#running) {
      if (running.waiting > 0) continue;
      running.isLetGo = true;
      return this.#running.delete(id);
    }
    return false;
  }

  isRunning(id: Digest): boolean {
    return this.#running.has(digestToHex(id));
  }

  /** What each connected authority knows of a build, whoever asked for it. */
  async reports(id: Digest): Promise<readonly HeardReport[]> {
    const own = this.#deps.own;
    const mine = own === null ? [] : [{ nodeId: own.nodeId, report: own.desk.report(id) }];
    const others = await this.#askAll(this.#authorities(null), () => ({ kind: 'report', requestId: id }));
    return [...mine, ...others];
  }

  stop(): void {
    this.#stopped.abort();
  }

  async #atMost(running: Running, signal: AbortSignal): Promise<RequestOutcome> {
    const { head, timers } = this.#deps;
    const waitMs = head.parameters.requestOnMissMs;
    running.waiting += 1;
    return await new Promise<RequestOutcome>((resolve, reject) => {
      const late = (): void =>
        settle({ kind: 'pending', reason: `not on the chain after ${waitMs} ms${lastWord(running.reports)}: come again` });
      const timer = timers.set(waitMs, late);
      const settle = (outcome: RequestOutcome): void => {
        timer.cancel();
        signal.removeEventListener('abort', late);
        resolve(outcome);
      };
      signal.addEventListener('abort', late, { once: true });
      running.outcome.then(settle, reject);
      if (signal.aborted) late();
    }).finally(() => {
      running.waiting -= 1;
    });
  }

  /** Says the request, and asks again how far it is, until there is an outcome. */
  async #follow(running: Running): Promise<RequestOutcome> {
    const { clock, head } = this.#deps;
    const { subject, startedMs } = running;
    for (;;) {
      if (standingOf(head.view.state, subject).kind !== 'absent') return { kind: 'committed' };
      if (this.#stopped.signal.aborted || running.isLetGo) return { kind: 'pending', reason: 'no longer followed: come again' };
      if (clock.nowMs() - startedMs > FOLLOW_MS) return { kind: 'pending', reason: 'the authorities did not decide' };
      const answered = this.#say(running).then((reports) => {
        running.reports = reports;
      });
      // A commit ends the wait at once, an authority that is slow to answer prolongs it for nobody.
      await this.#committedOr(subject, answered);
      if (standingOf(head.view.state, subject).kind !== 'absent') continue;
      const outcome = outcomeOf(running.reports, this.#set());
      if (outcome !== null) return outcome;
      await this.#committedOr(subject, pause(this.#deps.timers, running.waiting > 0 ? POLL_MS : IDLE_POLL_MS, this.#stopped.signal));
    }
  }

  /** Asks those that don't know of it yet, and the others how far it is. */
  async #say({ subject, reports }: Running): Promise<readonly HeardReport[]> {
    const { own, sha256 } = this.#deps;
    const asked = own?.desk.ask(subject, { kind: 'own' });
    const request = this.#signed(subject);
    if (asked?.isNew === true) own?.courier.passOn(request);
    const mine = own === null || asked === undefined ? [] : [{ nodeId: own.nodeId, report: asked.report }];
    const knowing = new Set(
      reports.filter(({ report }) => !['unknown', 'busy'].includes(report.state)).map(({ nodeId }) => digestToHex(nodeId)),
    );
    const [ask, follow] = [{ kind: 'ask', request } as const, { kind: 'report', requestId: requestIdOf(sha256, subject) } as const];
    const others = await this.#askAll(this.#authorities(subject), (nodeId) => (knowing.has(digestToHex(nodeId)) ? follow : ask));
    return [...mine, ...others];
  }

  #signed(subject: RequestSubject): Request {
    const { signer, chainId, clock } = this.#deps;
    const unsigned = { subject, author: signer.publicKey('network'), timeMs: clock.nowMs() };
    return { ...unsigned, signature: signer.sign('network', requestPayload(chainId, unsigned)) };
  }

  /** Node and peer ids of the other connected authorities; those whose turn is first come first. */
  #authorities(subject: RequestSubject | null): readonly { readonly nodeId: Digest; readonly peerId: string }[] {
    const { head, members, network, chainId, sha256 } = this.#deps;
    const connected = new Set(network.peers().map(({ peerId }) => peerId));
    const set = this.#set();
    const key = subject === null ? '' : keyOfSubject(subject);
    const replaces = head.view.state.get(key);
    const ranked = rankAuthors(
      sha256,
      { chainId, key, replaces: replaces === null || !('height' in replaces) ? null : replaces.height },
      set,
    );
    const named = ranked.map((nodeId) => ({ nodeId, peerId: members.peerOf(nodeId) ?? '' }));
    return named.filter(({ peerId }) => connected.has(peerId)).slice(0, MAX_ASKED);
  }

  async #askAll(
    asked: readonly { readonly nodeId: Digest; readonly peerId: string }[],
    questionFor: (nodeId: Digest) => BuildQuestion,
  ): Promise<readonly HeardReport[]> {
    const { network, chainId, log } = this.#deps;
    const options = { timeoutMs: ANSWER_MS, maxResponseBytes: MAX_BUILD_REPORT_BYTES, signal: this.#stopped.signal };
    const answers = asked.map(async ({ nodeId, peerId }): Promise<readonly HeardReport[]> => {
      try {
        const question = encode(buildQuestion, questionFor(nodeId));
        const body = await network.request(peerId, protocolOf(chainId, 'build'), question, options);
        const answer = decode(buildReport, body, { maxBytes: MAX_BUILD_REPORT_BYTES });
        if (answer.ok) return [{ nodeId, report: answer.value }];
        network.penalize(peerId, 'bad-message', `report of a build: ${answer.reason}`);
      } catch (error) {
        log.debug({ peer: peerId, error: String(error) }, 'an authority did not answer about a build');
      }
      return [];
    });
    return (await Promise.all(answers)).flat();
  }

  #set(): ValidatorSetRecord {
    return this.#deps.head.voters;
  }

  #committedOr(subject: RequestSubject, other: Promise<void>): Promise<void> {
    const { head } = this.#deps;
    return new Promise((resolve) => {
      const settle = (): void => {
        stop();
        resolve();
      };
      const stop = head.onCommit(() => {
        if (standingOf(head.view.state, subject).kind !== 'absent') settle();
      });
      void other.finally(settle);
    });
  }
}
