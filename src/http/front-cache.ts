/**
 * Answers that the front may give again: small ones that the app has marked, for as long as no block is committed and the head is fresh.
 * Follows docs/adr/0018. Holds a bounded number of bytes, the least recently asked for dropped first.
 */

import type { IncomingMessage } from 'node:http';
import type { RouteClass } from '../metrics/types.ts';

/** What an entry costs beside its body, about. */
const OVERHEAD_BYTES = 1024;

export interface KeptAnswer {
  readonly status: number;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly body: Uint8Array;
  readonly route: RouteClass;
  readonly untilMs: number;
  /** As it stood before the app was asked. */
  readonly epoch: number;
}

/** A request with one of these is always the app's. */
const PERSONAL = ['authorization', 'cookie', 'range', 'expect', 'content-length', 'transfer-encoding', 'upgrade'] as const;
const CONDITIONS = ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'if-range'] as const;

/** Null for a request whose answer may depend on more than method, target and Accept. */
export function keyOf({ method, url, headers }: IncomingMessage): string | null {
  if (method !== 'GET' && method !== 'HEAD') return null;
  for (const name of PERSONAL) if (headers[name] !== undefined) return null;
  for (const name of CONDITIONS) if (headers[name] !== undefined) return null;
  return `${method} ${url} ${headers.accept ?? ''}`;
}

export class AnswerCache {
  readonly #maxBytes: number;
  readonly #now: () => { readonly epoch: number; readonly nowMs: number };
  /** Least recently used first. */
  readonly #answers: Map<string, KeptAnswer> = new Map();
  #bytes = 0;

  constructor(options: { readonly maxBytes: number }, now: () => { readonly epoch: number; readonly nowMs: number }) {
    this.#maxBytes = options.maxBytes;
    this.#now = now;
  }

  get(key: string): KeptAnswer | null {
    const found = this.#answers.get(key);
    if (found === undefined) return null;
    const { epoch, nowMs } = this.#now();
    this.#drop(key, found);
    if (found.epoch !== epoch || nowMs >= found.untilMs) return null;
    this.#keep(key, found);
    return found;
  }

  set(key: string, answer: KeptAnswer): void {
    const before = this.#answers.get(key);
    if (before !== undefined) this.#drop(key, before);
    this.#keep(key, answer);
    for (const [oldest, dropped] of this.#answers) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#drop(oldest, dropped);
    }
  }

  #keep(key: string, answer: KeptAnswer): void {
    this.#answers.set(key, answer);
    this.#bytes += costOf(key, answer);
  }

  #drop(key: string, answer: KeptAnswer): void {
    this.#answers.delete(key);
    this.#bytes -= costOf(key, answer);
  }
}

function costOf(key: string, answer: KeptAnswer): number {
  return key.length + answer.body.length + OVERHEAD_BYTES;
}
