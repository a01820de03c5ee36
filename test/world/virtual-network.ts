/**
 * The network port in memory: peers of one world, with delays, loss, duplication, partitions and crashes drawn from its seed. Gossip floods
 * to all connected subscribers and, as the real one, never repeats a message that is byte-identical. Penalties part two peers for a while.
 */

import { createHash } from 'node:crypto';
import { NetworkError } from '../../src/network/errors.ts';
import type { MessageVerdict, Network, PeerFault, PeerInfo, RequestOptions } from '../../src/ports.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { VirtualTime } from './virtual-time.ts';

const PENALTY_MS = 60_000;
const SEEN_MS = 120_000;
const MAX_GOSSIP_BYTES = 1024 * 1024;

export interface Weather {
  /** Mean of the exponential delay. */
  delayMs: number;
  /** Share of gossip deliveries and of requests that are lost. */
  loss: number;
  /** Share of gossip deliveries that come twice. */
  duplication: number;
}

export interface Penalty {
  readonly by: string;
  readonly against: string;
  readonly fault: PeerFault;
  readonly detail: string;
}

/** One message on its way from peer to peer; a request or its answer has no topic. */
export interface Passage {
  readonly from: string;
  readonly to: string;
  readonly topic: string | null;
  readonly message: Uint8Array;
}

type Receive = (from: string, message: Uint8Array) => Promise<MessageVerdict> | MessageVerdict;
type Handler = {
  readonly maxRequestBytes: number;
  readonly handle: (peerId: string, body: Uint8Array) => Promise<Uint8Array>;
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
};

/** The air between the peers of one world. */
export class VirtualAir {
  readonly time: VirtualTime;
  readonly random: SeededRandom;
  readonly weather: Weather = { delayMs: 2, loss: 0, duplication: 0 };
  readonly penalties: Penalty[] = [];
  readonly peers = new Map<string, VirtualNetwork>();
  readonly providers = new Map<string, Set<string>>();
  /** Called with everything that a node says by gossip, whether or not anybody hears it. */
  overheard: (from: string, topic: string, message: Uint8Array) => void = () => {};
  /** The delay of each copy that arrives, in milliseconds; none when the message is lost. */
  route: (passage: Passage) => readonly number[] = ({ topic }) => this.#weathered(topic);
  readonly #parted = new Map<string, number>();
  readonly #keys = new WeakMap<Uint8Array, string>();
  #groups: readonly ReadonlySet<string>[] | null = null;

  constructor(time: VirtualTime, random: SeededRandom) {
    this.time = time;
    this.random = random;
  }

  /** Peers in different groups don't hear each other; null heals. */
  partition(groups: readonly (readonly string[])[] | null): void {
    this.#groups = groups === null ? null : groups.map((group) => new Set(group));
    this.changed();
  }

  connected(left: string, right: string): boolean {
    if (left === right || this.peers.get(left)?.isUp !== true || this.peers.get(right)?.isUp !== true) return false;
    if ((this.#parted.get(pair(left, right)) ?? 0) > this.time.nowMs) return false;
    return this.#groups === null || this.#groups.some((group) => group.has(left) && group.has(right));
  }

  penalize(penalty: Penalty): void {
    this.penalties.push(penalty);
    this.#parted.set(pair(penalty.by, penalty.against), this.time.nowMs + PENALTY_MS);
    this.changed();
    this.time.timers.set(PENALTY_MS + 1, () => this.changed());
  }

  /** Tells every peer whom it now sees. */
  changed(): void {
    for (const peer of this.peers.values()) peer.look();
  }

  /** Names a message by its bytes; worked out once for each array, since gossip hands the same one on. */
  keyOf(message: Uint8Array): string {
    const known = this.#keys.get(message);
    if (known !== undefined) return known;
    const key = createHash('sha256').update(message).digest('base64');
    this.#keys.set(message, key);
    return key;
  }

  #weathered(topic: string | null): readonly number[] {
    const { loss, duplication, delayMs } = this.weather;
    if (this.random.chance(loss)) return [];
    const copies = topic !== null && this.random.chance(duplication) ? 2 : 1;
    return Array.from({ length: copies }, () => 0.2 + this.random.exponential(delayMs));
  }
}

export class VirtualNetwork implements Network {
  readonly peerId: string;
  readonly #air: VirtualAir;
  readonly #topics = new Map<string, Receive>();
  readonly #handlers = new Map<string, Handler>();
  readonly #listeners: ((peerId: string, connected: boolean) => void)[] = [];
  readonly #seen = new Map<string, number>();
  #visible = new Set<string>();
  isUp = false;
  /** Until then the process stands still: what arrives waits. */
  heldUntilMs = 0;

  constructor(air: VirtualAir, networkKey: Uint8Array) {
    this.#air = air;
    this.peerId = this.peerIdOf(networkKey);
  }

  readonly peerIdOf = (networkKey: Uint8Array): string => {
    if (networkKey.length !== 32) throw new RangeError(`expected a network key of 32 bytes, got ${networkKey.length}`);
    return Buffer.from(networkKey).toString('hex');
  };

  readonly start = async (): Promise<void> => {
    this.isUp = true;
    this.#air.peers.set(this.peerId, this);
    this.#air.changed();
  };

  readonly stop = async (): Promise<void> => {
    this.isUp = false;
    this.#visible.clear();
    this.#air.changed();
  };

  /** Notices peers that came and went. */
  look(): void {
    if (!this.isUp) return;
    const now = new Set([...this.#air.peers.keys()].filter((other) => this.#air.connected(this.peerId, other)));
    const before = this.#visible;
    this.#visible = now;
    for (const other of before) if (!now.has(other)) for (const listener of this.#listeners) listener(other, false);
    for (const other of now) if (!before.has(other)) for (const listener of this.#listeners) listener(other, true);
  }

  readonly peers = (): readonly PeerInfo[] =>
    [...this.#visible].map((peerId) => ({ peerId, addresses: [`/virtual/${peerId}`], rttMs: null, direction: 'outbound' as const }));

  readonly onPeerChange = (listener: (peerId: string, connected: boolean) => void): void => {
    this.#listeners.push(listener);
  };

  readonly addresses = (): readonly string[] => [`/virtual/${this.peerId}`];

  readonly ping = async (peerId: string): Promise<number> => {
    if (!this.#air.connected(this.peerId, peerId)) throw new NetworkError('unreachable', `${peerId} is not connected`);
    return this.#air.weather.delayMs;
  };

  readonly subscribe = (topic: string, receive: Receive): void => {
    this.#topics.set(topic, receive);
  };

  readonly publish = async (topic: string, message: Uint8Array): Promise<void> => {
    if (message.length > MAX_GOSSIP_BYTES)
      throw new NetworkError('too-large', `expected at most ${MAX_GOSSIP_BYTES} bytes, got ${message.length}`);
    if (!this.isUp) return;
    this.#air.overheard(this.peerId, topic, message);
    if (this.#isNew(topic, message)) this.#relay(topic, message, null);
  };

  readonly handle = (
    protocol: string,
    limits: { readonly maxRequestBytes: number; readonly maxConcurrent: number },
    handler: (peerId: string, body: Uint8Array) => Promise<Uint8Array>,
  ): void => {
    this.#handlers.set(protocol, { maxRequestBytes: limits.maxRequestBytes, handle: handler, inTurn: turnstile(limits.maxConcurrent) });
  };

  readonly request = async (peerId: string, protocol: string, body: Uint8Array, options: RequestOptions): Promise<Uint8Array> => {
    const { time } = this.#air;
    const copy = body.slice();
    return await new Promise<Uint8Array>((resolve, reject) => {
      const timer = time.timers.set(options.timeoutMs, () =>
        reject(new NetworkError('timeout', `${peerId} did not answer in ${options.timeoutMs} ms`)),
      );
      const settleWith = (act: () => void): void => {
        timer.cancel();
        act();
      };
      options.signal?.addEventListener('abort', () => settleWith(() => reject(new NetworkError('aborted', 'the caller gave up'))), {
        once: true,
      });
      if (!this.isUp || !this.#air.connected(this.peerId, peerId)) {
        return settleWith(() => reject(new NetworkError('unreachable', `${peerId} is not connected`)));
      }
      this.#carry({ from: this.peerId, to: peerId, message: copy }, () => {
        this.#ask(peerId, protocol, copy)
          .then((answer) => {
            if (!this.isUp || !this.#air.connected(this.peerId, peerId)) return;
            this.#carry({ from: peerId, to: this.peerId, message: answer }, () => {
              // A dead process hears nothing any more, not even what it asked for.
              if (!this.isUp) return;
              settleWith(() =>
                answer.length > options.maxResponseBytes
                  ? reject(new NetworkError('too-large', 'the answer is too long'))
                  : resolve(answer),
              );
            });
          })
          .catch((error: unknown) =>
            settleWith(() => reject(error instanceof NetworkError ? error : new NetworkError('closed', `${peerId} refused`, error))),
          );
      });
    });
  };

  /** A request or an answer: arrives once, or never. */
  #carry(passage: Omit<Passage, 'topic'>, arrive: () => void): void {
    const [delayMs] = this.#air.route({ ...passage, topic: null });
    if (delayMs === undefined) return;
    const land = (): void => {
      const heldUntilMs = this.#air.peers.get(passage.to)?.heldUntilMs ?? 0;
      if (heldUntilMs > this.#air.time.nowMs) this.#air.time.at(heldUntilMs, land);
      else arrive();
    };
    this.#air.time.timers.set(delayMs, land);
  }

  async #ask(peerId: string, protocol: string, body: Uint8Array): Promise<Uint8Array> {
    const peer = this.#air.connected(this.peerId, peerId) ? this.#air.peers.get(peerId) : undefined;
    const handler = peer?.handlerOf(protocol);
    if (handler === undefined) throw new NetworkError('unreachable', `${peerId} does not speak ${protocol}`);
    if (body.length > handler.maxRequestBytes) throw new NetworkError('too-large', 'the request is too long');
    return (await handler.inTurn(() => handler.handle(this.peerId, body))).slice();
  }

  handlerOf(protocol: string): Handler | undefined {
    return this.isUp ? this.#handlers.get(protocol) : undefined;
  }

  readonly penalize = (peerId: string, fault: PeerFault, detail: string): void => {
    this.#air.penalize({ by: this.peerId, against: peerId, fault, detail });
  };

  readonly provide = async (sha256: Uint8Array): Promise<void> => {
    const key = Buffer.from(sha256).toString('hex');
    const holders = this.#air.providers.get(key) ?? new Set();
    this.#air.providers.set(key, holders.add(this.peerId));
  };

  readonly findProviders = async (sha256: Uint8Array, options: { readonly limit: number }): Promise<readonly string[]> =>
    [...(this.#air.providers.get(Buffer.from(sha256).toString('hex')) ?? [])]
      .filter((peer) => peer !== this.peerId)
      .slice(0, options.limit);

  /** A gossip message arrives: validated here, and relayed when accepted. */
  async deliver(from: string, topic: string, message: Uint8Array): Promise<void> {
    const { time } = this.#air;
    if (this.heldUntilMs > time.nowMs) {
      time.at(this.heldUntilMs, () => void this.deliver(from, topic, message));
      return;
    }
    const receive = this.#topics.get(topic);
    if (!this.isUp || receive === undefined || !this.#isNew(topic, message)) return;
    const verdict = await receive(from, message.slice());
    if (verdict === 'accept') this.#relay(topic, message, from);
    if (verdict === 'reject') this.penalize(from, 'bad-message', `gossip on ${topic}`);
  }

  #relay(topic: string, message: Uint8Array, except: string | null): void {
    for (const other of this.#visible) if (other !== except) this.sendTo(other, topic, message);
  }

  /** To one connected peer alone, whether or not it was said before: what an honest node never does. */
  sendTo(other: string, topic: string, message: Uint8Array): void {
    const { time, peers } = this.#air;
    for (const delayMs of this.#air.route({ from: this.peerId, to: other, topic, message })) {
      time.timers.set(delayMs, () => {
        if (this.#air.connected(this.peerId, other)) void peers.get(other)?.deliver(this.peerId, topic, message);
      });
    }
  }

  #isNew(topic: string, message: Uint8Array): boolean {
    const key = `${topic}/${this.#air.keyOf(message)}`;
    const nowMs = this.#air.time.nowMs;
    const known = (this.#seen.get(key) ?? -SEEN_MS) + SEEN_MS > nowMs;
    this.#seen.set(key, nowMs);
    return !known;
  }
}

function pair(left: string, right: string): string {
  return left < right ? `${left}/${right}` : `${right}/${left}`;
}

/** Lets so many run at once; the others wait, first come, first served. */
function turnstile(most: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
