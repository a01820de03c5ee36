/**
 * A connection between two threads of this process that Node's HTTP takes for a socket: bytes as messages over a MessagePort, with a window
 * so that neither side runs ahead of the other. No other process, and no client, can open one or listen to one. Never looks at the bytes.
 */

import { Duplex } from 'node:stream';
import type { MessagePort } from 'node:worker_threads';

/** Sent and not yet taken by the other side, before the writer waits. */
const WINDOW_BYTES = 262_144;
/** The other side is told of so much at once: small requests cost no message for it. */
const TOLD_BYTES = 65_536;

type LinkMessage =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'taken'; readonly sizeBytes: number }
  | { readonly kind: 'end' };

export class LinkSocket extends Duplex {
  readonly #port: MessagePort;
  #openBytes = 0;
  #untoldBytes = 0;
  #proceed: (() => void) | null = null;

  constructor(port: MessagePort) {
    super({ allowHalfOpen: true, readableHighWaterMark: TOLD_BYTES, writableHighWaterMark: TOLD_BYTES });
    this.#port = port;
    port.on('message', (message: LinkMessage) => this.#receive(message));
    port.on('close', () => this.destroy());
  }

  // What Node's HTTP asks of a socket. Time limits are kept on the client's own connection.
  setTimeout(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    this.#send([chunk], done);
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: () => void): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: () => void): void {
    this.#post({ kind: 'end' });
    done();
  }

  override _read(): void {
    this.#tell();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#port.close();
    this.#proceed = null;
    done(error);
  }

  #send(chunks: readonly Uint8Array[], done: () => void): void {
    // A copy of its own: the writer may use its buffer again, and a message would carry the whole memory that a part lies in.
    const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    let at = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    this.#openBytes += bytes.length;
    this.#post({ kind: 'bytes', bytes }, [bytes.buffer]);
    if (this.#openBytes < WINDOW_BYTES) done();
    else this.#proceed = done;
  }

  #receive(message: LinkMessage): void {
    switch (message.kind) {
      case 'bytes':
        this.#untoldBytes += message.bytes.length;
        if (this.push(Buffer.from(message.bytes.buffer))) this.#tell();
        break;
      case 'taken': {
        this.#openBytes -= message.sizeBytes;
        if (this.#openBytes >= WINDOW_BYTES) break;
        const proceed = this.#proceed;
        this.#proceed = null;
        proceed?.();
        break;
      }
      case 'end':
        this.push(null);
        break;
    }
  }

  #tell(): void {
    if (this.#untoldBytes < TOLD_BYTES) return;
    this.#post({ kind: 'taken', sizeBytes: this.#untoldBytes });
    this.#untoldBytes = 0;
  }

  #post(message: LinkMessage, transfer: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(message, [...transfer]);
  }
}
