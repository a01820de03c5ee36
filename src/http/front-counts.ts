/** What the front has sent and answered, told to the node's metrics a few times a second. Loses nothing but with its thread. */

import type { RouteClass } from '../metrics/types.ts';
import type { Timer, Timers } from '../ports.ts';
import type { AnswerCount, FromFront } from './front-protocol.ts';

const FLUSH_MS = 250;
const MAX_UNTOLD = 4096;

export class Counts {
  readonly #timers: Timers;
  readonly #tell: (message: FromFront) => void;
  readonly #answers: Map<string, AnswerCount & { readonly durationsMs: number[] }> = new Map();
  #sentBytes = 0;
  #untold = 0;
  #timer: Timer | null = null;

  constructor(timers: Timers, tell: (message: FromFront) => void) {
    this.#timers = timers;
    this.#tell = tell;
  }

  sent(sizeBytes: number): void {
    this.#sentBytes += sizeBytes;
    this.#later();
  }

  answered(route: RouteClass, status: number, durationMs: number): void {
    const key = `${route} ${status}`;
    const count = this.#answers.get(key) ?? { route, status, durationsMs: [] };
    count.durationsMs.push(durationMs);
    this.#answers.set(key, count);
    this.#untold += 1;
    if (this.#untold >= MAX_UNTOLD) this.flush();
    else this.#later();
  }

  flush(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#sentBytes === 0 && this.#untold === 0) return;
    this.#tell({ kind: 'counted', sentBytes: this.#sentBytes, answers: [...this.#answers.values()] });
    this.#answers.clear();
    this.#sentBytes = 0;
    this.#untold = 0;
  }

  #later(): void {
    this.#timer ??= this.#timers.set(FLUSH_MS, () => this.flush());
  }
}
