/**
 * How the chain lies in the key-value store: the keys, what stands under each, and the checksum before each value. Follows docs/SPEC.md §5.
 *
 *   format                       format number, chain id and time of genesis
 *   tip                          what the newest block left: height, ids, roots, log peaks, counts
 *   b|HEIGHT                     block, as decided
 *   c|HEIGHT                     the commit certificate that this node holds for it
 *   h|HEIGHT                     header of the block
 *   l|INDEX                      leaf of the log, with the subtree roots it completes
 *   s|STATE-KEY                  record of the state
 *   n|HASH                       node of the state tree; the hash is its checksum
 *   t|TRANSACTION-ID             where it was committed, and who endorsed it
 *   k|STATE-KEY#HEIGHT           index of the operation of that height about that key
 *   a|ARTIFACT-KEY               a live artifact
 *   f|SHA256                     a file that live artifacts use: how many do, and the newest of them
 *   u|SHA256|ARTIFACT-KEY        a live artifact that uses the file
 *
 * HEIGHT and INDEX are 16 decimal digits; HASH, SHA256 and TRANSACTION-ID 64 hex digits. A bucket's letter is never used again for something
 * else. Every value but a tree node begins with 8 bytes of SHA-256(key ‖ 0x00 ‖ value).
 */

import {
  array,
  bytes,
  coordinates,
  type Digest,
  decode,
  digest,
  digestToHex,
  encode,
  fileEntry,
  type Infer,
  MAX_VALIDATORS,
  record,
  type Schema,
  type Sha256,
  sameBytes,
  uint,
} from '../index.ts';
import { damaged } from './error.ts';

export const FORMAT = 1;
const CHECKSUM_BYTES = 8;
/** Larger than any value written. */
const MAX_VALUE_BYTES = 8 * 1024 * 1024;

export const FORMAT_KEY = 'format';
export const TIP_KEY = 'tip';

export const formatRecord = record({ format: uint(), chainId: digest, timeMs: uint() });

export const counts = record({ artifacts: uint(), files: uint(), names: uint(), bans: uint(), transactions: uint() });
/** Live artifacts, files they use, names, standing bans, and transactions ever. */
export type Counts = Infer<typeof counts>;

export const tipRecord = record({
  height: uint(),
  round: uint(),
  blockId: digest,
  timeMs: uint(),
  logSize: uint(),
  logPeaks: array(digest, 64),
  stateRoot: digest,
  counts,
});
export type TipRecord = Infer<typeof tipRecord>;

export const logEntry = record({ leaf: bytes(65_535), completed: array(digest, 64) });

export const transactionPlace = record({ height: uint(), index: uint(), endorsers: array(digest, MAX_VALIDATORS) });
/** Where a transaction was committed: its height, its place in the block, and who endorsed it. */
export type TransactionPlace = Infer<typeof transactionPlace>;

export const historyEntry = record({ logIndex: uint() });
export const liveArtifact = record({ height: uint() });

export const fileUse = record({ references: uint(), entry: fileEntry, coordinates, height: uint(), transactionId: digest });
/** A file in use: by how many live artifacts, and its entry in the newest of them. */
export type FileUse = Infer<typeof fileUse>;

export const blockKey = (height: number): string => `b|${digits(height)}`;
export const certificateKey = (height: number): string => `c|${digits(height)}`;
export const headerKey = (height: number): string => `h|${digits(height)}`;
export const leafKey = (index: number): string => `l|${digits(index)}`;
export const stateKeyOf = (key: string): string => `s|${key}`;
export const nodeKeyOf = (hash: string): string => `n|${hash}`;
export const transactionKey = (id: Digest): string => `t|${digestToHex(id)}`;
export const historyKey = (key: string, height: number): string => `k|${key}#${digits(height)}`;
export const historyPrefix = (keyPrefix: string): string => `k|${keyPrefix}`;
export const liveKey = (artifactKey: string): string => `a|${artifactKey}`;
export const fileKey = (sha256: string): string => `f|${sha256}`;
export const useKey = (sha256: string, artifactKey: string): string => `u|${sha256}|${artifactKey}`;

/** First and last (exclusive) key of everything that begins with the prefix. */
export function rangeOf(prefix: string): { readonly from: string; readonly to: string } {
  return { from: prefix, to: `${prefix}\x7f` };
}

/** The value as it is stored under this key: its checksum first. */
export function seal(sha256: Sha256, key: string, value: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(CHECKSUM_BYTES + value.length);
  sealed.set(checksum(sha256, key, value));
  sealed.set(value, CHECKSUM_BYTES);
  return sealed;
}

/** The value without its checksum; throws a ChainStoreError where that doesn't fit. */
export function unseal(sha256: Sha256, key: string, sealed: Uint8Array): Uint8Array {
  const value = sealed.subarray(CHECKSUM_BYTES);
  if (sealed.length < CHECKSUM_BYTES || !sameBytes(sealed.subarray(0, CHECKSUM_BYTES), checksum(sha256, key, value))) {
    throw damaged(`the value under ${key} does not fit its checksum`);
  }
  return value;
}

export function sealRecord<T>(sha256: Sha256, key: string, schema: Schema<T>, value: T): Uint8Array {
  return seal(sha256, key, encode(schema, value));
}

export function unsealRecord<T>(sha256: Sha256, key: string, schema: Schema<T>, sealed: Uint8Array): T {
  const decoded = decode(schema, unseal(sha256, key, sealed), { maxBytes: MAX_VALUE_BYTES });
  if (!decoded.ok) throw damaged(`the value under ${key} does not decode: ${decoded.reason}`);
  return decoded.value;
}

function checksum(sha256: Sha256, key: string, value: Uint8Array): Uint8Array {
  const covered = new Uint8Array(key.length + 1 + value.length);
  for (let index = 0; index < key.length; index += 1) covered[index] = key.charCodeAt(index);
  covered.set(value, key.length + 1);
  return sha256(covered).subarray(0, CHECKSUM_BYTES);
}

function digits(value: number): string {
  return String(value).padStart(16, '0');
}
