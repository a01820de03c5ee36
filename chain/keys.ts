/**
 * Which Ed25519 public keys are admitted, and the one cheap look at a signature before any verification. Follows docs/SPEC.md §7. Verifies
 * nothing: that is the shell's, by ZIP-215 alone.
 */

import { Point } from '@noble/ed25519';

/** The order of the prime subgroup, L = 2^252 + 27742317777372353535851937790883648493 (RFC 8032, 5.1), little-endian. */
const ORDER = [
  0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 0x10,
];

/** Null for a key that may be admitted: canonical, on the curve, not of small order, torsion-free. Else why not. */
export function checkPublicKey(raw: Uint8Array): string | null {
  if (raw.length !== 32) return `expected a public key of 32 bytes, got ${raw.length}`;
  const point = decompress(raw);
  if (point === null) return 'the public key is no canonical point of the curve';
  if (point.isSmallOrder()) return 'the public key is of small order';
  return point.isTorsionFree() ? null : 'the public key is not torsion-free';
}

/** True when S, the second half of the signature, is below the group order. Checked before anything costly. */
export function hasCanonicalS(signature: Uint8Array): boolean {
  if (signature.length !== 64) return false;
  for (let index = 31; index >= 0; index -= 1) {
    const difference = (signature[32 + index] as number) - (ORDER[index] as number);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** The point, decoded strictly by RFC 8032, 5.1.3; null when the bytes are none. noble says so only by throwing. */
function decompress(raw: Uint8Array): Point | null {
  try {
    return Point.fromBytes(raw, false);
  } catch {
    return null;
  }
}
