/**
 * Reads the chain's values out of the key-value store, each against its checksum and its schema. Follows docs/SPEC.md §5. Whatever doesn't fit
 * is damage and throws a ChainStoreError: a node must not go on with it.
 */

import type { Schema, Sha256 } from '../index.ts';
import type { KeyRange, KeyValueStore } from './key-value-store.ts';
import { rangeOf, unseal, unsealRecord } from './layout.ts';

export interface PageOptions {
  /** Exclusive. */
  readonly after?: string;
  readonly limit: number;
}

export class SealedValues {
  readonly kv: KeyValueStore;
  readonly sha256: Sha256;

  constructor(deps: { readonly kv: KeyValueStore; readonly sha256: Sha256 }) {
    this.kv = deps.kv;
    this.sha256 = deps.sha256;
  }

  bytes(key: string): Uint8Array | null {
    const sealed = this.kv.get(key);
    return sealed === null ? null : unseal(this.sha256, key, sealed);
  }

  record<T>(key: string, schema: Schema<T>): T | null {
    const sealed = this.kv.get(key);
    return sealed === null ? null : unsealRecord(this.sha256, key, schema, sealed);
  }

  /** Keys and records of the range, in order. */
  async records<T>(range: KeyRange, schema: Schema<T>): Promise<readonly (readonly [string, T])[]> {
    const entries = await this.kv.range(range);
    return entries.map(([key, sealed]) => [key, unsealRecord(this.sha256, key, schema, sealed)] as const);
  }

  /** What follows the prefix in the keys that begin with it, in order, a page at a time. */
  async keysAfter(prefix: string, options: PageOptions): Promise<readonly string[]> {
    const entries = await this.kv.range({ ...pageOf(prefix, options.after), limit: options.limit });
    return entries.map(([key]) => key.slice(prefix.length));
  }
}

/** The keys that begin with `prefix`, behind `prefix + after`. */
export function pageOf(prefix: string, after: string | undefined): { readonly from: string; readonly to: string } {
  const { from, to } = rangeOf(prefix);
  return { from: after === undefined ? from : `${prefix}${after}\0`, to };
}
