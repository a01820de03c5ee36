/**
 * The network port in memory: one peer of a virtual world. Gossip floods to all connected subscribers and, as the real one, never repeats
 * a message that is byte-identical. Keeps the contract of the real network; virtual-air.ts decides what arrives.
 */

import { NetworkError } from '../../src/network/errors.ts';
import type { MessageVerdict, Network, PeerFault, PeerInfo, RequestOptions } from '../../src/ports.ts';
import type { Passage, VirtualAir } from './virtual-air.ts';

const SEEN_MS = 120_000;
const MAX_GOSSIP_BYTES = 1024 * 1024;

type Receive = (from: string, message: Uint8Array) => Promise<MessageVerdict> | MessageVerdict;
type Handler = {
  readonly maxRequestBytes: number;
  readonly handle: (peerId: string, body: Uint8Array) => Promise<Uint8Array>;
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
};

export class VirtualNetwork implements Network {
  readonly peerId: string;
  readonly #air: VirtualAir;
  readonly #topics = new Map<string, Receive>();
  readonly #handlers = new Map<string, Handler>();
  readonly #listeners: ((peerId: string, connected: boolean) => void)[] = [];
  /** When each message was last met, by topic and then by its name. */
  readonly #seen = new Map<string, Map<string, number>>();
  #visible = new Set<string>();
  readonly #waiting: (() => void)[] = [];
  #heldUntilMs = 0;
  isUp = false;

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
    this.release();
    this.#visible.clear();
    this.#air.changed();
  };

  /** The process stands still until then: what arrives waits, and so do its timers. */
  hold(untilMs: number): void {
    const { time } = this.#air;
    this.#heldUntilMs = Math.max(this.#heldUntilMs, untilMs);
    time.at(untilMs, () => {
      if (this.#heldUntilMs <= time.nowMs) this.release();
    });
  }

  /** It goes on now, with what waits, in its order. */
  release(): void {
    const { time } = this.#air;
    this.#heldUntilMs = 0;
    for (const act of this.#waiting.splice(0)) time.at(time.nowMs, () => this.whenReleased(act));
  }

  whenReleased(act: () => void): void {
    if (this.#heldUntilMs > this.#air.time.nowMs || this.#waiting.length > 0) this.#waiting.push(act);
    else act();
  }

  /** Notices peers that came and went. */
  look(): void {
    if (!this.isUp) return;
    const now = new Set([...this.#air.peers.keys()].filter((other) => this.#air.connected(this.peerId, other)));
    const before = this.#visible;
    this.#visible = now;
    const tell = (other: string, isConnected: boolean): void =>
      this.whenReleased(() => {
        for (const listener of this.#listeners) listener(other, isConnected);
      });
    for (const other of before) if (!now.has(other)) tell(other, false);
    for (const other of now) if (!before.has(other)) tell(other, true);
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

  readonly unsubscribe = (topic: string): void => {
    this.#topics.delete(topic);
  };

  readonly unhandle = (protocol: string): void => {
    this.#handlers.delete(protocol);
  };

  /** Everybody in the air is connected. */
  readonly keepConnected = (): void => {};

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
        this.whenReleased(() => reject(new NetworkError('timeout', `${peerId} did not answer in ${options.timeoutMs} ms`))),
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
    this.#air.time.timers.set(delayMs, () => {
      const receiver = this.#air.peers.get(passage.to);
      if (receiver === undefined) arrive();
      else receiver.whenReleased(arrive);
    });
  }

  async #ask(peerId: string, protocol: string, body: Uint8Array): Promise<Uint8Array> {
    const peer = this.#air.connected(this.peerId, peerId) ? this.#air.peers.get(peerId) : undefined;
    const handler = peer?.handlerOf(protocol);
    if (handler === undefined) throw new NetworkError('unreachable', `${peerId} does not speak ${protocol}`);
    if (body.length > handler.maxRequestBytes) throw new NetworkError('too-large', 'the request is too long');
    const answer = await handler.inTurn(() => handler.handle(this.peerId, body));
    this.#air.overheardAnswer(peerId, protocol, answer);
    return answer.slice();
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
  deliver(from: string, topic: string, message: Uint8Array, isCopy = false): void {
    this.whenReleased(() => void this.#receive(from, { topic, message, isCopy }));
  }

  /** A copy gets through as one does that comes when the first is no longer remembered. */
  async #receive(from: string, passed: { readonly topic: string; readonly message: Uint8Array; readonly isCopy: boolean }): Promise<void> {
    const { topic, message, isCopy } = passed;
    const receive = this.#topics.get(topic);
    if (!this.isUp || receive === undefined || !(this.#isNew(topic, message) || isCopy)) return;
    const verdict = await receive(from, message);
    if (verdict === 'accept') this.#relay(topic, message, from);
    if (verdict === 'reject') this.penalize(from, 'bad-message', `gossip on ${topic}`);
  }

  /** Not to those that have it by now: they would drop it, but for a process that begins while it is on its way. */
  #relay(topic: string, message: Uint8Array, except: string | null): void {
    for (const other of this.#visible) {
      if (other !== except && this.#air.peers.get(other)?.hasSeen(topic, message) !== true) this.sendTo(other, topic, message);
    }
  }

  hasSeen(topic: string, message: Uint8Array): boolean {
    return (this.#seen.get(topic)?.get(this.#air.keyOf(message)) ?? -SEEN_MS) + SEEN_MS > this.#air.time.nowMs;
  }

  /** To one connected peer alone, whether or not it was said before: what an honest node never does. */
  sendTo(other: string, topic: string, message: Uint8Array): void {
    const { time, peers } = this.#air;
    for (const [copy, delayMs] of this.#air.route({ from: this.peerId, to: other, topic, message }).entries()) {
      time.timers.set(delayMs, () => {
        if (this.#air.connected(this.peerId, other)) peers.get(other)?.deliver(this.peerId, topic, message, copy > 0);
      });
    }
  }

  #isNew(topic: string, message: Uint8Array): boolean {
    const isNew = !this.hasSeen(topic, message);
    const seen = this.#seen.get(topic) ?? new Map<string, number>();
    seen.set(this.#air.keyOf(message), this.#air.time.nowMs);
    this.#seen.set(topic, seen);
    return isNew;
  }
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
