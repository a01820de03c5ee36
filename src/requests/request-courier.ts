/**
 * Carries requests to an authority's desk: by the direct protocol from whoever is connected, and by gossip from the other authorities. SPEC
 * §3.7, §9. Every request is checked before it is passed on; a bad form or signature is the sender's fault, too much of it costs only itself.
 */

import {
  type BuildReport,
  buildQuestion,
  buildReport,
  type Digest,
  decode,
  encode,
  MAX_BUILD_QUESTION_BYTES,
  MAX_REQUEST_MESSAGE_BYTES,
  type Request,
  requestPayload,
  request as requestSchema,
} from '../../chain/index.ts';
import { protocolOf, topicOf } from '../channels.ts';
import { verdictOn } from '../crypto/verdict.ts';
import type { Members } from '../ledger/members.ts';
import type { Clock, Logger, MessageVerdict, Network, SignatureVerifier } from '../ports.ts';
import type { Asker, RequestDesk } from './request-desk.ts';

/** A request that says another time than this is old, or its asker's clock is wrong. */
const MAX_SKEW_MS = 600_000;
const MAX_CONCURRENT = 64;

export interface RequestCourierDeps {
  readonly chainId: Digest;
  readonly network: Network;
  readonly members: Members;
  readonly verifier: SignatureVerifier;
  readonly clock: Clock;
  readonly desk: RequestDesk;
  readonly log: Logger;
}

type Checked = { readonly kind: 'good' } | { readonly kind: 'forged' } | { readonly kind: 'unknown' } | { readonly kind: 'old' };

export class RequestCourier {
  readonly #deps: RequestCourierDeps;

  constructor(deps: RequestCourierDeps) {
    this.#deps = deps;
  }

  /** Begins to answer and to listen; ends with the network. */
  start(): void {
    const { network, chainId } = this.#deps;
    network.subscribe(topicOf(chainId, 'request'), (from, data) => this.#onGossip(from, data));
    const limits = { maxRequestBytes: MAX_BUILD_QUESTION_BYTES, maxConcurrent: MAX_CONCURRENT };
    network.handle(protocolOf(chainId, 'build'), limits, async (peer, body) => encode(buildReport, await this.#onQuestion(peer, body)));
  }

  /** Tells the other authorities. */
  passOn(request: Request): void {
    this.#deps.network.publish(topicOf(this.#deps.chainId, 'request'), encode(requestSchema, request)).catch((error: unknown) => {
      this.#deps.log.debug({ error: String(error) }, 'request not passed on');
    });
  }

  async #onQuestion(peer: string, body: Uint8Array): Promise<BuildReport> {
    const { desk, network } = this.#deps;
    const question = decode(buildQuestion, body, { maxBytes: MAX_BUILD_QUESTION_BYTES });
    if (!question.ok) return this.#blame(peer, 'bad-message', question.reason);
    if (question.value.kind === 'report') return desk.report(question.value.requestId);
    const { request } = question.value;
    // Who asks here asks for itself: its quota is that of the connection.
    if (network.peerIdOf(request.author) !== peer) return this.#blame(peer, 'bad-message', 'a request of another node');
    const checked = await this.#check(request);
    if (checked.kind === 'forged') return this.#blame(peer, 'bad-signature', 'a request with a bad signature');
    if (checked.kind !== 'good') throw new RangeError('the request is too old, from the future, or could not be checked');
    const { report, isNew } = desk.ask(request.subject, this.#asker(peer, null));
    if (isNew) this.passOn(request);
    return report;
  }

  /** Only authorities pass requests on: of anybody else they would cost the network more than the asker. */
  async #onGossip(from: string, data: Uint8Array): Promise<MessageVerdict> {
    const message = decode(requestSchema, data, { maxBytes: MAX_REQUEST_MESSAGE_BYTES });
    if (!message.ok) return 'reject';
    if (this.#deps.members.byPeer(from) === null) return 'ignore';
    const checked = await this.#check(message.value);
    if (checked.kind !== 'good') return checked.kind === 'forged' ? 'reject' : 'ignore';
    const { subject, author } = message.value;
    return this.#deps.desk.ask(subject, this.#asker(this.#deps.network.peerIdOf(author), from)).isNew ? 'accept' : 'ignore';
  }

  /** `relay`: the authority whose word it came by, or null. */
  #asker(peerId: string, relay: string | null): Asker {
    return { kind: 'peer', id: peerId, isAuthority: this.#deps.members.byPeer(peerId) !== null, relay };
  }

  async #check(request: Request): Promise<Checked> {
    const { chainId, verifier, clock } = this.#deps;
    if (Math.abs(clock.nowMs() - request.timeMs) > MAX_SKEW_MS) return { kind: 'old' };
    const item = { publicKey: request.author, message: requestPayload(chainId, request), signature: request.signature };
    const valid = await verdictOn(verifier, item);
    if (valid === null) return { kind: 'unknown' };
    return { kind: valid ? 'good' : 'forged' };
  }

  #blame(peer: string, fault: 'bad-message' | 'bad-signature', detail: string): never {
    this.#deps.network.penalize(peer, fault, detail);
    throw new RangeError(detail);
  }
}
