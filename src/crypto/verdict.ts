/**
 * Asks the verifier and bears its silence: when it is overloaded, broken or closed there is no verdict, and that is neither yes nor no. Whoever
 * gets `null` here leaves the sender alone and the message where it is; it comes again.
 */

import type { SignatureVerifier, SignedItem } from '../ports.ts';
import { VerifierError } from './zip215.ts';

/** Whether the signature is valid; null when that could not be found out just now. */
export async function verdictOn(verifier: SignatureVerifier, item: SignedItem): Promise<boolean | null> {
  return await orSilence(verifier.verify(item));
}

/** One verdict an item, in order; null when they could not all be found out just now. */
export async function verdictsOn(verifier: SignatureVerifier, items: readonly SignedItem[]): Promise<readonly boolean[] | null> {
  return await orSilence(verifier.verifyMany(items));
}

async function orSilence<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof VerifierError) return null;
    throw error;
  }
}
