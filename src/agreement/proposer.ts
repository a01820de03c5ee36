/**
 * Makes the value that this node proposes: the mempool's transactions on top of the head, the head's certificate, pending evidence.
 * SPEC §5.2, "no work, no block". A transaction that the state refuses is dropped, never proposed.
 */

import {
  type Block,
  type CommitCertificateRecord,
  type Digest,
  digestToHex,
  type EvidenceRecord,
  evidenceId,
  evidenceKey,
  executeBlock,
  MAX_EVIDENCE,
  proposerAt,
  type SealedTransaction,
  type Sha256,
  sameBytes,
  transactionId,
  validatorSetAt,
  validatorSetDigest,
} from '../../chain/index.ts';
import type { Evidence } from '../../consensus/index.ts';
import type { Mempool } from '../claims/mempool.ts';
import { invariant } from '../invariant.ts';
import type { Head } from '../ledger/head.ts';
import type { Metrics } from '../metrics/types.ts';
import type { Clock, Logger, Timers } from '../ports.ts';
import type { ValueSource } from './engine.ts';
import { evidenceToRecord } from './records.ts';

/** Room in a block for its header, certificate and evidence beside the transactions. */
const OVERHEAD_BYTES = 64 * 1024;
const MAX_PENDING_EVIDENCE = 256;
const MAX_CLOCK_WAIT_MS = 2_000;

export interface ProposerDeps {
  readonly head: Head;
  readonly mempool: Mempool;
  readonly sha256: Sha256;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class Proposer implements ValueSource {
  readonly #deps: ProposerDeps;
  readonly #evidence = new Map<string, EvidenceRecord>();

  constructor(deps: ProposerDeps) {
    this.#deps = deps;
  }

  wanted(): boolean {
    const { mempool, clock } = this.#deps;
    mempool.dropExpired();
    return mempool.size > 0 || this.#ripeEvidence().length > 0 || this.#emptyIsDue(clock.nowMs());
  }

  evidence(evidence: Evidence): void {
    const record = evidenceToRecord(evidence);
    const key = digestToHex(evidenceId(this.#deps.sha256, record));
    if (this.#evidence.has(key) || this.#evidence.size >= MAX_PENDING_EVIDENCE) return;
    this.#evidence.set(key, record);
    this.#deps.metrics.evidenceSeen(evidence.kind);
    this.#deps.log.error(
      { nodeId: evidence.first.nodeId, height: evidence.first.height, round: evidence.first.round },
      `evidence of a ${evidence.kind}`,
    );
  }

  /** What is on the chain, or too old for it, needs no second telling. Others may have told of the same fault by other messages. */
  blockCommitted(block: Block): void {
    const { state } = this.#deps.head.view;
    const oldest = block.header.height - this.#deps.head.parameters.maxEvidenceAgeBlocks;
    for (const [key, one] of this.#evidence) {
      if (one.first.height <= oldest || state.get(evidenceKey(one)) !== null) this.#evidence.delete(key);
    }
  }

  async build(round: number): Promise<{ readonly block: Block; readonly blockId: Digest } | null> {
    const { head, mempool, clock } = this.#deps;
    if (!(await this.#waitForClock())) return null;
    const { parameters } = head;
    const timeMs = Math.max(clock.nowMs(), head.view.timeMs + 1);
    const bounds = { maxBytes: parameters.maxBlockBytes - OVERHEAD_BYTES, maxOperations: parameters.maxBlockOperations, timeMs };
    const lastCommit = head.certificate;
    let transactions = mempool.pick(bounds);
    let evidence = this.#ripeEvidence();
    for (;;) {
      const made = this.#execute({ round, timeMs, transactions, lastCommit, evidence });
      if (made.ok) {
        if (round === 0 && transactions.length === 0 && evidence.length === 0 && !this.#emptyIsDue(timeMs)) return null;
        const block = { header: made.header, transactions, lastCommit, evidence };
        head.adopt(block, made.effects);
        return { block, blockId: made.blockId };
      }
      const { transactionIndex } = made.refusal;
      this.#deps.log.warn({ code: made.refusal.code, detail: made.refusal.detail }, 'left out of the proposal');
      if (transactionIndex !== null) transactions = this.#without(transactions, transactionIndex);
      else if (evidence.length > 0) evidence = this.#forget(evidence);
      else invariant(false, `an empty block can always be made: ${made.refusal.code}: ${made.refusal.detail}`);
    }
  }

  #execute(content: {
    readonly round: number;
    readonly timeMs: number;
    readonly transactions: readonly SealedTransaction[];
    readonly lastCommit: CommitCertificateRecord | null;
    readonly evidence: readonly EvidenceRecord[];
  }): ReturnType<typeof executeBlock> {
    const { head, sha256 } = this.#deps;
    const height = head.height + 1;
    return executeBlock(head.view, { ...content, height, proposer: proposerAt(head.view, height, content.round) }, sha256);
  }

  /** What a block may hold: evidence of heights that are decided, one piece for each fault. */
  #ripeEvidence(): readonly EvidenceRecord[] {
    const { height } = this.#deps.head;
    const ripe = [...this.#evidence.values()].filter((one) => one.first.height <= height);
    return [...new Map(ripe.map((one) => [evidenceKey(one), one])).values()].slice(0, MAX_EVIDENCE);
  }

  /** Evidence that the chain refuses is of no use to anybody. */
  #forget(refused: readonly EvidenceRecord[]): readonly EvidenceRecord[] {
    for (const one of refused) this.#evidence.delete(digestToHex(evidenceId(this.#deps.sha256, one)));
    return [];
  }

  /** Drops a refused transaction; one that only clashes with an earlier one of this block stays in the mempool's care. */
  #without(transactions: readonly SealedTransaction[], index: number): readonly SealedTransaction[] {
    const refused = transactions[index];
    invariant(refused !== undefined, 'a refusal points at one of the transactions');
    this.#deps.mempool.drop(transactionId(this.#deps.sha256, refused.claims));
    return transactions.filter((_, at) => at !== index);
  }

  /** A block without transactions is due: the heartbeat, or a set that changes. */
  #emptyIsDue(timeMs: number): boolean {
    const { head } = this.#deps;
    return timeMs - head.view.timeMs >= head.parameters.heartbeatMs || this.#setChanges();
  }

  #setChanges(): boolean {
    const { head, sha256 } = this.#deps;
    const next = head.height + 1;
    return !sameBytes(
      validatorSetDigest(sha256, validatorSetAt(head.view, next)),
      validatorSetDigest(sha256, validatorSetAt(head.view, next + 1)),
    );
  }

  /** Block time grows strictly: a proposer whose clock is a little behind the head's waits, one far behind leaves the round to others. */
  async #waitForClock(): Promise<boolean> {
    const { head, clock, timers, log } = this.#deps;
    const waitMs = head.view.timeMs + 1 - clock.nowMs();
    if (waitMs > MAX_CLOCK_WAIT_MS) {
      log.error({ behindMs: waitMs }, 'the clock of this node is behind the chain: it proposes nothing until it is set right');
      return false;
    }
    if (waitMs > 0) await new Promise<void>((resolve) => timers.set(waitMs, resolve));
    return true;
  }
}
