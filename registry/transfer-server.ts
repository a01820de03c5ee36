/**
 * Answers peers that ask for runs of files: committed files to everyone while they are servable, staged ones to authorities alone.
 * Follows docs/SPEC.md, "File transfer", and §4.3. Every run is read verified; a peer's bytes never do more here than select a file.
 */

import { type Digest, formatDigest } from '../chain/index.ts';
import type { BlobStore } from './blob-store.ts';
import type { FileIdentity } from './blob-writer.ts';
import { RegistryError } from './error.ts';
import { isRun } from './pieces.ts';
import type { Logger, PeerJudge, PeerRequests } from './ports.ts';
import type { Staging } from './staging.ts';
import {
  decodeRunRequest,
  encodeRunAnswer,
  MAX_REQUEST_BYTES,
  type RunAnswer,
  type RunRequest,
  transferProtocol,
} from './transfer-messages.ts';
import type { Ledger } from './types.ts';
import type { VerifiedReader } from './verified-reader.ts';

export interface TransferServerOptions {
  readonly chainId: Digest;
  /** Runs of one protocol in the making at once; each takes up to 2 MiB. Default: 16. */
  readonly maxConcurrent?: number;
}

export interface TransferServerDeps {
  readonly requests: PeerRequests;
  readonly judge: PeerJudge;
  readonly ledger: Pick<Ledger, 'file' | 'isServable' | 'isFresh'>;
  readonly blobs: BlobStore;
  readonly staging: Staging;
  readonly isAuthority: (peerId: string) => boolean;
  readonly log: Logger;
}

type Opener = (request: RunRequest) => Promise<VerifiedReader | null>;

/** Begins to answer both protocols; ends with the network. */
export function serveTransfers(options: TransferServerOptions, deps: TransferServerDeps): void {
  const limits = { maxRequestBytes: MAX_REQUEST_BYTES, maxConcurrent: options.maxConcurrent ?? 16 };
  const { requests, isAuthority } = deps;
  const committed: Opener = async ({ sha256 }) => {
    const file = servableFile(deps, sha256);
    return file === null ? null : deps.blobs.openReader(file);
  };
  // A file may be committed while an authority is still fetching it for its check.
  const staged: Opener = async (request) => (await deps.staging.openReader(request.sha256)) ?? committed(request);
  requests.handle(transferProtocol(options.chainId, 'files'), limits, (peerId, body) => answer(deps, { peerId, body, open: committed }));
  requests.handle(transferProtocol(options.chainId, 'staged'), limits, async (peerId, body) => {
    if (isAuthority(peerId)) return answer(deps, { peerId, body, open: staged });
    deps.log.warn({ peer: peerId }, 'a peer that is no authority asked for staged bytes');
    return encodeRunAnswer({ kind: 'absent' });
  });
}

function servableFile(deps: TransferServerDeps, sha256: Digest): FileIdentity | null {
  const entry = deps.ledger.isFresh() && deps.ledger.isServable(sha256) ? deps.ledger.file(sha256) : null;
  return entry === null ? null : { sha256, sizeBytes: entry.sizeBytes, piecesRoot: entry.piecesRoot };
}

async function answer(
  deps: TransferServerDeps,
  asked: { readonly peerId: string; readonly body: Uint8Array; readonly open: Opener },
): Promise<Uint8Array> {
  const request = decodeRunRequest(asked.body);
  if (!request.ok || !isRun(request.value.sizeBytes, request.value)) {
    const reason = request.ok ? 'no such run' : request.reason;
    deps.log.warn({ peer: asked.peerId, reason }, 'a peer sent a malformed file request');
    deps.judge.penalize(asked.peerId, 'bad-message', `file request: ${reason}`);
    throw new RegistryError('MISMATCH', asked.peerId, { message: `malformed file request: ${reason}` });
  }
  return encodeRunAnswer(await readRun(deps, request.value, asked.open));
}

async function readRun(deps: TransferServerDeps, request: RunRequest, open: Opener): Promise<RunAnswer> {
  let reader: VerifiedReader | null = null;
  try {
    reader = await open(request);
    if (reader === null || reader.file.sizeBytes !== request.sizeBytes) return { kind: 'absent' };
    const { bytes, proof } = await reader.readRun(request);
    return { kind: 'run', bytes, proof };
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    deps.log.warn({ sha256: formatDigest(request.sha256), code: error.code, error: error.message }, 'a run could not be given to a peer');
    return { kind: 'absent' };
  } finally {
    await reader?.close();
  }
}
