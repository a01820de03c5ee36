/**
 * Carries votes, proposals and certificates between this node's engine and the others: by gossip, checked before they are relayed, and
 * by direct help for the stuck. SPEC §9.2, §9.4. Bad form or signature → reject; old, early, unknown → ignore.
 */

import {
  type Block,
  type CertificateMessage,
  certificateDigest,
  certificateMessage,
  type Digest,
  decode,
  digestToHex,
  encode,
  evidence as evidenceSchema,
  type HelpResponse,
  MAX_CERTIFICATE_MESSAGE_BYTES,
  MAX_PROPOSAL_MESSAGE_BYTES,
  MAX_VOTE_MESSAGE_BYTES,
  merkleRoot,
  nodeKeyAt,
  type ProposalMessage,
  proposalMessage,
  proposalPayload,
  proposerAt,
  rootOfLeafHashes,
  type Sha256,
  type SignedVote,
  sameBytes,
  sealedDigest,
  voteMessage,
  votePayload,
} from '../../chain/index.ts';
import {
  currentProposals,
  knownVotes,
  latestPolka,
  MAX_FUTURE_ROUNDS,
  ownLastVotes,
  type Proposal,
  polkaBehind,
  roundCertificate,
  type Vote,
} from '../../consensus/index.ts';
import { topicOf } from '../channels.ts';
import { verdictOn, verdictsOn } from '../crypto/verdict.ts';
import type { Head } from '../ledger/head.ts';
import type { Members } from '../ledger/members.ts';
import type { Metrics } from '../metrics/types.ts';
import type { Clock, Logger, MessageVerdict, Network, SignatureVerifier, SignedItem } from '../ports.ts';
import { type AssemblyDeps, assembleBlock } from './assembly.ts';
import { certificateFromMessage, isNews, isWellFormed } from './certificate-messages.ts';
import type { Courier, Engine } from './engine.ts';
import { Heard } from './heard.ts';
import { proposalFromRecord, proposalToRecord, valueIdOfDigest, voteFromRecord, voteToRecord } from './records.ts';
import { isTimely } from './time.ts';

/** Early messages of the next height, kept until this node gets there: more than the largest set can say of the rounds that are listened to. */
const MAX_EARLY = 8_192;
/** Proposals being assembled at a time. */
const MAX_ASSEMBLIES = 8;
const MAX_HELP_VOTES = 1024;

export interface CourierDeps {
  readonly chainId: Digest;
  readonly network: Network;
  readonly verifier: SignatureVerifier;
  readonly sha256: Sha256;
  readonly head: Head;
  readonly members: Members;
  readonly clock: Clock;
  readonly assembly: AssemblyDeps;
  readonly log: Logger;
  readonly metrics: Metrics;
}

type Early = () => void;

/** Who brought a proposal, and when by this node's clock. */
interface Source {
  readonly from: string;
  readonly receivedMs: number;
}

export class GossipCourier implements Courier {
  readonly #deps: CourierDeps;
  #engine: Engine | null = null;
  readonly #heard = new Heard();
  readonly #assembling = new Set<string>();
  #early: Early[] = [];
  #attempt = 0;

  constructor(deps: CourierDeps) {
    this.#deps = deps;
  }

  /** Begins to listen; the engine has finished its replay. */
  start(engine: Engine): void {
    this.#engine = engine;
    const { network, chainId } = this.#deps;
    network.subscribe(topicOf(chainId, 'vote'), (_from, data) => this.#onVote(data));
    network.subscribe(topicOf(chainId, 'proposal'), (from, data) => this.#onProposal(from, data));
    network.subscribe(topicOf(chainId, 'certificate'), (_from, data) => this.#onCertificate(data));
  }

  /** Hears no more. */
  stop(): void {
    const { network, chainId } = this.#deps;
    for (const topic of ['vote', 'proposal', 'certificate'] as const) network.unsubscribe(topicOf(chainId, topic));
    this.#engine = null;
    this.#early = [];
  }

  sendVote(vote: Vote): void {
    this.#publish('vote', encode(voteMessage, { vote: voteToRecord(vote), attempt: this.#attempt }));
  }

  sendProposal(proposal: Proposal, block: Block): void {
    this.#publish('proposal', encode(proposalMessage, this.#proposalMessage(proposal, block)));
    // Who lacks the polka behind it can't prevote for it (L28), and where a liar has told two stories no single vote makes it up.
    const polka = this.#engine === null ? null : polkaBehind(this.#engine.machine, proposal);
    if (polka !== null) this.#sendCertificate('polka', polka.round, polka.votes);
  }

  heightStarted(height: number): void {
    this.#attempt = 0;
    this.#heard.heightStarted(height);
    for (const early of this.#early.splice(0)) early();
  }

  /** Sends again what may have been lost, while the height is undecided; once stuck, also what lets a peer follow. */
  sendAgain(engine: Engine, stuck: boolean): void {
    this.#attempt += 1;
    const { machine } = engine;
    for (const vote of ownLastVotes(machine)) this.sendVote(vote);
    for (const proposal of currentProposals(machine)) {
      const block = engine.value(proposal.valueId);
      if (proposal.nodeId === machine.self && block !== null) this.sendProposal(proposal, block);
    }
    if (!stuck) return;
    const polka = latestPolka(machine);
    if (polka !== null) this.#sendCertificate('polka', polka.round, polka.votes);
    const round = roundCertificate(machine);
    if (round !== null) this.#sendCertificate('round', round.round, round.votes);
  }

  /** What this node knows of the height in work, or what decided the one before it, for a peer that asks for help. */
  help(height: number): HelpResponse {
    const engine = this.#engine;
    if (engine?.height === height + 1) return { votes: this.#decidingVotes(height), proposals: [] };
    if (engine === null || engine.height !== height) return { votes: [], proposals: [] };
    const votes = knownVotes(engine.machine).slice(0, MAX_HELP_VOTES).map(voteToRecord);
    const proposals = currentProposals(engine.machine).flatMap((proposal) => {
      const block = engine.value(proposal.valueId);
      return block === null ? [] : [this.#proposalMessage(proposal, block)];
    });
    return { votes, proposals };
  }

  /** Of the head: who stands one below it needs no more, where the value is at hand. */
  #decidingVotes(height: number): readonly SignedVote[] {
    const { certificate } = this.#deps.head;
    if (certificate?.height !== height) return [];
    const { round, blockId } = certificate;
    return certificate.signatures.map(({ nodeId, signature }) => ({ type: 'precommit', height, round, blockId, nodeId, signature }));
  }

  /** Takes a peer's help exactly as if it had come by gossip. */
  async takeHelp(from: string, answer: HelpResponse): Promise<void> {
    const bad = 'help with a forged message';
    for (const vote of answer.votes) {
      const verdict = await this.#checkVote(vote);
      if (verdict === 'reject') return this.#deps.network.penalize(from, 'bad-signature', bad);
      if (verdict === 'new') this.#take(vote);
    }
    for (const message of answer.proposals) {
      if ((await this.#takeProposal(from, message)) === 'reject') return this.#deps.network.penalize(from, 'bad-signature', bad);
    }
  }

  #sendCertificate(kind: CertificateMessage['kind'], round: number, votes: readonly Vote[]): void {
    const height = this.#engine?.height ?? 0;
    const message = { kind, height, round, votes: votes.map(voteToRecord), attempt: this.#attempt };
    this.#publish('certificate', encode(certificateMessage, message));
  }

  /** Before `start` the network is not up: what a replay would say again is said by the recovery's first tick. */
  #publish(topic: 'vote' | 'proposal' | 'certificate', message: Uint8Array): void {
    if (this.#engine === null) return;
    this.#deps.network.publish(topicOf(this.#deps.chainId, topic), message).catch((error: unknown) => {
      this.#deps.log.warn({ topic, error: String(error) }, 'message not sent');
    });
  }

  async #onVote(data: Uint8Array): Promise<MessageVerdict> {
    const message = decode(voteMessage, data, { maxBytes: MAX_VOTE_MESSAGE_BYTES });
    if (!message.ok) return 'reject';
    const verdict = await this.#checkVote(message.value.vote);
    if (verdict === 'new') this.#take(message.value.vote);
    return verdict === 'new' ? 'accept' : verdict;
  }

  /** Hands a verified vote to the engine, now or when its height begins. */
  #take(vote: SignedVote): void {
    const engine = this.#engine;
    if (engine === null) return;
    this.#deps.metrics.voteReceived(vote.type);
    this.#whenReached(vote.height, () => engine.submit(vote.height, { kind: 'vote', vote: voteFromRecord(vote) }));
  }

  /** `new`: valid and to be taken. `accept`: known, and due to be passed on again for those who lost it. */
  async #checkVote(vote: SignedVote): Promise<'new' | MessageVerdict> {
    if (!this.#isNear(vote.height) || this.#isFarRound(vote.height, vote.round)) return 'ignore';
    const key = nodeKeyAt(this.#deps.head.view, vote.height, vote.nodeId);
    if (key === null) return 'ignore';
    const heard = this.#heard.vote(vote);
    if (heard !== null) return heard === 'useless' ? 'ignore' : this.#heard.again(heard, this.#deps.clock.nowMs());
    const valid = await verdictOn(this.#deps.verifier, this.#voteItem(key, vote));
    if (valid !== true) return valid === null ? 'ignore' : 'reject';
    // Another copy may have been checked meanwhile.
    if (this.#heard.vote(vote) !== null) return 'ignore';
    this.#heard.addVote(vote, this.#deps.clock.nowMs());
    return 'new';
  }

  #voteItem(publicKey: Uint8Array, vote: SignedVote): SignedItem {
    return { publicKey, message: votePayload(this.#deps.chainId, vote), signature: vote.signature };
  }

  async #onProposal(from: string, data: Uint8Array): Promise<MessageVerdict> {
    const message = decode(proposalMessage, data, { maxBytes: MAX_PROPOSAL_MESSAGE_BYTES });
    return message.ok ? await this.#takeProposal(from, message.value) : 'reject';
  }

  async #takeProposal(from: string, message: ProposalMessage): Promise<MessageVerdict> {
    const { clock, head, sha256, verifier, chainId } = this.#deps;
    const { proposal } = message;
    const receivedMs = clock.nowMs();
    if (!this.#isNear(proposal.height) || this.#isFarRound(proposal.height, proposal.round)) return 'ignore';
    const key = nodeKeyAt(head.view, proposal.height, proposal.nodeId);
    if (key === null) return 'ignore';
    const content = digestToHex(sha256(encode(proposalMessage, { ...message, attempt: 0 })));
    const heard = this.#heard.proposal(content);
    if (heard !== null) {
      if (this.#engine?.height === proposal.height) this.#assemble(message, { from, receivedMs });
      return this.#heard.again(heard, receivedMs);
    }
    if (!sameBytes(proposerAt(head.view, proposal.height, proposal.round), proposal.nodeId)) return 'reject';
    const item = { publicKey: key, message: proposalPayload(chainId, proposal), signature: proposal.signature };
    const valid = await verdictOn(verifier, item);
    if (valid !== true) return valid === null ? 'ignore' : 'reject';
    if (!this.#isWhole(message)) return 'reject';
    if (!this.#heard.addProposal(proposal, content, receivedMs)) return 'ignore';
    this.#whenReached(proposal.height, () => this.#assemble(message, { from, receivedMs }));
    return 'accept';
  }

  /** Whether everything beside the header is what the header, which alone is signed for, commits to. */
  #isWhole({ proposal, header, sealedDigests, lastCommit, evidence }: ProposalMessage): boolean {
    const { head, sha256 } = this.#deps;
    if (header.height !== proposal.height || !sameBytes(head.idOf(header), proposal.blockId)) return false;
    if (!sameBytes(rootOfLeafHashes(sha256, sealedDigests), header.transactionsRoot)) return false;
    const evidenceBytes = evidence.map((one) => encode(evidenceSchema, one));
    if (!sameBytes(merkleRoot(sha256, evidenceBytes), header.evidenceRoot)) return false;
    if (lastCommit === null || header.lastCommitDigest === null) return lastCommit === null && header.lastCommitDigest === null;
    return sameBytes(certificateDigest(sha256, lastCommit), header.lastCommitDigest);
  }

  /** Gathers the value of a proposal, checks it, and hands both to the engine. */
  #assemble(message: ProposalMessage, source: Source): void {
    const engine = this.#engine;
    const proposal = proposalFromRecord(message.proposal);
    const key = `${proposal.height}/${proposal.round}/${proposal.valueId}/${proposal.validRound}`;
    if (engine === null || engine.height !== proposal.height) return;
    if (this.#assembling.has(key) || this.#assembling.size >= MAX_ASSEMBLIES) return;
    const received = engine.machine.proposals.rounds.get(proposal.round) ?? [];
    if (received.some((one) => one.proposal.valueId === proposal.valueId && one.proposal.validRound === proposal.validRound)) return;
    this.#assembling.add(key);
    this.#check(engine, message, source)
      .catch((error: unknown) => this.#deps.log.error({ height: proposal.height, error: String(error) }, 'proposal could not be checked'))
      .finally(() => this.#assembling.delete(key));
  }

  async #check(engine: Engine, message: ProposalMessage, { from, receivedMs }: Source): Promise<void> {
    const { head, log, metrics } = this.#deps;
    const proposal = proposalFromRecord(message.proposal);
    const known = engine.value(valueIdOfDigest(message.proposal.blockId));
    const proposer = this.#deps.members.peerOf(message.proposal.nodeId);
    const peers = proposer === null || proposer === from ? [from] : [proposer, from];
    const block = known ?? (await assembleBlock(this.#deps.assembly, message, peers));
    if (block === null) {
      log.warn({ height: proposal.height, round: proposal.round, from }, 'a proposal came without its transactions');
      return;
    }
    if (engine.height !== proposal.height) return;
    const result = await head.check(block);
    if (result === 'unknown' || engine.height !== proposal.height || head.height >= proposal.height) return;
    if (!result.ok) log.warn({ height: proposal.height, round: proposal.round, from, ...result.refusal }, 'proposal refused');
    const timely = proposal.validRound !== null || isTimely(head.parameters, block.header, proposal.round, receivedMs);
    if (!timely) {
      metrics.untimelyProposal();
      log.warn({ height: proposal.height, round: proposal.round, timeMs: block.header.timeMs, receivedMs }, 'proposal not timely');
    }
    engine.submitProposal(proposal, block, !result.ok || !roundFits(block, proposal) ? 'invalid' : timely ? 'valid' : 'untimely');
  }

  /** Checks every vote of a certificate of the height in work and applies it whole. */
  async #onCertificate(data: Uint8Array): Promise<MessageVerdict> {
    const message = decode(certificateMessage, data, { maxBytes: MAX_CERTIFICATE_MESSAGE_BYTES });
    if (!message.ok) return 'reject';
    const engine = this.#engine;
    if (engine === null || message.value.height !== engine.height) return 'ignore';
    const input = certificateFromMessage(message.value);
    if (input === null || !isWellFormed(engine.machine, input)) return 'reject';
    if (!isNews(engine.machine, input)) return 'ignore';
    const items: SignedItem[] = [];
    for (const vote of message.value.votes) {
      const key = nodeKeyAt(this.#deps.head.view, vote.height, vote.nodeId);
      if (key === null) return 'ignore';
      items.push(this.#voteItem(key, vote));
    }
    const verdicts = await verdictsOn(this.#deps.verifier, items);
    if (verdicts === null) return 'ignore';
    if (verdicts.includes(false)) return 'reject';
    engine.submit(message.value.height, input);
    return 'accept';
  }

  #proposalMessage(proposal: Proposal, block: Block): ProposalMessage {
    return {
      proposal: proposalToRecord(proposal),
      header: block.header,
      sealedDigests: block.transactions.map((transaction) => sealedDigest(this.#deps.sha256, transaction)),
      lastCommit: block.lastCommit,
      evidence: block.evidence,
      attempt: this.#attempt,
    };
  }

  /** The height in work or the one after it. */
  #isNear(height: number): boolean {
    const current = this.#engine?.height ?? 0;
    return height === current || height === current + 1;
  }

  #isFarRound(height: number, round: number): boolean {
    const machine = this.#engine?.machine;
    const current = machine !== undefined && machine.height === height ? machine.consensus.round : 0;
    return round > current + MAX_FUTURE_ROUNDS;
  }

  #whenReached(height: number, action: () => void): void {
    const current = this.#engine?.height ?? 0;
    if (height === current) action();
    else if (height === current + 1 && this.#early.length < MAX_EARLY) this.#early.push(action);
  }
}

/** SPEC §5.5: a fresh value bears the round of its proposal, one proposed again at most its validRound. */
function roundFits(block: Block, proposal: Proposal): boolean {
  return proposal.validRound === null ? block.header.round === proposal.round : block.header.round <= proposal.validRound;
}
