/**
 * Moves the bytes of one file to one client as fast as the client takes them: two buffers an answer, read into one while the other is on
 * its way. The buffers come out of one budget, and a slow client gets small ones, so that many of them together hold little memory.
 * Never looks at what it sends: the source has verified it.
 */

import type { ServerResponse } from 'node:http';
import type { ByteSource } from './download.ts';
import type { Timers } from './ports.ts';

/** As long as a run, so that a run is read, verified and sent in one piece. */
const BUFFER_BYTES = 1_048_576;
const SMALL_BYTES = 65_536;
/** In small buffers only, 1,024 clients hold 128 MiB. */
const BUDGET_BYTES = 48 * BUFFER_BYTES;
/** A client that takes longer over a large buffer gets small ones from then on. */
const SLOW_MS = 500;

/** Buffers of one size, used again; at most the budget's worth of them at one time. */
export class BufferPool {
  readonly #free: Uint8Array[] = [];
  #lent = 0;

  /** A buffer of at least `wantedBytes`, of `BUFFER_BYTES` at the most; a small one when the budget is used up. */
  take(wantedBytes: number): Uint8Array {
    if (wantedBytes <= SMALL_BYTES || this.#lent * BUFFER_BYTES >= BUDGET_BYTES) return new Uint8Array(Math.min(wantedBytes, SMALL_BYTES));
    this.#lent += 1;
    return this.#free.pop() ?? new Uint8Array(BUFFER_BYTES);
  }

  /** To be called once for every buffer taken, when nothing reads it any more. */
  give(buffer: Uint8Array): void {
    if (buffer.length !== BUFFER_BYTES) return;
    this.#lent -= 1;
    this.#free.push(buffer);
  }
}

export interface PumpDeps {
  readonly timers: Timers;
  readonly buffers: BufferPool;
  /** A client that takes nothing for so long is cut off. */
  readonly clientStallMs: number;
  /** Told of bytes that the client's connection has taken. */
  readonly onSent?: (sizeBytes: number) => void;
}

export interface PumpEnds {
  readonly source: Pick<ByteSource, 'read'>;
  readonly response: ServerResponse;
  /** Fires when the client is gone. */
  readonly gone: AbortSignal;
}

/** Sends [from, to); `to` is exclusive. What was read before a failure of the source is on its way when this rejects with it. */
export async function pump(deps: PumpDeps, ends: PumpEnds, range: { readonly from: number; readonly to: number }): Promise<void> {
  let sending: Promise<void> = Promise.resolve();
  let isSlow = false;
  for (let position = range.from; position < range.to; ) {
    const buffer = isSlow ? new Uint8Array(SMALL_BYTES) : deps.buffers.take(range.to - position);
    let read: number;
    try {
      read = await ends.source.read(buffer.subarray(0, Math.min(buffer.length, range.to - position)), position);
      if (read === 0) throw new Error(`the file ended at ${position}, expected ${range.to}`);
    } catch (error) {
      deps.buffers.give(buffer);
      await sending;
      throw error;
    }
    position += read;
    await sending.catch((error: unknown) => {
      deps.buffers.give(buffer);
      throw error;
    });
    const slow = deps.timers.set(SLOW_MS, () => {
      isSlow = true;
    });
    sending = send(deps, ends, buffer.subarray(0, read))
      .then(() => deps.onSent?.(read))
      .finally(() => {
        slow.cancel();
        deps.buffers.give(buffer);
      });
    // Awaited in the next turn or below; a failure in between must not count as unhandled.
    sending.catch(() => undefined);
  }
  await sending;
}

function send(deps: PumpDeps, ends: PumpEnds, chunk: Uint8Array): Promise<void> {
  const { response, gone } = ends;
  return new Promise((resolve, reject) => {
    const settle = (error: Error | null | undefined): void => {
      stalled.cancel();
      gone.removeEventListener('abort', closed);
      if (error) reject(error);
      else resolve();
    };
    const closed = (): void => settle(new Error('the client closed the connection'));
    const stalled = deps.timers.set(deps.clientStallMs, () => {
      response.destroy();
      settle(new Error('the client took nothing for too long'));
    });
    gone.addEventListener('abort', closed, { once: true });
    if (gone.aborted) closed();
    else response.write(chunk, settle);
  });
}
