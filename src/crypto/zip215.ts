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

export interface Zip215Options {
  readonly perSecond: number;
  readonly maxWaiting: number;
}

export interface Zip215Deps {
  readonly clock: Clock;
  readonly timers: Timers;
}

export function openZip215(options: Zip215Options, deps: Zip215Deps): Zip215 {
  return new SecondOpinions(options, deps);
}

class SecondOpinions implements Zip215 {
  readonly #options: Zip215Options;
  readonly #timers: Timers;
  readonly #allowance: ReturnType<typeof tokenBucket>;
  readonly #waiting: Job[] = [];
  #underway: readonly Job[] = [];
  #worker: Worker | null = null;
  #pause: Timer | null = null;
  #closed = false;

  constructor(options: Zip215Options, deps: Zip215Deps) {
    this.#options = options;
    this.#timers = deps.timers;
    this.#allowance = tokenBucket({ perSecond: options.perSecond, burst: options.perSecond * BURST_SECONDS }, deps.clock);
  }

  verify(item: SignedItem): Promise<boolean> {
    const { maxWaiting } = this.#options;
    if (this.#closed) return Promise.reject(closedError());
    if (this.#waiting.length >= maxWaiting) {
      return Promise.reject(new VerifierError('overloaded', `expected fewer than ${maxWaiting} signatures waiting for a second opinion`));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#pump();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pause?.cancel();
    this.#pause = null;
    for (const job of [...this.#underway, ...this.#waiting.splice(0)]) job.reject(closedError());
    this.#underway = [];
    await this.#worker?.terminate();
    this.#worker = null;
  }

  #pump(): void {
    if (this.#closed || this.#underway.length > 0 || this.#waiting.length === 0 || this.#pause !== null) return;
    let count = 0;
    while (count < Math.min(BATCH, this.#waiting.length) && this.#allowance.take(1)) count += 1;
    if (count === 0) {
      this.#pause = this.#timers.set(Math.ceil(1000 / this.#options.perSecond), () => {
        this.#pause = null;
        this.#pump();
      });
      return;
    }
    this.#underway = this.#waiting.splice(0, count);
    this.#worker ??= this.#startWorker();
    this.#worker.ref();
    this.#worker.postMessage({ items: this.#underway.map((job) => job.item) } satisfies Zip215Request);
  }

  #startWorker(): Worker {
    const started = new Worker(new URL('./zip215-worker.js', import.meta.url));
    started.on('message', (verdicts: readonly boolean[]) => {
      const jobs = this.#underway;
      this.#underway = [];
      started.unref();
      jobs.forEach((job, index) => {
        job.resolve(verdicts[index] === true);
      });
      this.#pump();
    });
    started.on('error', (error) => this.#fail(new VerifierError('broken', 'expected verdicts of the ZIP-215 thread, but it died', error)));
    return started;
  }

  /** Rejects what the thread had in hand; the next need starts another one. */
  #fail(error: VerifierError): void {
    const jobs = this.#underway;
    this.#underway = [];
    this.#worker = null;
    for (const job of jobs) job.reject(error);
    this.#pump();
  }
}

function closedError(): VerifierError {
  return new VerifierError('closed', 'expected an open verifier, but it was shut down');
}
