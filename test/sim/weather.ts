/**
 * The way of every message in a simulated network: delays by a drawn law, loss, duplication, overtaking, and the links that a fault has
 * clogged, cut in one direction, or taken out of the mesh. Draws from a stream of its own, so that nodes and weather never disturb each other.
 */

import { decode, MAX_PROPOSAL_MESSAGE_BYTES, proposalMessage, voteMessage } from '../../chain/index.ts';
import { topicOf } from '../../src/channels.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import type { SeededRandom } from '../world/seeded-random.ts';
import type { Passage } from '../world/virtual-air.ts';
import type { VirtualWorld } from '../world/world.ts';
import type { FaultAction, Weather } from './plan.ts';

const MAX_OVERTAKING_MS = 500;
/** Shape of the log-normal law: a heavy tail, its mean drawn by the plan. */
const SIGMA = 1.2;

interface Spell {
  readonly action: FaultAction;
  readonly untilMs: number;
}

export class Sky {
  readonly #world: VirtualWorld;
  readonly #random: SeededRandom;
  readonly #usual: Weather;
  #spells: Spell[] = [];

  constructor(world: VirtualWorld, random: SeededRandom, usual: Weather) {
    this.#world = world;
    this.#random = random;
    this.#usual = usual;
    world.air.route = (passage) => this.#route(passage);
  }

  begin(action: FaultAction, forMs: number): void {
    const { time } = this.#world;
    this.#spells.push({ action, untilMs: time.nowMs + forMs });
    this.#link();
    time.at(time.nowMs + forMs, () => this.#end());
  }

  /** All is well from now on. */
  clear(): void {
    this.#spells = [];
    this.#link();
    this.#world.air.route = () => [0.2 + this.#random.exponential(2)];
  }

  #end(): void {
    const { nowMs } = this.#world.time;
    const before = this.#spells.length;
    this.#spells = this.#spells.filter(({ untilMs }) => untilMs > nowMs);
    if (this.#spells.length < before) this.#link();
  }

  /** Who sees whom: what no spell forbids. */
  #link(): void {
    const { air, inhabitants } = this.#world;
    const spells = this.#spells.filter(({ action }) => ['partition', 'ring', 'restricted mesh'].includes(action.kind));
    if (spells.length === 0) {
      air.partition(null);
      return;
    }
    const groups: string[][] = [];
    for (let left = 0; left < inhabitants.length; left += 1) {
      for (let right = left + 1; right < inhabitants.length; right += 1) {
        const pair = [inhabitants[left], inhabitants[right]].map((one) => (one === undefined ? '' : addressOf(one)));
        if (spells.every(({ action }) => sees(action, [left, right], inhabitants.length))) groups.push(pair);
      }
    }
    air.partition(groups);
  }

  #route(passage: Passage): readonly number[] {
    const { nowMs } = this.#world.time;
    let weather = this.#usual;
    let heldMs = 0;
    for (const { action, untilMs } of this.#spells) {
      if (action.kind === 'storm') weather = action.weather;
      if (action.kind === 'one-way' && this.#isOn(passage, action)) return [];
      if (action.kind === 'asymmetric partition' && this.#isMuffled(passage, action.left)) return [];
      if (action.kind === 'clog' && this.#isOn(passage, action)) heldMs = Math.max(heldMs, untilMs - nowMs);
      if (action.kind === 'swallowed re-sends' && this.#isResend(passage, action.node)) return [];
    }
    if (this.#random.chance(weather.loss)) return [];
    const copies = passage.topic !== null && this.#random.chance(weather.duplication) ? 2 : 1;
    return Array.from({ length: copies }, () => heldMs + this.#delay(weather));
  }

  #delay(weather: Weather): number {
    const { law, meanMs, reordering } = weather;
    const overtaken = this.#random.chance(reordering) ? this.#random.next() * MAX_OVERTAKING_MS : 0;
    const drawn =
      law === 'exponential' ? this.#random.exponential(meanMs) : Math.exp(Math.log(meanMs) - SIGMA ** 2 / 2 + SIGMA * this.#normal());
    return 0.2 + overtaken + Math.min(drawn, 20 * meanMs);
  }

  /** Box and Muller. */
  #normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.#random.next())) * Math.cos(2 * Math.PI * this.#random.next());
  }

  #isOn(passage: Passage, link: { readonly from: number; readonly to: number }): boolean {
    return passage.from === this.#address(link.from) && passage.to === this.#address(link.to);
  }

  #isMuffled({ from, to }: Passage, left: readonly number[]): boolean {
    const isLeft = (address: string): boolean => left.some((node) => this.#address(node) === address);
    return isLeft(to) && !isLeft(from);
  }

  #isResend({ from, topic, message }: Passage, node: number): boolean {
    if (topic === null || from !== this.#address(node)) return false;
    const { chainId } = this.#world;
    const limits = { maxBytes: MAX_PROPOSAL_MESSAGE_BYTES };
    const schema = topic === topicOf(chainId, 'vote') ? voteMessage : topic === topicOf(chainId, 'proposal') ? proposalMessage : null;
    if (schema === null) return false;
    const read = schema === voteMessage ? decode(voteMessage, message, limits) : decode(proposalMessage, message, limits);
    return read.ok && read.value.attempt > 0;
  }

  #address(node: number): string {
    const one = this.#world.inhabitants[node];
    return one === undefined ? '' : addressOf(one);
  }
}

export function addressOf(one: Inhabitant): string {
  return Buffer.from(one.address).toString('hex');
}

function sees(action: FaultAction, [left, right]: readonly [number, number], count: number): boolean {
  if (action.kind === 'partition') return action.left.includes(left) === action.left.includes(right);
  if (action.kind === 'ring') return right - left === 1 || (left === 0 && right === count - 1);
  if (action.kind === 'restricted mesh') return !action.missing.some(([one, other]) => one === left && other === right);
  return true;
}
