/**
 * Values to bytes and back, as a schema says: deterministic CBOR with exactly one encoding per value. Follows docs/SPEC.md §1.
 * Received bytes are scanned first (scan.ts), so reading trusts their form and only compares it with the schema. Never reads past the
 * schema: what it does not name is never built.
 */

import { Reader } from './reader.ts';
import { type ScanLimits, scan } from './scan.ts';
import type { FieldShape, RecordShape, Schema, Shape } from './schema.ts';
import { Writer } from './writer.ts';

export type Decoded<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

/** Encodings never nest, so one writer and its buffer serve all of them. */
const WRITER = new Writer();

/** The one encoding of `value`. Throws a TypeError on a value that the schema refuses: that is a bug of the caller. */
export function encode<T>(schema: Schema<T>, value: T): Uint8Array {
  WRITER.begin();
  const refusal = write(WRITER, schema.shape, value);
  if (refusal !== null) throw new TypeError(`cannot encode: ${refusal}`);
  return WRITER.finish();
}

/** Null when the schema takes the value, else what was wrong and where. */
export function refusalOf<T>(schema: Schema<T>, value: unknown): string | null {
  WRITER.begin();
  return write(WRITER, schema.shape, value);
}

/** The value of received bytes, whose encoding is then exactly these bytes; byte strings in it are copies. Never throws. */
export function decode<T>(schema: Schema<T>, data: Uint8Array, limits: ScanLimits): Decoded<T> {
  const view = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const reason = scan(view, limits);
  if (reason !== null) return { ok: false, reason };
  const reader = new Reader(view);
  const value = read(reader, schema.shape);
  return reader.refusal === null ? { ok: true, value: value as T } : { ok: false, reason: reader.refusal };
}

function write(writer: Writer, shape: Shape, value: unknown): string | null {
  switch (shape.kind) {
    case 'uint':
      if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > shape.max || Object.is(value, -0)) {
        return `expected an integer from 0 to ${shape.max}`;
      }
      return writer.head(0, value);
    case 'bytes':
      if (!(value instanceof Uint8Array) || value.length < shape.min || value.length > shape.max) return `expected ${sizeOf(shape)} bytes`;
      return writer.bytes(value);
    case 'text':
      if (typeof value !== 'string' || value.length > shape.max) return `expected text of at most ${shape.max} characters`;
      return writer.text(value);
    case 'bool':
      return typeof value === 'boolean' ? writer.simple(value) : 'expected true or false';
    case 'oneOf':
      if (typeof value !== 'string' || !shape.values.includes(value)) return `expected one of ${shape.values.join(', ')}`;
      return writer.text(value);
    case 'nullable':
      return value === null ? writer.simple(null) : write(writer, shape.inner, value);
    case 'array':
      return writeArray(writer, shape, value);
    case 'tuple':
      return writeTuple(writer, shape.items, value);
    case 'record':
      return writeRecord(writer, shape, value);
    case 'union':
      return writeUnion(writer, shape.variants, value);
    default:
      return assertNever(shape);
  }
}

function writeArray(writer: Writer, shape: { readonly inner: Shape; readonly max: number }, value: unknown): string | null {
  if (!Array.isArray(value) || value.length > shape.max) return `expected an array of at most ${shape.max} items`;
  writer.head(4, value.length);
  for (let index = 0; index < value.length; index += 1) {
    const refusal = write(writer, shape.inner, value[index]);
    if (refusal !== null) return `[${index}] ${refusal}`;
  }
  return null;
}

function writeTuple(writer: Writer, items: readonly Shape[], value: unknown): string | null {
  if (!Array.isArray(value) || value.length !== items.length) return `expected an array of ${items.length} items`;
  writer.head(4, items.length);
  for (const [index, item] of items.entries()) {
    const refusal = write(writer, item, value[index]);
    if (refusal !== null) return `[${index}] ${refusal}`;
  }
  return null;
}

function writeRecord(writer: Writer, shape: RecordShape, value: unknown): string | null {
  if (!isPlainRecord(value)) return 'expected a record';
  const { fields } = shape;
  const count = Object.keys(value).length;
  if (count !== fields.length)
    return `expected the keys ${fields.map((field) => field.name).join(', ')}, got ${Object.keys(value).join(', ')}`;
  writer.head(5, count);
  for (let index = 0; index < count; index += 1) {
    const field = fields[index] as FieldShape;
    const inner = value[field.name];
    // No schema takes undefined, so that only then it is worth asking whether the key is there.
    if (inner === undefined && !Object.hasOwn(value, field.name)) return `missing key ${field.name}`;
    writer.raw(field.keyBytes);
    const refusal = write(writer, field.shape, inner);
    if (refusal !== null) return `${field.name}: ${refusal}`;
  }
  return null;
}

function writeUnion(writer: Writer, variants: ReadonlyMap<string, RecordShape>, value: unknown): string | null {
  const variant = isPlainRecord(value) && typeof value.kind === 'string' ? variants.get(value.kind) : undefined;
  return variant === undefined ? `expected a kind out of ${[...variants.keys()].join(', ')}` : writeRecord(writer, variant, value);
}

/** The value at the reader's position; meaningless once the reader has refused. */
function read(reader: Reader, shape: Shape): unknown {
  switch (shape.kind) {
    case 'uint':
      return readUint(reader, shape.max);
    case 'bytes':
      return readBytes(reader, shape);
    case 'text':
      return readText(reader, shape.max);
    case 'bool':
      return readBool(reader);
    case 'oneOf':
      return readOneOf(reader, shape.values);
    case 'nullable':
      return reader.takeNull() ? null : read(reader, shape.inner);
    case 'array':
      return readArray(reader, shape);
    case 'tuple':
      return readTuple(reader, shape.items);
    case 'record':
      return readRecord(reader, shape);
    case 'union':
      return readUnion(reader, shape.variants);
    default:
      return assertNever(shape);
  }
}

function readUint(reader: Reader, max: number): number {
  if (reader.major() !== 0) return reader.refuse(`expected an integer from 0 to ${max}`);
  const value = reader.argument();
  return value <= max ? value : reader.refuse(`expected an integer from 0 to ${max}`);
}

function readBytes(reader: Reader, shape: { readonly min: number; readonly max: number }): Uint8Array | number {
  if (reader.major() !== 2) return reader.refuse(`expected ${sizeOf(shape)} bytes`);
  const length = reader.argument();
  return length >= shape.min && length <= shape.max ? reader.bytes(length) : reader.refuse(`expected ${sizeOf(shape)} bytes`);
}

function readText(reader: Reader, max: number): string | number {
  if (reader.major() !== 3) return reader.refuse(`expected text of at most ${max} characters`);
  const length = reader.argument();
  // A UTF-16 code unit takes at most three bytes.
  const value = length <= max * 3 ? reader.text(length) : null;
  return value !== null && value.length <= max ? value : reader.refuse(`expected text of at most ${max} characters`);
}

function readBool(reader: Reader): boolean | number {
  const value = reader.takeBool();
  return value === null ? reader.refuse('expected true or false') : value;
}

function readOneOf(reader: Reader, values: readonly string[]): string | number {
  const length = reader.major() === 3 ? reader.argument() : Number.POSITIVE_INFINITY;
  const value = length <= 64 ? reader.text(length) : '';
  return values.includes(value) ? value : reader.refuse(`expected one of ${values.join(', ')}`);
}

function readArray(reader: Reader, shape: { readonly inner: Shape; readonly max: number }): readonly unknown[] | number {
  if (reader.major() !== 4) return reader.refuse(`expected an array of at most ${shape.max} items`);
  const length = reader.argument();
  if (length > shape.max) return reader.refuse(`expected an array of at most ${shape.max} items`);
  const values: unknown[] = [];
  for (let index = 0; index < length && reader.refusal === null; index += 1) values.push(read(reader, shape.inner));
  return values;
}

function readTuple(reader: Reader, items: readonly Shape[]): readonly unknown[] | number {
  if (reader.major() !== 4 || reader.argument() !== items.length) return reader.refuse(`expected an array of ${items.length} items`);
  const values: unknown[] = [];
  for (const item of items) {
    values.push(read(reader, item));
    if (reader.refusal !== null) break;
  }
  return values;
}

function readRecord(reader: Reader, shape: RecordShape): Readonly<Record<string, unknown>> | number {
  const { fields } = shape;
  const names = (): string => fields.map((field) => field.name).join(', ');
  if (reader.major() !== 5 || reader.argument() !== fields.length) return reader.refuse(`expected a record of ${names()}`);
  const value: Record<string, unknown> = {};
  for (const field of fields) {
    if (!reader.takeExactly(field.keyBytes)) return reader.refuse(`expected the key ${field.name} of ${names()}`);
    value[field.name] = read(reader, field.shape);
    if (reader.refusal !== null) break;
  }
  return value;
}

function readUnion(reader: Reader, variants: ReadonlyMap<string, RecordShape>): unknown {
  const kind = reader.peekKind();
  const variant = kind === null ? undefined : variants.get(kind);
  return variant === undefined ? reader.refuse(`expected a kind out of ${[...variants.keys()].join(', ')}`) : readRecord(reader, variant);
}

function sizeOf(shape: { readonly min: number; readonly max: number }): string {
  return shape.min === shape.max ? `${shape.max}` : `at most ${shape.max}`;
}

function isPlainRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function assertNever(shape: never): never {
  throw new TypeError(`unknown shape ${JSON.stringify(shape)}`);
}
