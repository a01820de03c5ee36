/**
 * HEAD and GET of blobs by digest: any committed file that may be served, with ranges. Follows OCI distribution-spec 1.1, "Pulling blobs"
 * (end-2). The repository only has to be a name: bytes that are public under one are public. Never asks for what the chain does not have.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { formatDigest } from '../../chain/index.ts';
import { type FileAnswerDeps, sendFile } from '../http-file.ts';
import type { Ledger } from '../types.ts';
import { API_VERSION, API_VERSION_HEADER, sendAsOciRefusal, sendOciRefusal } from './errors.ts';
import type { OciTarget } from './names.ts';

export interface BlobDeps extends Pick<FileAnswerDeps, 'open' | 'timers' | 'log' | 'clientStallMs' | 'buffers' | 'front'> {
  readonly ledger: Pick<Ledger, 'file' | 'isBanned'>;
}

export async function getBlob(
  deps: BlobDeps,
  exchange: { readonly request: FastifyRequest; readonly reply: FastifyReply },
  { sha256 }: Extract<OciTarget, { kind: 'blob' }>,
): Promise<FastifyReply> {
  const { reply } = exchange;
  const digest = formatDigest(sha256);
  if (deps.ledger.isBanned(sha256)) {
    const reason = 'this blob was removed from the network';
    deps.log.info({ sha256: digest, step: 'refused', reason }, 'file request');
    return sendOciRefusal(reply, { code: 'DENIED', message: reason, detail: { digest } });
  }
  const file = deps.ledger.file(sha256);
  if (file === null) return sendOciRefusal(reply, { code: 'BLOB_UNKNOWN', message: 'the chain has no such blob', detail: { digest } });
  const headers = {
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    [API_VERSION_HEADER]: API_VERSION,
  };
  const { ledger: _ledger, ...answer } = deps;
  return await sendFile({ ...answer, headers, refuse: sendAsOciRefusal }, exchange, file);
}
