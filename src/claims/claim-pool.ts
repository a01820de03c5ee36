/**
 * From candidate to sealed transaction: own check → endorse → gather → seal. SPEC §3.5. Every authority checks by its own means before it
 * endorses; the author seals once > 2/3 of the power has endorsed, another authority does if the author falls silent.
 */

import {
  type Block,
  type Candidate,
  type Claim,
  type Consent,
  candidatePayload,
  type Digest,
  digestToHex,
  type Endorsement,
  keyOf,
  type SealedTransaction,
  type Sha256,
  transactionId,
  type ValidatorSetRecord,
} from '../../chain/index.ts';
import { RegistryError, type Staging } from '../../registry/index.ts';
import { invariant } from '../invariant.ts';
import type { Head } from '../ledger/head.ts';
import type { Metrics } from '../metrics/types.ts';
import type { Clock, Logger, Signer, Timer, Timers } from '../ports.ts';
import type { EndorsementBook } from './endorsement-book.ts';
import { type JudgeDeps, judge, needsMark, type Verdict } from './judge.ts';
import { hasBetterRival, newPending, type Outcome, type Pending, quorumOf, refusalOf, refusedReason, setMove } from './pending.ts';

const TICK_MS = 1_000;
/** Own candidates are sent again this often until committed. */
const RESEND_MS = 5_000;
/** How long another authority waits for the author to seal. */
const SEAL_GRACE_MS = 3_000;
/** A known candidate that is told again is answered this often at the most. */
const ANSWER_MS = 2_000;
/** Expired entries of the endorsement book are dropped this often. */
const SWEEP_MS = 600_000;
const FORGET_MS = 600_000;
const CHECK_TIMEOUT_MS = 600_000;
/** What was refused is looked at again, when its author still says it: the upstream may have come to agree. */
const RECHECK_MS = 15_000;
const MAX_PENDING = 4_096;
const MAX_PENDING_AN_AUTHOR = 1_024;
/** Own checks at once, and of one author's candidates: whose bytes come slowly holds up only its own. */
const MAX_CHECKS = 8;
const MAX_CHECKS_AN_AUTHOR = 4;

/** Carries the pool's words to the others; the pool hears theirs through `candidateReceived` and its siblings. */
export interface ClaimCourier {
  readonly sendCandidate: (candidate: Candidate, attempt: number) => void;
  /** `publicKey`: the one it is signed with, which the chain may have replaced since. */
  readonly sendEndorsement: (transactionId: Digest, endorsement: Endorsement, publicKey: Uint8Array) => void;
  readonly sendRefusal: (transactionId: Digest, reason: string) => void;
  readonly sendSealed: (sealed: SealedTransaction) => void;
}

/** A candidate as admins see it; nodes by the hex of their ids. */
export interface WaitingCandidate {
  readonly id: Digest;
  readonly claims: readonly Claim[];
  readonly consents: readonly Consent[];
  readonly endorsers: readonly string[];
  readonly refusers: readonly string[];
}

export interface ClaimPoolDeps extends JudgeDeps {
  readonly chainId: Digest;
  readonly nodeId: Digest;
  readonly peerId: string;
  readonly head: Head;
  readonly book: EndorsementBook;
  readonly staging: Pick<Staging, 'hold'>;
  readonly signer: Signer;
  readonly sha256: Sha256;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly courier: ClaimCourier;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly fatal: (error: unknown) => void;
}

export class ClaimPool {
  readonly #deps: ClaimPoolDeps;
  readonly #pending = new Map<string, Pending>();
  /** Authors of what is being checked, once for each check. */
  readonly #checking: string[] = [];
  /** Whose endorsements those that are held were asked of. */
  #judgedBy: ValidatorSetRecord;
  #timer: Timer | null = null;
  #sweptMs = 0;
  #stopped = false;

  constructor(deps: ClaimPoolDeps) {
    this.#deps = deps;
    this.#judgedBy = deps.head.voters;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** True while somebody says the candidate again and again: this node, or an author that was heard a moment ago. */
  isSpoken(id: Digest): boolean {
    const pending = this.#pending.get(digestToHex(id));
    return pending !== undefined && (pending.own || this.#deps.clock.nowMs() - pending.heardMs < 2 * RESEND_MS);
  }

  start(): void {
    this.#timer = this.#deps.timers.set(TICK_MS, () => {
      this.#tick();
      this.start();
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    for (const pending of this.#pending.values()) pending.abort.abort();
    this.#pending.clear();
  }

  /** Authors a candidate on this node; the id tells it apart, the same claims make the same one. Null when too many wait already. */
  submit(claims: readonly Claim[], consents: readonly Consent[]): Digest | null {
    const { signer, chainId, sha256, peerId } = this.#deps;
    const id = transactionId(sha256, claims);
    const author = signer.publicKey('network');
    const signature = signer.sign('network', candidatePayload(chainId, id, author));
    const candidate = { claims, consents, author, signature };
    const known = this.#pending.get(digestToHex(id));
    if (known?.own === true) return id;
    if (known === undefined && !this.#hasRoom(peerId)) return null;
    const pending = known ?? this.#admit(id, candidate, peerId, true);
    // In the place of an author that others may have forgotten.
    pending.own = true;
    pending.candidate = candidate;
    this.#send(pending);
    return id;
  }

  /** Resolves with the outcome, or `pending` after `waitMs`. */
  async outcome(id: Digest, waitMs: number): Promise<Outcome> {
    const committed = this.#deps.head.store.transactionHeight(id);
    if (committed !== null) return { kind: 'committed', height: committed };
    const pending = this.#pending.get(digestToHex(id));
    if (pending === undefined) return { kind: 'pending' };
    const refused = this.#refusedFor(pending);
    if (refused !== null) return { kind: 'refused', reason: refused };
    return await new Promise<Outcome>((resolve) => {
      const settle = (outcome: Outcome): void => {
        timer.cancel();
        pending.waiters.delete(settle);
        resolve(outcome);
      };
      const timer = this.#deps.timers.set(waitMs, () => settle({ kind: 'pending' }));
      pending.waiters.add(settle);
    });
  }

  /** The candidate that would change this key, or null. */
  pendingFor(key: string): { readonly id: Digest; readonly claims: readonly Claim[]; readonly endorsements: number } | null {
    for (const { id, candidate, endorsements } of this.#pending.values()) {
      if (candidate.claims.some((claim) => keyOf(claim) === key)) return { id, claims: candidate.claims, endorsements: endorsements.size };
    }
    return null;
  }

  /** How many have endorsed it, as far as this node has heard. */
  endorsementsOf(id: Digest): number {
    return this.#pending.get(digestToHex(id))?.endorsements.size ?? 0;
  }

  /** Candidates that a human hand decides, each with what is heard of it. */
  byHand(): readonly WaitingCandidate[] {
    return [...this.#pending.values()]
      .filter(({ candidate }) => candidate.claims.some((claim) => needsMark(this.#deps, claim)))
      .map(({ id, candidate, endorsements, refusals }) => ({
        id,
        ...candidate,
        endorsers: [...endorsements.keys()],
        refusers: [...refusals.keys()],
      }));
  }

  /** A candidate of another authority, its signature verified. `again`: it was known, and the author still waits. */
  candidateReceived(candidate: Candidate, authorPeerId: string): 'taken' | 'again' | 'full' | 'stale' {
    const { head, sha256 } = this.#deps;
    const id = transactionId(sha256, candidate.claims);
    const known = this.#pending.get(digestToHex(id));
    if (known !== undefined) {
      known.heardMs = this.#deps.clock.nowMs();
      this.#answerAgain(known);
      return 'again';
    }
    if (refusalOf(head, candidate.claims, sha256) !== null) return 'stale';
    if (!this.#hasRoom(authorPeerId)) return 'full';
    this.#admit(id, candidate, authorPeerId, false);
    return 'taken';
  }

  /** An endorsement by a member of the set, its signature verified. */
  endorsementReceived(id: Digest, endorsement: Endorsement): boolean {
    const pending = this.#pending.get(digestToHex(id));
    if (pending === undefined) return false;
    const node = digestToHex(endorsement.nodeId);
    const known = pending.endorsements.get(node);
    if (known !== undefined && known.expiresMs >= endorsement.expiresMs) return false;
    pending.endorsements.set(node, endorsement);
    pending.refusals.delete(node);
    this.#trySeal(pending);
    return true;
  }

  /** A refusal by a member of the set, its signature verified. */
  refusalReceived(id: Digest, nodeId: Digest, reason: string): boolean {
    const pending = this.#pending.get(digestToHex(id));
    const node = digestToHex(nodeId);
    if (pending === undefined || pending.refusals.has(node)) return false;
    // A refusal bears no time, so anybody may tell an old one again: it takes nothing back from an endorsement that stands.
    if ((pending.endorsements.get(node)?.expiresMs ?? 0) > this.#deps.clock.nowMs()) return false;
    this.#refuse(pending, nodeId, reason);
    return true;
  }

  /** An admin's mark has come or gone: what waited for it is judged again. */
  marksChanged(): void {
    for (const [key, pending] of this.#pending) {
      if (pending.state === 'endorsed' && !this.#standsMarked(pending)) {
        this.#settle(key, pending, { kind: 'refused', reason: 'the mark was taken back' });
        continue;
      }
      const byHand = pending.state === 'refused' && pending.candidate.claims.some((claim) => needsMark(this.#deps, claim));
      if (pending.state !== 'unmarked' && !byHand) continue;
      pending.state = 'queued';
      pending.refusals.delete(digestToHex(this.#deps.nodeId));
    }
    this.#startChecks();
  }

  /** Settles what the block decided: committed transactions, and others that its state has overtaken. */
  blockCommitted(block: Block): void {
    const { head, sha256, book } = this.#deps;
    const committed = new Map(block.transactions.map((sealed) => [digestToHex(transactionId(sha256, sealed.claims)), sealed]));
    const claims = block.transactions.flatMap((sealed) => sealed.claims);
    this.#setMoved();
    if (claims.length === 0) return;
    this.#running(book.forget(claims));
    this.#running(this.#deps.firstSeen.forget(claims.map(keyOf)));
    for (const [key, pending] of this.#pending) {
      if (committed.has(key)) this.#settle(key, pending, { kind: 'committed', height: block.header.height });
      else if (head.store.transaction(pending.id) === null) {
        // Not in a later block that came with this one.
        const reason = refusalOf(head, pending.candidate.claims, sha256);
        if (reason !== null) this.#settle(key, pending, { kind: 'refused', reason: `overtaken: ${reason}` });
      }
    }
  }

  /** Endorsements by keys that are in the next set no more are nothing; what was sealed is sealed again, and the own word given with the new key. */
  #setMoved(): void {
    // Not the set of the block before: of blocks that come together the head is beyond all but the last.
    const move = setMove(this.#judgedBy, this.#set(), this.#deps.nodeId);
    this.#judgedBy = this.#set();
    if (move === null) return;
    for (const pending of this.#pending.values()) {
      pending.sealedMs = null;
      for (const nodeId of move.silenced) pending.endorsements.delete(digestToHex(nodeId));
      if (move.speaksAnew && pending.state === 'endorsed') this.#running(this.#endorse(pending));
    }
  }

  #hasRoom(authorPeerId: string): boolean {
    if (this.#pending.size >= MAX_PENDING) return false;
    let ofAuthor = 0;
    for (const pending of this.#pending.values()) if (pending.authorPeerId === authorPeerId) ofAuthor += 1;
    return ofAuthor < MAX_PENDING_AN_AUTHOR;
  }

  #admit(id: Digest, candidate: Candidate, authorPeerId: string, own: boolean): Pending {
    const pending = newPending({ id, candidate, authorPeerId, own, addedMs: this.#deps.clock.nowMs() });
    this.#pending.set(digestToHex(id), pending);
    this.#startChecks();
    return pending;
  }

  #send(pending: Pending): void {
    pending.sentMs = this.#deps.clock.nowMs();
    this.#deps.courier.sendCandidate(pending.candidate, pending.attempt);
    pending.attempt += 1;
  }

  /** Starts own checks, a few at a time: each may move and hash many bytes. */
  #startChecks(): void {
    for (const pending of this.#pending.values()) {
      if (this.#checking.length >= MAX_CHECKS) return;
      const { authorPeerId } = pending;
      const ofAuthor = this.#checking.filter((one) => one === authorPeerId).length;
      if (pending.state !== 'queued' || ofAuthor >= MAX_CHECKS_AN_AUTHOR) continue;
      pending.state = 'checking';
      this.#checking.push(authorPeerId);
      this.#running(
        this.#check(pending).finally(() => {
          this.#checking.splice(this.#checking.indexOf(authorPeerId), 1);
          this.#startChecks();
        }),
      );
    }
  }

  /** Work whose failure is fatal while the node lives; its stores may close under it when the node stops. */
  #running(work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (!this.#stopped) this.#deps.fatal(error);
    });
  }

  async #check(pending: Pending): Promise<void> {
    const { timers, log, metrics, nodeId } = this.#deps;
    const timer = timers.set(CHECK_TIMEOUT_MS, () => pending.abort.abort());
    const claims = pending.candidate.claims;
    const verdict = await this.#judge(pending);
    timer.cancel();
    if (this.#pending.get(digestToHex(pending.id)) !== pending) return;
    if (verdict === null) {
      pending.state = 'unchecked';
      return;
    }
    if (verdict.kind === 'unmarked') {
      pending.state = 'unmarked';
      log.info({ transactionId: digestToHex(pending.id), keys: claims.map(keyOf) }, "a candidate waits for the mark of this node's admin");
      return;
    }
    pending.checkedMs = this.#deps.clock.nowMs();
    if (verdict.kind === 'genuine') return await this.#endorse(pending);
    pending.state = 'refused';
    metrics.claimsRefused(claims.length);
    log.warn({ transactionId: digestToHex(pending.id), keys: claims.map(keyOf), reason: verdict.reason }, 'candidate refused');
    this.#deps.courier.sendRefusal(pending.id, verdict.reason);
    this.#refuse(pending, nodeId, verdict.reason);
  }

  /** The verdict, or null when the check could not be made: a failing own disk or an absent author says nothing about the claim. */
  async #judge(pending: Pending): Promise<Verdict | null> {
    try {
      return await judge(this.#deps, pending.candidate.claims, { authorPeerId: pending.authorPeerId, signal: pending.abort.signal });
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      this.#deps.log.warn(
        { transactionId: digestToHex(pending.id), code: error.code, error: error.message },
        'candidate not checked, to be tried again',
      );
      return null;
    }
  }

  async #endorse(pending: Pending): Promise<void> {
    const { book, head, courier, metrics, log } = this.#deps;
    const result = await book.endorse(pending.id, pending.candidate.claims, head.parameters.endorsementMs);
    if (this.#pending.get(digestToHex(pending.id)) !== pending) return;
    if (result.kind === 'taken') {
      pending.state = 'refused';
      pending.takenUntilMs = result.untilMs;
      log.warn(
        { transactionId: digestToHex(pending.id), key: result.key, untilMs: result.untilMs },
        'other content is endorsed for this key',
      );
      courier.sendRefusal(pending.id, `other content is endorsed for ${result.key}`);
      this.#refuse(pending, this.#deps.nodeId, 'other content is endorsed');
      return;
    }
    if (pending.state !== 'endorsed') {
      metrics.claimsEndorsed(pending.candidate.claims.length);
      log.info({ transactionId: digestToHex(pending.id), keys: pending.candidate.claims.map(keyOf) }, 'candidate endorsed');
    }
    pending.state = 'endorsed';
    pending.takenUntilMs = null;
    pending.ownKey = result.publicKey;
    this.#holdFiles(pending, result.endorsement.expiresMs);
    courier.sendEndorsement(pending.id, result.endorsement, result.publicKey);
    this.endorsementReceived(pending.id, result.endorsement);
  }

  /** What is endorsed is promised: its staged bytes stay until the endorsement has expired, and the commit had time to come. */
  #holdFiles(pending: Pending, expiresMs: number): void {
    for (const claim of pending.candidate.claims) {
      if (claim.kind !== 'AddArtifact') continue;
      for (const file of claim.files) this.#deps.staging.hold(file.digests.sha256, expiresMs + CHECK_TIMEOUT_MS);
    }
  }

  /** The author still waits: the verdict stands, so say it again, renewed when it would soon expire. Not at the will of who repeats it. */
  #answerAgain(pending: Pending): void {
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs - pending.answeredMs < ANSWER_MS) return;
    pending.answeredMs = nowMs;
    const own = pending.endorsements.get(digestToHex(this.#deps.nodeId));
    if (pending.state === 'endorsed' && own !== undefined && pending.ownKey !== null) {
      const leftMs = own.expiresMs - nowMs;
      const renews = leftMs <= this.#deps.head.parameters.endorsementMs / 2 && !hasBetterRival(pending, this.#pending.values());
      if (renews) this.#running(this.#endorse(pending));
      else if (leftMs > 0) this.#deps.courier.sendEndorsement(pending.id, own, pending.ownKey);
    }
    if (pending.state === 'unchecked') {
      pending.state = 'queued';
      this.#startChecks();
    }
    if (pending.state === 'refused') {
      const isDue = pending.takenUntilMs === null && nowMs - pending.checkedMs >= RECHECK_MS && isOfUpstream(pending.candidate);
      const reason = pending.refusals.get(digestToHex(this.#deps.nodeId));
      // What is looked at again is not refused meanwhile: the new word may be another.
      if (!isDue && reason !== undefined) this.#deps.courier.sendRefusal(pending.id, reason);
      if (!isDue) return;
      pending.state = 'queued';
      this.#startChecks();
    }
  }

  /** Endorses what was genuine all along, once the word given to other content has expired. */
  #takeTurn(pending: Pending, nowMs: number): void {
    if (pending.takenUntilMs === null || pending.takenUntilMs > nowMs) return;
    pending.takenUntilMs = null;
    pending.refusals.delete(digestToHex(this.#deps.nodeId));
    this.#running(this.#endorse(pending));
  }

  #refuse(pending: Pending, nodeId: Digest, reason: string): void {
    pending.refusals.set(digestToHex(nodeId), reason);
    if (this.#refusedFor(pending) === null) return;
    for (const waiter of pending.waiters) waiter({ kind: 'refused', reason });
  }

  #refusedFor(pending: Pending): string | null {
    return refusedReason(pending, this.#set(), this.#deps.nodeId);
  }

  /** The authorities of the block that comes next. */
  #set(): ValidatorSetRecord {
    return this.#deps.head.voters;
  }

  #trySeal(pending: Pending): void {
    const nowMs = this.#deps.clock.nowMs();
    const endorsements = quorumOf(pending, this.#set(), nowMs + SEAL_GRACE_MS);
    if (endorsements === null) return;
    pending.quorumMs ??= nowMs;
    const due = pending.own || nowMs - pending.quorumMs >= SEAL_GRACE_MS;
    if (!due || (pending.sealedMs !== null && nowMs - pending.sealedMs < RESEND_MS)) return;
    pending.sealedMs = nowMs;
    this.#deps.courier.sendSealed({ claims: pending.candidate.claims, endorsements, consents: pending.candidate.consents });
  }

  #settle(key: string, pending: Pending, outcome: Outcome): void {
    this.#pending.delete(key);
    pending.abort.abort();
    if (pending.own && outcome.kind === 'committed') this.#deps.metrics.commitLatency(this.#deps.clock.nowMs() - pending.addedMs);
    for (const waiter of pending.waiters) waiter(outcome);
  }

  #tick(): void {
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs - this.#sweptMs >= SWEEP_MS) {
      this.#sweptMs = nowMs;
      this.#running(this.#deps.book.dropExpired());
    }
    for (const [key, pending] of this.#pending) {
      if (nowMs - pending.addedMs > FORGET_MS && !this.#keptByMark(pending)) {
        this.#settle(key, pending, { kind: 'refused', reason: 'no quorum endorsed it in time' });
        continue;
      }
      if (pending.own && nowMs - pending.sentMs >= RESEND_MS) {
        this.#send(pending);
        this.#answerAgain(pending);
      }
      this.#takeTurn(pending, nowMs);
      this.#trySeal(pending);
    }
  }

  /** False once this node's admin has taken back the mark that an endorsement of it followed from. */
  #standsMarked(pending: Pending): boolean {
    return pending.candidate.claims.every((claim) => !needsMark(this.#deps, claim) || this.#deps.marks.covers(claim) === 'yes');
  }

  /** What an admin marked waits for the other admins, for as long as the mark stands. */
  #keptByMark(pending: Pending): boolean {
    const [first] = pending.candidate.claims;
    invariant(first !== undefined, 'a transaction holds at least one claim');
    return pending.own && this.#deps.marks.get(keyOf(first)) !== null;
  }
}

/** What a look at the upstream decides costs little to look at again; bytes of a publisher would have to be fetched anew. */
function isOfUpstream({ claims }: Candidate): boolean {
  return claims.every((claim) => claim.kind === 'SetName' || (claim.kind === 'AddArtifact' && claim.source.kind === 'upstream'));
}
