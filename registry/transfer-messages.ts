/**
 * What peers say to each other about files: one request for one run, one answer. Follows docs/SPEC.md, "File transfer".
 * Both messages are the chain's deterministic encoding and bounded before anything is built. Never decides who may ask.
 */

import {
  array,
  bytes,
  type Decoded,
  type Digest,
  decode,
  digest,
  digestToHex,
  encode,
  fixedBytes,
  record,
  type Schema,
  uint,
  union,
} from '../chain/index.ts';
import { MAX_PROOF_LENGTH, MAX_RUN_BLOCKS, MAX_RUN_BYTES, type Run } from './pieces.ts';

/** Asks for one aligned run of a file. The size is named because the tree's depth follows from it. */
export interface RunRequest extends Run {
  readonly sha256: Digest;
  readonly sizeBytes: number;
}

/** `absent`: this peer has no such file to give. */
export type RunAnswer =
  | { readonly kind: 'run'; readonly bytes: Uint8Array; readonly proof: readonly Uint8Array[] }
  | { readonly kind: 'absent' };

const runRequest: Schema<RunRequest> = record({ sha256: digest, sizeBytes: uint(), index: uint(), count: uint(MAX_RUN_BLOCKS) });
const runAnswer: Schema<RunAnswer> = union({
  run: { bytes: bytes(MAX_RUN_BYTES), proof: array(fixedBytes(32), MAX_PROOF_LENGTH) },
  absent: {},
});

export const MAX_REQUEST_BYTES = 256;
export const MAX_ANSWER_BYTES: number = MAX_RUN_BYTES + 4096;

/** `files`: committed files, for everyone. `staged`: uncommitted ones, for authorities. */
export type TransferKind = 'files' | 'staged';

/** The protocol id; it contains the chain's id, so that two networks never mix. */
export function transferProtocol(chainId: Digest, kind: TransferKind): string {
  return `/cairn/${digestToHex(chainId).slice(0, 16)}/direct/${kind}/1`;
}

export function encodeRunRequest(request: RunRequest): Uint8Array {
  return encode(runRequest, request);
}

export function decodeRunRequest(data: Uint8Array): Decoded<RunRequest> {
  return decode(runRequest, data, { maxBytes: MAX_REQUEST_BYTES, maxItems: 16 });
}

export function encodeRunAnswer(answer: RunAnswer): Uint8Array {
  return encode(runAnswer, answer);
}

export function decodeRunAnswer(data: Uint8Array): Decoded<RunAnswer> {
  return decode(runAnswer, data, { maxBytes: MAX_ANSWER_BYTES, maxItems: 16 + MAX_PROOF_LENGTH });
}
