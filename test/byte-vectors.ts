/**
 * Vectors: the bytes of a structure spelled out in a text file, one line an item, `#` comments. A changed byte is a changed protocol;
 * CAIRN_UPDATE_GOLDEN=1 rewrites the files, and the commit says why. Never decides what the bytes should be: that is the file.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Test } from 'tap';
import { type Digest, digestToHex } from '../chain/index.ts';

export interface Vector {
  readonly bytes: Uint8Array;
  /** What the bytes are called by, where they are. */
  readonly identity?: readonly [name: string, digest: Digest];
  /** What stands before the CBOR item: lengths in bytes, and meanings. */
  readonly head?: readonly (readonly [lengthBytes: number, meaning: string])[];
}

/** Holds each structure against its file, and each file of the folder against a structure. */
export function checkVectors(t: Test, folder: URL, vectors: Readonly<Record<string, Vector>>): void {
  for (const [name, vector] of Object.entries(vectors)) {
    const file = new URL(`${name}.txt`, folder);
    if (process.env.CAIRN_UPDATE_GOLDEN === '1') writeFileSync(file, format(vector));
    const written = readFileSync(file, 'utf8');
    const hex = written.replaceAll(/#.*$/gm, '').replaceAll(/\s/g, '');
    t.equal(hex, toHex(vector.bytes), `${name}: bytes`);
    const identity = /^# (\w+) ([0-9a-f]{64})$/m.exec(written);
    t.equal(identity?.[2] ?? null, vector.identity === undefined ? null : digestToHex(vector.identity[1]), `${name}: identity`);
  }
  const known = Object.keys(vectors).map((name) => `${name}.txt`);
  t.same(readdirSync(folder).sort(), known.sort(), 'each vector file belongs to a structure');
}

export function toHex(data: Uint8Array): string {
  return Buffer.from(data).toString('hex');
}

function format({ bytes, identity, head = [] }: Vector): string {
  const named = identity === undefined ? [] : [`# ${identity[0]} ${digestToHex(identity[1])}`];
  let position = 0;
  const before = head.map(([lengthBytes, meaning]) => {
    position += lengthBytes;
    return `${toHex(bytes.subarray(position - lengthBytes, position))}  # ${meaning}`;
  });
  return `${[...named, ...before, ...annotate(bytes.subarray(position))].join('\n')}\n`;
}

/** One line an item: its bytes, then what they are. Reads only what was written here, so it checks nothing. */
function annotate(data: Uint8Array): readonly string[] {
  const lines: string[] = [];
  let position = 0;
  const item = (depth: number): void => {
    const start = position;
    const initial = data[position] ?? 0;
    const [major, minor] = [initial >> 5, initial & 31];
    const width = minor < 24 ? 0 : 2 ** (minor - 24);
    const argument = width === 0 ? minor : Number(BigInt(`0x${toHex(data.subarray(start + 1, start + 1 + width))}`));
    position += 1 + width;
    if (major === 2 || major === 3) position += argument;
    const content = data.subarray(start + 1 + width, position);
    lines.push(`${'  '.repeat(depth)}${toHex(data.subarray(start, position))}  # ${describe(initial, argument, content)}`);
    const children = major === 4 ? argument : major === 5 ? 2 * argument : 0;
    for (let index = 0; index < children; index += 1) item(depth + 1 + (major === 5 ? index % 2 : 0));
  };
  item(0);
  return lines;
}

function describe(initial: number, argument: number, content: Uint8Array): string {
  switch (initial >> 5) {
    case 0:
      return `${argument}`;
    case 2:
      return `${argument} bytes`;
    case 3:
      return JSON.stringify(Buffer.from(content).toString('utf8'));
    case 4:
      return `array of ${argument}`;
    case 5:
      return `record of ${argument}`;
    default:
      return initial === 0xf6 ? 'null' : initial === 0xf5 ? 'true' : 'false';
  }
}
