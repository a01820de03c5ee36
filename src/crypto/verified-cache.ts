/**
 * Remembers signatures that were found valid, so that an endorsement checked on its way into the mempool, or a vote, is not checked again
 * inside a block or certificate. Keyed on the SHA-256 of key, signature and message together; only valid ones are kept, so that nobody
 * can fill it with forgeries. Changes no verdict.
 */

import type { SignatureVerifier, SignedItem } from '../ports.ts';
import { sha256 } from './sha256.ts';

/** Some 20 MB at the most. */
const MAX_REMEMBERED = 100_000;

export function rememberingVerifier(verifier: SignatureVerifier): SignatureVerifier {
  const valid = new Set<string>();
  const remember = (key: string): void => {
    valid.add(key);
    if (valid.size > MAX_REMEMBERED) for (const oldest of valid) return void valid.delete(oldest);
  };
  const verify = async (item: SignedItem): Promise<boolean> => {
    const key = keyOf(item);
    if (valid.has(key)) return true;
    const verdict = await verifier.verify(item);
    if (verdict) remember(key);
    return verdict;
  };
  const verifyMany = async (items: readonly SignedItem[]): Promise<readonly boolean[]> => {
    const keyed = items.map((item) => ({ item, key: keyOf(item) }));
    // A certificate comes twice, beside its block and in the next one: each is verified once.
    const open = new Map(keyed.filter(({ key }) => !valid.has(key)).map(({ item, key }) => [key, item]));
    const verdicts = await verifier.verifyMany([...open.values()]);
    const found = new Map([...open.keys()].map((key, index) => [key, verdicts[index] === true]));
    for (const [key, verdict] of found) if (verdict) remember(key);
    return keyed.map(({ key }) => found.get(key) ?? true);
  };
  return { verify, verifyMany };
}

/** The two first parts have fixed lengths wherever a signature can be valid, so no two items share a key. */
function keyOf({ publicKey, signature, message }: SignedItem): string {
  const bytes = new Uint8Array(publicKey.length + signature.length + message.length);
  bytes.set(publicKey);
  bytes.set(signature, publicKey.length);
  bytes.set(message, publicKey.length + signature.length);
  const digest = sha256(bytes);
  return Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString('latin1');
}
