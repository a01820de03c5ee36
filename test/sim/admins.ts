/**
 * The admins of a simulated network's authorities: each removes versions by its own hand at its own node, so that the nodes themselves
 * endorse, gather and seal. Now and then they have two reasons, which makes two claims for one key, and some change their minds.
 */

import type { CairnNode } from '../../src/node.ts';
import { describeCoordinates } from '../../src/purl.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import type { SeededRandom } from '../world/seeded-random.ts';
import type { VirtualWorld } from '../world/world.ts';
import type { Fact } from './facts.ts';
import { type Plan, pick } from './plan.ts';

const REASONS = ['it is broken', 'it is malicious'] as const;
const DISPUTED = 0.5;
/** Share of the admins in a dispute who take the other side, within a mean time. */
const CHANGING = 0.5;
const CHANGING_MS = 1_500;

export interface AdminsDeps {
  readonly world: VirtualWorld;
  /** Those who are asked; a mirror refuses until it is an authority. */
  readonly honest: readonly Inhabitant[];
  readonly random: SeededRandom;
  readonly count: (what: string) => void;
  readonly failed: (name: string, error: unknown) => void;
}

export class Admins {
  readonly #plan: Plan;
  readonly #deps: AdminsDeps;
  /** Committed versions, as package URLs. */
  readonly #known = new Set<string>();
  /** Those of them that nobody wants removed yet. */
  readonly #untouched = new Set<string>();
  readonly #removed = new Set<string>();
  #isOn = true;

  constructor(plan: Plan, deps: AdminsDeps) {
    this.#plan = plan;
    this.#deps = deps;
  }

  start(): void {
    if (this.#plan.removalsMs > 0) this.#next();
  }

  stop(): void {
    this.#isOn = false;
  }

  /** Learns what stands on the chain. */
  see(fact: Fact): void {
    if (fact.kind !== 'committed') return;
    for (const claim of fact.block.transactions.flatMap(({ claims }) => claims)) {
      if (claim.kind === 'AddArtifact') this.#standing(describeCoordinates(claim.coordinates));
      if (claim.kind === 'RemoveArtifact' && claim.target.kind === 'artifact') this.#gone(describeCoordinates(claim.target.coordinates));
    }
  }

  #standing(target: string): void {
    if (!this.#known.has(target)) this.#untouched.add(target);
    this.#known.add(target);
  }

  #gone(target: string): void {
    if (!this.#removed.has(target)) this.#deps.count('version removed');
    this.#removed.add(target);
  }

  /** All of them want one version removed; it, or null when none has been committed yet. */
  agree(): string | null {
    const target = this.#pick();
    if (target !== null) for (const one of this.#deps.honest) void this.#mark(one, target, REASONS[0]);
    return target;
  }

  isRemoved(target: string): boolean {
    return this.#removed.has(target);
  }

  #next(): void {
    const { honest, random, count } = this.#deps;
    const target = this.#pick();
    if (target !== null) {
      const isDisputed = random.chance(DISPUTED);
      count(isDisputed ? 'removal disputed' : 'removal asked for');
      for (const one of honest) {
        const reason = isDisputed ? pick(random, REASONS) : REASONS[0];
        void this.#mark(one, target, reason);
        if (isDisputed && random.chance(CHANGING))
          this.#after(random.exponential(CHANGING_MS), () => void this.#changeMind(one, target, otherThan(reason)));
      }
    }
    this.#after(random.exponential(this.#plan.removalsMs), () => this.#next());
  }

  #pick(): string | null {
    if (this.#untouched.size === 0) return null;
    const target = pick(this.#deps.random, [...this.#untouched]);
    this.#untouched.delete(target);
    return target;
  }

  async #mark(one: Inhabitant, target: string, reason: string): Promise<void> {
    await this.#order(one, async ({ operations }) => await operations.markRemoval(target, reason));
  }

  async #changeMind(one: Inhabitant, target: string, reason: string): Promise<void> {
    await this.#order(one, async ({ operations }) => await operations.unmark(target));
    await this.#mark(one, target, reason);
  }

  /** What a process had no time to answer is nobody's failure. */
  async #order(one: Inhabitant, give: (node: CairnNode) => Promise<unknown>): Promise<void> {
    const { node } = one;
    if (node === null) return;
    try {
      await give(node);
    } catch (error) {
      if (one.node === node) this.#deps.failed(one.name, error);
    }
  }

  #after(delayMs: number, action: () => void): void {
    this.#deps.world.time.timers.set(delayMs, () => {
      if (this.#isOn) action();
    });
  }
}

function otherThan(reason: string): string {
  return REASONS.find((one) => one !== reason) ?? reason;
}
