/**
 * Carries candidates, endorsements, refusals and sealed transactions by gossip, each checked before it is relayed. SPEC §3, §9.2.
 * Bad form or signature → reject; unknown author, known or outdated content → ignore; else accept.
 */

import {
  type Candidate,
  candidateMessage,
  candidatePayload,
  checkTransactionShape,
  type Digest,
  decode,
  type Endorsement,
  encode,
  endorsementMessage,
  endorsementPayload,
  MAX_CANDIDATE_MESSAGE_BYTES,
  MAX_ENDORSEMENT_MESSAGE_BYTES,
  MAX_REFUSAL_MESSAGE_BYTES,
  MAX_SEALED_MESSAGE_BYTES,
  nodeKeyAt,
  refusalMessage,
  refusalPayload,
  type SealedTransaction,
  type Sha256,
  sameBytes,
  sealedMessage,
  transactionId,
  validatorSetDigest,
} from '../../chain/index.ts';
import { type TopicName, topicOf } from '../channels.ts';
import { verdictOn } from '../crypto/verdict.ts';
import type { Head } from '../ledger/head.ts';
import type { Members } from '../ledger/members.ts';
import type { Clock, Logger, MessageVerdict, Network, SignatureVerifier, Signer } from '../ports.ts';
import type { VerdictBook } from '../requests/verdict-book.ts';
import { shortened } from '../shortened.ts';
import type { ClaimCourier, ClaimPool } from './claim-pool.ts';
import type { Mempool } from './mempool.ts';

/** A refusal speaks for so long, and a clock may be so much ahead: nobody can say an old one again. */
const REFUSAL_MS = 60_000;

export interface GossipClaimCourierDeps {
  readonly chainId: Digest;
  readonly nodeId: Digest;
  readonly network: Network;
  readonly signer: Signer;
  readonly verifier: SignatureVerifier;
  readonly sha256: Sha256;
  readonly head: Head;
  readonly members: Members;
  readonly mempool: Mempool;
  /** Hears of every verdict, this node's own too. */
  readonly verdicts: VerdictBook;
  readonly clock: Clock;
  readonly log: Logger;
}

export class GossipClaimCourier implements ClaimCourier {
  readonly #deps: GossipClaimCourierDeps;
  /** Tells a message that is sent again from the first: gossip drops what it has seen byte for byte. */
  #attempt = 0;

  constructor(deps: GossipClaimCourierDeps) {
    this.#deps = deps;
  }

  start(pool: ClaimPool): void {
    this.#subscribe('candidate', (data) => this.#onCandidate(pool, data));
    this.#subscribe('endorsement', (data) => this.#onEndorsement(pool, data));
    this.#subscribe('refusal', (data) => this.#onRefusal(pool, data));
    this.#subscribe('transaction', (data) => this.#onSealed(data));
  }

  /** Hears no more; it can still say something. */
  stop(): void {
    const { network, chainId } = this.#deps;
    for (const topic of ['candidate', 'endorsement', 'refusal', 'transaction'] as const) network.unsubscribe(topicOf(chainId, topic));
  }

  sendCandidate(candidate: Candidate, attempt: number): void {
    this.#deps.verdicts.candidate(transactionId(this.#deps.sha256, candidate.claims), candidate.claims);
    this.#publish('candidate', encode(candidateMessage, { candidate, attempt }));
  }

  sendEndorsement(id: Digest, endorsement: Endorsement, publicKey: Uint8Array): void {
    this.#deps.verdicts.endorsed(id, endorsement);
    this.#publish('endorsement', encode(endorsementMessage, { transactionId: id, endorsement, publicKey, attempt: this.#nextAttempt() }));
  }

  sendRefusal(id: Digest, reason: string): void {
    const { signer, chainId, nodeId, verdicts, clock } = this.#deps;
    const unsigned = { transactionId: id, nodeId, reason: shortened(reason, 512), timeMs: clock.nowMs() };
    verdicts.refused(unsigned);
    const refusal = { ...unsigned, signature: signer.sign('consensus', refusalPayload(chainId, unsigned)) };
    this.#publish('refusal', encode(refusalMessage, { refusal, publicKey: signer.publicKey('consensus'), attempt: this.#nextAttempt() }));
  }

  sendSealed(sealed: SealedTransaction): void {
    this.#deps.mempool
      .add(sealed)
      .then((result) => {
        if (result.kind === 'added' || result.kind === 'known') this.passOn(sealed);
        else this.#deps.log.warn(result, 'own sealed transaction not taken');
      })
      .catch((error: unknown) => this.#deps.log.error({ error: String(error) }, 'own sealed transaction not checked'));
  }

  /** Gossips a transaction, for the first time or again. */
  passOn(sealed: SealedTransaction): void {
    this.#publish(
      'transaction',
      encode(sealedMessage, { transaction: sealed, setDigest: this.#setDigest(), attempt: this.#nextAttempt() }),
    );
  }

  /** Of the set whose endorsements the next block takes. */
  #setDigest(): Digest {
    const { head, sha256 } = this.#deps;
    return validatorSetDigest(sha256, head.voters);
  }

  #nextAttempt(): number {
    this.#attempt = (this.#attempt + 1) % 2 ** 32;
    return this.#attempt;
  }

  #subscribe(topic: TopicName, receive: (data: Uint8Array) => Promise<MessageVerdict>): void {
    this.#deps.network.subscribe(topicOf(this.#deps.chainId, topic), (_from, data) => receive(data));
  }

  #publish(topic: TopicName, message: Uint8Array): void {
    this.#deps.network.publish(topicOf(this.#deps.chainId, topic), message).catch((error: unknown) => {
      this.#deps.log.warn({ topic, error: String(error) }, 'message not sent');
    });
  }

  async #onCandidate(pool: ClaimPool, data: Uint8Array): Promise<MessageVerdict> {
    const { chainId, head, members, verifier, sha256, network, verdicts } = this.#deps;
    const message = decode(candidateMessage, data, { maxBytes: MAX_CANDIDATE_MESSAGE_BYTES });
    if (!message.ok) return 'reject';
    const { candidate } = message.value;
    if (members.byNetworkKey(candidate.author) === null) return 'ignore';
    const id = transactionId(sha256, candidate.claims);
    const item = { publicKey: candidate.author, message: candidatePayload(chainId, id, candidate.author), signature: candidate.signature };
    const valid = await verdictOn(verifier, item);
    if (valid !== true) return valid === null ? 'ignore' : 'reject';
    if (checkTransactionShape(candidate.claims, head.parameters) !== null) return 'reject';
    const taken = pool.candidateReceived(candidate, network.peerIdOf(candidate.author));
    if (taken === 'taken') verdicts.candidate(id, candidate.claims);
    return taken === 'taken' || taken === 'again' ? 'accept' : 'ignore';
  }

  async #onEndorsement(pool: ClaimPool, data: Uint8Array): Promise<MessageVerdict> {
    const { chainId, verifier, clock } = this.#deps;
    const message = decode(endorsementMessage, data, { maxBytes: MAX_ENDORSEMENT_MESSAGE_BYTES });
    if (!message.ok) return 'reject';
    const { transactionId: id, endorsement, publicKey } = message.value;
    if (!this.#isMemberKey(endorsement.nodeId, publicKey) || endorsement.expiresMs <= clock.nowMs()) return 'ignore';
    const payload = endorsementPayload(chainId, id, endorsement.expiresMs);
    const valid = await verdictOn(verifier, { publicKey, message: payload, signature: endorsement.signature });
    if (valid !== true) return valid === null ? 'ignore' : 'reject';
    this.#deps.verdicts.endorsed(id, endorsement);
    pool.endorsementReceived(id, endorsement);
    return 'accept';
  }

  async #onRefusal(pool: ClaimPool, data: Uint8Array): Promise<MessageVerdict> {
    const { chainId, verifier, clock } = this.#deps;
    const message = decode(refusalMessage, data, { maxBytes: MAX_REFUSAL_MESSAGE_BYTES });
    if (!message.ok) return 'reject';
    const { refusal, publicKey } = message.value;
    if (!this.#isMemberKey(refusal.nodeId, publicKey) || Math.abs(clock.nowMs() - refusal.timeMs) > REFUSAL_MS) return 'ignore';
    const payload = refusalPayload(chainId, refusal);
    const valid = await verdictOn(verifier, { publicKey, message: payload, signature: refusal.signature });
    if (valid !== true) return valid === null ? 'ignore' : 'reject';
    this.#deps.verdicts.refused(refusal);
    pool.refusalReceived(refusal.transactionId, refusal.nodeId, refusal.reason);
    return 'accept';
  }

  /** Whether the next height's set has that member with that key. */
  #isMemberKey(nodeId: Digest, publicKey: Uint8Array): boolean {
    const { head } = this.#deps;
    const key = nodeKeyAt(head.view, head.height + 1, nodeId);
    return key !== null && sameBytes(key, publicKey);
  }

  async #onSealed(data: Uint8Array): Promise<MessageVerdict> {
    const message = decode(sealedMessage, data, { maxBytes: MAX_SEALED_MESSAGE_BYTES });
    if (!message.ok) return 'reject';
    if (!sameBytes(message.value.setDigest, this.#setDigest())) return 'ignore';
    const result = await this.#deps.mempool.add(message.value.transaction);
    if (result.kind === 'forged') return 'reject';
    // Another sealing of a known transaction was not checked here: passed on, it could make an honest node look like a forger.
    return result.kind === 'added' || (result.kind === 'known' && result.same) ? 'accept' : 'ignore';
  }
}
