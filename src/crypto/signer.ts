/**
 * Signs with this node's raw Ed25519 seeds by node:crypto. Key objects are made once: importing costs fifteen times a signature.
 * Never shows a seed again.
 */

import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { sameBytes } from '../../chain/index.ts';
import { KEY_USES } from '../../genesis/index.ts';
import type { KeyUse, Signer } from '../ports.ts';

/** PKCS #8 wrapping of an Ed25519 seed (RFC 8410, §7), up to the seed itself. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: Uint8Array;
}

/** A signer that can be told of keys that are to take the place of others. */
export interface RotatingSigner extends Signer {
  readonly learn: (next: NextSeeds) => void;
}

type NextSeeds = Readonly<Partial<Record<KeyUse, Uint8Array>>>;

/** Each seed is 32 bytes; throws a RangeError otherwise. `next`: those that a rotation is to put in the place of the others. */
export function seedSigner(seeds: Readonly<Record<KeyUse, Uint8Array>>, next: NextSeeds = {}): RotatingSigner {
  const pairs: Readonly<Record<KeyUse, KeyPair>> = {
    network: pairOf(seeds.network),
    consensus: pairOf(seeds.consensus),
    checkpoint: pairOf(seeds.checkpoint),
  };
  const nextPairs = new Map<KeyUse, KeyPair>();
  const learn = (given: NextSeeds): void => {
    for (const use of KEY_USES) if (given[use] !== undefined) nextPairs.set(use, pairOf(given[use]));
  };
  learn(next);
  const find = (use: KeyUse, publicKey: Uint8Array): KeyPair | undefined =>
    [pairs[use], nextPairs.get(use)].find((pair) => pair !== undefined && sameBytes(pair.publicKey, publicKey));
  return {
    publicKey: (use) => pairs[use].publicKey,
    sign: (use, message, publicKey) => {
      const pair = publicKey === undefined ? pairs[use] : find(use, publicKey);
      if (pair === undefined) throw new RangeError(`expected a ${use} key that is held here`);
      return new Uint8Array(sign(null, message, pair.privateKey));
    },
    holds: (use, publicKey) => find(use, publicKey) !== undefined,
    learn,
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
