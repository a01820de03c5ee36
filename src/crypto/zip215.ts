/**
 * Second opinions by the ZIP-215 rule, given in a worker thread that is started at the first need. The queue is bounded and the rate is
 * limited by a token bucket, so that forged signatures cost one thread at most a share of its time. Never answers without having looked.
 */

import { Worker } from 'node:worker_threads';
import type { Clock, SignedItem, Timer, Timers } from '../ports.ts';
import { tokenBucket } from '../world/rate-limit.ts';

export class VerifierError extends Error {
  /** overloaded: too many second opinions are waiting, ask again later. closed: the verifier was shut down. broken: the thread died. */
  readonly code: 'overloaded' | 'closed' | 'broken';

  constructor(code: VerifierError['code'], message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'VerifierError';
    this.code = code;
  }
}

/** What goes to the thread: at most BATCH items. What comes back: one verdict an item. */
export interface Zip215Request {
  readonly items: readonly SignedItem[];
}

export interface Zip215 {
  readonly verify: (item: SignedItem) => Promise<boolean>;
  readonly close: () => Promise<void>;
}

interface Job {
  readonly item: SignedItem;
  readonly resolve: (valid: boolean) => void;
  readonly reject: (error: Error) => void;
}

const BATCH = 32;
const BURST_SECONDS = 2;

export function openZip215(
  options: { readonly perSecond: number; readonly maxWaiting: number },
  deps: { readonly clock: Clock; readonly timers: Timers },
): Zip215 {
  const waiting: Job[] = [];
  const allowance = tokenBucket({ perSecond: options.perSecond, burst: options.perSecond * BURST_SECONDS }, deps.clock);
  let underway: readonly Job[] = [];
  let worker: Worker | null = null;
  let pause: Timer | null = null;
  let closed = false;

  function pump(): void {
    if (closed || underway.length > 0 || waiting.length === 0 || pause !== null) return;
    let count = 0;
    while (count < Math.min(BATCH, waiting.length) && allowance.take(1)) count += 1;
    if (count === 0) {
      pause = deps.timers.set(Math.ceil(1000 / options.perSecond), () => {
        pause = null;
        pump();
      });
      return;
    }
    underway = waiting.splice(0, count);
    worker ??= startWorker();
    worker.ref();
    worker.postMessage({ items: underway.map((job) => job.item) } satisfies Zip215Request);
  }

  function startWorker(): Worker {
    const started = new Worker(new URL('./zip215-worker.js', import.meta.url));
    started.on('message', (verdicts: readonly boolean[]) => {
      const jobs = underway;
      underway = [];
      started.unref();
      jobs.forEach((job, index) => {
        job.resolve(verdicts[index] === true);
      });
      pump();
    });
    started.on('error', (error) => fail(new VerifierError('broken', 'expected verdicts of the ZIP-215 thread, but it died', error)));
    return started;
  }

  /** Rejects what the thread had in hand; the next need starts another one. */
  function fail(error: VerifierError): void {
    const jobs = underway;
    underway = [];
    worker = null;
    for (const job of jobs) job.reject(error);
    pump();
  }

  return {
    verify: (item) => {
      if (closed) return Promise.reject(new VerifierError('closed', 'expected an open verifier, but it was shut down'));
      if (waiting.length >= options.maxWaiting) {
        return Promise.reject(
          new VerifierError('overloaded', `expected fewer than ${options.maxWaiting} signatures waiting for a second opinion`),
        );
      }
      return new Promise((resolve, reject) => {
        waiting.push({ item, resolve, reject });
        pump();
      });
    },
    close: async () => {
      closed = true;
      pause?.cancel();
      pause = null;
      const error = new VerifierError('closed', 'expected an open verifier, but it was shut down');
      for (const job of [...underway, ...waiting.splice(0)]) job.reject(error);
      underway = [];
      await worker?.terminate();
      worker = null;
    },
  };
}
