/**
 * The bytes of a blob as the upstream sends them, as many as the manifest says, taken up again where the connection was cut. Follows OCI
 * dist-spec 1.1 ("Pulling blobs") and RFC 9110 §14 for ranges. Never hashes: the caller does, since only it knows where the bytes go.
 */

import type { Digest } from '../../chain/index.ts';
import { formatDigest } from '../../chain/index.ts';
import type { UpstreamResponse } from '../ports.ts';
import { type ExchangeDeps, leave, TransientFailure, upstreamFailed, withAttempts } from './upstream-exchange.ts';
import { ask, type UpstreamSite } from './upstream-redirects.ts';

export interface BlobRequest {
  readonly repository: string;
  readonly scope: string;
  readonly blob: { readonly sha256: Digest; readonly sizeBytes: number };
  readonly subject: string;
  readonly signal: AbortSignal;
}

/** How often one blob is taken up again. */
const MAX_RESUMES = 5;

export async function* readBlob(request: BlobRequest, site: UpstreamSite, deps: ExchangeDeps): AsyncGenerator<Uint8Array, void, undefined> {
  const { blob, subject } = request;
  let received = 0;
  for (let resumes = 0; ; resumes += 1) {
    const response = await openBlob(request, received, { site, deps });
    try {
      for await (const part of response.body) {
        received += part.length;
        if (received > blob.sizeBytes) throw upstreamFailed(subject, `expected ${blob.sizeBytes} bytes of the upstream, got more`);
        yield part;
      }
      if (received === blob.sizeBytes) return;
      throw upstreamFailed(subject, `expected ${blob.sizeBytes} bytes of the upstream, got ${received}`);
    } catch (error) {
      if (!(error instanceof TransientFailure)) throw error;
      // All that was announced has come: how the connection ended is of no matter.
      if (received === blob.sizeBytes) return;
      if (resumes >= MAX_RESUMES)
        throw upstreamFailed(subject, `${error.message}; given up after ${MAX_RESUMES} times taken up again`, error);
      deps.log.debug({ subject, received, error }, 'upstream blob to be taken up again');
    }
  }
}

/** The answer whose body begins at byte `from`; UPSTREAM_FAILED when the upstream can't begin there or announces another size. */
async function openBlob(
  request: BlobRequest,
  from: number,
  { site, deps }: { readonly site: UpstreamSite; readonly deps: ExchangeDeps },
): Promise<UpstreamResponse> {
  const { blob, subject, signal, scope } = request;
  const path = `/${request.repository}/blobs/${formatDigest(blob.sha256)}`;
  const headers = from === 0 ? {} : { range: `bytes=${from}-` };
  const once = (): Promise<UpstreamResponse> => ask({ method: 'GET', path, headers, scope, subject, signal }, site, deps);
  const response = await withAttempts(once, { attempts: site.limits.attempts, subject, signal }, deps);
  const refusal = from === 0 ? wholeRefusal(response, blob.sizeBytes) : rangeRefusal(response, from, blob.sizeBytes);
  if (refusal === null) return response;
  await leave(response);
  throw upstreamFailed(subject, refusal);
}

function wholeRefusal({ status, headers }: UpstreamResponse, sizeBytes: number): string | null {
  if (status !== 200) return `expected the whole blob, got status ${status}`;
  const length = headers['content-length'];
  return length === undefined || length === String(sizeBytes)
    ? null
    : `expected ${sizeBytes} bytes, the upstream announces ${length.slice(0, 20)}`;
}

function rangeRefusal({ status, headers }: UpstreamResponse, from: number, sizeBytes: number): string | null {
  if (status !== 206) return 'the connection was cut, and the upstream can not go on from the middle';
  const range = headers['content-range'] ?? '';
  const [, first, last, size] = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/.exec(range) ?? [];
  const fits = first === String(from) && last === String(sizeBytes - 1) && (size === String(sizeBytes) || size === '*');
  return fits ? null : `expected bytes ${from}-${sizeBytes - 1}/${sizeBytes}, the upstream announces others`;
}
