/**
 * Upstreams for tests: real HTTP servers on loopback that behave as a test tells them, names that lead to them, and a time in which pauses are
 * over at once and limits are reached only when the test says so.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import {
  type Clock,
  type OciUpstream,
  type OciUpstreamOptions,
  ociUpstream,
  type Timers,
  type UpstreamHttp,
} from '../../registry/index.ts';
import { UndiciHttp } from '../../src/upstream/http.ts';
import { keptLog, type LogLine } from './fixture.ts';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<IncomingMessage['headers']>;
}

export interface TestServer {
  readonly origin: string;
  readonly port: number;
  readonly seen: SeenRequest[];
  /** Connections made so far, also those that carried no request. */
  readonly connections: () => number;
}

/** `nth` counts the server's requests from 0. */
export type Answer = (response: ServerResponse, request: IncomingMessage, nth: number) => void;

export async function serve(t: Test, answer: Answer): Promise<TestServer> {
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => {
    seen.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers });
    answer(response, request, seen.length - 1);
  });
  let connections = 0;
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, port, seen, connections: () => connections };
}

/** Where nobody listens any more. */
export async function closedOrigin(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return `http://127.0.0.1:${port}`;
}

/** Shorter delays are pauses: over as soon as all else is done. Longer ones are limits, and wait for `expire`. */
const SHORTEST_LIMIT_MS = 10_000;

export class TestTime implements Clock, Timers {
  #nowMs = Date.parse('2026-01-01T00:00:00Z');
  readonly pauses: number[] = [];
  #limits: { readonly delayMs: number; readonly callback: () => void }[] = [];

  readonly nowMs = (): number => this.#nowMs;

  readonly set = (delayMs: number, callback: () => void): { readonly cancel: () => void } => {
    if (delayMs < SHORTEST_LIMIT_MS) {
      this.pauses.push(delayMs);
      const pause = setImmediate(() => {
        this.#nowMs += delayMs;
        callback();
      });
      return { cancel: () => clearImmediate(pause) };
    }
    const limit = { delayMs, callback };
    this.#limits.push(limit);
    return {
      cancel: () => {
        this.#limits = this.#limits.filter((one) => one !== limit);
      },
    };
  };

  get limits(): readonly number[] {
    return this.#limits.map(({ delayMs }) => delayMs);
  }

  advance(byMs: number): void {
    this.#nowMs += byMs;
  }

  /** Reaches every limit that waits. */
  expire(): void {
    for (const { delayMs, callback } of this.#limits.splice(0)) {
      this.#nowMs += delayMs;
      callback();
    }
  }
}

/** Lets the world go on until the condition holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise<void>((resolve) => setImmediate(resolve));
}

export interface AskedExchange {
  readonly url: string;
  readonly allowPrivate: boolean;
}

export interface TestUpstream extends OciUpstream {
  readonly time: TestTime;
  readonly lines: LogLine[];
  readonly asked: AskedExchange[];
}

/**
 * The client over real HTTP. `hosts`: which server stands behind an origin; with them, the guard of addresses is left to the record in
 * `asked`, since all servers are on loopback. Without them it is in force.
 */
export function upstreamFor(
  t: Test,
  options: Partial<OciUpstreamOptions> & { readonly url: string },
  hosts: Readonly<Record<string, TestServer>> | null = null,
): TestUpstream {
  const real = new UndiciHttp();
  t.teardown(() => real.close());
  const asked: AskedExchange[] = [];
  const http: UpstreamHttp = {
    request: async (url, request) => {
      asked.push({ url, allowPrivate: request.allowPrivate });
      if (hosts === null) return real.request(url, request);
      const { origin } = new URL(url);
      const server = hosts[origin];
      if (server === undefined) throw new Error(`no such host: ${origin}`);
      return real.request(server.origin + url.slice(origin.length), { ...request, allowPrivate: true });
    },
  };
  const time = new TestTime();
  const { log, lines } = keptLog();
  const upstream = ociUpstream({ id: 'hub', credentials: null, ...options }, { http, clock: time, timers: time, log });
  return { ...upstream, time, lines, asked };
}

export async function readStream(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

/** What is asked for by those who never go away. */
export function patient(): AbortSignal {
  return new AbortController().signal;
}

/** One server, and the client of it. */
export async function open(
  t: Test,
  answer: Answer,
  options: Partial<OciUpstreamOptions> = {},
): Promise<{ readonly server: TestServer; readonly upstream: TestUpstream }> {
  const server = await serve(t, answer);
  return { server, upstream: upstreamFor(t, { ...options, url: server.origin }) };
}
