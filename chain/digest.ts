/**
 * Digests as the chain holds them: 32 raw bytes in structures, `sha256:<64 hex>` for people. SHA-256 itself comes in as a port,
 * because this floor names no crypto. Follows docs/SPEC.md §1.
 */

import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';

declare const brand: unique symbol;

/** SHA-256 digest: 32 raw bytes. */
export type Digest = Uint8Array & { readonly [brand]: 'Digest' };

/** Port: SHA-256 of the bytes, 32 bytes. */
export type Sha256 = (data: Uint8Array) => Digest;

/** Casts 32 bytes; throws a RangeError otherwise. */
export function asDigest(value: Uint8Array): Digest {
  if (value.length !== 32) throw new RangeError(`expected a digest of 32 bytes, got ${value.length}`);
  return value as Digest;
}

/** Code units of the 16 digits. */
const HEX_DIGITS: readonly number[] = Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));
/** Where the digits of one digest are laid out; overwritten by the next. */
const hexUnits: number[] = Array.from({ length: 64 }, () => 0);

/** 64 lower-case hex digits. In one piece: it mostly becomes a key of a map, and a text of many pieces would first be joined for that. */
export function digestToHex(digest: Digest): string {
  if (digest.length !== 32) throw new RangeError(`expected a digest of 32 bytes, got ${digest.length}`);
  for (let index = 0; index < 32; index += 1) {
    const byte = digest[index] as number;
    hexUnits[2 * index] = HEX_DIGITS[byte >> 4] as number;
    hexUnits[2 * index + 1] = HEX_DIGITS[byte & 15] as number;
  }
  return String.fromCharCode.apply(null, hexUnits);
}

/** From 64 lower-case hex digits; throws a RangeError otherwise. */
export function digestFromHex(hex: string): Digest {
  if (!/^[0-9a-f]{64}$/.test(hex)) throw new RangeError(`expected 64 lower-case hex digits, got ${hex}`);
  return asDigest(hexToBytes(hex));
}

/** `sha256:<64 hex>`. */
export function formatDigest(digest: Digest): string {
  return `sha256:${bytesToHex(digest)}`;
}

/** Reads `sha256:<64 lower-case hex>`; null when it is anything else. */
export function parseDigest(value: string): Digest | null {
  return /^sha256:[0-9a-f]{64}$/.test(value) ? asDigest(hexToBytes(value.slice(7))) : null;
}

/** Byte-wise equality. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index += 1) if (left[index] !== right[index]) return false;
  return true;
}

/** Byte-wise order: negative when `left` comes first, 0 when equal. A prefix comes before what it begins. */
export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index += 1) {
    const difference = (left[index] as number) - (right[index] as number);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
