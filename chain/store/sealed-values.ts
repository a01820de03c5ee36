/**
 * Reads the chain's values out of the key-value store, each against its checksum and its schema. Follows docs/SPEC.md §5. Whatever doesn't fit
 * is damage and throws a ChainStoreError: a node must not go on with it. Whose store it is hears of it, whoever was reading.
 */

import type { Schema, Sha256 } from '../index.ts';
import type { ChainStoreDeps } from './chain-reader.ts';
import { type ChainStoreError, damaged } from './error.ts';
import { type KeyRange, KeyValueError, type KeyValueStore } from './key-value-store.ts';
import { rangeOf, unseal, unsealRecord } from './layout.ts';

export interface PageOptions {
  /** Exclusive. */
  readonly after?: string;
  readonly limit: number;
}

export class SealedValues {
  readonly kv: KeyValueStore;
  readonly sha256: Sha256;
  readonly #onFailure: (error: unknown) => void;

  constructor({ kv, sha256, onFailure = () => {} }: ChainStoreDeps) {
    this.kv = kv;
    this.sha256 = sha256;
    this.#onFailure = onFailure;
  }

  bytes(key: string): Uint8Array | null {
    return this.#open(key, (sealed) => unseal(this.sha256, key, sealed));
  }

  record<T>(key: string, schema: Schema<T>): T | null {
    return this.#open(key, (sealed) => unsealRecord(this.sha256, key, schema, sealed));
  }

  /** Keys and records of the range, in order. */
  async records<T>(range: KeyRange, schema: Schema<T>): Promise<readonly (readonly [string, T])[]> {
    const entries = await this.range(range);
    return this.#told(() => entries.map(([key, sealed]) => [key, unsealRecord(this.sha256, key, schema, sealed)] as const));
  }

  /** What follows the prefix in the keys that begin with it, in order, a page at a time. */
  async keysAfter(prefix: string, options: PageOptions): Promise<readonly string[]> {
    const entries = await this.range({ ...pageOf(prefix, options.after), limit: options.limit });
    return entries.map(([key]) => key.slice(prefix.length));
  }

  /** As it is stored. */
  get(key: string): Uint8Array | null {
    return this.#told(() => this.kv.get(key));
  }

  /** As they are stored. */
  async range(range: KeyRange): ReturnType<KeyValueStore['range']> {
    try {
      return await this.kv.range(range);
    } catch (error) {
      throw this.#tell(error);
    }
  }

  /** Damage to throw. */
  damaged(detail: string): ChainStoreError {
    return this.#tell(damaged(detail));
  }

  #open<T>(key: string, open: (sealed: Uint8Array) => T): T | null {
    const sealed = this.get(key);
    return sealed === null ? null : this.#told(() => open(sealed));
  }

  #told<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw this.#tell(error);
    }
  }

  /** A store that was closed has not failed. */
  #tell<T>(error: T): T {
    if (!(error instanceof KeyValueError && error.code === 'STORE_CLOSED')) this.#onFailure(error);
    return error;
  }
}

/** The keys that begin with `prefix`, behind `prefix + after`. */
export function pageOf(prefix: string, after: string | undefined): { readonly from: string; readonly to: string } {
  const { from, to } = rangeOf(prefix);
  return { from: after === undefined ? from : `${prefix}${after}\0`, to };
}
