/**
 * Signatures for worlds of many nodes and heights: a keyed hash in the place of Ed25519, a hundred times as fast, its public keys hashes
 * too; and Ed25519 itself checked on the spot, without the thread that would bring real time into a world. The keyed hash protects nobody:
 * who knows the public key can forge it, and only what a test forges on purpose is forged.
 */

import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { type NodeKeys, publicKeysOf } from '../../genesis/index.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import { seedSigner } from '../../src/crypto/signer.ts';
import type { SignatureVerifier, SignedItem, Signer } from '../../src/ports.ts';

/** How the nodes of a world sign, and how they check it. */
export interface Signatures {
  /** `next`: keys that a rotation is to put in the place of others. */
  readonly signer: (keys: NodeKeys, next?: Partial<NodeKeys>) => Signer;
  readonly verifier: SignatureVerifier;
  readonly isValid: (item: SignedItem) => boolean;
}

/** `onCurve`: with the public keys of Ed25519, where the chain is to admit keys. */
export function keyedHashes(options: { readonly onCurve?: boolean } = {}): Signatures {
  return {
    signer: (keys, next = {}) => {
      const publicKeysFrom = options.onCurve === true ? publicKeysOf : hashedKeys;
      const publicKeys = publicKeysFrom(keys);
      const nextKeys = Object.keys(next).length === 0 ? publicKeys : publicKeysFrom({ ...keys, ...next });
      return {
        publicKey: (use) => publicKeys[use],
        sign: (use, message, publicKey) => keyedHash(publicKey ?? publicKeys[use], message),
        holds: (use, publicKey) => [publicKeys[use], nextKeys[use]].some((key) => Buffer.compare(key, publicKey) === 0),
      };
    },
    ...checkedBy(({ publicKey, message, signature }) => Buffer.compare(keyedHash(publicKey, message), signature) === 0),
  };
}

function hashedKeys(keys: NodeKeys): NodeKeys {
  return { network: sha256(keys.network), consensus: sha256(keys.consensus), checkpoint: sha256(keys.checkpoint) };
}

/** OpenSSL's verdict. Differs from the one rule only for keys and signatures crafted to divide verifiers. */
export function ed25519OnTheSpot(): Signatures {
  const keys = new Map<string, KeyObject>();
  const check = ({ publicKey, message, signature }: SignedItem): boolean => {
    const x = Buffer.from(publicKey).toString('base64url');
    const key = keys.get(x) ?? createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    keys.set(x, key);
    return verify(null, message, key, signature);
  };
  return { signer: seedSigner, ...checkedBy(check) };
}

function checkedBy(isValid: (item: SignedItem) => boolean): Pick<Signatures, 'verifier' | 'isValid'> {
  return { isValid, verifier: { verify: async (item) => isValid(item), verifyMany: async (items) => items.map(isValid) } };
}

/** A digest and zeros up to 64 bytes, so that as a scalar it stays below the group order. */
function keyedHash(publicKey: Uint8Array, message: Uint8Array): Uint8Array {
  const covered = new Uint8Array(publicKey.length + message.length);
  covered.set(publicKey);
  covered.set(message, publicKey.length);
  const signature = new Uint8Array(64);
  signature.set(sha256(covered));
  return signature;
}
