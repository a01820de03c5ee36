/**
 * Makes a plan's faults happen at their time: kills, wipes, rots, stops and misleads nodes, sets the weather; and heals it all in the end.
 * Plays the operator too: a node whose disk is damaged refuses to start, is emptied, and begins anew.
 */

import { ChainStoreError } from '../../chain/store/index.ts';
import { SIGN_STATE_FILE } from '../../genesis/index.ts';
import { NodeError } from '../../src/node-error.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import type { SeededRandom } from '../world/seeded-random.ts';
import type { VirtualWorld } from '../world/world.ts';
import { installCrashPoints } from './crash-points.ts';
import type { Fault, FaultAction, Moment } from './plan.ts';
import { isCertain, pick } from './plan.ts';
import type { Sky } from './weather.ts';

/** What is told to whoever watches. */
export interface Notes {
  /** Something happened, for the trace; counted under its first argument. */
  readonly event: (what: string, who: string, detail?: string) => void;
  readonly started: (one: Inhabitant) => void;
  readonly wiped: (one: Inhabitant, chainHeight: number | null) => void;
  readonly failed: (one: Inhabitant, error: unknown) => void;
}

/** Names of those with old software, and how long their operators take to install a newer one once it has stopped. */
export interface Software {
  readonly outdated: Set<string>;
  readonly installMs: number;
}

const REBOOT_MS = 500;

interface Armed {
  readonly moment: Moment;
  left: number;
  readonly forMs: number;
}

export class Hand {
  readonly #world: VirtualWorld;
  readonly #sky: Sky;
  readonly #notes: Notes;
  readonly #random: SeededRandom;
  readonly #software: Software;
  readonly #armed = new Map<Inhabitant, Armed>();
  /** Their disks were damaged: they may fail, and are emptied when they do. */
  readonly #damaged = new Set<Inhabitant>();
  readonly #ups = new Map<Inhabitant, number>();
  /** Their clocks were changed. */
  readonly #misled = new Set<Inhabitant>();
  #healed = false;
  /** Faults so far. */
  happened = 0;

  constructor(
    world: VirtualWorld,
    deps: { readonly sky: Sky; readonly notes: Notes; readonly random: SeededRandom; readonly software: Software },
  ) {
    this.#world = world;
    this.#sky = deps.sky;
    this.#notes = deps.notes;
    this.#random = deps.random;
    this.#software = deps.software;
  }

  /** Lets deaths come at any moment of this node. */
  watch(one: Inhabitant): void {
    installCrashPoints(this.#world, one, (moment) => this.#strike(one, moment));
  }

  schedule(faults: readonly Fault[]): void {
    const { time } = this.#world;
    const startMs = time.nowMs;
    for (const fault of faults) time.at(startMs + fault.atMs, () => this.#healed || this.#begin(fault));
  }

  /** Everybody runs newer software, sees everybody and knows the time. */
  heal(): void {
    this.#healed = true;
    this.#armed.clear();
    this.#sky.clear();
    for (const one of this.#misled) one.clockErrorMs = right;
    for (const one of this.#world.inhabitants) {
      one.network?.release();
      if (this.#software.outdated.delete(one.name) && !this.#ups.has(one)) this.#down(one, 0);
      if (this.#ups.has(one)) this.#up(one);
    }
  }

  /** A node gave up. A damaged one is allowed to, and one whose software is too old. */
  onFatal(one: Inhabitant, error: unknown): void {
    if (error instanceof NodeError && error.code === 'OUTDATED' && this.#software.outdated.delete(one.name)) {
      this.#notes.event('stopped for newer software', one.name);
      this.#down(one, this.#software.installMs);
      return;
    }
    if (!this.#damaged.has(one)) {
      this.#notes.failed(one, error);
      return;
    }
    this.#notes.event('damage found', one.name, String(error));
    this.#down(one, 1_000);
    this.#empty(one, 'everything');
  }

  /** True when the error is that of a rotten value, which also ends the node whose disk was made to rot. */
  isRot(error: unknown): boolean {
    return error instanceof ChainStoreError && this.#damaged.size > 0;
  }

  async start(one: Inhabitant): Promise<void> {
    this.#ups.delete(one);
    const { life } = one;
    try {
      await this.#world.start(one);
      if (one.node === null) return;
      this.#notes.event('started', one.name);
      this.#notes.started(one);
    } catch (error) {
      // A process that was killed while it began has nothing more to say.
      if (one.life !== life + 1) return;
      this.onFatal(one, error);
    }
  }

  #begin(fault: Fault): void {
    const { action, forMs } = fault;
    const one = 'node' in action ? this.#world.inhabitants[action.node] : undefined;
    if (isCertain(fault)) this.happened += 1;
    if (one === undefined) {
      this.#notes.event(action.kind, 'network', `${forMs} ms`);
      this.#sky.begin(action, forMs);
      return;
    }
    if (isCertain(fault)) this.#notes.event(action.kind, one.name, `${forMs} ms`);
    this.#befall(one, action, forMs);
  }

  #befall(one: Inhabitant, action: FaultAction, forMs: number): void {
    switch (action.kind) {
      case 'crash':
        this.#down(one, forMs);
        return;
      case 'crash at':
        this.#armed.set(one, { moment: action.moment, left: action.nth, forMs });
        return;
      case 'wipe':
        this.#down(one, forMs);
        this.#empty(one, action.what);
        return;
      case 'bit flip':
        this.#down(one, forMs);
        this.#rot(one, action.where);
        return;
      case 'lost blocks':
        this.#forget(one, forMs);
        return;
      case 'pause':
        one.network?.hold(this.#world.time.nowMs + forMs);
        return;
      case 'clock step':
        this.#setClock(one, () => action.byMs, forMs);
        return;
      case 'clock drift': {
        const { time } = this.#world;
        const sinceMs = time.nowMs;
        this.#setClock(one, () => ((time.nowMs - sinceMs) * action.perMille) / 1000, forMs);
        return;
      }
      default:
        this.#sky.begin(action, forMs);
    }
  }

  #setClock(one: Inhabitant, errorMs: () => number, forMs: number): void {
    const { time } = this.#world;
    one.clockErrorMs = errorMs;
    this.#misled.add(one);
    time.at(time.nowMs + forMs, () => {
      if (one.clockErrorMs === errorMs) one.clockErrorMs = right;
    });
  }

  #strike(one: Inhabitant, moment: Moment): boolean {
    const armed = this.#armed.get(one);
    if (armed?.moment !== moment) return false;
    armed.left -= 1;
    if (armed.left > 0) return false;
    this.#armed.delete(one);
    this.happened += 1;
    this.#notes.event(`crash ${moment}`, one.name, `${armed.forMs} ms`);
    this.#down(one, armed.forMs);
    return true;
  }

  /** Kills the process; it comes back by itself after a while. */
  #down(one: Inhabitant, forMs: number): void {
    this.#world.crash(one);
    // Why it wished to stop is no longer of any weight.
    one.fatals.length = 0;
    const { time } = this.#world;
    const backMs = time.nowMs + forMs;
    this.#ups.set(one, backMs);
    time.at(backMs, () => {
      if (this.#ups.get(one) === backMs) this.#up(one);
    });
  }

  #up(one: Inhabitant): void {
    this.#ups.delete(one);
    void this.start(one);
  }

  #empty(one: Inhabitant, what: 'everything' | 'log and sign state' | 'log'): void {
    for (const path of one.files.paths()) {
      if (path.startsWith('wal/') || (what !== 'log' && path.startsWith(SIGN_STATE_FILE))) void this.#remove(one, path);
    }
    if (what === 'everything') {
      one.chainStore = one.openStore(new Map());
      one.nodeStore = one.openNodeStore(new Map());
      this.#damaged.delete(one);
    }
    this.#notes.wiped(one, what === 'everything' ? 0 : null);
  }

  /** The chain's disk takes what it is given, and after a power cut holds what it held before. */
  #forget(one: Inhabitant, forMs: number): void {
    const { chainStore } = one;
    const before = chainStore.snapshot();
    const { time } = this.#world;
    time.at(time.nowMs + forMs, () => {
      // Another fault has given it another disk since.
      if (one.chainStore !== chainStore || this.#healed) return;
      const height = highestBlock(before.keys());
      if (highestBlock(chainStore.snapshot().keys()) > height) {
        this.happened += 1;
        this.#notes.event('lost blocks', one.name, `${forMs} ms`);
      }
      this.#down(one, REBOOT_MS);
      one.chainStore.restore(before);
      this.#notes.wiped(one, height);
    });
  }

  async #remove(one: Inhabitant, path: string): Promise<void> {
    await one.files.remove(path);
    await one.files.syncFolder(path.startsWith('wal/') ? 'wal' : '');
  }

  #rot(one: Inhabitant, where: 'log' | 'sign state' | 'chain'): void {
    this.#damaged.add(one);
    // Whatever reads it from now on dies of it at once.
    this.#world.time.eventsPerTurn = 1;
    // What a damaged disk has lost is lost like what was wiped.
    this.#notes.wiped(one, null);
    if (where === 'chain') {
      const entries = [...one.chainStore.snapshot()].filter(([, value]) => value.length > 0);
      if (entries.length === 0) return;
      const [key, value] = pick(this.#random, entries);
      const at = this.#random.below(value.length);
      value[at] = (value[at] ?? 0) ^ (1 << this.#random.below(8));
      one.chainStore.restore(new Map([...entries, [key, value]]));
      return;
    }
    const paths = one.files.paths().filter((path) => path.startsWith(where === 'log' ? 'wal/' : SIGN_STATE_FILE));
    const path = paths[this.#random.below(paths.length)];
    const sizeBytes = path === undefined ? 0 : (one.files.durable(path)?.length ?? 0);
    if (path !== undefined && sizeBytes > 0) one.files.flipBit(path, this.#random.below(sizeBytes * 8));
  }
}

function right(): number {
  return 0;
}

/** Out of a chain store's keys, where a block stands under `b|` and its height: docs/SPEC.md §5. */
function highestBlock(keys: Iterable<string>): number {
  return Math.max(0, ...[...keys].filter((key) => key.startsWith('b|')).map((key) => Number(key.slice(2))));
}
