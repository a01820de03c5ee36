/**
 * Looks over received bytes before anything is built from them: one canonical DAG-CBOR item, within bounds, and nothing after it.
 * Follows docs/SPEC.md §1. Allocates nothing but the reason of a refusal; knows no schema.
 */

/** Containers within containers. SPEC §8. */
export const MAX_DEPTH = 16;

export interface ScanLimits {
  readonly maxBytes: number;
  /** Data items, map keys included. Default: as many as there are bytes. */
  readonly maxItems?: number;
}

interface Scan {
  readonly data: Uint8Array;
  readonly maxItems: number;
  position: number;
  items: number;
}

/** Null when `data` is one canonical item within the limits, else what was wrong and at which byte. */
export function scan(data: Uint8Array, limits: ScanLimits): string | null {
  if (data.length > limits.maxBytes) return `expected at most ${limits.maxBytes} bytes, got ${data.length}`;
  const state: Scan = { data, maxItems: limits.maxItems ?? data.length, position: 0, items: 0 };
  const refusal = scanItem(state, 0);
  if (refusal !== null) return `byte ${state.position}: ${refusal}`;
  return state.position === data.length ? null : `byte ${state.position}: expected the end`;
}

function scanItem(state: Scan, depth: number): string | null {
  const initial = state.data[state.position];
  if (initial === undefined) return 'expected an item, got the end';
  state.items += 1;
  if (state.items > state.maxItems) return `expected at most ${state.maxItems} items`;
  const major = initial >> 5;
  if (major === 7) return scanSimple(state, initial);
  if (major === 1) return 'negative integers are not allowed';
  if (major === 6) return 'tags are not allowed';
  const argument = scanArgument(state, initial & 0x1f);
  if (typeof argument === 'string') return argument;
  switch (major) {
    case 0:
      return null;
    case 2:
      return scanBytes(state, argument);
    case 3:
      return scanText(state, argument);
    case 4:
      return scanArray(state, argument, depth + 1);
    default:
      return scanMap(state, argument, depth + 1);
  }
}

function scanSimple(state: Scan, initial: number): string | null {
  if (initial !== 0xf4 && initial !== 0xf5 && initial !== 0xf6) return 'only false, true and null are allowed of major type 7';
  state.position += 1;
  return null;
}

/** The argument of an item's head in its shortest form; moves past the head. A string is a refusal. */
function scanArgument(state: Scan, minor: number): number | string {
  if (minor < 24) {
    state.position += 1;
    return minor;
  }
  if (minor > 27) return 'indefinite or reserved lengths are not allowed';
  const width = 1 << (minor - 24);
  const start = state.position + 1;
  if (start + width > state.data.length) return 'expected more bytes';
  let value = 0;
  for (let index = 0; index < width; index += 1) value = value * 256 + (state.data[start + index] as number);
  if (value > Number.MAX_SAFE_INTEGER) return 'expected an integer below 2^53';
  if (value < (SHORTEST[minor - 24] as number)) return 'expected the shortest form of an integer';
  state.position = start + width;
  return value;
}

/** Least values that need one, two, four and eight bytes. */
const SHORTEST: readonly number[] = [24, 0x100, 0x10000, 0x100000000];

function scanBytes(state: Scan, length: number): string | null {
  if (length > state.data.length - state.position) return 'expected more bytes';
  state.position += length;
  return null;
}

function scanArray(state: Scan, length: number, depth: number): string | null {
  if (depth > MAX_DEPTH) return `expected at most ${MAX_DEPTH} levels`;
  if (length > state.data.length - state.position) return 'expected more bytes';
  for (let index = 0; index < length; index += 1) {
    const refusal = scanItem(state, depth);
    if (refusal !== null) return refusal;
  }
  return null;
}

function scanMap(state: Scan, length: number, depth: number): string | null {
  if (depth > MAX_DEPTH) return `expected at most ${MAX_DEPTH} levels`;
  if (length > state.data.length - state.position) return 'expected more bytes';
  let previousStart = -1;
  let previousEnd = -1;
  for (let index = 0; index < length; index += 1) {
    const initial = state.data[state.position];
    if (initial === undefined || initial >> 5 !== 3) return 'expected a text key';
    state.items += 1;
    const keyLength = scanArgument(state, initial & 0x1f);
    if (typeof keyLength === 'string') return keyLength;
    const start = state.position;
    const refusal = scanKey(state, keyLength);
    if (refusal !== null) return refusal;
    if (previousStart >= 0 && !precedes(state.data, previousStart, previousEnd, start, state.position)) {
      return 'expected keys in canonical order, none doubled';
    }
    previousStart = start;
    previousEnd = state.position;
    const valueRefusal = scanItem(state, depth);
    if (valueRefusal !== null) return valueRefusal;
  }
  return null;
}

function scanKey(state: Scan, length: number): string | null {
  if (length > state.data.length - state.position) return 'expected more bytes';
  const end = state.position + length;
  for (; state.position < end; state.position += 1) {
    if ((state.data[state.position] as number) > 0x7f) return 'expected an ASCII key';
  }
  return null;
}

/** True when the first key comes before the second: shorter first, then byte-wise. */
function precedes(data: Uint8Array, firstStart: number, firstEnd: number, secondStart: number, secondEnd: number): boolean {
  const length = firstEnd - firstStart;
  if (length !== secondEnd - secondStart) return length < secondEnd - secondStart;
  for (let index = 0; index < length; index += 1) {
    const difference = (data[firstStart + index] as number) - (data[secondStart + index] as number);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
function scanText(state: Scan, length: number): string | null {
  const { data } = state;
  if (length > data.length - state.position) return 'expected more bytes';
  const end = state.position + length;
  while (state.position < end) {
    if ((data[state.position] as number) < 0x80) {
      state.position += 1;
      continue;
    }
    const width = sequenceWidth(data, state.position, end);
    if (width === 0) return 'expected UTF-8';
    state.position += width;
  }
  return null;
}

/** Bytes of the well-formed multi-byte sequence at `position`, or 0. Unicode 16, table 3-7. */
function sequenceWidth(data: Uint8Array, position: number, end: number): number {
  const first = data[position] as number;
  const width = first >= 0xc2 && first <= 0xdf ? 2 : first >= 0xe0 && first <= 0xef ? 3 : first >= 0xf0 && first <= 0xf4 ? 4 : 0;
  if (width === 0 || position + width > end) return 0;
  const second = data[position + 1] as number;
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let index = 2; index < width; index += 1) {
    if (((data[position + index] as number) & 0xc0) !== 0x80) return 0;
  }
  return width;
}
