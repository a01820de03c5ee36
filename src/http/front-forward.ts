/**
 * Requests as the front passes them to the app, and answers as it passes them back: every line as it came, but for what concerns one
 * connection only (RFC 9110, §7.6.1) and what is internal. Framing is parsed and written anew by Node's HTTP on either side, so that no
 * two readers can see different requests in the same bytes.
 */

import { type Agent, type ClientRequest, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { INTERNAL_PREFIX, MODE_HEADER, type Mode } from './front-protocol.ts';

const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'upgrade',
];
/** Of a request `Transfer-Encoding` is passed on: the app refuses other codings than chunked. */
const FROM_CLIENT: ReadonlySet<string> = new Set(HOP_BY_HOP);
const FROM_APP: ReadonlySet<string> = new Set([...HOP_BY_HOP, 'transfer-encoding', 'date']);
/** What a client can't have dropped by naming it in `Connection`. */
const KEPT: ReadonlySet<string> = new Set(['host', 'content-length', 'transfer-encoding', 'expect', 'authorization']);
/** Of which the app gets no more than the client named in the range it asks for anew. */
const CONDITIONS: ReadonlySet<string> = new Set([
  'range',
  'if-range',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
]);

export interface AskOptions {
  readonly mode: Mode;
  /** Asks for this stretch, whatever the client asked for; `to` is exclusive. */
  readonly range?: { readonly from: number; readonly to: number };
}

/** The app's side of a request; its body is still to be sent, and `end` to be called. */
export function askApp(agent: Agent, request: IncomingMessage, { mode, range }: AskOptions): ClientRequest {
  const asked = httpRequest({ agent, method: request.method ?? 'GET', path: request.url ?? '/', setHost: false });
  // Or Node would announce a body where the client has none.
  asked.removeHeader('content-length');
  asked.removeHeader('transfer-encoding');
  for (const [name, values] of passedOn(request)) if (range === undefined || !CONDITIONS.has(name)) asked.setHeader(name, values);
  // HTTP/1.0 knows no Host.
  if (request.headers.host === undefined) asked.setHeader('host', 'localhost');
  if (range !== undefined) asked.setHeader('range', `bytes=${range.from}-${range.to - 1}`);
  asked.setHeader(MODE_HEADER, mode);
  return asked;
}

/** True when the client sends a body. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** What goes to the client: names and values in turn. */
export function answerHeaders(answer: IncomingMessage, without: readonly string[] = []): string[] {
  const headers: string[] = [];
  for (const [rawName, value] of pairsOf(answer.rawHeaders)) {
    const name = rawName.toLowerCase();
    if (!FROM_APP.has(name) && !isInternal(name) && !without.includes(name)) headers.push(rawName, value);
  }
  return headers;
}

/** Writes the app's status and headers; the body is still to come, the app's own or one of `sizeBytes`. */
export function writeHead(response: ServerResponse, answer: IncomingMessage, sizeBytes: number | null = null): void {
  const headers = answerHeaders(answer, sizeBytes === null ? [] : ['content-length']);
  if (sizeBytes !== null) headers.push('Content-Length', String(sizeBytes));
  // A connection that the app wants closed is the client's.
  if (answer.headers.connection === 'close') headers.push('Connection', 'close');
  response.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? '', headers);
}

function passedOn(request: IncomingMessage): ReadonlyMap<string, string[]> {
  const named = (request.headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  const dropped = new Set(named.filter((name) => !KEPT.has(name)));
  const passed = new Map<string, string[]>();
  for (const [rawName, value] of pairsOf(request.rawHeaders)) {
    const name = rawName.toLowerCase();
    if (FROM_CLIENT.has(name) || dropped.has(name) || isInternal(name)) continue;
    const values = passed.get(name);
    if (values === undefined) passed.set(name, [value]);
    else values.push(value);
  }
  return passed;
}

function isInternal(name: string): boolean {
  return name.toLowerCase().startsWith(INTERNAL_PREFIX);
}

function* pairsOf(raw: readonly string[]): Generator<readonly [string, string]> {
  for (let at = 0; at + 1 < raw.length; at += 2) yield [raw[at] ?? '', raw[at + 1] ?? ''];
}
