/**
 * Schema combinators: each structure of the chain is declared once, and from that one declaration come its TypeScript type (`Infer`),
 * its check and, with codec.ts, its strict decoder. Follows docs/SPEC.md §1. Never touches bytes itself.
 *
 * Value model: unsigned integers 0…2^53−1, byte strings, UTF-8 text, booleans, null, arrays, and records with ASCII keys, none optional.
 */

import type { Digest } from './digest.ts';

/** Accepts or refuses a plain value. `check` returns null, or what was wrong and where. */
export interface Schema<T> {
  /** Phantom: carries the TypeScript type, never set. */
  readonly type?: T;
  readonly check: (value: unknown, path: string) => string | null;
}

/** The TypeScript type that a schema describes. */
export type Infer<S> = S extends Schema<infer T> ? T : never;

/** Any schema, whatever it describes. */
export type AnySchema = Schema<unknown>;

type Fields = Readonly<Record<string, AnySchema>>;
export type InferFields<F extends Fields> = { readonly [K in keyof F]: Infer<F[K]> };

/** Integer from 0 to `max` (default 2^53 − 1). */
export function uint(max: number = Number.MAX_SAFE_INTEGER): Schema<number> {
  return {
    check: (value, path) =>
      Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max && !Object.is(value, -0)
        ? null
        : `${path}: expected an integer from 0 to ${max}`,
  };
}

/** Byte string of at most `max` bytes. */
export function bytes(max: number): Schema<Uint8Array> {
  return {
    check: (value, path) => (value instanceof Uint8Array && value.length <= max ? null : `${path}: expected at most ${max} bytes`),
  };
}

/** Byte string of exactly `length` bytes. */
export function fixedBytes(length: number): Schema<Uint8Array> {
  return {
    check: (value, path) => (value instanceof Uint8Array && value.length === length ? null : `${path}: expected ${length} bytes`),
  };
}

/** SHA-256 digest, 32 raw bytes. */
export const digest: Schema<Digest> = fixedBytes(32) as Schema<Digest>;

/** Text of at most `max` UTF-16 code units that matches `pattern` where one is given. */
export function text(max: number, pattern?: RegExp): Schema<string> {
  return {
    check: (value, path) => {
      if (typeof value !== 'string' || value.length > max) return `${path}: expected text of at most ${max} characters`;
      return pattern === undefined || pattern.test(value) ? null : `${path}: expected text like ${pattern.source}`;
    },
  };
}

export const bool: Schema<boolean> = {
  check: (value, path) => (typeof value === 'boolean' ? null : `${path}: expected true or false`),
};

/** Exactly one of the given strings. */
export function oneOf<const T extends readonly string[]>(...values: T): Schema<T[number]> {
  return {
    check: (value, path) => (values.some((one) => one === value) ? null : `${path}: expected one of ${values.join(', ')}`),
  };
}

/** The value or null. */
export function nullable<T>(inner: Schema<T>): Schema<T | null> {
  return { check: (value, path) => (value === null ? null : inner.check(value, path)) };
}

/** Array of at most `max` items. */
export function array<T>(inner: Schema<T>, max: number): Schema<readonly T[]> {
  return {
    check: (value, path) => {
      if (!Array.isArray(value) || value.length > max) return `${path}: expected an array of at most ${max} items`;
      for (const [index, item] of value.entries()) {
        const refusal = inner.check(item, `${path}[${index}]`);
        if (refusal !== null) return refusal;
      }
      return null;
    },
  };
}

/** Record with exactly these keys: none missing, none unknown. */
export function record<const F extends Fields>(fields: F): Schema<InferFields<F>> {
  const names = Object.keys(fields);
  return {
    check: (value, path) => {
      if (!isPlainRecord(value)) return `${path}: expected a record`;
      const known = Object.keys(value);
      if (known.length !== names.length) return `${path}: expected the keys ${names.join(', ')}, got ${known.join(', ')}`;
      for (const name of names) {
        if (!Object.hasOwn(value, name)) return `${path}: missing key ${name}`;
        const refusal = (fields[name] as AnySchema).check(value[name], `${path}.${name}`);
        if (refusal !== null) return refusal;
      }
      return null;
    },
  };
}

/** Records told apart by their `kind`; each variant's schema holds the other keys. */
export function union<const V extends Readonly<Record<string, Fields>>>(
  variants: V,
): Schema<{ readonly [K in keyof V]: { readonly kind: K } & InferFields<V[K]> }[keyof V]> {
  const byKind = new Map<string, AnySchema>(
    Object.entries(variants).map(([kind, fields]) => [kind, record({ kind: oneOf(kind), ...fields }) as AnySchema]),
  );
  return {
    check: (value, path) => {
      if (!isPlainRecord(value)) return `${path}: expected a record`;
      const variant = typeof value['kind'] === 'string' ? byKind.get(value['kind']) : undefined;
      return variant === undefined ? `${path}.kind: expected one of ${[...byKind.keys()].join(', ')}` : variant.check(value, path);
    },
  };
}

function isPlainRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
