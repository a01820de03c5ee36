/**
 * Answers a GET or HEAD with one committed file: ranges, validators, digests, and bytes that go out as fast as the client takes them.
 * Follows RFC 9110 (Range, If-Range, If-None-Match), RFC 9530 (Repr-Digest) and RFC 3230 (Digest). Two small buffers per answer, whatever
 * the client's speed; a byte leaves only after its run was verified.
 */

import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type FileEntry, formatDigest } from '../chain/index.ts';
import type { ByteSource } from './download.ts';
import { refusalOfError, sendRefusal } from './http-errors.ts';
import type { Logger, Timers } from './ports.ts';

const BUFFER_BYTES = 262_144;

export interface FileAnswerDeps {
  readonly open: (file: FileEntry, options: { readonly signal: AbortSignal }) => Promise<ByteSource>;
  readonly timers: Timers;
  readonly log: Logger;
  /** A client that takes nothing for so long is cut off. */
  readonly clientStallMs: number;
}

/** The range asked for, the whole file (null), or one that can't be satisfied. */
export type WantedRange = { readonly from: number; readonly to: number } | 'unsatisfiable' | null;

/** Sends the file. A HEAD says 200 only when the bytes can be had. */
export async function sendFile(
  deps: FileAnswerDeps,
  exchange: { request: FastifyRequest; reply: FastifyReply },
  file: FileEntry,
): Promise<FastifyReply> {
  const { request, reply } = exchange;
  const etag = `"${formatDigest(file.digests.sha256)}"`;
  const isHead = request.method === 'HEAD';
  if (matchesEtag(request.headers['if-none-match'], etag)) {
    return reply.headers({ etag, 'cache-control': 'no-cache' }).code(304).send();
  }
  const ifRange = request.headers['if-range'];
  const rangeCounts = !isHead && (ifRange === undefined || ifRange === etag);
  const range = rangeCounts ? parseRange(request.headers.range, file.sizeBytes) : null;
  if (range === 'unsatisfiable') {
    reply.header('content-range', `bytes */${file.sizeBytes}`);
    return sendRefusal(reply, { status: 416, code: 'RANGE_NOT_SATISFIABLE', message: `the file has ${file.sizeBytes} bytes` });
  }
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  let source: ByteSource;
  try {
    source = await deps.open(file, { signal: gone.signal });
  } catch (error) {
    return sendRefusal(reply, refusalOfError(error, deps.log));
  }
  reply.hijack();
  const { from, to } = range ?? { from: 0, to: file.sizeBytes };
  const headers = { ...headersOf(file, etag), 'content-length': String(to - from) };
  const ranged = range === null ? headers : { ...headers, 'content-range': `bytes ${from}-${to - 1}/${file.sizeBytes}` };
  reply.raw.writeHead(range === null ? 200 : 206, ranged);
  try {
    if (!isHead) await pump(deps, { source, response: reply.raw }, { from, to });
    reply.raw.end();
  } catch (error) {
    // The status has left already: a cut connection is the one way to say that these bytes are not all.
    if (!gone.signal.aborted) {
      deps.log.warn(
        { sha256: formatDigest(file.digests.sha256), error: error instanceof Error ? error.message : String(error) },
        'an answer was cut short',
      );
    }
    reply.raw.destroy();
  } finally {
    await source.close();
  }
  return reply;
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

function matchesEtag(header: string | undefined, etag: string): boolean {
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

/** Reads into one buffer while the other is on its way; a buffer is used again only when the socket has taken it. */
async function pump(
  deps: FileAnswerDeps,
  ends: { readonly source: ByteSource; readonly response: ServerResponse },
  range: { readonly from: number; readonly to: number },
): Promise<void> {
  const size = Math.min(BUFFER_BYTES, range.to - range.from);
  const buffers = [new Uint8Array(size), new Uint8Array(size)];
  let sending: Promise<void> = Promise.resolve();
  for (let position = range.from, turn = 0; position < range.to; turn += 1) {
    const target = (buffers[turn % 2] ?? new Uint8Array(size)).subarray(0, Math.min(size, range.to - position));
    const read = await ends.source.read(target, position);
    await sending;
    if (read === 0) throw new Error(`the file ended at ${position}, expected ${range.to}`);
    sending = send(deps, ends.response, target.subarray(0, read));
    // Awaited in the next turn or below; a failure in between must not count as unhandled.
    sending.catch(() => undefined);
    position += read;
  }
  await sending;
}

function send(deps: FileAnswerDeps, response: ServerResponse, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const stalled = deps.timers.set(deps.clientStallMs, () => response.destroy(new Error('the client took nothing for too long')));
    const closed = (): void => settle(new Error('the client closed the connection'));
    const settle = (error: Error | null | undefined): void => {
      stalled.cancel();
      response.off('close', closed);
      if (error) reject(error);
      else resolve();
    };
    response.once('close', closed);
    response.write(chunk, settle);
  });
}
