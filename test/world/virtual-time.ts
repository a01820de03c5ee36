/**
 * Virtual time: one queue of timers for all nodes of a world. Time stands still while code runs and jumps to the next timer once everything
 * that was started has settled, so that a run depends on its seed alone.
 */

import type { Clock, Timer, Timers } from '../../src/ports.ts';

interface Entry {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
  cancelled: boolean;
}

export class VirtualTime {
  /** A binary heap: the next entry first. */
  readonly #queue: Entry[] = [];
  /** Called after every event, once all that it started has settled. */
  afterEvent: () => void = () => {};
  /** An event threw: a real process would end. */
  onThrow: (error: unknown) => void = (error) => {
    throw error;
  };
  /** Events to each turn of the event loop: stray rejections are reported at the next. */
  eventsPerTurn = 64;
  #nowMs: number;
  #order = 0;

  constructor(startMs: number) {
    this.#nowMs = startMs;
  }

  /** Whole milliseconds, as a machine's clock tells them. */
  readonly clock: Clock = { nowMs: () => Math.floor(this.#nowMs) };

  readonly timers: Timers = { set: (delayMs, callback) => this.at(this.#nowMs + Math.max(0, delayMs), callback) };

  get nowMs(): number {
    return this.#nowMs;
  }

  at(atMs: number, callback: () => void): Timer {
    const entry: Entry = { atMs, order: this.#order, callback, cancelled: false };
    this.#order += 1;
    push(this.#queue, entry);
    return {
      cancel: () => {
        entry.cancelled = true;
      },
    };
  }

  /** Entries waiting, cancelled ones included. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Runs until the condition holds; false when `limitMs` of virtual time went by, or nothing is left to happen. */
  async until(condition: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.#nowMs + limitMs;
    await settle(true);
    while (!condition()) {
      const next = this.#queue[0];
      if (next === undefined || next.atMs > endMs) {
        this.#nowMs = Math.max(this.#nowMs, endMs);
        return condition();
      }
      pop(this.#queue);
      if (next.cancelled) continue;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      try {
        next.callback();
      } catch (error) {
        this.onThrow(error);
      }
      await settle(next.order % this.eventsPerTurn === 0);
      this.afterEvent();
    }
    return true;
  }

  async advance(durationMs: number): Promise<void> {
    await this.until(() => false, durationMs);
  }
}

/**
 * Lets every promise that can go on without time go on: Node empties its microtasks before the next tick. What takes ticks of its own, as
 * a stream does, goes on over the next events. The event loop itself turns only now and then, for signals and stray rejections.
 */
async function settle(mayTurn: boolean): Promise<void> {
  await new Promise<void>((resolve) => (mayTurn ? setImmediate(resolve) : process.nextTick(resolve)));
}

function isBefore(left: Entry, right: Entry): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
}

function push(heap: Entry[], entry: Entry): void {
  let index = heap.length;
  heap.push(entry);
  while (index > 0) {
    const above = (index - 1) >> 1;
    const parent = heap[above];
    if (parent === undefined || isBefore(parent, entry)) break;
    heap[index] = parent;
    index = above;
  }
  heap[index] = entry;
}

function pop(heap: Entry[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let index = 0;
  for (;;) {
    const [left, right] = [heap[2 * index + 1], heap[2 * index + 2]];
    if (left === undefined) break;
    const isRight = right !== undefined && isBefore(right, left);
    const child = isRight ? right : left;
    if (isBefore(last, child)) break;
    heap[index] = child;
    index = 2 * index + (isRight ? 2 : 1);
  }
  heap[index] = last;
}
