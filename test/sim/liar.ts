/**
 * One authority that has gone over to the other side: it runs the node's real code, and what it says besides it signs with its own keys.
 * Holds the tools of lying; what is lied about stands in liars.ts, lying-proposers.ts and lying-peers.ts.
 */

import {
  type BlockHeader,
  type Digest,
  decode,
  encode,
  endorsementMessage,
  endorsementPayload,
  findValidator,
  MAX_PROPOSAL_MESSAGE_BYTES,
  type ProposalMessage,
  proposalMessage,
  type SignedVote,
  voteMessage,
} from '../../chain/index.ts';
import { type TopicName, topicOf } from '../../src/channels.ts';
import type { MessageVerdict, Network } from '../../src/ports.ts';
import { Forge } from '../world/hostile-peer.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import type { SeededRandom } from '../world/seeded-random.ts';
import type { VirtualNetwork } from '../world/virtual-network.ts';
import type { VirtualWorld } from '../world/world.ts';
import { addressOf } from './weather.ts';

export type Publish = (topic: string, message: Uint8Array) => Promise<void>;
type Receive = (from: string, message: Uint8Array) => Promise<MessageVerdict> | MessageVerdict;
/** What of the network the liar's process sees twisted. */
export type Twist = (liar: Liar) => Partial<Network>;

export class Liar {
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

  endorsement(id: Digest): Uint8Array {
    const { signer, nodeId } = this.one;
    const expiresMs = this.world.time.clock.nowMs() + this.world.genesis.parameters.endorsementMs;
    const signature = signer.sign('consensus', endorsementPayload(this.world.chainId, id, expiresMs));
    const endorsement = { nodeId, expiresMs, signature };
    return encode(endorsementMessage, { transactionId: id, endorsement, publicKey: signer.publicKey('consensus'), attempt: 0 });
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

  /** The same, later, when nobody waits for it any more. */
  sayLater(afterMs: number, to: string, what: { readonly name: TopicName; readonly message: Uint8Array }): void {
    this.world.time.timers.set(afterMs, () => this.say(to, what.name, what.message));
  }

  /** Lets the liar hear everything twice: by itself first, then by its node; and what its node no longer listens to. */
  listening(hear: (topic: string, message: Uint8Array) => void): Pick<Network, 'subscribe' | 'unsubscribe'> {
    const listen = (topic: string, receive: Receive): void => {
      this.network.subscribe(topic, async (from, message) => {
        hear(topic, message);
        return await receive(from, message);
      });
    };
    return { subscribe: listen, unsubscribe: (topic) => listen(topic, () => 'ignore') };
  }

  /** As its own head has it. */
  get isRemoved(): boolean {
    const { node, nodeId } = this.one;
    return node !== null && findValidator(node.head.voters, nodeId) === null;
  }

  /** Says a vote of its node for another block where that one was proposed in the place of the node's. */
  ownVote(vote: SignedVote, bytes: Uint8Array, proposed: ReadonlyMap<string, Digest>): Uint8Array {
    const other = proposed.get(slotOf(vote));
    return other === undefined ? bytes : this.vote({ ...vote, blockId: other });
  }
}

export function slotOf({ height, round }: Pick<BlockHeader, 'height' | 'round'>): string {
  return `${height}/${round}`;
}
