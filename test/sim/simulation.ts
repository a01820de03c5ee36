/**
 * One seed, one life of a network: whole nodes of the real code under the plan's liars, faults and weather, until all is healed. Every
 * fact goes to the invariants; the first that is broken ends the run. The same plan gives the same trace, to the letter.
 */

import { createHash } from 'node:crypto';
import { digestToHex, PROTOCOL_VERSION, type SignedVote, sameBytes, transactionId } from '../../chain/index.ts';
import { DEFAULT_PARAMETERS, publicKeyOf } from '../../genesis/index.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import { SeededRandom } from '../world/seeded-random.ts';
import { ed25519OnTheSpot, keyedHashes, type Signatures } from '../world/signatures.ts';
import { VirtualWorld } from '../world/world.ts';
import { Admins } from './admins.ts';
import { Coverage } from './coverage.ts';
import type { Fact, Lens } from './facts.ts';
import { Hand } from './faults.ts';
import { healed } from './healing.ts';
import { type Invariant, invariants, THE_WORLD } from './invariants.ts';
import { corrupt, idsOf } from './liars.ts';
import { Load, NEW_VERSION } from './load.ts';
import { Observer } from './observer.ts';
import type { Plan } from './plan.ts';
import { SetBook } from './set-book.ts';
import { watched } from './signature-watch.ts';
import { tell } from './trace.ts';
import { Sky } from './weather.ts';

export interface Violation {
  readonly invariant: string;
  readonly detail: string;
  readonly atMs: number;
}

/** Plain data: it passes between threads. */
export interface Outcome {
  readonly plan: Plan;
  readonly violation: Violation | null;
  /** All invariants that were broken until the end, the first one first. */
  readonly broken: readonly string[];
  /** SHA-256 of everything that was said and done, in its order. */
  readonly trace: string;
  /** Heights that the highest honest node decided. */
  readonly height: number;
  readonly virtualMs: number;
  /** Rounds that the first decision after healing took beyond the one then in work. */
  readonly roundsToHeal: number;
  /** Faults that happened. */
  readonly faults: number;
  /** How often what was met. */
  readonly coverage: ReadonlyMap<string, number>;
}

export interface SimulationOptions {
  /** Takes the readable trace. */
  readonly print?: (line: string) => void;
  /** For mutants: what the invariants are shown in the place of a fact. */
  readonly lens?: Lens;
  /** For mutants: goes on, whatever else is broken, until this invariant is. */
  readonly until?: string;
  /** For mutants: changes the world before anybody starts. */
  readonly mutate?: (world: VirtualWorld) => unknown;
}

/** Runs a plan to its end or its first violation. */
export async function simulate(plan: Plan, options: SimulationOptions = {}): Promise<Outcome> {
  const simulation = new Simulation(plan, options);
  const onRejection = (error: unknown): void => simulation.stray(error);
  process.on('unhandledRejection', onRejection);
  try {
    return await simulation.run();
  } finally {
    process.off('unhandledRejection', onRejection);
  }
}

class Simulation {
  readonly #plan: Plan;
  readonly #options: SimulationOptions;
  readonly #world: VirtualWorld;
  readonly #honest: readonly Inhabitant[];
  readonly #load: Load;
  readonly #admins: Admins;
  readonly #sets: SetBook;
  /** Ids of what anybody has committed. */
  readonly #committed = new Set<string>();
  readonly #invariants: readonly Invariant[];
  /** Names of those whose software does not know the new protocol version. */
  readonly #outdated = new Set<string>();
  readonly #coverage = new Coverage();
  readonly #trace = createHash('sha256');
  readonly #startMs: number;
  readonly #hand: Hand;
  readonly #observer: Observer;
  #violation: Violation | null = null;
  readonly #broken = new Set<string>();
  /** That anybody has committed. */
  #highest = 0;

  constructor(plan: Plan, options: SimulationOptions) {
    this.#plan = plan;
    this.#options = options;
    const signatures = plan.signatures === 'ed25519' ? ed25519OnTheSpot() : keyedHashes({ onCurve: plan.changes.length > 0 });
    const seen = watched(signatures, { chainId: () => this.#world.chainId, see: (fact) => this.#see(fact) });
    this.#world = new VirtualWorld({
      ...plan,
      signatures: seen,
      parameters: { timeouts: timeoutsOf(plan.pace), removeGuilty: plan.removeGuilty },
      knownVersion: (name) => (this.#outdated.has(name) ? PROTOCOL_VERSION : NEW_VERSION),
    });
    for (const node of plan.upgrade?.late ?? []) this.#outdated.add(this.#world.inhabitants[node]?.name ?? '');
    this.#startMs = this.#world.time.nowMs;
    this.#world.time.onThrow = (error) => this.stray(error);
    const liars = plan.liars.flatMap(({ node }) => this.#world.inhabitants[node] ?? []);
    this.#honest = this.#world.inhabitants.filter((one) => !liars.includes(one));
    for (const { node, kind } of plan.liars) {
      const one = this.#world.inhabitants[node];
      if (one !== undefined) corrupt(this.#world, one, { kind, random: new SeededRandom(plan.seed * 31 + node) });
      this.#coverage.count(`liar: ${kind}`);
    }
    const spareKeys = this.#giveSpareKeys(seen);
    options.mutate?.(this.#world);
    this.#sets = new SetBook(this.#world.genesis, () => this.#coverage.count('guilty one removed'));
    this.#load = this.#makeLoad(spareKeys);
    this.#admins = this.#makeAdmins();
    this.#invariants = invariants({
      chainId: this.#world.chainId,
      pace: plan.pace,
      sets: this.#sets,
      honest: new Set(this.#honest.map((one) => one.name)),
      guilty: idsOf(liars),
      isValid: signatures.isValid,
    });
    this.#observer = new Observer(this.#world, { see: (fact) => this.#see(fact), fatal: (one, error) => this.#hand.onFatal(one, error) });
    this.#hand = this.#makeHand();
  }

  async run(): Promise<Outcome> {
    const { time } = this.#world;
    for (const one of this.#world.inhabitants) {
      await this.#world.startFirst(one);
      this.#observer.started(one);
    }
    this.#hand.schedule(this.#plan.faults);
    this.#load.start();
    this.#admins.start();
    await time.until(() => this.#violation !== null, this.#plan.stormMs);
    const roundsToHeal = this.#violation === null ? await this.#heal() : 0;
    // Stray rejections of the last moments are this run's, too.
    await new Promise((resolve) => setImmediate(resolve));
    const heights = this.#honest.map((one) => one.node?.head.height ?? 0);
    await this.#world.close();
    return {
      plan: this.#plan,
      violation: this.#violation,
      broken: [...this.#broken],
      trace: this.#trace.digest('hex'),
      height: Math.max(...heights),
      virtualMs: time.nowMs - this.#startMs,
      roundsToHeal,
      faults: this.#hand.happened,
      coverage: this.#coverage.counts,
    };
  }

  /** Nobody waited for this error, which ends a real process, or who asked was told of it: a damaged disk may be behind it. */
  stray(error: unknown, name: string = THE_WORLD): void {
    if (!this.#hand.isRot(error)) this.failed(name, error);
  }

  failed(name: string, error: unknown): void {
    this.#see({ kind: 'failed', name, error: error instanceof Error ? String(error.stack) : String(error) });
  }

  /** Ends all faults, asks for what is still to come, and lets the invariants judge the outcome. */
  async #heal(): Promise<number> {
    this.#note('healing', 'network');
    return await healed({
      plan: this.#plan,
      world: this.#world,
      honest: this.#honest,
      heal: () => this.#hand.heal(),
      load: this.#load,
      admins: this.#admins,
      highest: () => this.#highest,
      isCommitted: (id) => this.#committed.has(id),
      isBroken: () => this.#violation !== null,
      see: (fact) => this.#see(fact),
    });
  }

  /** Whoever is to get a new key has it from the beginning; the public half of each. */
  #giveSpareKeys({ signer }: Signatures): ReadonlyMap<Inhabitant, Uint8Array> {
    const spare = new Map<Inhabitant, Uint8Array>();
    for (const { kind, node } of this.#plan.changes) {
      const one = this.#world.inhabitants[node];
      if (kind !== 'rotate' || one === undefined) continue;
      const seed = this.#world.random.bytes(32);
      one.signer = signer(one.keys, { consensus: seed });
      spare.set(one, publicKeyOf(seed));
    }
    return spare;
  }

  #makeLoad(spareKeys: ReadonlyMap<Inhabitant, Uint8Array>): Load {
    return new Load(this.#plan, {
      world: this.#world,
      honest: this.#honest,
      random: new SeededRandom(this.#plan.seed ^ 0x10ad),
      spareKeys,
      see: (fact) => this.#see(fact),
      count: (what) => this.#coverage.count(what),
      isCommitted: (id) => this.#committed.has(id),
      failed: (name, error) => this.stray(error, name),
    });
  }

  #makeAdmins(): Admins {
    return new Admins(this.#plan, {
      world: this.#world,
      honest: this.#honest,
      random: new SeededRandom(this.#plan.seed ^ 0xad31),
      count: (what) => this.#coverage.count(what),
      failed: (name, error) => this.stray(error, name),
    });
  }

  #makeHand(): Hand {
    const sky = new Sky(this.#world, new SeededRandom(this.#plan.seed ^ 0x5c1), this.#plan.weather);
    const hand = new Hand(this.#world, {
      sky,
      random: new SeededRandom(this.#plan.seed ^ 0xfa17),
      software: { outdated: this.#outdated, installMs: this.#plan.upgrade?.forMs ?? 0 },
      notes: {
        event: (what, who, detail) => this.#note(what, who, detail),
        started: (one) => this.#observer.started(one),
        wiped: (one, chainHeight) => this.#see({ kind: 'wiped', name: one.name, chainHeight }),
        failed: (one, error) => this.failed(one.name, error),
      },
    });
    for (const one of this.#honest) hand.watch(one);
    return hand;
  }

  #note(what: string, who: string, detail = ''): void {
    this.#coverage.count(what);
    this.#write(`${what}: ${who} ${detail}`);
  }

  #see(fact: Fact): void {
    this.#coverage.see(fact);
    this.#sets.see(fact);
    this.#admins.see(fact);
    if (fact.kind === 'vote' && !this.#isMember(fact.vote)) this.#coverage.count('vote of a removed validator');
    if (fact.kind === 'committed') {
      this.#highest = Math.max(this.#highest, fact.block.header.height);
      for (const { claims } of fact.block.transactions) this.#committed.add(digestToHex(transactionId(sha256, claims)));
    }
    const line = tell(fact);
    if (line !== null) this.#write(line);
    const shown = this.#options.lens?.(fact) ?? [fact];
    for (const one of shown) {
      for (const { name, judge } of this.#invariants) {
        const detail = judge(one);
        if (detail !== null) this.#onBroken(name, detail);
      }
    }
  }

  #isMember({ height, nodeId }: SignedVote): boolean {
    return this.#sets.at(height).some((one) => sameBytes(one.nodeId, nodeId));
  }

  #onBroken(invariant: string, detail: string): void {
    if (this.#violation !== null) return;
    this.#broken.add(invariant);
    if (invariant !== (this.#options.until ?? invariant)) return;
    this.#violation = { invariant, detail, atMs: this.#world.time.nowMs - this.#startMs };
    this.#write(`VIOLATION of "${invariant}": ${detail}`);
  }

  #write(line: string): void {
    const full = `${((this.#world.time.nowMs - this.#startMs) / 1000).toFixed(4)} ${line}`;
    this.#trace.update(full);
    this.#options.print?.(full);
  }
}

function timeoutsOf(pace: number): typeof DEFAULT_PARAMETERS.timeouts {
  const { capMs, ...rest } = DEFAULT_PARAMETERS.timeouts;
  const scaled = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, Math.ceil(value * pace)])) as typeof rest;
  return { ...scaled, capMs };
}
