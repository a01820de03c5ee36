/**
 * Answers a GET or HEAD with one committed file: ranges, validators, digests, and bytes that go out as fast as the client takes them.
 * Follows RFC 9110 (Range, If-Range, If-None-Match), RFC 9530 (Repr-Digest) and RFC 3230 (Digest). A byte leaves only after its run
 * was verified.
 */

import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type FileEntry, formatDigest } from '../chain/index.ts';
import { type BufferPool, pump } from './byte-pump.ts';
import type { ByteSource } from './download.ts';
import { RegistryError } from './error.ts';
import { type HttpRefusal, refusalOfError, sendRefusal } from './http-errors.ts';
import { type AnswerFront, MAX_REPEATED_BYTES } from './http-front.ts';
import type { Logger, Timers } from './ports.ts';

export interface FileAnswerDeps {
  readonly open: (file: FileEntry, options: { readonly signal: AbortSignal }) => Promise<ByteSource>;
  readonly timers: Timers;
  readonly log: Logger;
  readonly buffers: BufferPool;
  readonly front?: AnswerFront | undefined;
  /** A client that takes nothing for so long is cut off. */
  readonly clientStallMs: number;
  /** How a refusal is written. Default: `sendRefusal`. */
  readonly refuse?: (reply: FastifyReply, refusal: HttpRefusal) => FastifyReply;
  /** Headers in addition to the usual, or instead of them; names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** The range asked for, the whole file (null), or one that can't be satisfied. */
export type WantedRange = { readonly from: number; readonly to: number } | 'unsatisfiable' | null;

interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

interface Wanted {
  readonly file: FileEntry;
  readonly etag: string;
  readonly range: Exclude<WantedRange, 'unsatisfiable'>;
}

/** Sends the file. A HEAD says 200 only when the bytes can be had. */
export async function sendFile(deps: FileAnswerDeps, exchange: Exchange, file: FileEntry): Promise<FastifyReply> {
  const { request, reply } = exchange;
  const etag = `"${formatDigest(file.digests.sha256)}"`;
  const isHead = request.method === 'HEAD';
  if (matchesEtag(request.headers['if-none-match'], etag)) {
    return reply
      .headers({ etag, 'cache-control': 'no-cache', ...deps.headers })
      .code(304)
      .send();
  }
  const ifRange = request.headers['if-range'];
  const rangeCounts = !isHead && (ifRange === undefined || ifRange === etag);
  const range = rangeCounts ? parseRange(request.headers.range, file.sizeBytes) : null;
  if (range === 'unsatisfiable') {
    reply.header('content-range', `bytes */${file.sizeBytes}`);
    const message = `the file has ${file.sizeBytes} bytes`;
    return (deps.refuse ?? sendRefusal)(reply, { status: 416, code: 'RANGE_NOT_SATISFIABLE', message });
  }
  if (await handOver(deps, exchange, { file, etag, range })) return reply;
  return await answer(deps, exchange, { file, etag, range });
}

/** True when the front sends the bytes: these are the headers that go before them. A small file is sent from here, and repeated there. */
async function handOver(deps: FileAnswerDeps, { request, reply }: Exchange, { file, etag, range }: Wanted): Promise<boolean> {
  if (request.method === 'HEAD' || file.sizeBytes <= MAX_REPEATED_BYTES) return false;
  const { from, to } = range ?? { from: 0, to: file.sizeBytes };
  const terms = await deps.front?.handOver(request, { file, from, to });
  if (terms === undefined || terms === null) return false;
  if (range !== null) reply.header('content-range', `bytes ${from}-${to - 1}/${file.sizeBytes}`);
  reply
    .code(range === null ? 200 : 206)
    .headers({ ...headersOf(file, etag), ...deps.headers, ...terms })
    .send();
  return true;
}

/** The headers, and after them the bytes, verified while they are read. */
async function answer(deps: FileAnswerDeps, exchange: Exchange, wanted: Wanted): Promise<FastifyReply> {
  const { request, reply } = exchange;
  const { file, etag, range } = wanted;
  const client = watchClient(request);
  let source: ByteSource;
  try {
    await headOfPipeline(reply.raw, client.gone);
    source = await deps.open(file, { signal: client.gone });
  } catch (error) {
    client.unwatch();
    return (deps.refuse ?? sendRefusal)(reply, refusalOfError(error, deps.log));
  }
  reply.hijack();
  const { from, to } = range ?? { from: 0, to: file.sizeBytes };
  const headers = { ...headersOf(file, etag), 'content-length': String(to - from), ...deps.headers };
  const ranged = range === null ? headers : { ...headers, 'content-range': `bytes ${from}-${to - 1}/${file.sizeBytes}` };
  const repeatable = range === null && to <= MAX_REPEATED_BYTES ? deps.front?.repeatable(request) : {};
  reply.raw.writeHead(range === null ? 200 : 206, { ...ranged, ...repeatable });
  try {
    if (request.method !== 'HEAD') await pump(deps, { source, response: reply.raw, gone: client.gone }, { from, to });
    reply.raw.end();
  } catch (error) {
    // The status has left already: a cut connection is the one way to say that these bytes are not all.
    if (!client.gone.aborted) {
      deps.log.warn(
        { sha256: formatDigest(file.digests.sha256), error: error instanceof Error ? error.message : String(error) },
        'an answer was cut short',
      );
    }
    reply.raw.destroy();
  } finally {
    client.unwatch();
    await source.close();
  }
  return reply;
}

/** A signal that fires when the client has gone, until `unwatch`. */
export function watchClient(request: FastifyRequest): { readonly gone: AbortSignal; readonly unwatch: () => void } {
  const { socket } = request.raw;
  const gone = new AbortController();
  const onClose = (): void => gone.abort();
  // The socket and not the response: one that waits in a pipeline is never told that its client left.
  socket.setMaxListeners(0).once('close', onClose);
  if (socket.destroyed) gone.abort();
  return { gone: gone.signal, unwatch: () => void socket.off('close', onClose) };
}

/** RFC 9110, §14.1.2. Null = no, no valid or more than one range: the whole file. `to` is exclusive. */
export function parseRange(header: string | undefined, sizeBytes: number): WantedRange {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec((header ?? '').trim());
  const [, first, last] = match ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return null;
  if (first === '') {
    const suffix = Math.min(Number(last), sizeBytes);
    return suffix === 0 ? 'unsatisfiable' : { from: sizeBytes - suffix, to: sizeBytes };
  }
  const from = Number(first);
  const to = last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes);
  if (last !== '' && Number(last) < from) return null;
  return from >= sizeBytes ? 'unsatisfiable' : { from, to };
}

/** RFC 9110, §13.1.2. */
export function matchesEtag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === etag);
}

function headersOf(file: FileEntry, etag: string): Record<string, string> {
  const base64 = Buffer.from(file.digests.sha256).toString('base64');
  return {
    'content-type': file.mediaType,
    'accept-ranges': 'bytes',
    'cache-control': 'no-cache',
    etag,
    digest: `sha-256=${base64}`,
    'repr-digest': `sha-256=:${base64}:`,
    'x-content-type-options': 'nosniff',
  };
}

/** Pipelined requests are answered one after the other; the later ones hold no file and no buffer until it is their turn. */
function headOfPipeline(response: ServerResponse, gone: AbortSignal): Promise<void> {
  if (response.socket !== null) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const left = (): void => {
      response.off('socket', turn);
      reject(new RegistryError('ABORTED', 'pipeline', { message: 'the client closed the connection' }));
    };
    const turn = (): void => {
      gone.removeEventListener('abort', left);
      resolve();
    };
    response.once('socket', turn);
    gone.addEventListener('abort', left, { once: true });
  });
}
