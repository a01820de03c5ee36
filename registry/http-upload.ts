/**
 * Takes an uploaded body into staging, whoever the client and whatever it does: too long, too short, cut off, or refused before the first
 * byte. Follows RFC 9110 (§10.1.1 Expect, §14.5 Content-Range in PUT). The body is never held in memory.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { WrittenFile } from './blob-writer.ts';
import { RegistryError } from './error.ts';
import { type HttpRefusal, sendRefusal } from './http-errors.ts';
import type { Staging } from './staging.ts';

/** A refused body up to this long is read to its end, so that the client is surely there to hear the answer. */
const MAX_DRAINED_BYTES = 1_048_576;

/** Who may write, by its token; in constant time, and without telling how long a token is. */
export function tokenCheck(tokens: readonly string[]): (token: string) => boolean {
  const known = tokens.map((token) => createHash('sha256').update(token).digest());
  return (token) => {
    const digest = createHash('sha256').update(token).digest();
    return known.reduce((found, one) => timingSafeEqual(one, digest) || found, false);
  };
}

/** The token of `Authorization: Bearer …`, or null. RFC 6750, §2.1. */
export function bearerToken(request: FastifyRequest): string | null {
  return /^Bearer +([A-Za-z0-9._~+/=-]{1,512})$/i.exec(request.headers.authorization ?? '')?.[1] ?? null;
}

/**
 * Lets uploads below `prefix` be refused before their body is sent: Node's own `100 Continue` is held back until the handler calls
 * `acceptBody`. Everything else is continued at once. To be called once for a server.
 */
export function deferContinue(app: FastifyInstance, prefix: string): void {
  const server: Server = app.server;
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (request.method !== 'PUT' || request.url?.startsWith(prefix) !== true) response.writeContinue();
    server.emit('request', request, response);
  });
}

/** Null when the request's headers allow a body to be taken, else the refusal. */
export function refuseUploadHeaders(request: FastifyRequest, maxBytes: number): HttpRefusal | null {
  const { headers } = request;
  const { 'transfer-encoding': coding, 'content-length': announced } = headers;
  if (coding !== undefined && coding.toLowerCase() !== 'chunked')
    return { status: 501, code: 'UNSUPPORTED_ENCODING', message: 'the one transfer coding known here is chunked' };
  // Without either a request has no body: what was forgotten must not become an empty file for ever.
  if (coding === undefined && announced === undefined)
    return { status: 411, code: 'LENGTH_REQUIRED', message: 'a file is uploaded with Content-Length, or chunked' };
  if (headers['content-range'] !== undefined)
    return { status: 400, code: 'BAD_REQUEST', message: 'a file is uploaded whole: no Content-Range' };
  if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') {
    return { status: 415, code: 'UNSUPPORTED_ENCODING', message: 'a file is uploaded as it is: no Content-Encoding' };
  }
  const length = Number(announced ?? 0);
  return length > maxBytes ? { status: 413, code: 'TOO_LARGE', message: `at most ${maxBytes} bytes may be published here` } : null;
}

/** Answers a refusal to a request whose body has not been read. */
export async function refuseUpload(request: FastifyRequest, reply: FastifyReply, refusal: HttpRefusal): Promise<FastifyReply> {
  leaveBody(request, reply);
  return sendRefusal(reply, refusal);
}

/** Before an answer that doesn't care for the body: a short one is let pass, a long one ends the connection. */
export function leaveBody(request: FastifyRequest, reply: FastifyReply): void {
  const isChunked = request.headers['transfer-encoding'] !== undefined;
  const length = isChunked ? Number.POSITIVE_INFINITY : Number(request.headers['content-length'] ?? 0);
  const isHeldBack = request.headers.expect !== undefined;
  if (isHeldBack || length > MAX_DRAINED_BYTES) reply.header('connection', 'close');
  else request.raw.resume();
}

/** Streams the body into staging. Throws TOO_LARGE, STAGING_FULL, NO_SPACE, READ_ONLY, DISK, or ABORTED when the client went away. */
export async function stageBody(
  staging: Staging,
  exchange: { readonly request: FastifyRequest; readonly reply: FastifyReply },
  maxBytes: number,
): Promise<WrittenFile> {
  const { request, reply } = exchange;
  const into = await staging.write({ maxBytes });
  if (request.headers.expect !== undefined) reply.raw.writeContinue();
  const announced = request.headers['content-length'];
  try {
    for await (const chunk of request.raw.iterator({ destroyOnReturn: false })) await into.write(chunk);
    if (request.raw.complete === false || (announced !== undefined && Number(announced) !== into.sizeBytes))
      throw new Error('the body ended early');
  } catch (error) {
    await into.cancel();
    if (error instanceof RegistryError) throw error;
    throw new RegistryError('ABORTED', 'upload', { message: 'the upload was cut off before its end', cause: error });
  }
  return into.commit(await into.finish());
}
