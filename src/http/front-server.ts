/**
 * The front's handling of requests: from memory when the answer is known and still true, else asked of the app and passed on, with the
 * bytes of a stored file put in by the front itself (docs/adr/0018). A client's bytes, whatever they are, end at most their own connection.
 */

import { type Agent, type ClientRequest, createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { MAX_REPEATED_BYTES } from '../../registry/index.ts';
import type { RouteClass } from '../metrics/types.ts';
import type { Logger } from '../ports.ts';
import { type AnswerCache, keyOf } from './front-cache.ts';
import type { Exchange, FileSender } from './front-files.ts';
import { answerHeaders, askApp, hasBody, writeHead } from './front-forward.ts';
import { FILE_HEADER, type Mode, parseHandOver, REPEAT_HEADER, ROUTE_HEADER } from './front-protocol.ts';
import { CHECK_INTERVAL_MS, HEADERS_TIMEOUT_MS, KEEP_ALIVE_MS, MAX_HEADER_BYTES } from './limits.ts';

export interface FrontServerDeps {
  /** Leads to the app. */
  readonly agent: Agent;
  readonly files: FileSender;
  readonly cache: AnswerCache;
  readonly epoch: () => number;
  readonly log: Logger;
  /** Told of every answer that the app doesn't count itself. */
  readonly onAnswered: (route: RouteClass, status: number, durationMs: number) => void;
}

export class FrontServer {
  readonly server: Server;
  readonly #deps: FrontServerDeps;
  /** Every connection, with how many of its requests are under way. */
  readonly #connections: Map<Socket, number> = new Map();
  #isClosing = false;

  constructor(options: { readonly maxConnections: number; readonly idleTimeoutMs: number }, deps: FrontServerDeps) {
    this.#deps = deps;
    this.server = createServer({
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
    });
    this.server.maxConnections = options.maxConnections;
    this.server.timeout = options.idleTimeoutMs;
    this.server.on('connection', (socket) => {
      this.#connections.set(socket, 0);
      socket.once('close', () => this.#connections.delete(socket));
    });
    this.server.on('request', (request, response) => this.#answer(request, response, false));
    this.server.on('checkContinue', (request, response) => this.#answer(request, response, true));
  }

  /** No new connection; idle ones end at once, answers under way get the grace. */
  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    const timer = setTimeout(() => this.server.closeAllConnections(), graceMs);
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
      // Node's own notion of idle leaves out the connections that have not asked for anything yet.
      for (const [socket, underWay] of this.#connections) if (underWay === 0) socket.destroySoon();
    });
    clearTimeout(timer);
  }

  #answer(request: IncomingMessage, response: ServerResponse, isHeldBack: boolean): void {
    const startedMs = performance.now();
    if (this.#isClosing) response.shouldKeepAlive = false;
    const key = keyOf(request);
    const kept = key === null || response.socket === null ? null : this.#deps.cache.get(key);
    if (kept !== null) {
      response.writeHead(kept.status, [...kept.headers]);
      response.end(kept.body);
      this.#deps.onAnswered(kept.route, kept.status, performance.now() - startedMs);
      return;
    }
    const handled = (): void => undefined;
    request.on('error', handled);
    response.on('error', handled).on('finish', () => this.#count(request.socket, -1));
    this.#count(request.socket, 1);
    const client = watch(request.socket);
    const exchange = { request, response, gone: client.gone };
    this.#exchange(exchange, { key, isHeldBack, startedMs })
      .catch((error: unknown) => this.#fail(exchange, error))
      .finally(client.unwatch);
  }

  #count(socket: Socket, change: 1 | -1): void {
    const underWay = (this.#connections.get(socket) ?? 0) + change;
    if (!socket.destroyed) this.#connections.set(socket, underWay);
    if (this.#isClosing && underWay === 0) socket.destroySoon();
  }

  async #exchange(exchange: Exchange, of: { key: string | null; isHeldBack: boolean; startedMs: number }): Promise<void> {
    const { request, response, gone } = exchange;
    await turnOf(response, gone);
    const epoch = this.#deps.epoch();
    const answer = await this.#ask(exchange, hasBody(request) ? 'direct' : 'hand-over', of.isHeldBack);
    if (this.#isClosing) response.shouldKeepAlive = false;
    const handOver = answer.headers[FILE_HEADER];
    if (typeof handOver !== 'string') return await this.#passOn(exchange, answer, { key: of.key, epoch });
    answer.resume();
    if (await this.#deps.files.send(exchange, answer, parseHandOver(handOver))) {
      return this.#deps.onAnswered(routeOf(answer), answer.statusCode ?? 0, performance.now() - of.startedMs);
    }
    // The file left the store after the app had found it there: now the app sends what it can get.
    await this.#passOn(exchange, await this.#ask(exchange, 'direct', false), { key: null, epoch });
  }

  #ask({ request, response, gone }: Exchange, mode: Mode, isHeldBack: boolean): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const asked = askApp(this.#deps.agent, request, { mode });
      const left = (): void => void asked.destroy();
      gone.addEventListener('abort', left, { once: true });
      asked.on('error', reject).on('response', resolve);
      if (gone.aborted) left();
      else if (!hasBody(request)) asked.end();
      else if (!isHeldBack) sendBody(request, asked);
      else {
        asked.on('continue', () => {
          response.writeContinue();
          sendBody(request, asked);
        });
        asked.flushHeaders();
      }
    });
  }

  async #passOn({ response }: Exchange, answer: IncomingMessage, of: { key: string | null; epoch: number }): Promise<void> {
    const untilMs = Number(answer.headers[REPEAT_HEADER] ?? 0);
    if (of.key === null || answer.statusCode !== 200 || untilMs === 0) {
      writeHead(response, answer);
      return await pipeline(answer, response);
    }
    const body = await bodyOf(answer);
    this.#deps.cache.set(of.key, {
      status: 200,
      headers: answerHeaders(answer),
      body,
      route: routeOf(answer),
      untilMs,
      epoch: of.epoch,
    });
    writeHead(response, answer);
    response.end(body);
  }

  /** A client that left is no failure. Whoever is still there learns at least that there is no answer. */
  #fail({ response, gone }: Exchange, error: unknown): void {
    if (!gone.aborted) this.#deps.log.warn({ error: error instanceof Error ? error.message : String(error) }, 'a request was not answered');
    if (gone.aborted || response.headersSent) return void response.destroy();
    const body = Buffer.from('{"error":"the node failed to answer; its log says why"}');
    response.writeHead(502, { 'content-type': 'application/json', 'content-length': body.length, connection: 'close' }).end(body);
  }
}

/** A body may still be on its way when its answer is already given, and then Node tells nobody that it was cut off. */
function sendBody(request: IncomingMessage, asked: ClientRequest): void {
  const { socket } = request;
  const cutOff = (): void => void asked.destroy();
  socket.once('close', cutOff);
  request.once('end', () => socket.off('close', cutOff)).pipe(asked);
}

function routeOf(answer: IncomingMessage): RouteClass {
  return String(answer.headers[ROUTE_HEADER]) as RouteClass;
}

async function bodyOf(answer: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of answer as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > MAX_REPEATED_BYTES) throw new Error(`expected an answer of at most ${MAX_REPEATED_BYTES} bytes to repeat`);
  }
  return Buffer.concat(chunks);
}

/** Fires when the connection is closed. The socket and not the response: one that waits in a pipeline is never told that its client left. */
function watch(socket: Socket): { readonly gone: AbortSignal; readonly unwatch: () => void } {
  const gone = new AbortController();
  const onClose = (): void => gone.abort();
  socket.setMaxListeners(0).once('close', onClose);
  if (socket.destroyed) gone.abort();
  return { gone: gone.signal, unwatch: () => void socket.off('close', onClose) };
}

/** Pipelined requests are asked one after the other, so that those that wait hold nothing. */
function turnOf(response: ServerResponse, gone: AbortSignal): Promise<void> {
  if (response.socket !== null) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const left = (): void => reject(new Error('the client closed the connection'));
    gone.addEventListener('abort', left, { once: true });
    response.once('socket', () => {
      gone.removeEventListener('abort', left);
      resolve();
    });
    if (gone.aborted) left();
  });
}
