/**
 * One frame out and one frame in over a libp2p stream, with real back-pressure. Follows docs/SPEC.md on the peer protocols:
 * a frame is its length as four big-endian bytes and then that many bytes.
 *
 * Never uses the library's `onDrain()`, which holds only once, nor `for await` over a stream, which reads without bound: this file listens to
 * `drain`, `message`, `end` and `close` itself. Never trusts a declared length beyond its limit, nor allocates by it.
 */

import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface';
import { reasonOf } from './deadline.ts';
import { NetworkError } from './errors.ts';

const LENGTH_BYTES = 4;
/** Large pieces pay: 256 KiB moves nearly twice the bytes per second of 16 KiB. */
const PIECE_BYTES = 256 * 1024;

/** Resolves when the last byte has been handed to the connection; rejects when the stream ends first or the signal fires. */
export async function writeFrame(stream: Stream, body: Uint8Array, signal: AbortSignal): Promise<void> {
  const prefix = new Uint8Array(LENGTH_BYTES);
  new DataView(prefix.buffer).setUint32(0, body.length);
  await sendPiece(stream, prefix, signal);
  for (let offset = 0; offset < body.length; offset += PIECE_BYTES) {
    await sendPiece(stream, body.subarray(offset, offset + PIECE_BYTES), signal);
  }
}

async function sendPiece(stream: Stream, piece: Uint8Array, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw reasonOf(signal);
  if (stream.writeStatus !== 'writable') throw new NetworkError('closed', 'expected an open stream, but the peer ended it');
  if (!stream.send(piece)) await drained(stream, signal);
}

function drained(stream: Stream, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      stream.removeEventListener('drain', onDrain);
      stream.removeEventListener('close', onClose);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onDrain = (): void => finish(resolve);
    const onClose = (event: StreamCloseEvent): void => finish(() => reject(closedError(event.error)));
    const onAbort = (): void => finish(() => reject(reasonOf(signal)));
    stream.addEventListener('drain', onDrain);
    stream.addEventListener('close', onClose);
    signal.addEventListener('abort', onAbort);
  });
}

/**
 * Reads exactly one frame of at most `maxBytes`. Must be called in the same turn as the stream was got, or while it is paused.
 * Rejects with `too-large`, `malformed` (bytes after the frame), `closed`, or the signal's reason.
 */
export function readFrame(stream: Stream, maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const frame = frameCollector(maxBytes);
    const finish = (settle: () => void): void => {
      stream.removeEventListener('message', onMessage);
      stream.removeEventListener('end', onEnd);
      stream.removeEventListener('close', onClose);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onMessage = (event: StreamMessageEvent): void => {
      try {
        const body = frame.add(event.data instanceof Uint8Array ? event.data : event.data.subarray());
        if (body !== null) finish(() => resolve(body));
      } catch (error) {
        finish(() => reject(error));
      }
    };
    const onEnd = (): void => finish(() => reject(closedError()));
    const onClose = (event: StreamCloseEvent): void => {
      if (event.error !== undefined || stream.readBufferLength === 0) finish(() => reject(closedError(event.error)));
    };
    const onAbort = (): void => finish(() => reject(reasonOf(signal)));
    stream.addEventListener('message', onMessage);
    stream.addEventListener('end', onEnd);
    stream.addEventListener('close', onClose);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    else if (stream.readStatus === 'paused') stream.resume();
    else if (stream.readableEnded) onEnd();
  });
}

/** Gathers pieces; `add` gives the body once it is whole, null before. */
function frameCollector(maxBytes: number): { readonly add: (piece: Uint8Array) => Uint8Array | null } {
  const pieces: Uint8Array[] = [];
  let gathered = 0;
  let expected: number | null = null;
  return {
    add: (piece) => {
      pieces.push(piece);
      gathered += piece.length;
      if (expected === null) {
        if (gathered < LENGTH_BYTES) return null;
        const head = joined(pieces, gathered);
        const length = new DataView(head.buffer, head.byteOffset).getUint32(0);
        if (length > maxBytes) throw new NetworkError('too-large', `expected at most ${maxBytes} bytes, the peer announced ${length}`);
        expected = LENGTH_BYTES + length;
        pieces.splice(0, pieces.length, head);
      }
      if (gathered < expected) return null;
      if (gathered > expected) throw new NetworkError('malformed', `expected one frame, got ${gathered - expected} bytes more`);
      return joined(pieces, gathered).subarray(LENGTH_BYTES);
    },
  };
}

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const only = pieces[0];
  if (pieces.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.length;
  }
  return whole;
}

function closedError(cause?: unknown): NetworkError {
  return new NetworkError('closed', 'expected a whole frame, but the peer ended the stream', cause);
}
