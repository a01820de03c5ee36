/**
 * Reads traces of executable models: a gzipped tar of files in the Informal Trace Format, whose tagged numbers, tuples, sets, maps and
 * variants become plain values. Only what the traces hold is understood: regular files, no long names.
 */

import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** A variant of the model, e.g. `{tag: 'Val', value: 'a'}`. */
export interface Variant {
  readonly tag: string;
  readonly value: unknown;
}

export type TraceState = Readonly<Record<string, unknown>>;

export interface Trace {
  readonly name: string;
  readonly states: readonly TraceState[];
}

/**
 * What `read` makes of each trace of an archive in `../shared/itf` beside the repository, or null where it is absent. The traces are large:
 * one is held at a time.
 */
export function readTraces<T>(archive: string, read: (trace: Trace) => T): readonly T[] | null {
  const file = new URL(`../../../../shared/itf/${archive}.tar.gz`, import.meta.url);
  if (!existsSync(file)) return null;
  const made: T[] = [];
  for (const [name, content] of tarEntries(gunzipSync(readFileSync(file)))) {
    if (name.endsWith('.itf.json')) made.push(read(parseTrace(name, content.toString('utf8'))));
  }
  return made;
}

/** One trace out of its file's text. */
export function parseTrace(name: string, text: string): Trace {
  return { name, states: recordsOf(recordOf(plain(JSON.parse(text))).states) };
}

function* tarEntries(tar: Buffer): Generator<readonly [name: string, content: Buffer]> {
  for (let offset = 0; offset + 512 <= tar.length; ) {
    const name = tar.toString('utf8', offset, offset + 100).replace(/\0.*$/s, '');
    if (name === '') return;
    const sizeBytes = Number.parseInt(tar.toString('ascii', offset + 124, offset + 136), 8) || 0;
    yield [name, tar.subarray(offset + 512, offset + 512 + sizeBytes)];
    offset += 512 + Math.ceil(sizeBytes / 512) * 512;
  }
}

/** Numbers for `#bigint`, arrays for `#tup` and `#set`, a Map for `#map`; variants and records stay as they are. */
function plain(subject: unknown): unknown {
  if (Array.isArray(subject)) return subject.map(plain);
  if (typeof subject !== 'object' || subject === null) return subject;
  const record = subject as Record<string, unknown>;
  if ('#bigint' in record) return Number(record['#bigint']);
  if ('#tup' in record) return plain(record['#tup']);
  if ('#set' in record) return plain(record['#set']);
  if ('#map' in record) return new Map(plain(record['#map']) as [unknown, unknown][]);
  return Object.fromEntries(Object.entries(record).map(([key, entry]) => [key, plain(entry)]));
}

export function recordOf(subject: unknown): Record<string, unknown> {
  if (typeof subject !== 'object' || subject === null) throw new Error(`expected a record, got ${JSON.stringify(subject)}`);
  return subject as Record<string, unknown>;
}

function recordsOf(subject: unknown): readonly TraceState[] {
  if (!Array.isArray(subject)) throw new Error('expected a list of states');
  return subject.map(recordOf);
}

export function variantOf(subject: unknown): Variant {
  const { tag, value } = recordOf(subject);
  if (typeof tag !== 'string') throw new Error(`expected a variant, got ${JSON.stringify(subject)}`);
  return { tag, value };
}

export function numberOf(subject: unknown): number {
  if (typeof subject !== 'number') throw new Error(`expected a number, got ${JSON.stringify(subject)}`);
  return subject;
}

export function mapOf(subject: unknown): ReadonlyMap<unknown, unknown> {
  if (!(subject instanceof Map)) throw new Error(`expected a map, got ${JSON.stringify(subject)}`);
  return subject;
}

export function listOf(subject: unknown): readonly unknown[] {
  if (!Array.isArray(subject)) throw new Error(`expected a list, got ${JSON.stringify(subject)}`);
  return subject;
}
