/**
 * An append-only file of checksummed frames, for the write-ahead log and the sign state. SPEC §11.1.
 * A frame is [length u32 BE][CRC-32 of the body u32 BE][body]. A torn tail (the last write of a crash) is cut and work goes on;
 * damage before the tail is an error, for a log that lost its middle is no log. It is told from a torn tail by the sound frames that follow
 * up to the very end of the file; bytes inside a torn body that look like a frame don't make it one.
 */

import { crc32 } from 'node:zlib';
import type { FileHandle, FileSystem } from '../ports.ts';

const HEADER_BYTES = 8;
/** A frame holds at most one block and its envelope. */
const MAX_FRAME_BYTES = 8 * 1024 * 1024;

/** A log whose middle is damaged: the node must not go on from it. */
export class DamagedLogError extends Error {
  readonly code = 'DAMAGED_LOG';
  readonly path: string;
  readonly offset: number;

  constructor(path: string, offset: number) {
    super(`${path} is damaged at byte ${offset}, where no crash tears it: see "Damaged files" in docs/operations.md before you touch it`);
    this.name = 'DamagedLogError';
    this.path = path;
    this.offset = offset;
  }
}

export class FrameLog {
  readonly #handle: FileHandle;
  #size: number;
  #pending: Uint8Array[] = [];
  #tail: Promise<void> = Promise.resolve();

  private constructor(handle: FileHandle, size: number) {
    this.#handle = handle;
    this.#size = size;
  }

  /**
   * Opens or makes the file; resolves to the log and the bodies of its whole frames. Rejects with DamagedLogError. `startsWhole`: the first
   * frame came with the file, by a rename, so that no crash can have torn it.
   */
  static async open(
    files: FileSystem,
    path: string,
    options: { readonly startsWhole?: boolean } = {},
  ): Promise<{ readonly log: FrameLog; readonly bodies: readonly Uint8Array[] }> {
    const existing = (await files.readFile(path)) ?? new Uint8Array();
    const { bodies, end } = readFrames(existing, path);
    if (options.startsWhole === true && end === 0 && existing.length > 0) throw new DamagedLogError(path, 0);
    const handle = await files.open(path, 'write');
    if (end < existing.length) await handle.truncate(end);
    await handle.sync();
    return { log: new FrameLog(handle, end), bodies };
  }

  get sizeBytes(): number {
    return this.#size;
  }

  /** Queues a frame; it is on the disk once a later `sync` resolves. */
  append(body: Uint8Array): void {
    this.#pending.push(frame(body));
  }

  /**
   * Writes what is queued and resolves when it is durable. One write at a time, in the order of the calls; after a failed one every later
   * one fails with the same error, for nobody knows what the disk holds.
   */
  async sync(): Promise<void> {
    this.#tail = this.#tail.then(() => this.#flush());
    await this.#tail;
  }

  async #flush(): Promise<void> {
    if (this.#pending.length === 0) return;
    const data = concat(this.#pending);
    this.#pending = [];
    await this.#handle.write(data, this.#size);
    await this.#handle.sync();
    this.#size += data.length;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

function frame(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, body.length);
  view.setUint32(4, crc32(body));
  bytes.set(body, HEADER_BYTES);
  return bytes;
}

function readFrames(data: Uint8Array, path: string): { readonly bodies: Uint8Array[]; readonly end: number } {
  const bodies: Uint8Array[] = [];
  let offset = 0;
  for (;;) {
    const body = readFrame(data, offset);
    if (body === null) break;
    bodies.push(body);
    offset += HEADER_BYTES + body.length;
  }
  if (offset < data.length && followedByFrames(data, offset)) throw new DamagedLogError(path, offset);
  return { bodies, end: offset };
}

/** The body of the whole, sound frame at the offset, or null. A frame of length 0 is none: it is what a lost write leaves. */
function readFrame(data: Uint8Array, offset: number): Uint8Array | null {
  if (offset + HEADER_BYTES > data.length) return null;
  const view = new DataView(data.buffer, data.byteOffset + offset);
  const length = view.getUint32(0);
  const start = offset + HEADER_BYTES;
  if (length === 0 || length > MAX_FRAME_BYTES || start + length > data.length) return null;
  const body = data.slice(start, start + length);
  return crc32(body) === view.getUint32(4) ? body : null;
}

/** Whether a sound frame stands behind the broken one, and others after it to the end: then it is damage, not a torn tail. */
function followedByFrames(data: Uint8Array, broken: number): boolean {
  const view = new DataView(data.buffer, data.byteOffset);
  // 1 where a row of frames, by their lengths alone, would end exactly at the end of the file; found from the back in one go.
  const endsWell = new Uint8Array(data.length - broken + 1);
  endsWell[data.length - broken] = 1;
  for (let offset = data.length - HEADER_BYTES - 1; offset > broken; offset -= 1) {
    const length = view.getUint32(offset);
    const next = offset + HEADER_BYTES + length;
    if (length === 0 || length > MAX_FRAME_BYTES || next > data.length || endsWell[next - broken] !== 1) continue;
    endsWell[offset - broken] = 1;
    if (readFrame(data, offset) !== null) return true;
  }
  return false;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
