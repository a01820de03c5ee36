/**
 * Schema combinators: each structure of the chain is declared once, and from that one declaration come its TypeScript type (`Infer`) and
 * its strict encoder and decoder (codec.ts). Follows docs/SPEC.md §1. Never touches bytes itself: a schema is data, its `shape`, which the
 * codec walks and from which tests derive arbitrary values.
 *
 * Value model: unsigned integers 0…2^53−1, byte strings, UTF-8 text, booleans, null, arrays, and records with ASCII keys, none optional.
 */

import type { Digest } from './digest.ts';

/** One key of a record. `keyBytes` is the key's whole encoding, header included. */
export interface FieldShape {
  readonly name: string;
  readonly keyBytes: Uint8Array;
  readonly shape: Shape;
}

/** A record's keys, in canonical order: shorter first, then byte-wise. */
export interface RecordShape {
  readonly kind: 'record';
  readonly fields: readonly FieldShape[];
}

/** What a schema says, as data. */
export type Shape =
  | { readonly kind: 'uint'; readonly max: number }
  | { readonly kind: 'bytes'; readonly min: number; readonly max: number }
  | { readonly kind: 'text'; readonly max: number }
  | { readonly kind: 'bool' }
  | { readonly kind: 'oneOf'; readonly values: readonly string[] }
  | { readonly kind: 'nullable'; readonly inner: Shape }
  | { readonly kind: 'array'; readonly inner: Shape; readonly max: number }
  | { readonly kind: 'tuple'; readonly items: readonly Shape[] }
  | RecordShape
  | { readonly kind: 'union'; readonly variants: ReadonlyMap<string, RecordShape> };

/** Describes the values of type T and their one encoding. */
export interface Schema<T> {
  /** Phantom: carries the TypeScript type, never set. */
  readonly type?: T;
  readonly shape: Shape;
}

/** The TypeScript type that a schema describes. */
export type Infer<S> = S extends Schema<infer T> ? T : never;

/** Any schema, whatever it describes. */
export type AnySchema = Schema<unknown>;

type Fields = Readonly<Record<string, AnySchema>>;
export type InferFields<F extends Fields> = { readonly [K in keyof F]: Infer<F[K]> };

/** Integer from 0 to `max` (default 2^53 − 1). */
export function uint(max: number = Number.MAX_SAFE_INTEGER): Schema<number> {
  return { shape: { kind: 'uint', max } };
}

/** Byte string of at most `max` bytes. */
export function bytes(max: number): Schema<Uint8Array> {
  return { shape: { kind: 'bytes', min: 0, max } };
}

/** Byte string of exactly `length` bytes. */
export function fixedBytes(length: number): Schema<Uint8Array> {
  return { shape: { kind: 'bytes', min: length, max: length } };
}

/** SHA-256 digest, 32 raw bytes. */
export const digest: Schema<Digest> = fixedBytes(32) as Schema<Digest>;

/** Text of at most `max` UTF-16 code units, without lone surrogates. */
export function text(max: number): Schema<string> {
  return { shape: { kind: 'text', max } };
}

export const bool: Schema<boolean> = { shape: { kind: 'bool' } };

/** Exactly one of the given ASCII strings. */
export function oneOf<const T extends readonly string[]>(...values: T): Schema<T[number]> {
  return { shape: { kind: 'oneOf', values } };
}

/** The value or null. */
export function nullable<T>(inner: Schema<T>): Schema<T | null> {
  return { shape: { kind: 'nullable', inner: inner.shape } };
}

/** Array of at most `max` items. */
export function array<T>(inner: Schema<T>, max: number): Schema<readonly T[]> {
  return { shape: { kind: 'array', inner: inner.shape, max } };
}

/** Array of exactly these items, in this order. */
export function tuple<const S extends readonly AnySchema[]>(...items: S): Schema<{ readonly [K in keyof S]: Infer<S[K]> }> {
  return { shape: { kind: 'tuple', items: items.map((item) => item.shape) } };
}

/** Record with exactly these keys: none missing, none unknown. At most 23 keys, each of at most 23 ASCII characters. */
export function record<const F extends Fields>(fields: F): Schema<InferFields<F>> {
  return { shape: recordShape(fields) };
}

/** Records told apart by their `kind`; each variant's schema holds the other keys. */
export function union<const V extends Readonly<Record<string, Fields>>>(
  variants: V,
): Schema<{ readonly [K in keyof V]: { readonly kind: K } & InferFields<V[K]> }[keyof V]> {
  const byKind = Object.entries(variants).map(([kind, fields]) => [kind, recordShape({ kind: oneOf(kind), ...fields })] as const);
  return { shape: { kind: 'union', variants: new Map(byKind) } };
}

function recordShape(fields: Fields): RecordShape {
  const shapes = Object.entries(fields).map(([name, schema]) => ({ name, keyBytes: encodeKey(name), shape: schema.shape }));
  if (shapes.length > 23) throw new RangeError(`expected at most 23 keys, got ${shapes.length}`);
  return { kind: 'record', fields: shapes.sort((left, right) => compareKeys(left.name, right.name)) };
}

function encodeKey(name: string): Uint8Array {
  if (!/^[A-Za-z0-9]{1,23}$/.test(name)) throw new RangeError(`expected a key of 1 to 23 ASCII letters and digits, got ${name}`);
  return Uint8Array.from([0x60 + name.length, ...Array.from(name, (character) => character.charCodeAt(0))]);
}

function compareKeys(left: string, right: string): number {
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : 1;
}
