/**
 * Keeps an undecided height alive over a network that loses messages: sends own words again, and when nothing moves asks a peer for what
 * it knows of this height. SPEC §9.4. Decides nothing: everything goes through the courier's checks.
 */

import { decode, encode, helpRequest, helpResponse, MAX_HELP_RESPONSE_BYTES } from '../../chain/index.ts';
import type { Logger, Network, Random, Timer, Timers } from '../ports.ts';
import type { GossipCourier } from './courier.ts';
import type { Engine } from './engine.ts';

const TICK_MS = 1_000;
/** Ticks without a step before help is asked for. */
const STUCK_TICKS = 2;
/** And without a decision: where timeouts are as short as a tick, steps go by and the height still stands. */
const UNDECIDED_TICKS = 4;
const HELP_TIMEOUT_MS = 3_000;
const MAX_ASKED = 3;

export interface RecoveryDeps {
  readonly engine: Engine;
  readonly courier: GossipCourier;
  readonly network: Network;
  readonly protocol: string;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Logger;
  /** Sends waiting transactions again: a proposer that has none never proposes them. */
  readonly passOnWork: () => void;
  /** Peer ids of the other authorities. */
  readonly authorities: () => readonly string[];
}

export class Recovery {
  readonly #deps: RecoveryDeps;
  #timer: Timer | null = null;
  #last = '';
  #still = 0;
  #height = 0;
  /** Ticks that have found this height at work. */
  #undecided = 0;
  /** Authorities whose help is awaited: one that is silent must not keep the others from being asked. */
  readonly #asked = new Set<string>();

  constructor(deps: RecoveryDeps) {
    this.#deps = deps;
  }

  start(): void {
    const { network, protocol, courier } = this.#deps;
    network.handle(protocol, { maxRequestBytes: 256, maxConcurrent: 8 }, async (peer, body) => {
      const request = decode(helpRequest, body, { maxBytes: 256 });
      if (!request.ok) {
        network.penalize(peer, 'bad-message', request.reason);
        throw new RangeError(request.reason);
      }
      return encode(helpResponse, courier.help(request.value.height));
    });
    this.#schedule();
  }

  stop(): void {
    this.#deps.network.unhandle(this.#deps.protocol);
    this.#timer?.cancel();
    this.#timer = null;
  }

  #schedule(): void {
    this.#timer = this.#deps.timers.set(TICK_MS, () => {
      this.#tick();
      this.#schedule();
    });
  }

  #tick(): void {
    const { engine, courier } = this.#deps;
    const { consensus } = engine.machine;
    const now = `${engine.height}/${consensus.round}/${consensus.step}`;
    this.#still = now === this.#last ? this.#still + 1 : 0;
    this.#last = now;
    this.#undecided = !engine.isAtWork || engine.height !== this.#height ? 0 : this.#undecided + 1;
    this.#height = engine.height;
    if (!engine.isAtWork) {
      engine.wake();
      return;
    }
    const stuck = this.#still >= STUCK_TICKS || this.#undecided >= UNDECIDED_TICKS;
    if (this.#still === 0 && !stuck) return;
    courier.sendAgain(engine, stuck);
    if (stuck) this.#deps.passOnWork();
    if (stuck) void this.#askForHelp(engine.height);
  }

  /** Asks one other authority that owes no answer, chosen by chance, for what it knows of the height. */
  async #askForHelp(height: number): Promise<void> {
    const { network, protocol, random, authorities, courier, log } = this.#deps;
    const connected = new Set(network.peers().map((peer) => peer.peerId));
    const candidates = authorities().filter((peer) => connected.has(peer) && !this.#asked.has(peer));
    const peer = candidates[Math.floor(random.next() * candidates.length)];
    if (peer === undefined || this.#asked.size >= MAX_ASKED) return;
    this.#asked.add(peer);
    try {
      const bytes = await network.request(peer, protocol, encode(helpRequest, { height }), {
        timeoutMs: HELP_TIMEOUT_MS,
        maxResponseBytes: MAX_HELP_RESPONSE_BYTES,
      });
      const answer = decode(helpResponse, bytes, { maxBytes: MAX_HELP_RESPONSE_BYTES });
      if (answer.ok) await courier.takeHelp(peer, answer.value);
      else network.penalize(peer, 'bad-message', answer.reason);
    } catch (error) {
      log.debug({ peer, error: String(error) }, 'asked for help in vain');
    } finally {
      this.#asked.delete(peer);
    }
  }
}
