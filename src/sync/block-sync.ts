/**
 * Catches up with the others: learns where they are (authorities say it signed, by gossip; any peer when asked), asks several of them for
 * blocks page by page, and commits each block only through `Head`, which checks everything. A status is a hint where to ask, never a proof.
 */

import {
  type Digest,
  decode,
  encode,
  MAX_SIGNED_STATUS_MESSAGE_BYTES,
  MAX_STATUS_MESSAGE_BYTES,
  nodeKeyAt,
  type StatusMessage,
  signedStatusMessage,
  statusMessage,
  statusPayload,
} from '../../chain/index.ts';
import { protocolOf, topicOf } from '../channels.ts';
import type { Head } from '../ledger/head.ts';
import type { Clock, Logger, MessageVerdict, Network, Random, SignatureVerifier, Signer, Timer, Timers } from '../ports.ts';
import { CatchUp } from './catch-up.ts';
import { serveBlocks } from './serve-blocks.ts';
import { Standings } from './standings.ts';

const TICK_MS = 1_000;
const STATUS_MS = 5_000;
const PEERS_ASKED = 8;
const REQUEST_TIMEOUT_MS = 10_000;
/** A validator decides most blocks itself a moment later: it asks only when it stays behind. */
const VALIDATOR_GRACE_MS = 500;
const MAX_PEERS = 1_024;
const NOBODY: ReadonlySet<string> = new Set();

export interface BlockSyncOptions {
  readonly chainId: Digest;
  /** Null on a mirror. */
  readonly nodeId: Digest | null;
}

export interface BlockSyncDeps {
  readonly head: Head;
  readonly network: Network;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly signer: Signer;
  readonly verifier: SignatureVerifier;
  readonly log: Logger;
  readonly fatal: (error: unknown) => void;
  /** Others are at this height or above it, and this node is not. Never more than a step beyond what was proven: hints are no proof. */
  readonly onBehind: (height: number) => void;
  /** A validator's height is at work: if it stays so, others may have decided it. */
  readonly isAtWork: () => boolean;
}

export class BlockSync {
  readonly #options: BlockSyncOptions;
  readonly #deps: BlockSyncDeps;
  /** The height that each connected peer said it is at. */
  readonly #peers = new Map<string, number>();
  readonly #standings: Standings;
  /** Who gave the newest block of the run under way: what that peer claims is believed, and shown. */
  #giver: string | null = null;
  #catchUp: CatchUp | null = null;
  #stopped = false;
  #timer: Timer | null = null;
  #behindSinceMs: number | null = null;
  #statusSentMs = 0;
  #askedMs = 0;
  /** The head at the last tick. */
  #lastHeight = 0;
  #turn = 0;
  /** When a run brought nothing: whoever lies about heights must not keep this node asking without a pause. */
  #restsSinceMs = 0;

  constructor(options: BlockSyncOptions, deps: BlockSyncDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#standings = new Standings({ ...deps, chainId: options.chainId });
  }

  start(): void {
    const { network, head } = this.#deps;
    const { chainId } = this.#options;
    network.subscribe(topicOf(chainId, 'status'), (_from, data) => this.#onStatus(data));
    serveBlocks(protocolOf(chainId, 'blocks'), this.#deps);
    network.handle(protocolOf(chainId, 'status'), { maxRequestBytes: MAX_STATUS_MESSAGE_BYTES, maxConcurrent: 32 }, (peer, body) =>
      this.#exchangeStatus(peer, body),
    );
    network.onPeerChange((peer, connected) => {
      if (connected) void this.#askStatus(peer);
      else {
        this.#peers.delete(peer);
        this.#catchUp?.hasLeft(peer);
      }
    });
    for (const peer of network.peers()) void this.#askStatus(peer.peerId);
    head.onCommit(() => this.#announce());
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#catchUp?.stop();
  }

  /** How high the chain is, as more than a third of the authorities say, or as a catch-up that gets on has it; at least the own height. */
  get targetHeight(): number {
    const given = this.#giver === null ? 0 : (this.#peers.get(this.#giver) ?? 0);
    return Math.max(this.#deps.head.height, this.#standings.height(), given);
  }

  /** Catching up in earnest: a stranger's claim of a height alone doesn't count. */
  get syncing(): boolean {
    return this.#catchUp !== null && this.targetHeight > this.#deps.head.height;
  }

  /** Highest height worth asking for: what any connected peer claims, be it a lie that costs a request; but for these. */
  #goal(without: ReadonlySet<string> = NOBODY): number {
    let goal = Math.max(this.#deps.head.height, this.#standings.height());
    for (const [peer, height] of this.#peers) if (height > goal && !without.has(peer)) goal = height;
    return goal;
  }

  heightOf(peerId: string): number | null {
    return this.#peers.get(peerId) ?? null;
  }

  #schedule(): void {
    this.#timer = this.#deps.timers.set(TICK_MS, () => {
      if (this.#since(this.#statusSentMs) >= STATUS_MS) this.#announce();
      const { head, isAtWork } = this.#deps;
      const isStuck = isAtWork() && head.height === this.#lastHeight;
      this.#lastHeight = head.height;
      this.#askRound(isStuck ? TICK_MS : STATUS_MS);
      this.#look();
      this.#schedule();
    });
  }

  #status(): StatusMessage {
    const { height, blockId } = this.#deps.head.view;
    return { height, blockId, timeMs: this.#deps.clock.nowMs(), nodeId: this.#options.nodeId };
  }

  /** An authority tells all where it stands; a mirror is asked. */
  #announce(): void {
    const { nodeId, chainId } = this.#options;
    const { network, log, signer, head } = this.#deps;
    this.#statusSentMs = this.#deps.clock.nowMs();
    if (nodeId === null || nodeKeyAt(head.view, head.height + 1, nodeId) === null) return;
    const { height, blockId, timeMs } = this.#status();
    const signature = signer.sign('consensus', statusPayload(chainId, { height, blockId, timeMs }));
    const message = { height, blockId, timeMs, nodeId, publicKey: signer.publicKey('consensus'), signature };
    const sent = network.publish(topicOf(chainId, 'status'), encode(signedStatusMessage, message));
    sent.catch((error: unknown) => log.debug({ error: String(error) }, 'status not sent'));
  }

  async #onStatus(data: Uint8Array): Promise<MessageVerdict> {
    const message = decode(signedStatusMessage, data, { maxBytes: MAX_SIGNED_STATUS_MESSAGE_BYTES });
    if (!message.ok) return 'reject';
    const verdict = await this.#standings.take(message.value);
    if (verdict === 'accept') this.#look();
    return verdict;
  }

  /** Answers with the own standing, and notes the asker's. */
  async #exchangeStatus(peer: string, body: Uint8Array): Promise<Uint8Array> {
    this.#note(peer, body);
    return encode(statusMessage, this.#status());
  }

  /** Asks a few peers where they stand, others the next time: gossip doesn't tell whose status it brings. */
  #askRound(everyMs: number): void {
    if (this.#since(this.#askedMs) < everyMs) return;
    this.#askedMs = this.#deps.clock.nowMs();
    const peers = this.#deps.network.peers();
    const asked = peers.map((_, index) => peers[(this.#turn + index) % peers.length]).slice(0, PEERS_ASKED);
    this.#turn += asked.length;
    for (const peer of asked) if (peer !== undefined) void this.#askStatus(peer.peerId);
  }

  async #askStatus(peer: string): Promise<void> {
    const { network } = this.#deps;
    try {
      const answer = await network.request(peer, protocolOf(this.#options.chainId, 'status'), encode(statusMessage, this.#status()), {
        timeoutMs: REQUEST_TIMEOUT_MS,
        maxResponseBytes: MAX_STATUS_MESSAGE_BYTES,
      });
      this.#note(peer, answer);
      if ((this.#peers.get(peer) ?? 0) > this.#deps.head.height) this.#catchUp?.hasMore(peer);
    } catch (error) {
      this.#deps.log.debug({ peer, error: String(error) }, 'a peer did not say where it stands');
    }
  }

  #note(peer: string, data: Uint8Array): void {
    const message = decode(statusMessage, data, { maxBytes: MAX_STATUS_MESSAGE_BYTES });
    if (!message.ok) {
      this.#deps.network.penalize(peer, 'bad-message', message.reason);
      return;
    }
    this.#believe(peer, message.value.height);
    this.#look();
  }

  /** Starts to fetch when others are ahead; a validator first gives its own decision a moment. */
  #look(): void {
    const { head, clock } = this.#deps;
    const target = this.#goal();
    if (target <= head.height) {
      this.#behindSinceMs = null;
      return;
    }
    this.#behindSinceMs ??= clock.nowMs();
    const patient = this.#options.nodeId !== null && target === head.height + 1;
    if (patient && this.#since(this.#behindSinceMs) < VALIDATOR_GRACE_MS) return;
    if (this.#catchUp !== null || this.#stopped || this.#since(this.#restsSinceMs) < TICK_MS) return;
    this.#deps.onBehind(head.height + 1);
    this.#run(target)
      .catch((error: unknown) => {
        if (!this.#stopped) this.#deps.fatal(error);
      })
      .finally(() => {
        this.#catchUp = null;
        this.#giver = null;
        this.#behindSinceMs = null;
      });
  }

  /** Until nobody has more. */
  async #run(target: number): Promise<void> {
    const { head, log } = this.#deps;
    const from = head.height;
    const catchUp = new CatchUp({
      ...this.#deps,
      chainId: this.#options.chainId,
      claimOf: (peer) => this.#peers.get(peer) ?? 0,
      onClaim: (peer, height) => this.#believe(peer, height),
      onGiven: (peer) => {
        this.#giver = peer;
      },
      goal: (without) => this.#goal(without),
    });
    this.#catchUp = catchUp;
    await catchUp.run();
    if (head.height > from) log.info({ from, to: head.height, target }, 'caught up');
    else this.#restsSinceMs = this.#deps.clock.nowMs();
    for (const peer of catchUp.spent) this.#disbelieve(peer);
  }

  /** Time gone by; for ever where the clock was put back, or nothing would be done until it is as late again. */
  #since(thenMs: number): number {
    const goneMs = this.#deps.clock.nowMs() - thenMs;
    return goneMs < 0 ? Number.POSITIVE_INFINITY : goneMs;
  }

  /** Only while it is connected: the claim of one who has gone would stand for ever. */
  #believe(peer: string, height: number): void {
    const isConnected = this.#deps.network.peers().some((one) => one.peerId === peer);
    if (isConnected && (this.#peers.size < MAX_PEERS || this.#peers.has(peer))) this.#peers.set(peer, height);
  }

  /** A peer that claimed more than it gave: its claim is forgotten until it says it again. */
  #disbelieve(peer: string): void {
    const { height } = this.#deps.head;
    if ((this.#peers.get(peer) ?? 0) > height) this.#peers.set(peer, height);
  }
}
