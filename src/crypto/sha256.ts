/**
 * The Sha256 port by node:crypto, with the one-shot call where this Node has it (20.12), which is twice as fast on small inputs.
 */

import * as crypto from 'node:crypto';
import { asDigest, type Sha256 } from '../../chain/index.ts';

export const sha256: Sha256 = typeof crypto.hash === 'function' ? oneShot : streamed;

function oneShot(data: Uint8Array): ReturnType<Sha256> {
  return asDigest(plain(crypto.hash('sha256', data, 'buffer')));
}

function streamed(data: Uint8Array): ReturnType<Sha256> {
  return asDigest(plain(crypto.createHash('sha256').update(data).digest()));
}

/** A Buffer's bytes as a plain array, since encoders and comparisons tell the two apart. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
