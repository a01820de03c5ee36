/**
 * A peer that is no node: it speaks the topics and protocols of a network and says on them whatever a test wants. With `keysOf` it may sign
 * as a validator would that has gone over to the other side. Never runs any of the node's own logic.
 */

import {
  type Block,
  type BlockHeader,
  type Candidate,
  type CertificateMessage,
  type Claim,
  candidateMessage,
  candidatePayload,
  certificateMessage,
  type Digest,
  digestToHex,
  encode,
  endorsementMessage,
  endorsementPayload,
  executeBlock,
  type ProposalMessage,
  proposalMessage,
  proposalPayload,
  proposerAt,
  refusalMessage,
  refusalPayload,
  type SealedTransaction,
  type SignedVote,
  sealedDigest,
  sealedMessage,
  signedStatusMessage,
  statusMessage,
  statusPayload,
  transactionId,
  voteMessage,
  votePayload,
} from '../../chain/index.ts';
import { type ProtocolName, protocolOf, type TopicName, topicOf } from '../../src/channels.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { Signer } from '../../src/ports.ts';
import type { Inhabitant } from './inhabitant.ts';
import { VirtualNetwork } from './virtual-network.ts';
import type { VirtualWorld } from './world.ts';

export class HostilePeer {
  readonly network: VirtualNetwork;
  readonly #world: VirtualWorld;

  private constructor(world: VirtualWorld, networkKey: Uint8Array) {
    this.#world = world;
    this.network = new VirtualNetwork(world.air, networkKey);
  }

  /** Joins; it sees only the named nodes, or all of them. `stolen`: it has the network key of this node, which is down. */
  static async join(world: VirtualWorld, seen: readonly Inhabitant[] | null, stolen?: Inhabitant): Promise<HostilePeer> {
    const peer = new HostilePeer(world, stolen === undefined ? world.random.bytes(32) : stolen.signer.publicKey('network'));
    await peer.network.start();
    const nodes = world.inhabitants.map((one) => one.network?.peerId ?? one.name);
    if (seen !== null) world.air.partition([nodes, [peer.peerId, ...seen.map((one) => one.network?.peerId ?? one.name)]]);
    return peer;
  }

  get peerId(): string {
    return this.network.peerId;
  }

  async leave(): Promise<void> {
    await this.network.stop();
    this.#world.air.partition(null);
  }

  async say(topic: TopicName, message: Uint8Array): Promise<void> {
    await this.network.publish(topicOf(this.#world.chainId, topic), message);
  }

  async ask(one: Inhabitant, protocol: ProtocolName, body: Uint8Array): Promise<Uint8Array> {
    const options = { timeoutMs: 1000, maxResponseBytes: 10_000_000 };
    return await this.network.request(one.network?.peerId ?? '', protocolOf(this.#world.chainId, protocol), body, options);
  }

  answer(protocol: ProtocolName, give: () => Uint8Array): void {
    this.network.handle(protocolOf(this.#world.chainId, protocol), { maxRequestBytes: 1_000_000, maxConcurrent: 64 }, async () => give());
  }

  /** Penalties against this peer, and against anybody else. */
  penalties(): { readonly own: number; readonly others: number } {
    const own = this.#world.air.penalties.filter((penalty) => penalty.against === this.peerId).length;
    return { own, others: this.#world.air.penalties.length - own };
  }
}

/** Makes messages as a validator signs them; each part may be wrong on purpose. */
export class Forge {
  readonly #world: VirtualWorld;
  /** Signatures cover this chain. */
  readonly #chainId: Digest;

  constructor(world: VirtualWorld, chainId: Digest = world.chainId) {
    this.#world = world;
    this.#chainId = chainId;
  }

  signerOf(nodeId: Digest): Signer {
    const one = this.#world.inhabitants.find((other) => digestToHex(other.nodeId) === digestToHex(nodeId));
    if (one === undefined) throw new RangeError('nobody has that id');
    return one.signer;
  }

  vote(nodeId: Digest, content: Omit<SignedVote, 'nodeId' | 'signature'>, attempt = 0): Uint8Array {
    return encode(voteMessage, { vote: this.signedVote(nodeId, content), attempt });
  }

  signedVote(nodeId: Digest, content: Omit<SignedVote, 'nodeId' | 'signature'>): SignedVote {
    return { ...content, nodeId, signature: this.signerOf(nodeId).sign('consensus', votePayload(this.#chainId, content)) };
  }

  /** The block after the head of `one`, as the proposer of the round would make it. */
  block(one: Inhabitant, round: number, transactions: readonly SealedTransaction[]): Block {
    const view = one.node?.head.view;
    if (view === undefined) throw new RangeError(`${one.name} is down`);
    const lastCommit = one.node?.head.certificate ?? null;
    const timeMs = this.#world.time.clock.nowMs();
    const proposer = proposerAt(view, view.height + 1, round);
    const content = { height: view.height + 1, round, timeMs, transactions, lastCommit, evidence: [], proposer };
    const made = executeBlock(view, content, sha256);
    if (!made.ok) throw new RangeError(made.refusal.detail);
    return { header: made.header, transactions, lastCommit, evidence: [] };
  }

  /** The proposal for that block, signed by `nodeId`, or by the header's proposer. */
  proposal(block: Block, change: Partial<ProposalMessage> = {}, nodeId: Digest = block.header.proposer): ProposalMessage {
    const { height, round } = block.header;
    const content = { height, round, blockId: this.idOf(block.header), validRound: null };
    const proposal = { ...content, nodeId, signature: this.signerOf(nodeId).sign('consensus', proposalPayload(this.#chainId, content)) };
    const sealedDigests = block.transactions.map((one) => sealedDigest(sha256, one));
    return { proposal, header: block.header, sealedDigests, lastCommit: block.lastCommit, evidence: block.evidence, attempt: 0, ...change };
  }

  idOf(header: BlockHeader): Digest {
    const [node] = this.#world.running;
    if (node === undefined) throw new RangeError('nobody is up');
    return node.head.idOf(header);
  }

  candidate(one: Inhabitant, claims: readonly Claim[]): Candidate {
    const { signer } = one;
    const author = signer.publicKey('network');
    const signature = signer.sign('network', candidatePayload(this.#chainId, transactionId(sha256, claims), author));
    return { claims, consents: [], author, signature };
  }

  endorsement(nodeId: Digest, id: Digest, expiresMs: number): Uint8Array {
    const signature = this.signerOf(nodeId).sign('consensus', endorsementPayload(this.#chainId, id, expiresMs));
    return encode(endorsementMessage, { transactionId: id, endorsement: { nodeId, expiresMs, signature }, attempt: 0 });
  }

  status(nodeId: Digest, height: number, timeMs: number): Uint8Array {
    const blockId = nodeId;
    const signature = this.signerOf(nodeId).sign('consensus', statusPayload(this.#chainId, { height, blockId, timeMs }));
    return encode(signedStatusMessage, { height, blockId, timeMs, nodeId, signature });
  }

  refusal(nodeId: Digest, id: Digest, timeMs: number): Uint8Array {
    const unsigned = { transactionId: id, reason: 'no', timeMs };
    const signature = this.signerOf(nodeId).sign('consensus', refusalPayload(this.#chainId, unsigned));
    return encode(refusalMessage, { refusal: { ...unsigned, nodeId, signature }, attempt: 0 });
  }
}

export const proposalBytes = (message: ProposalMessage): Uint8Array => encode(proposalMessage, message);
export const certificateBytes = (message: CertificateMessage): Uint8Array => encode(certificateMessage, message);
export const candidateBytes = (candidate: Candidate): Uint8Array => encode(candidateMessage, { candidate, attempt: 0 });
export const sealedBytes = (transaction: SealedTransaction): Uint8Array => encode(sealedMessage, { transaction, attempt: 0 });
export const statusBytes = (height: number, blockId: Digest): Uint8Array =>
  encode(statusMessage, { height, blockId, timeMs: 0, nodeId: null });

/** The same message with one bit of the signature wrong: it still decodes. */
export function flipped(signature: Uint8Array): Uint8Array {
  const changed = signature.slice();
  changed[3] = (changed[3] ?? 0) ^ 1;
  return changed;
}
