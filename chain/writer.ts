/**
 * Writes canonical CBOR items into one growing buffer; codec.ts decides what to write. Follows docs/SPEC.md §1. Knows no schema.
 */

import { utf8ToBytes } from '@noble/hashes/utils.js';

/** What a writer keeps of its buffer between two encodings at most. */
const KEPT_BYTES = 65_536;
/** Small results share slabs, since an array with a buffer of its own costs several times as much. A kept one keeps its slab, so slabs are small. */
const SLAB_BYTES = 4096;
const SHARED_BYTES = 512;
/** Up to here the engine keeps an array's bytes beside it, which costs little. */
const INLINE_BYTES = 64;
/** Up to here a loop copies faster than a call. */
const SHORT_BYTES = 64;

/** Serves one encoding after another, each begun by `begin`. Every method answers null, or why it could not write. */
export class Writer {
  #buffer: Uint8Array = new Uint8Array(512);
  #length = 0;
  #slab: ArrayBuffer = new ArrayBuffer(SLAB_BYTES);
  #slabUsed = 0;

  /** Forgets what was written before. */
  begin(): void {
    this.#length = 0;
    if (this.#buffer.length > KEPT_BYTES) this.#buffer = new Uint8Array(512);
  }

  /** An item's head: major type and argument, in the shortest form. */
  head(major: number, argument: number): null {
    const first = major << 5;
    if (argument < 24) this.#put(first | argument);
    else if (argument < 0x100) this.#putWide(first | 24, argument, 1);
    else if (argument < 0x10000) this.#putWide(first | 25, argument, 2);
    else if (argument < 0x100000000) this.#putWide(first | 26, argument, 4);
    else this.#putWide(first | 27, argument, 8);
    return null;
  }

  simple(value: boolean | null): null {
    this.#put(value === null ? 0xf6 : value ? 0xf5 : 0xf4);
    return null;
  }

  bytes(value: Uint8Array): null {
    this.head(2, value.length);
    return this.raw(value);
  }

  text(value: string): string | null {
    const start = this.#length;
    this.head(3, value.length);
    const { length } = value;
    this.#reserve(length);
    const buffer = this.#buffer;
    const from = this.#length;
    for (let index = 0; index < length; index += 1) {
      const unit = value.charCodeAt(index);
      if (unit > 0x7f) {
        this.#length = start;
        return this.#wideText(value);
      }
      buffer[from + index] = unit;
    }
    this.#length = from + length;
    return null;
  }

  /** Bytes that are an encoding already. */
  raw(value: Uint8Array): null {
    const { length } = value;
    this.#reserve(length);
    const buffer = this.#buffer;
    const start = this.#length;
    if (length > SHORT_BYTES) buffer.set(value, start);
    else for (let index = 0; index < length; index += 1) buffer[start + index] = value[index] as number;
    this.#length = start + length;
    return null;
  }

  /** A copy of what was written. Its buffer may hold others beside it, so it is not to be transferred. */
  finish(): Uint8Array {
    const length = this.#length;
    if (length <= INLINE_BYTES || length > SHARED_BYTES) return this.#buffer.slice(0, length);
    if (this.#slabUsed + length > SLAB_BYTES) {
      this.#slab = new ArrayBuffer(SLAB_BYTES);
      this.#slabUsed = 0;
    }
    const copy = new Uint8Array(this.#slab, this.#slabUsed, length);
    this.#slabUsed += length;
    copy.set(this.#buffer.subarray(0, length));
    return copy;
  }

  #wideText(value: string): string | null {
    if (/\p{Surrogate}/u.test(value)) return 'expected text without lone surrogates';
    const encoded = utf8ToBytes(value);
    this.head(3, encoded.length);
    return this.raw(encoded);
  }

  #put(byte: number): void {
    this.#reserve(1);
    this.#buffer[this.#length] = byte;
    this.#length += 1;
  }

  #putWide(first: number, argument: number, width: number): void {
    this.#put(first);
    this.#reserve(width);
    let rest = argument;
    for (let index = width - 1; index >= 0; index -= 1) {
      this.#buffer[this.#length + index] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    this.#length += width;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(this.#buffer.length * 2, this.#length + count));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }
}
