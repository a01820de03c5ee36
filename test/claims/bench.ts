/**
 * Claim pools of several authorities around one chain, without network or consensus: what one says the others hear at once, checks answer as
 * the test wants, and blocks are committed by hand with everybody's precommit.
 */

import {
  type Block,
  type Candidate,
  type Claim,
  type CommitCertificateRecord,
  type Digest,
  digestToHex,
  type Endorsement,
  executeBlock,
  proposerAt,
  type SealedTransaction,
  votePayload,
} from '../../chain/index.ts';
import { openChainStore } from '../../chain/store/index.ts';
import type { CheckVerdict, ClaimChecker } from '../../registry/index.ts';
import { ClaimPool } from '../../src/claims/claim-pool.ts';
import { EndorsementBook } from '../../src/claims/endorsement-book.ts';
import { FirstSeen } from '../../src/claims/first-seen.ts';
import { Marks } from '../../src/claims/marks.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import { seedSigner } from '../../src/crypto/signer.ts';
import { Head } from '../../src/ledger/head.ts';
import { noMetrics } from '../../src/metrics/types.ts';
import type { Logger, SignatureVerifier } from '../../src/ports.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import { MemoryKeyValueStore } from '../world/memory-key-value-store.ts';
import { VirtualWorld } from '../world/world.ts';

/** Everything here is signed by its owner. */
export const trusting: SignatureVerifier = { verify: async () => true, verifyMany: async (items) => items.map(() => true) };

export const silent: Logger = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };

export interface Member {
  readonly one: Inhabitant;
  readonly pool: ClaimPool;
  readonly book: EndorsementBook;
  readonly marks: Marks;
  readonly store: MemoryKeyValueStore;
  /** What this authority's own check says. */
  verdict: (claim: Claim) => CheckVerdict | Promise<CheckVerdict>;
  /** False: nobody hears it. */
  heard: boolean;
  readonly said: { candidates: number; endorsements: number; refusals: string[]; sealed: SealedTransaction[] };
  checks: number;
}

export class Bench {
  readonly world: VirtualWorld;
  readonly head: Head;
  readonly members: Member[] = [];
  readonly fatals: unknown[] = [];

  private constructor(world: VirtualWorld, head: Head) {
    this.world = world;
    this.head = head;
  }

  static async open(authorities = 4): Promise<Bench> {
    const world = new VirtualWorld({ seed: 7, authorities, mirrors: 0, verifier: trusting });
    const { timeMs, parameters, nodes } = world.genesis;
    const store = await openChainStore({ kv: new MemoryKeyValueStore(), sha256 }, { chainId: world.chainId, timeMs, parameters, nodes });
    const bench = new Bench(world, new Head({ store, sha256, verifier: trusting }));
    for (const one of world.authorities()) bench.members.push(bench.#member(one));
    return bench;
  }

  member(index: number): Member {
    const found = this.members[index];
    if (found === undefined) throw new RangeError(`no member ${index}`);
    return found;
  }

  /** Commits the block after the head; every pool hears of it. */
  async commit(transactions: readonly SealedTransaction[]): Promise<void> {
    const { view, certificate } = this.head;
    const height = view.height + 1;
    const timeMs = Math.max(this.world.time.clock.nowMs(), view.timeMs + 1);
    const content = {
      height,
      round: 1,
      timeMs,
      transactions,
      lastCommit: certificate,
      evidence: [],
      proposer: proposerAt(view, height, 1),
    };
    const made = executeBlock(view, content, sha256);
    if (!made.ok) throw new RangeError(made.refusal.detail);
    const block: Block = { header: made.header, transactions, lastCommit: certificate, evidence: [] };
    const result = await this.head.extend(block, this.#certificate(made.blockId, height));
    if (result.kind !== 'committed') throw new RangeError(result.kind);
    for (const { pool } of this.members) pool.blockCommitted(block);
  }

  close(): void {
    for (const { pool } of this.members) pool.stop();
  }

  #certificate(blockId: Digest, height: number): CommitCertificateRecord {
    const message = votePayload(this.world.chainId, { type: 'precommit', height, round: 1, blockId });
    const signatures = this.members
      .map(({ one }) => ({ nodeId: one.nodeId, signature: seedSigner(one.keys).sign('consensus', message) }))
      .sort((left, right) => (digestToHex(left.nodeId) < digestToHex(right.nodeId) ? -1 : 1));
    return { height, round: 1, blockId, signatures };
  }

  #member(one: Inhabitant): Member {
    const { world, head } = this;
    const { clock, timers } = world.time;
    const store = new MemoryKeyValueStore();
    const signer = seedSigner(one.keys);
    const book = new EndorsementBook({ chainId: world.chainId, nodeId: one.nodeId, store, signer, clock });
    const marks = new Marks({ store, clock });
    const said: Member['said'] = { candidates: 0, endorsements: 0, refusals: [], sealed: [] };
    const others = (): readonly Member[] => (member.heard ? this.members.filter((other) => other !== member) : []);
    const checker: ClaimChecker = {
      check: async (claim) => {
        member.checks += 1;
        return await member.verdict(claim);
      },
    };
    const pool = new ClaimPool({
      chainId: world.chainId,
      nodeId: one.nodeId,
      peerId: one.name,
      head,
      book,
      marks,
      firstSeen: new FirstSeen({ store, clock }),
      staging: { hold: () => {} },
      signer,
      sha256,
      clock,
      timers,
      checkers: new Map([['generic', checker]]),
      courier: {
        sendCandidate: (candidate: Candidate) => {
          said.candidates += 1;
          for (const other of others()) other.pool.candidateReceived(candidate, one.name);
        },
        sendEndorsement: (id: Digest, endorsement: Endorsement) => {
          said.endorsements += 1;
          for (const other of others()) other.pool.endorsementReceived(id, endorsement);
        },
        sendRefusal: (id: Digest, reason: string) => {
          said.refusals.push(reason);
          for (const other of others()) other.pool.refusalReceived(id, one.nodeId, reason);
        },
        sendSealed: (sealed: SealedTransaction) => said.sealed.push(sealed),
      },
      log: silent,
      metrics: noMetrics,
      fatal: (error) => this.fatals.push(error),
    });
    const member: Member = {
      one,
      pool,
      book,
      marks,
      store,
      verdict: () => ({ kind: 'genuine' }),
      heard: true,
      said,
      checks: 0,
    };
    pool.start();
    return member;
  }
}
