/**
 * The one Ed25519 rule: a signature is valid if and only if ZIP-215 says so. Follows docs/SPEC.md §7.
 *
 * First S < L; then node:crypto, which accepts a strict subset of ZIP-215, so its yes is final; its no is put before the ZIP-215 rule in
 * a worker thread, slow and rate-limited. Never guesses: when the worker is overloaded or broken the promise rejects, because a wrong
 * "invalid" would fork the chain as surely as a wrong "valid".
 */

import { createPublicKey, type KeyObject, verify as verifySync } from 'node:crypto';
import type { Clock, SignatureVerifier, SignedItem, Timers } from '../ports.ts';
import { openZip215 } from './zip215.ts';

export interface Ed25519VerifierOptions {
  /** Second opinions a second in the long run. Default 500. */
  readonly secondOpinionsPerSecond?: number;
  /** Second opinions waiting before further ones are refused. Default 4096. */
  readonly maxWaiting?: number;
  /** Public keys kept imported. Default 1024. */
  readonly maxKeys?: number;
}

export interface Ed25519Verifier extends SignatureVerifier {
  /** Ends the worker; verdicts still waited for reject. */
  readonly close: () => Promise<void>;
}

/** Order of the base point's group, 2^252 + 27742317777372353535851937790883648493, little-endian (RFC 8032, §5.1). */
const GROUP_ORDER = Buffer.from('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010', 'hex');

/** From this many items on the thread pool pays; fewer are checked on the spot. */
const POOL_FROM_ITEMS = 4;
/** Verifications handed to the pool at once, small enough not to keep disk work waiting for longer than a millisecond. */
const POOL_IN_FLIGHT = 32;

export function openEd25519Verifier(
  options: Ed25519VerifierOptions,
  deps: { readonly clock: Clock; readonly timers: Timers },
): Ed25519Verifier {
  const keys = keyCache(options.maxKeys ?? 1024);
  const zip215 = openZip215({ perSecond: options.secondOpinionsPerSecond ?? 500, maxWaiting: options.maxWaiting ?? 4096 }, deps);

  async function verify(item: SignedItem): Promise<boolean> {
    if (!hasForm(item)) return false;
    return opensslAccepts(item, keys.get(item.publicKey)) || zip215.verify(item);
  }

  async function verifyOnPool(item: SignedItem): Promise<boolean> {
    if (!hasForm(item)) return false;
    return (await opensslAcceptsOnPool(item, keys.get(item.publicKey))) || zip215.verify(item);
  }

  async function verifyMany(items: readonly SignedItem[]): Promise<readonly boolean[]> {
    if (items.length < POOL_FROM_ITEMS) return Promise.all(items.map(verify));
    const verdicts: boolean[] = items.map(() => false);
    const work = items.entries();
    const runner = async (): Promise<void> => {
      for (const [index, item] of work) verdicts[index] = await verifyOnPool(item);
    };
    await Promise.all(Array.from({ length: Math.min(POOL_IN_FLIGHT, items.length) }, runner));
    return verdicts;
  }

  return { verify, verifyMany, close: () => zip215.close() };
}

/** Lengths, and S < L. */
function hasForm(item: SignedItem): boolean {
  return item.publicKey.length === 32 && item.signature.length === 64 && isBelowOrder(item.signature.subarray(32));
}

function isBelowOrder(scalar: Uint8Array): boolean {
  for (let index = 31; index >= 0; index -= 1) {
    const difference = (scalar[index] ?? 0) - (GROUP_ORDER[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** A key that OpenSSL won't even import (`null`) is left to the ZIP-215 rule. */
function opensslAccepts(item: SignedItem, key: KeyObject | null): boolean {
  return key !== null && verifySync(null, item.message, key, item.signature);
}

function opensslAcceptsOnPool(item: SignedItem, key: KeyObject | null): Promise<boolean> {
  if (key === null) return Promise.resolve(false);
  return new Promise((resolve, reject) => {
    verifySync(null, item.message, key, item.signature, (error, accepted) => (error === null ? resolve(accepted) : reject(error)));
  });
}

/** Imported keys, the least recently used dropped first. */
function keyCache(maxKeys: number): { readonly get: (publicKey: Uint8Array) => KeyObject | null } {
  const known = new Map<string, KeyObject | null>();
  return {
    get: (publicKey) => {
      const x = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.byteLength).toString('base64url');
      const cached = known.get(x);
      if (cached !== undefined) known.delete(x);
      const key = cached ?? importKey(x);
      known.set(x, key);
      if (known.size > maxKeys) known.delete(known.keys().next().value ?? x);
      return key;
    },
  };
}

function importKey(x: string): KeyObject | null {
  try {
    return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  } catch {
    return null; // OpenSSL refuses to hold it; ZIP-215 decides.
  }
}
