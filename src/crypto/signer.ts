/**
 * Signs with this node's raw Ed25519 seeds by node:crypto. Key objects are made once: importing costs fifteen times a signature.
 * Never shows a seed again.
 */

import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import type { KeyUse, Signer } from '../ports.ts';

/** PKCS #8 wrapping of an Ed25519 seed (RFC 8410, §7), up to the seed itself. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: Uint8Array;
}

/** Each seed is 32 bytes; throws a RangeError otherwise. */
export function seedSigner(seeds: Readonly<Record<KeyUse, Uint8Array>>): Signer {
  const pairs: Readonly<Record<KeyUse, KeyPair>> = {
    network: pairOf(seeds.network),
    consensus: pairOf(seeds.consensus),
    checkpoint: pairOf(seeds.checkpoint),
  };
  return {
    publicKey: (use) => pairs[use].publicKey,
    sign: (use, message) => new Uint8Array(sign(null, message, pairs[use].privateKey)),
  };
}

/** Raw public key, 32 bytes, of a raw seed. */
export function publicKeyOfSeed(seed: Uint8Array): Uint8Array {
  return pairOf(seed).publicKey;
}

function pairOf(seed: Uint8Array): KeyPair {
  if (seed.length !== 32) throw new RangeError(`expected an Ed25519 seed of 32 bytes, got ${seed.length}`);
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  if (x === undefined) throw new Error('expected node:crypto to give the public half of an Ed25519 key, got none');
  return { privateKey, publicKey: new Uint8Array(Buffer.from(x, 'base64url')) };
}
