/**
 * Topics over gossipsub: StrictNoSign, so the caller's own signatures are the only ones; a message is judged by the caller before it is passed on.
 *
 * Gossipsub drops what it can't decode without a word and reads a peer's stream as fast as it comes. So every inbound stream passes a guard here
 * first: undecodable or oversize frames, signed messages and floods are named to the judge, and topics nobody here asked for go no further.
 * Never trusts the order of messages: they are judged concurrently.
 */

import { createHash } from 'node:crypto';
import { type GossipSub, gossipsub, type Message, StrictNoSign, TopicValidatorResult } from '@libp2p/gossipsub';
import type { PeerId } from '@libp2p/interface';
import type { Clock, Logger, MessageVerdict, PeerFault } from '../ports.ts';
import { type TokenBucket, tokenBucket } from '../world/rate-limit.ts';
import { NetworkError } from './errors.ts';

export type Receive = (from: string, message: Uint8Array) => Promise<MessageVerdict> | MessageVerdict;

export interface GossipOptions {
  /** Largest message published or accepted. Default 1 MiB. */
  readonly maxMessageBytes?: number;
  /** Messages under judgement at once; further ones are dropped. Default 4096. */
  readonly maxJudging?: number;
  /** What one peer may send. Default 10,000 messages and 32 MiB a second. */
  readonly maxMessagesPerSecond?: number;
  readonly maxBytesPerSecond?: number;
}

export interface Gossip {
  /** The libp2p service; made anew for each start. */
  readonly service: (components: Parameters<ReturnType<typeof gossipsub>>[0]) => GossipSub;
  /** To be called once libp2p has started. */
  readonly attach: (pubsub: GossipSub) => void;
  readonly detach: () => void;
  readonly publish: (topic: string, message: Uint8Array) => Promise<void>;
  readonly subscribe: (topic: string, receive: Receive) => void;
  readonly unsubscribe: (topic: string) => void;
}

interface GossipDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly penalize: (peerId: string, fault: PeerFault, detail: string) => void;
}

const VERDICTS: Readonly<Record<MessageVerdict, TopicValidatorResult>> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
};

/** Seconds of full rate that may come at once. */
const BURST_SECONDS = 4;
const PEERS_METERED = 1024;

/** For meshes from four nodes on: own messages go to every peer at once, so few mesh links are enough to pass on the others'. */
const MESH = { D: 3, Dlo: 2, Dhi: 5, Dscore: 2, Dout: 1, Dlazy: 4 } as const;

const DECODE_LIMITS = {
  maxSubscriptions: 256,
  maxMessages: 4096,
  maxIhaveMessageIDs: 5000,
  maxIwantMessageIDs: 5000,
  maxIdontwantMessageIDs: 1024,
  maxControlMessages: 1024,
  maxPeerInfos: 64,
} as const;

export function openGossip(options: GossipOptions, deps: GossipDeps): Gossip {
  const maxMessageBytes = options.maxMessageBytes ?? 1024 * 1024;
  const receivers = new Map<string, Receive>();
  const judge = openJudge({ maxMessageBytes, maxJudging: options.maxJudging ?? 4096 }, receivers, deps);
  const { maxMessagesPerSecond = 10_000, maxBytesPerSecond = 32 * 1024 * 1024 } = options;
  const meter = openMeter({ messages: maxMessagesPerSecond, bytes: maxBytesPerSecond }, deps.clock);
  const listen = (pubsub: GossipSub, topic: string): void => listenTo(pubsub, topic, judge);
  let attached: GossipSub | null = null;

  return {
    service: (components) => {
      const pubsub = makeGossipsub(components, [...receivers.keys()]);
      guardInbound(pubsub, { meter, isKnownTopic: (topic) => receivers.has(topic), penalize: deps.penalize });
      return pubsub;
    },
    attach: (pubsub) => {
      attached = pubsub;
      for (const topic of receivers.keys()) listen(pubsub, topic);
    },
    detach: () => {
      attached = null;
    },
    publish: async (topic, message) => {
      if (attached === null) throw new NetworkError('stopped', 'expected a running network to publish to');
      if (message.length > maxMessageBytes) {
        throw new NetworkError('too-large', `expected a message of at most ${maxMessageBytes} bytes, got ${message.length}`);
      }
      await attached.publish(topic, message);
    },
    subscribe: (topic, receive) => {
      if (receivers.has(topic)) throw new RangeError(`expected one receiver a topic, got a second one for ${topic}`);
      receivers.set(topic, receive);
      if (attached !== null) listen(attached, topic);
    },
    unsubscribe: (topic) => {
      receivers.delete(topic);
      attached?.topicValidators.delete(topic);
      attached?.unsubscribe(topic);
    },
  };
}

type Judge = (peer: PeerId, message: Message) => Promise<TopicValidatorResult>;

function listenTo(pubsub: GossipSub, topic: string, judge: Judge): void {
  pubsub.topicValidators.set(topic, (peer, message) => judge(peer, message));
  pubsub.subscribe(topic);
}

function makeGossipsub(components: Parameters<Gossip['service']>[0], topics: readonly string[]): GossipSub {
  const topicScore = { topicWeight: 1, invalidMessageDeliveriesWeight: -100, meshMessageDeliveriesWeight: 0, meshFailurePenaltyWeight: 0 };
  return gossipsub({
    ...MESH,
    globalSignaturePolicy: StrictNoSign,
    // The topic is part of it: else what somebody says on a wrong topic would keep the same bytes from coming on their own.
    msgIdFn: ({ topic, data }: Message) => createHash('sha256').update(`${topic}\0`).update(data).digest(),
    fallbackToFloodsub: false,
    floodPublish: true,
    doPX: false,
    emitSelf: false,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    maxOutboundBufferSize: 16 * 1024 * 1024,
    decodeRpcLimits: DECODE_LIMITS,
    scoreParams: { IPColocationFactorWeight: 0, topics: Object.fromEntries(topics.map((topic) => [topic, topicScore])) as never },
  })(components);
}

/** Asks the topic's receiver and turns its verdict into gossipsub's, naming senders of rejected messages. */
function openJudge(
  limits: { readonly maxMessageBytes: number; readonly maxJudging: number },
  receivers: ReadonlyMap<string, Receive>,
  deps: GossipDeps,
): Judge {
  let judging = 0;
  return async (peer, message) => {
    const from = peer.toString();
    const receive = receivers.get(message.topic);
    if (receive === undefined || judging >= limits.maxJudging) return TopicValidatorResult.Ignore;
    if (message.data.length > limits.maxMessageBytes) {
      deps.penalize(from, 'bad-message', `gossip of ${message.data.length} bytes`);
      return TopicValidatorResult.Reject;
    }
    judging += 1;
    try {
      const verdict = await receive(from, message.data);
      if (verdict === 'reject') deps.penalize(from, 'bad-message', `rejected on ${message.topic}`);
      return VERDICTS[verdict];
    } catch (error) {
      deps.logger.error({ topic: message.topic, from, error }, 'gossip receiver failed');
      return TopicValidatorResult.Ignore;
    } finally {
      judging -= 1;
    }
  };
}

interface Meter {
  readonly take: (peerId: string, messages: number, bytes: number) => boolean;
}

/** Counts per peer; a peer met again after a thousand others starts anew. */
function openMeter(perSecond: { readonly messages: number; readonly bytes: number }, clock: Clock): Meter {
  const meters = new Map<string, { readonly messages: TokenBucket; readonly bytes: TokenBucket }>();
  const bucket = (rate: number): TokenBucket => tokenBucket({ perSecond: rate, burst: rate * BURST_SECONDS }, clock);
  return {
    take: (peerId, messages, bytes) => {
      const known = meters.get(peerId) ?? { messages: bucket(perSecond.messages), bytes: bucket(perSecond.bytes) };
      meters.delete(peerId);
      meters.set(peerId, known);
      const oldest = meters.keys().next().value;
      if (meters.size > PEERS_METERED && oldest !== undefined) meters.delete(oldest);
      return known.messages.take(messages) && known.bytes.take(bytes);
    },
  };
}

interface RpcMessage {
  readonly from?: Uint8Array;
  readonly seqno?: Uint8Array;
  readonly signature?: Uint8Array;
  readonly key?: Uint8Array;
  readonly topic: string;
}

interface Rpc {
  messages: RpcMessage[];
}

interface Frame {
  readonly subarray: () => Uint8Array;
}

/** What gossipsub 17.1.1 does inside with an inbound stream; checked when the guard is put in. */
interface GossipsubInside {
  decodeRpc: (bytes: Uint8Array) => Rpc;
  pipePeerReadStream: (peer: PeerId, frames: AsyncIterable<Frame>) => Promise<void>;
}

interface GuardDeps {
  readonly meter: Meter;
  readonly isKnownTopic: (topic: string) => boolean;
  readonly penalize: (peerId: string, fault: PeerFault, detail: string) => void;
}

/** Puts the guard between the stream and gossipsub; each frame is decoded once, by the guard. */
function guardInbound(pubsub: GossipSub, deps: GuardDeps): void {
  if (!hasInside(pubsub)) throw new Error('expected gossipsub 17.1.1 with decodeRpc and pipePeerReadStream, got another version');
  const decode = pubsub.decodeRpc.bind(pubsub);
  const pipe = pubsub.pipePeerReadStream.bind(pubsub);
  const decoded = new WeakMap<Uint8Array, Rpc>();
  pubsub.decodeRpc = (bytes) => decoded.get(bytes) ?? decode(bytes);
  pubsub.pipePeerReadStream = (peer, frames) => pipe(peer, guarded(peer.toString(), frames, { decode, decoded, ...deps }));
}

async function* guarded(
  from: string,
  frames: AsyncIterable<Frame>,
  deps: GuardDeps & { readonly decode: (bytes: Uint8Array) => Rpc; readonly decoded: WeakMap<Uint8Array, Rpc> },
): AsyncGenerator<Frame> {
  for await (const frame of namingBadFraming(from, frames, deps)) {
    const bytes = frame.subarray();
    const rpc = decodedOrNull(bytes, deps.decode);
    if (rpc === null) return deps.penalize(from, 'bad-message', 'undecodable gossip');
    if (rpc.messages.some(isSigned)) return deps.penalize(from, 'bad-message', 'gossip with an author');
    if (!deps.meter.take(from, Math.max(1, rpc.messages.length), bytes.length)) return deps.penalize(from, 'spam', 'gossip over the rate');
    rpc.messages = rpc.messages.filter((message) => deps.isKnownTopic(message.topic));
    deps.decoded.set(bytes, rpc);
    yield { subarray: () => bytes };
  }
}

async function* namingBadFraming(from: string, frames: AsyncIterable<Frame>, deps: GuardDeps): AsyncGenerator<Frame> {
  try {
    yield* frames;
  } catch (error) {
    if (error instanceof Error && /^Invalid(Data|Message)Length/.test(error.name))
      deps.penalize(from, 'bad-message', 'gossip frame over the limit');
    throw error;
  }
}

function decodedOrNull(bytes: Uint8Array, decode: (bytes: Uint8Array) => Rpc): Rpc | null {
  try {
    return decode(bytes);
  } catch {
    return null; // Whatever the decoder says of a peer's bytes, they are bad bytes.
  }
}

function isSigned(message: RpcMessage): boolean {
  return [message.from, message.seqno, message.signature, message.key].some((field) => field !== undefined);
}

function hasInside(pubsub: object): pubsub is GossipsubInside {
  return 'decodeRpc' in pubsub && 'pipePeerReadStream' in pubsub;
}
