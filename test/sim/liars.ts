/**
 * Authorities that have gone over to the other side. Each runs the node's real code, so that it keeps up with the chain, behind a network
 * that twists what it says; what it adds it signs with its own real keys. SPEC §9 calls none of this valid, and Tendermint bears less than a
 * third of it.
 */

import {
  asDigest,
  type Block,
  blocksResponse,
  type Digest,
  decode,
  digestToHex,
  encode,
  executeBlock,
  MAX_BLOCKS_RESPONSE_BYTES,
  MAX_PROPOSAL_MESSAGE_BYTES,
  type ProposalMessage,
  proposalMessage,
  type SignedVote,
  statusMessage,
  voteMessage,
} from '../../chain/index.ts';
import { protocolOf, type TopicName, topicOf } from '../../src/channels.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { MessageVerdict, Network } from '../../src/ports.ts';
import { certificateBytes, Forge, flipped, proposalBytes } from '../world/hostile-peer.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import type { SeededRandom } from '../world/seeded-random.ts';
import type { VirtualNetwork } from '../world/virtual-network.ts';
import type { VirtualWorld } from '../world/world.ts';
import type { LiarKind } from './plan.ts';
import { addressOf } from './weather.ts';

type Publish = (topic: string, message: Uint8Array) => Promise<void>;
type Twist = (liar: Liar) => Partial<Network>;

/** Forgeries and floods come with every so many words of the liar's own. */
const FORGE_EVERY = 10;
const FLOOD_VOTES = 30;
const FALSE_HEIGHT = 1_000_000;

/** Turns a node that does not run yet; a twin is added to the world. */
export function corrupt(world: VirtualWorld, one: Inhabitant, how: { readonly kind: LiarKind; readonly random: SeededRandom }): void {
  if (how.kind === 'twin') world.addTwin(one);
  if (how.kind === 'time liar') {
    const errorMs = (how.random.next() - 0.5) * 10_000;
    one.clockErrorMs = () => errorMs;
  }
  const twist = TWISTS[how.kind];
  if (twist === undefined) return;
  one.seenNetwork = (network) => ({ ...network, ...twist(new Liar(world, one, { network, random: how.random })) });
}

class Liar {
  readonly world: VirtualWorld;
  readonly one: Inhabitant;
  readonly network: VirtualNetwork;
  readonly random: SeededRandom;
  readonly forge: Forge;
  words = 0;

  constructor(world: VirtualWorld, one: Inhabitant, deps: { readonly network: VirtualNetwork; readonly random: SeededRandom }) {
    this.world = world;
    this.one = one;
    this.network = deps.network;
    this.random = deps.random;
    this.forge = new Forge(world);
  }

  get others(): readonly string[] {
    return this.world.inhabitants.filter((other) => other !== this.one).map(addressOf);
  }

  /** The half of the others that hears the second story; the same one within a height. */
  isFooled(address: string, height: number): boolean {
    return (this.others.indexOf(address) + height) % 2 === 0;
  }

  isTopic(topic: string, name: TopicName): boolean {
    return topic === topicOf(this.world.chainId, name);
  }

  say(to: string, name: TopicName, message: Uint8Array): void {
    const topic = topicOf(this.world.chainId, name);
    this.world.air.overheard(this.network.peerId, topic, message);
    this.network.sendTo(to, topic, message);
  }

  sayAll(name: TopicName, message: Uint8Array): void {
    for (const other of this.others) this.say(other, name, message);
  }

  /** Where it claims to stand, in its own signed word. */
  status(height: number): Uint8Array {
    return this.forge.status(this.one.nodeId, height, this.world.time.clock.nowMs());
  }

  vote(content: Omit<SignedVote, 'nodeId' | 'signature'>): Uint8Array {
    return this.forge.vote(this.one.nodeId, content);
  }

  /** Hands votes and proposals of its own to the given functions, and everything else through. */
  publish(handlers: {
    readonly vote?: (vote: SignedVote, message: Uint8Array) => void;
    readonly proposal?: (message: ProposalMessage, bytes: Uint8Array) => void;
  }): Publish {
    return async (topic, bytes) => {
      if (handlers.vote !== undefined && this.isTopic(topic, 'vote')) {
        const read = decode(voteMessage, bytes, { maxBytes: 512 });
        if (read.ok) handlers.vote(read.value.vote, bytes);
      } else if (handlers.proposal !== undefined && this.isTopic(topic, 'proposal')) {
        const read = decode(proposalMessage, bytes, { maxBytes: MAX_PROPOSAL_MESSAGE_BYTES });
        if (read.ok) handlers.proposal(read.value, bytes);
      } else {
        await this.network.publish(topic, bytes);
      }
    };
  }
}

const TWISTS: Readonly<Partial<Record<LiarKind, Twist>>> = {
  silent: (liar) => ({ publish: liar.publish({ vote: () => {}, proposal: () => {} }) }),
  'nil voter': (liar) => ({ publish: liar.publish({ vote: (vote) => liar.sayAll('vote', liar.vote({ ...vote, blockId: null })) }) }),
  'double voter': doubleVoter,
  'equivocating proposer': equivocator,
  withholder: (liar) => ({
    publish: liar.publish({
      vote: (_vote, bytes) => liar.say(oneOf(liar), 'vote', bytes),
      proposal: (_message, bytes) => liar.say(oneOf(liar), 'proposal', bytes),
    }),
  }),
  amnesiac,
  forger,
  spammer,
  'lying sync peer': lyingSyncPeer,
};

function oneOf(liar: Liar): string {
  return liar.others[liar.random.below(liar.others.length)] ?? '';
}

/** Votes for the value to one half, and for nil or something made up to the other. */
function doubleVoter(liar: Liar): Partial<Network> {
  return {
    publish: liar.publish({
      vote: (vote, bytes) => {
        const madeUp = liar.random.chance(0.3) ? asDigest(liar.random.bytes(32)) : null;
        const other = liar.vote({ ...vote, blockId: vote.blockId === null ? asDigest(liar.random.bytes(32)) : madeUp });
        for (const to of liar.others) liar.say(to, 'vote', liar.isFooled(to, vote.height) ? other : bytes);
      },
    }),
  };
}

/** Two blocks in one round, each proposed to half of the others, and votes for each to those who have seen it. */
function equivocator(liar: Liar): Partial<Network> {
  const seconds = new Map<string, Digest>();
  return {
    publish: liar.publish({
      proposal: (message, bytes) => {
        const { height, round, validRound } = message.proposal;
        const block = validRound === null ? secondBlock(liar, message) : null;
        if (block === null) return void liar.network.publish(topicOf(liar.world.chainId, 'proposal'), bytes);
        seconds.set(`${height}/${round}`, liar.forge.idOf(block.header));
        const second = proposalBytes(liar.forge.proposal(block, {}, liar.one.nodeId));
        for (const to of liar.others) liar.say(to, 'proposal', liar.isFooled(to, height) ? second : bytes);
      },
      vote: (vote, bytes) => {
        const second = seconds.get(`${vote.height}/${vote.round}`);
        const other = second === undefined ? bytes : liar.vote({ ...vote, blockId: second });
        for (const to of liar.others) liar.say(to, 'vote', liar.isFooled(to, vote.height) ? other : bytes);
      },
    }),
  };
}

/** The same block a millisecond later; now and then with a state that does not follow from it. */
function secondBlock(liar: Liar, { header, lastCommit, evidence, sealedDigests }: ProposalMessage): Block | null {
  const { node } = liar.one;
  if (node === null || node.head.height + 1 !== header.height) return null;
  const transactions = sealedDigests.flatMap((one) => node.mempool.sealed(one) ?? []);
  const { height, round, proposer } = header;
  const made = executeBlock(
    node.head.view,
    { height, round, timeMs: header.timeMs + 1, transactions, lastCommit, evidence, proposer },
    sha256,
  );
  if (!made.ok) return null;
  const stateRoot = liar.random.chance(0.3) ? asDigest(liar.random.bytes(32)) : made.header.stateRoot;
  return { header: { ...made.header, stateRoot }, transactions, lastCommit, evidence };
}

/** Has no lock: votes for whatever is proposed, at once and twice, and says nothing else. */
function amnesiac(liar: Liar): Partial<Network> {
  const topic = topicOf(liar.world.chainId, 'proposal');
  const hear = (bytes: Uint8Array): void => {
    const read = decode(proposalMessage, bytes, { maxBytes: MAX_PROPOSAL_MESSAGE_BYTES });
    if (!read.ok || read.value.attempt > 0) return;
    const { height, round, blockId } = read.value.proposal;
    for (const type of ['prevote', 'precommit'] as const) liar.sayAll('vote', liar.vote({ type, height, round, blockId }));
  };
  return {
    publish: liar.publish({ vote: () => {} }),
    subscribe: (name: string, receive: (from: string, message: Uint8Array) => Promise<MessageVerdict> | MessageVerdict) => {
      liar.network.subscribe(name, async (from, message) => {
        if (name === topic) hear(message);
        return await receive(from, message);
      });
    },
  };
}

/** Between its honest words: votes in others' names, and certificates made of them or of another chain's. */
function forger(liar: Liar): Partial<Network> {
  const foreign = new Forge(liar.world, asDigest(liar.random.bytes(32)));
  const publish = liar.publish({
    vote: (vote, bytes) => {
      void liar.network.publish(topicOf(liar.world.chainId, 'vote'), bytes);
      liar.words += 1;
      if (liar.words % FORGE_EVERY !== 0) return;
      const blockId = asDigest(liar.random.bytes(32));
      const { height, round } = vote;
      const nodes = [...liar.world.genesis.nodes];
      const cast = (by: Forge) => nodes.map((node) => by.signedVote(node.nodeId, { type: 'prevote', height, round, blockId }));
      const polka = liar.random.chance(0.5)
        ? cast(foreign)
        : cast(liar.forge).map((one) => ({ ...one, signature: flipped(one.signature) }));
      const [first] = polka;
      if (first !== undefined) liar.say(oneOf(liar), 'vote', encode(voteMessage, { vote: first, attempt: 0 }));
      const kind = liar.random.chance(0.5) ? 'polka' : 'commit';
      const votes = kind === 'polka' ? polka : polka.map((one) => ({ ...one, type: 'precommit' as const }));
      liar.say(oneOf(liar), 'certificate', certificateBytes({ kind, height, round, votes, attempt: liar.words }));
    },
  });
  return { publish };
}

/** Votes of its own for far heights and rounds, and statuses beyond belief. */
function spammer(liar: Liar): Partial<Network> {
  const publish = liar.publish({
    vote: (vote, bytes) => {
      void liar.network.publish(topicOf(liar.world.chainId, 'vote'), bytes);
      liar.words += 1;
      if (liar.words % FORGE_EVERY !== 0) return;
      for (let index = 0; index < FLOOD_VOTES; index += 1) {
        const isHeight = liar.random.chance(0.5);
        const height = vote.height + (isHeight ? liar.random.below(1000) : 1);
        const round = isHeight ? 0 : liar.random.below(60_000);
        const content = { type: 'prevote', height, round, blockId: asDigest(liar.random.bytes(32)) } as const;
        liar.say(oneOf(liar), 'vote', liar.vote(content));
      }
      liar.sayAll('status', liar.status(FALSE_HEIGHT + liar.words));
    },
  });
  return { publish };
}

/** Claims heights up and down, gives pages that break off, that rot in the middle, or that begin elsewhere. */
function lyingSyncPeer(liar: Liar): Partial<Network> {
  const twisted = (answer: Uint8Array): Uint8Array => {
    const read = decode(blocksResponse, answer, { maxBytes: MAX_BLOCKS_RESPONSE_BYTES });
    if (!read.ok) return answer;
    const { blocks, height } = read.value;
    const middle = blocks[blocks.length >> 1];
    switch (liar.random.below(5)) {
      case 0:
        return encode(blocksResponse, { blocks: [], height: height + 1 + liar.random.below(100) });
      case 1:
        return encode(blocksResponse, { blocks: blocks.slice(0, blocks.length >> 1), height: Math.max(0, height - 5) });
      case 2:
        return encode(blocksResponse, { blocks: blocks.slice(1), height });
      case 3:
        if (middle === undefined) return answer;
        return encode(blocksResponse, { blocks: blocks.map((one) => (one === middle ? rotten(one, liar.random) : one)), height });
      default:
        return answer;
    }
  };
  const blocks = protocolOf(liar.world.chainId, 'blocks');
  const status = protocolOf(liar.world.chainId, 'status');
  const falseHeight = (): number => Math.max(0, (liar.one.node?.head.height ?? 0) + liar.random.below(60) - 30);
  const falseStatus = (): Uint8Array =>
    encode(statusMessage, { height: falseHeight(), blockId: asDigest(liar.random.bytes(32)), timeMs: 0, nodeId: null });
  return {
    handle: (protocol, limits, handler) => {
      liar.network.handle(protocol, limits, async (peer, body) => {
        const answer = await handler(peer, body);
        if (protocol === blocks) return twisted(answer);
        return protocol === status ? falseStatus() : answer;
      });
    },
    publish: async (topic, message) => {
      if (liar.isTopic(topic, 'status')) liar.sayAll('status', liar.status(falseHeight()));
      else await liar.network.publish(topic, message);
    },
  };
}

function rotten(one: { readonly block: Uint8Array; readonly certificate: Uint8Array }, random: SeededRandom): typeof one {
  const rot = (bytes: Uint8Array): Uint8Array => {
    const changed = bytes.slice();
    const at = random.below(changed.length);
    changed[at] = (changed[at] ?? 0) ^ (1 << random.below(8));
    return changed;
  };
  return random.chance(0.5) ? { ...one, block: rot(one.block) } : { ...one, certificate: rot(one.certificate) };
}

/** Node ids of the liars among the inhabitants, in hex. */
export function idsOf(liars: readonly Inhabitant[]): ReadonlySet<string> {
  return new Set(liars.map((one) => digestToHex(one.nodeId)));
}
