/**
 * The machine's own clock, timers and randomness behind the node's ports. Never used in tests that want a virtual world.
 */

import { randomBytes, randomInt } from 'node:crypto';
import type { Clock, Random, Timers } from '../ports.ts';

/** Longest delay a Node timer takes; longer ones are cut to it. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

export const systemClock: Clock = { nowMs: () => Date.now() };

/** Timers that keep the process alive while pending. */
export const systemTimers: Timers = {
  set: (delayMs, callback) => {
    const handle = setTimeout(callback, Math.min(Math.max(0, delayMs), LONGEST_DELAY_MS));
    return { cancel: () => clearTimeout(handle) };
  },
};

const RANDOM_STEPS = 2 ** 47;

/** The operating system's generator. */
export const systemRandom: Random = {
  bytes: (length) => new Uint8Array(randomBytes(length)),
  next: () => randomInt(RANDOM_STEPS) / RANDOM_STEPS,
};
