/**
 * The thread that judges a signature by ZIP-215 with @noble/ed25519. Gets batches, answers one verdict an item, in order.
 * Started by zip215.ts alone; never touches anything but its messages.
 */

import { createHash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { hashes, verify } from '@noble/ed25519';
import type { SignedItem } from '../ports.ts';
import type { Zip215Request } from './zip215.ts';

hashes.sha512 = (message) => new Uint8Array(createHash('sha512').update(message).digest());

parentPort?.on('message', (request: Zip215Request) => {
  parentPort?.postMessage(request.items.map(isValid));
});

function isValid(item: SignedItem): boolean {
  try {
    return verify(item.signature, item.message, item.publicKey, { zip215: true });
  } catch {
    return false; // noble throws for a point that is not on the curve.
  }
}
