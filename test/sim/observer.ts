/**
 * Turns what happens in a world of nodes into facts: listens to all gossip, to commits, penalties, logs and failures, and looks at places
 * and queues after every event. Reads; never acts.
 */

import {
  candidateMessage,
  type Digest,
  decode,
  digestToHex,
  endorsementMessage,
  helpResponse,
  keyOf,
  MAX_CANDIDATE_MESSAGE_BYTES,
  MAX_ENDORSEMENT_MESSAGE_BYTES,
  MAX_HELP_RESPONSE_BYTES,
  MAX_PROPOSAL_MESSAGE_BYTES,
  proposalMessage,
  sameBytes,
  setsOf,
  transactionId,
  validatorSetDigest,
  voteMessage,
} from '../../chain/index.ts';
import { MAX_FUTURE_ROUNDS, MAX_PROPOSALS_PER_ROUND } from '../../consensus/index.ts';
import { SIGN_STATE_FILE } from '../../genesis/index.ts';
import { protocolOf, topicOf } from '../../src/channels.ts';
import { DEFAULT_MEMPOOL_LIMITS } from '../../src/claims/mempool.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { CairnNode } from '../../src/node.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import type { VirtualWorld } from '../world/world.ts';
import type { Fact, Standing } from './facts.ts';
import { replayOf } from './log-replay.ts';
import { addressOf } from './weather.ts';

/** Virtual time between two looks at queues. */
const QUEUES_MS = 1_000;
/** Timers of a whole world; each node has some dozens. */
const MAX_TIMERS = 50_000;
/** Blocks looked at when a process begins. */
const TIP_BLOCKS = 5;
/** One vote in so many has its log replayed. */
const REPLAY_EVERY = 8;

export class Observer {
  readonly #world: VirtualWorld;
  readonly #see: (fact: Fact) => void;
  readonly #names = new Map<string, Inhabitant>();
  readonly #machines = new Map<Inhabitant, unknown>();
  readonly #linesRead = new Map<Inhabitant, number>();
  readonly #fatal: (one: Inhabitant, error: unknown) => void;
  readonly #safe = new Set<string>();
  #penalties = 0;
  #queuesMs = 0;
  #votes = 0;

  constructor(
    world: VirtualWorld,
    deps: { readonly see: (fact: Fact) => void; readonly fatal: (one: Inhabitant, error: unknown) => void },
  ) {
    this.#world = world;
    this.#see = deps.see;
    this.#fatal = deps.fatal;
    for (const one of world.inhabitants) this.#names.set(addressOf(one), one);
    world.air.overheard = (from, topic, message) => this.#hear(from, topic, message);
    world.air.overheardAnswer = (from, protocol, answer) => this.#hearAnswer(from, protocol, answer);
    world.time.afterEvent = () => this.#look();
  }

  /** A process has begun. */
  started(one: Inhabitant): void {
    const { node } = one;
    if (node === null) return;
    const consensus = node.engine?.machine.consensus;
    const lock = consensus === undefined ? null : { height: consensus.height, round: consensus.lockedRound ?? -1 };
    this.#see({ kind: 'started', name: one.name, tip: tipOf(node), lock, knownVersion: node.head.knownVersion });
    node.head.onCommit(({ block, blockId, certificate, effects }) => {
      // What a dead process still had in its hands is nobody's.
      if (one.node !== node) return;
      const { view } = node.head;
      // Of blocks written together the head shows the last alone.
      const isTip = view.height === effects.height;
      const stateRoot = isTip ? view.stateRoot : effects.stateRoot;
      const nextSetDigest = isTip ? validatorSetDigest(sha256, setsOf(view.state).next) : block.header.nextSetDigest;
      this.#see({ kind: 'committed', name: one.name, block, blockId, certificate, stateRoot, nextSetDigest });
    });
  }

  #hear(from: string, topic: string, message: Uint8Array): void {
    const one = this.#names.get(from);
    const { chainId } = this.#world;
    if (one === undefined) return;
    const { name } = one;
    if (topic === topicOf(chainId, 'vote')) {
      const read = decode(voteMessage, message, { maxBytes: 512 });
      if (!read.ok || digestToHex(read.value.vote.nodeId) !== digestToHex(one.nodeId)) return;
      const { vote, attempt } = read.value;
      this.#see({ kind: 'vote', name, vote, isSynced: this.#isSafe(one, vote.signature) });
      this.#votes += 1;
      if (attempt === 0 && this.#votes % REPLAY_EVERY === 0) void this.#replay(one, vote);
    } else if (topic === topicOf(chainId, 'proposal')) {
      const read = decode(proposalMessage, message, { maxBytes: MAX_PROPOSAL_MESSAGE_BYTES });
      if (!read.ok || digestToHex(read.value.proposal.nodeId) !== digestToHex(one.nodeId)) return;
      this.#see({ kind: 'proposal', name, message: read.value, isSynced: this.#isSafe(one, read.value.proposal.signature) });
    } else this.#hearClaim(one, topic, message);
  }

  /** Votes and proposals of its own that a node tells those who are stuck. */
  #hearAnswer(from: string, protocol: string, answer: Uint8Array): void {
    const one = this.#names.get(from);
    if (one === undefined || protocol !== protocolOf(this.#world.chainId, 'help')) return;
    const read = decode(helpResponse, answer, { maxBytes: MAX_HELP_RESPONSE_BYTES });
    if (!read.ok) return;
    const isOwn = ({ nodeId }: { readonly nodeId: Digest }): boolean => sameBytes(nodeId, one.nodeId);
    for (const vote of read.value.votes.filter(isOwn))
      this.#see({ kind: 'vote', name: one.name, vote, isSynced: this.#isSafe(one, vote.signature) });
    for (const message of read.value.proposals.filter(({ proposal }) => isOwn(proposal)))
      this.#see({ kind: 'proposal', name: one.name, message, isSynced: this.#isSafe(one, message.proposal.signature) });
  }

  #hearClaim(one: Inhabitant, topic: string, message: Uint8Array): void {
    const { chainId, time } = this.#world;
    const { name } = one;
    if (topic === topicOf(chainId, 'candidate')) {
      const read = decode(candidateMessage, message, { maxBytes: MAX_CANDIDATE_MESSAGE_BYTES });
      if (!read.ok || !sameBytes(read.value.candidate.author, one.record.networkKey)) return;
      const { candidate, attempt } = read.value;
      const slots = candidate.claims.map((claim) => `${keyOf(claim)} for ${claim.replaces}`);
      this.#see({ kind: 'candidate', name, id: digestToHex(transactionId(sha256, candidate.claims)), slots, attempt });
    } else if (topic === topicOf(chainId, 'endorsement')) {
      const read = decode(endorsementMessage, message, { maxBytes: MAX_ENDORSEMENT_MESSAGE_BYTES });
      if (!read.ok || !sameBytes(read.value.endorsement.nodeId, one.nodeId)) return;
      const { transactionId: id, endorsement } = read.value;
      this.#see({ kind: 'endorsement', name, id: digestToHex(id), expiresMs: endorsement.expiresMs, atMs: time.nowMs });
    }
  }

  async #replay(one: Inhabitant, vote: Parameters<typeof replayOf>[1]): Promise<void> {
    const replayed = await replayOf(one, vote);
    if (replayed !== null) this.#see({ kind: 'replayed', name: one.name, slot: `${vote.height}/${vote.round} ${vote.type}`, ...replayed });
  }

  /** On the signer's disk; or it was when it left for the first time, whatever has become of the disk since. */
  #isSafe(one: Inhabitant, signature: Uint8Array): boolean {
    const bytes = Buffer.from(signature);
    const key = bytes.toString('latin1');
    if (this.#safe.has(key)) return true;
    const durable = one.files.durable(SIGN_STATE_FILE);
    const isSafe = durable !== null && Buffer.from(durable.buffer, durable.byteOffset, durable.length).lastIndexOf(bytes) >= 0;
    if (isSafe) this.#safe.add(key);
    return isSafe;
  }

  #look(): void {
    const { air, time, inhabitants } = this.#world;
    for (; this.#penalties < air.penalties.length; this.#penalties += 1) {
      const penalty = air.penalties[this.#penalties];
      if (penalty === undefined) break;
      const nameOf = (address: string): string => this.#names.get(address)?.name ?? address;
      this.#see({
        kind: 'penalty',
        by: nameOf(penalty.by),
        against: nameOf(penalty.against),
        detail: `${penalty.fault} ${penalty.detail}`,
      });
    }
    const isTime = time.nowMs - this.#queuesMs >= QUEUES_MS;
    if (isTime) this.#queuesMs = time.nowMs;
    if (isTime) for (const one of inhabitants) this.#readLog(one);
    for (const one of inhabitants) {
      // The first ends a process; what fails after it is nobody's.
      if (one.fatals.length > 0) this.#fatal(one, one.fatals.splice(0)[0]);
      const { node } = one;
      if (node === null) continue;
      this.#place(one, node);
      if (isTime) this.#queues(one, node);
    }
  }

  #place(one: Inhabitant, node: CairnNode): void {
    const machine = node.engine?.machine;
    if (machine === undefined || this.#machines.get(one) === machine) return;
    this.#machines.set(one, machine);
    const { height, round, step } = machine.consensus;
    this.#see({ kind: 'position', name: one.name, life: one.life, height, round, step });
  }

  #queues(one: Inhabitant, node: CairnNode): void {
    const machine = node.engine?.machine;
    const validators = this.#world.genesis.nodes.length;
    const rounds = machine === undefined ? 0 : machine.consensus.round + 1 + MAX_FUTURE_ROUNDS * validators;
    this.#see({
      kind: 'queues',
      name: one.name,
      sizes: {
        mempool: [node.mempool.size, DEFAULT_MEMPOOL_LIMITS.maxTransactions],
        'rounds with votes': [machine?.votes.rounds.size ?? 0, rounds],
        proposals: [Math.max(0, ...[...(machine?.proposals.rounds.values() ?? [])].map((list) => list.length)), MAX_PROPOSALS_PER_ROUND],
        values: [[...(node.engine?.values() ?? [])].length, 64],
        'timers of the world': [this.#world.time.waiting, MAX_TIMERS],
        'open files': [one.files.openHandles(), 8],
      },
    });
  }

  #readLog(one: Inhabitant): void {
    const from = this.#linesRead.get(one) ?? 0;
    this.#linesRead.set(one, one.lines.length);
    for (const line of one.lines.slice(from)) {
      if (line.level !== 'debug') this.#see({ kind: 'logged', name: one.name, message: line.message });
      if (line.message.startsWith('evidence of'))
        this.#see({ kind: 'accused', name: one.name, nodeId: String(line.fields.nodeId), where: 'log' });
    }
  }
}

export function tipOf(node: CairnNode): Standing {
  const blocks = new Map<number, string>();
  const { head } = node;
  for (let height = head.height; height > Math.max(0, head.height - TIP_BLOCKS); height -= 1) {
    const header = head.store.header(height);
    if (header !== null) blocks.set(height, digestToHex(head.idOf(header)));
  }
  return { height: head.height, blocks };
}
