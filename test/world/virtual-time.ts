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
  readonly #queue: Entry[] = [];
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
    insert(this.#queue, entry);
    return {
      cancel: () => {
        entry.cancelled = true;
      },
    };
  }

  /** Runs until the condition holds; false when `limitMs` of virtual time went by, or nothing is left to happen. */
  async until(condition: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.#nowMs + limitMs;
    await settle();
    while (!condition()) {
      const next = this.#queue.shift();
      if (next === undefined || next.atMs > endMs) {
        if (next !== undefined) insert(this.#queue, next);
        this.#nowMs = Math.max(this.#nowMs, endMs);
        return condition();
      }
      if (next.cancelled) continue;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
      await settle();
    }
    return true;
  }

  async advance(durationMs: number): Promise<void> {
    await this.until(() => false, durationMs);
  }
}

/** Lets every promise that can go on without time go on. */
async function settle(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

function insert(queue: Entry[], entry: Entry): void {
  let low = 0;
  let high = queue.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = queue[middle];
    if (other !== undefined && (other.atMs < entry.atMs || (other.atMs === entry.atMs && other.order < entry.order))) low = middle + 1;
    else high = middle;
  }
  queue.splice(low, 0, entry);
}
