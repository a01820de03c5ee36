/**
 * Work that several wait for and that is done once: it ends early when the last of them has left, and never because one of them did. What
 * fetches from upstreams costs slots and disk, so nothing goes on for nobody. Remembers no outcome.
 */

import { setMaxListeners } from 'node:events';
import { RegistryError } from '../error.ts';

interface Running<T> {
  readonly work: Promise<T>;
  readonly abort: AbortController;
  waiting: number;
}

export class SharedWork<T> {
  readonly #running: Map<string, Running<T>> = new Map();
  #isStopped = false;

  /** The outcome of the work under that key, begun if it is not under way. Throws what the work throws, and ABORTED when `signal` fires. */
  async join(key: string, signal: AbortSignal, begin: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#isStopped || signal.aborted) throw givenUp(key);
    const running = this.#running.get(key) ?? this.#begin(key, begin);
    running.waiting += 1;
    try {
      return await unless(signal, running.work, key);
    } finally {
      running.waiting -= 1;
      if (running.waiting === 0) {
        running.abort.abort();
        if (this.#running.get(key) === running) this.#running.delete(key);
      }
    }
  }

  /** Ends all that is under way; nothing begins any more. */
  stop(): void {
    this.#isStopped = true;
    for (const { abort } of this.#running.values()) abort.abort();
  }

  #begin(key: string, begin: (signal: AbortSignal) => Promise<T>): Running<T> {
    const abort = new AbortController();
    // Each blob of an image listens.
    setMaxListeners(0, abort.signal);
    const running = { work: begin(abort.signal), abort, waiting: 0 };
    this.#running.set(key, running);
    return running;
  }
}

function unless<T>(signal: AbortSignal, work: Promise<T>, subject: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(givenUp(subject));
    signal.addEventListener('abort', gone, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', gone));
  });
}

function givenUp(subject: string): RegistryError {
  return new RegistryError('ABORTED', subject, { message: 'given up: it took too long, or nobody waits any more' });
}
