/**
 * One exchange with an upstream, within limits of time, and the same again when what went wrong may pass. Time runs only while the upstream is
 * waited for: a slow reader of ours is not its fault. Never follows a redirect and never knows a secret.
 */

import { RegistryError, throwIfAborted } from '../error.ts';
import { pause } from '../pause.ts';
import type { Clock, Logger, Timers, UpstreamHttp, UpstreamResponse } from '../ports.ts';

export interface ExchangeLimits {
  /** Attempts in all, the first included. */
  readonly attempts: number;
  /** From the request to the headers of the answer. */
  readonly headersMs: number;
  /** Longest silence within a body. */
  readonly idleMs: number;
}

export interface ExchangeDeps {
  readonly http: UpstreamHttp;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
}

export interface ExchangeRequest {
  readonly url: URL;
  readonly method: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
  readonly allowPrivate: boolean;
  /** What is asked for, for errors: never a URL, whose query may be a secret. */
  readonly subject: string;
  readonly signal: AbortSignal;
}

/** A body may lag behind `SLOWEST_BYTES_PER_MS` by this much, so that one that drips ends too. */
const SLACK_MS = 60_000;
const SLOWEST_BYTES_PER_MS = 16;
const FIRST_PAUSE_MS = 500;
const PAUSE_FACTOR = 4;
/** Who is told to wait longer than this gives up. */
const MAX_RETRY_AFTER_MS = 10_000;
/** An unwanted body up to this size is read, to keep the connection. */
const MAX_DISCARDED_BYTES = 65_536;

/** What may pass: the same again can succeed. Stays within the upstream client, whose callers get a RegistryError. */
export class TransientFailure extends Error {
  readonly retryAfterMs: number;

  constructor(message: string, options: { readonly cause?: unknown; readonly retryAfterMs?: number } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'TransientFailure';
    this.retryAfterMs = options.retryAfterMs ?? 0;
  }
}

export function upstreamFailed(subject: string, message: string, cause?: unknown): RegistryError {
  return new RegistryError('UPSTREAM_FAILED', subject, { message, cause });
}

/** Throws ABORTED, TransientFailure, or the RegistryError by which the port refused an address. Errors of the body are the same. */
export async function exchange(request: ExchangeRequest, limits: ExchangeLimits, deps: ExchangeDeps): Promise<UpstreamResponse> {
  const { url, subject, signal } = request;
  throwIfAborted(signal, subject);
  const late = new AbortController();
  const explained = (error: unknown): Error => explain(error, { request, isLate: late.signal.aborted });
  const timer = deps.timers.set(limits.headersMs, () => late.abort());
  try {
    const { method, headers, allowPrivate } = request;
    const options = { method, headers, allowPrivate, signal: AbortSignal.any([signal, late.signal]) };
    const response = await deps.http.request(url.href, options);
    return { ...response, body: timedBody(response.body, { limits, deps, explained, giveUp: () => late.abort() }) };
  } catch (error) {
    throw explained(error);
  } finally {
    timer.cancel();
  }
}

/** Does `work` until it succeeds, fails for good, or has been tried often enough; then UPSTREAM_FAILED. */
export async function withAttempts<T>(
  work: () => Promise<T>,
  options: { readonly attempts: number; readonly subject: string; readonly signal: AbortSignal },
  deps: ExchangeDeps,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof TransientFailure)) throw error;
      const isLast = attempt >= options.attempts || error.retryAfterMs > MAX_RETRY_AFTER_MS;
      if (isLast) throw upstreamFailed(options.subject, `${error.message}; given up after attempt ${attempt}`, error);
      const pauseMs = Math.max(error.retryAfterMs, FIRST_PAUSE_MS * PAUSE_FACTOR ** (attempt - 1));
      deps.log.debug({ subject: options.subject, attempt, pauseMs, error }, 'upstream to be asked again');
      throwIfAborted(options.signal, options.subject);
      await pause(deps.timers, pauseMs, options.signal);
      throwIfAborted(options.signal, options.subject);
    }
  }
}

/** What a status other than that of success means; 401 and 403 when nothing is left to send. */
export function statusError(response: UpstreamResponse, subject: string, clock: Clock): Error {
  const { status } = response;
  if (status === 404) return new RegistryError('UPSTREAM_ABSENT', subject, { message: 'the upstream has no such thing' });
  if (status === 401 || status === 403) {
    return new RegistryError('UPSTREAM_DENIED', subject, {
      message: `the upstream refuses this node (${status}): check its line in upstream-credentials`,
    });
  }
  const message = `expected an answer from the upstream, got status ${status}`;
  if (status === 429 || status >= 500) return new TransientFailure(message, { retryAfterMs: retryAfterMs(response, clock) });
  return upstreamFailed(subject, message);
}

/** The whole body; TOO_LARGE, without reading on, when it has more than `maxBytes`. */
export async function readBody(response: UpstreamResponse, maxBytes: number, subject: string): Promise<Uint8Array> {
  const tooLarge = (): RegistryError =>
    new RegistryError('TOO_LARGE', subject, { message: `expected at most ${maxBytes} bytes from the upstream` });
  if (Number(response.headers['content-length'] ?? 0) > maxBytes) {
    await leave(response);
    throw tooLarge();
  }
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const part of response.body) {
    sizeBytes += part.length;
    if (sizeBytes > maxBytes) throw tooLarge();
    parts.push(part);
  }
  return Buffer.concat(parts, sizeBytes);
}

/** Gets rid of a body nobody wants: a short one is read, so that the connection can be used again. */
export async function discard(response: UpstreamResponse): Promise<void> {
  let sizeBytes = 0;
  for await (const part of response.body) {
    sizeBytes += part.length;
    if (sizeBytes > MAX_DISCARDED_BYTES) return;
  }
}

/** Leaves a body unread. */
export async function leave(response: UpstreamResponse): Promise<void> {
  await response.body[Symbol.asyncIterator]().return?.();
}

interface Timing {
  readonly limits: ExchangeLimits;
  readonly deps: ExchangeDeps;
  readonly explained: (error: unknown) => Error;
  readonly giveUp: () => void;
}

function timedBody(body: AsyncIterable<Uint8Array>, { limits, deps, explained, giveUp }: Timing): AsyncIterable<Uint8Array> {
  const source = body[Symbol.asyncIterator]();
  let waitedMs = 0;
  let sizeBytes = 0;
  const next = async (): Promise<IteratorResult<Uint8Array>> => {
    const startMs = deps.clock.nowMs();
    const leftMs = Math.max(0, SLACK_MS + sizeBytes / SLOWEST_BYTES_PER_MS - waitedMs);
    const timer = deps.timers.set(Math.min(limits.idleMs, leftMs), giveUp);
    try {
      const step = await source.next();
      if (step.done !== true) sizeBytes += step.value.length;
      return step;
    } catch (error) {
      throw explained(error);
    } finally {
      timer.cancel();
      waitedMs += Math.max(0, deps.clock.nowMs() - startMs);
    }
  };
  const end = async (): Promise<IteratorResult<Uint8Array>> => {
    await source.return?.();
    return { done: true, value: undefined };
  };
  return { [Symbol.asyncIterator]: () => ({ next, return: end }) };
}

function explain(error: unknown, from: { readonly request: ExchangeRequest; readonly isLate: boolean }): Error {
  const { signal, subject, url } = from.request;
  if (signal.aborted) return new RegistryError('ABORTED', subject, { message: 'given up: nobody waits any more', cause: signal.reason });
  if (error instanceof RegistryError) return error;
  if (from.isLate) return new TransientFailure(`${url.host} is too slow`, { cause: error });
  return new TransientFailure(`${url.host}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}

/** Of `Retry-After`, RFC 9110 §10.2.3: seconds or a date; 0 when it says nothing. */
function retryAfterMs(response: UpstreamResponse, clock: Clock): number {
  const text = response.headers['retry-after'] ?? '';
  if (/^[0-9]{1,9}$/.test(text)) return Number(text) * 1000;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? 0 : Math.max(0, atMs - clock.nowMs());
}
