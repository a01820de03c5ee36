/**
 * The air between the peers of one virtual world: who hears whom, how long it takes, and what is lost on the way, all drawn from the
 * world's seed. Penalties part two peers for a while.
 */

import { sha256 } from '../../src/crypto/sha256.ts';
import type { PeerFault } from '../../src/ports.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { VirtualNetwork } from './virtual-network.ts';
import type { VirtualTime } from './virtual-time.ts';

const PENALTY_MS = 60_000;

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
  /** Called with everything that a node answers to a question. */
  overheardAnswer: (from: string, protocol: string, answer: Uint8Array) => void = () => {};
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
    const key = Buffer.from(sha256(message)).toString('latin1');
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

function pair(left: string, right: string): string {
  return left < right ? `${left}/${right}` : `${right}/${left}`;
}
