/**
 * Requests between peers: each takes a stream of its own, one frame there and one back. Follows docs/SPEC.md on the peer protocols.
 * Both sides bound size, time and number; a peer that goes on opening streams after it was refused is named as a spammer.
 */

import type { Connection, Libp2p, Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import type { Clock, Logger, PeerFault, PeerRequests, RequestOptions, Timers } from '../ports.ts';
import { type TokenBucket, tokenBucket } from '../world/rate-limit.ts';
import { openAdmission } from './admission.ts';
import { reasonOf, withDeadline } from './deadline.ts';
import { NetworkError } from './errors.ts';
import { readFrame, writeFrame } from './stream-exchange.ts';

type Handler = Parameters<PeerRequests['handle']>[2];
type HandleLimits = Parameters<PeerRequests['handle']>[1];

export interface Libp2pRequests extends PeerRequests {
  /** Registers what was handled so far and what comes later. */
  readonly attach: (node: Libp2p) => Promise<void>;
  readonly detach: () => void;
  readonly unhandle: (protocol: string) => void;
}

interface RequestsDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly penalize: (peerId: string, fault: PeerFault, detail: string) => void;
}

/** A peer must have sent its request by then, waiting in line included. */
const REQUEST_READ_MS = 30_000;
const ANSWER_WRITE_MS = 120_000;
const WAITING_PER_PEER = 32;
const WAITING = 256;
/** Streams beyond running and waiting that libp2p lets through to be refused and counted here. */
const REFUSED_MARGIN = 64;
/** Refusals a peer is forgiven at once, and per second. */
const REFUSALS = { burst: 64, perSecond: 4 } as const;
const PEERS_COUNTED = 1024;
const OUTBOUND_STREAMS = 1024;
/** How long the other side may take to end a stream that is done. */
const LINGER_MS = 5_000;

export function openPeerRequests(deps: RequestsDeps): Libp2pRequests {
  const handlers = new Map<
    string,
    { readonly limits: HandleLimits; readonly serve: (stream: Stream, connection: Connection) => Promise<void> }
  >();
  const refusals = refusalCounter(deps);
  let attached: Libp2p | null = null;

  function register(node: Libp2p, protocol: string): Promise<void> {
    const entry = handlers.get(protocol);
    if (entry === undefined) return Promise.resolve();
    const maxInboundStreams = perPeer(entry.limits) + WAITING_PER_PEER + REFUSED_MARGIN;
    return node.handle(protocol, entry.serve, { maxInboundStreams, maxOutboundStreams: OUTBOUND_STREAMS });
  }

  return {
    attach: async (node) => {
      attached = node;
      for (const protocol of handlers.keys()) await register(node, protocol);
    },
    detach: () => {
      attached = null;
    },
    request: (peerId, protocol, body, options) => {
      if (attached === null) return Promise.reject(new NetworkError('stopped', 'expected a running network to ask over'));
      return ask(attached, { peerId, protocol, body, options }, deps);
    },
    handle: (protocol, limits, handler) => {
      if (handlers.has(protocol)) throw new RangeError(`expected one handler a protocol, got a second one for ${protocol}`);
      handlers.set(protocol, { limits, serve: server(protocol, limits, { handler, refusals, ...deps }) });
      if (attached === null) return;
      register(attached, protocol).catch((error: unknown) => deps.logger.error({ protocol, error }, 'protocol not registered'));
    },
    unhandle: (protocol) => {
      if (!handlers.delete(protocol)) return;
      attached?.unhandle(protocol).catch((error: unknown) => deps.logger.error({ protocol, error }, 'protocol not taken back'));
    },
  };
}

interface Question {
  readonly peerId: string;
  readonly protocol: string;
  readonly body: Uint8Array;
  readonly options: RequestOptions;
}

function ask(node: Libp2p, { peerId, protocol, body, options }: Question, deps: RequestsDeps): Promise<Uint8Array> {
  return withDeadline({ timeoutMs: options.timeoutMs, signal: options.signal, timers: deps.timers }, async (signal) => {
    const stream = await openStream(node, { peerId, protocol }, signal);
    const abort = (): void => stream.abort(reasonOf(signal));
    signal.addEventListener('abort', abort, { once: true });
    try {
      const answer = readFrame(stream, options.maxResponseBytes, signal);
      const written = writeFrame(stream, body, signal).then(() => stream.close({ signal }));
      // The answer may come, or fail, before the question is written; its fate decides.
      written.catch(() => {});
      const bytes = await answer;
      linger(stream, deps.timers);
      return bytes;
    } catch (error) {
      const failure = signal.aborted ? reasonOf(signal) : asError(error);
      stream.abort(failure);
      throw failure;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  });
}

async function openStream(node: Libp2p, to: { readonly peerId: string; readonly protocol: string }, signal: AbortSignal): Promise<Stream> {
  if (signal.aborted) throw reasonOf(signal);
  try {
    return await node.dialProtocol(peerIdFromString(to.peerId), to.protocol, { signal, maxOutboundStreams: OUTBOUND_STREAMS });
  } catch (error) {
    if (signal.aborted) throw reasonOf(signal);
    throw new NetworkError('unreachable', `expected ${to.peerId} to take ${to.protocol}, but it could not be asked`, error);
  }
}

interface ServerDeps extends RequestsDeps {
  readonly handler: Handler;
  readonly refusals: { readonly add: (peerId: string) => void };
}

function server(protocol: string, limits: HandleLimits, deps: ServerDeps): (stream: Stream, connection: Connection) => Promise<void> {
  const admission = openAdmission({
    maxRunning: limits.maxConcurrent,
    maxRunningPerPeer: perPeer(limits),
    maxWaitingPerPeer: WAITING_PER_PEER,
    maxWaiting: WAITING,
  });
  return async (stream, connection) => {
    const peerId = connection.remotePeer.toString();
    stream.pause(); // Nothing is read, and the peer's window stays shut, until there is a place.
    const leave = await admission.enter(peerId);
    if (leave === null) {
      stream.abort(new NetworkError('busy', 'expected fewer requests at once'));
      deps.refusals.add(peerId);
      return;
    }
    try {
      await answerOne(stream, { peerId, maxRequestBytes: limits.maxRequestBytes, handler: deps.handler, timers: deps.timers });
    } catch (error) {
      stream.abort(asError(error));
      deps.logger.debug({ protocol, peerId, error }, 'peer request failed');
      if (isFault(error)) deps.penalize(peerId, 'bad-message', `${protocol}: ${error.code}`);
    } finally {
      leave();
    }
  };
}

async function answerOne(
  stream: Stream,
  given: { readonly peerId: string; readonly maxRequestBytes: number; readonly handler: Handler; readonly timers: Timers },
): Promise<void> {
  const { timers } = given;
  if (stream.readStatus === 'closed' || stream.status !== 'open') throw new NetworkError('closed', 'expected a request, but the peer left');
  const body = await withDeadline({ timeoutMs: REQUEST_READ_MS, timers }, (signal) => readFrame(stream, given.maxRequestBytes, signal));
  const answer = await given.handler(given.peerId, body);
  await withDeadline({ timeoutMs: ANSWER_WRITE_MS, timers }, async (signal) => {
    await writeFrame(stream, answer, signal);
    await stream.close({ signal });
  });
  linger(stream, timers);
}

/** Half of all places, so that one busy peer leaves room for others. */
function perPeer(limits: HandleLimits): number {
  return Math.max(1, Math.ceil(limits.maxConcurrent / 2));
}

/** Lets the other side end the stream in peace, and ends it if it doesn't. */
function linger(stream: Stream, timers: Timers): void {
  if (stream.status !== 'open') return;
  const timer = timers.set(LINGER_MS, () => stream.abort(new NetworkError('timeout', 'expected the peer to end a finished stream')));
  stream.addEventListener('close', () => timer.cancel(), { once: true });
}

/** What only a peer that breaks the protocol causes. */
function isFault(error: unknown): error is NetworkError {
  return error instanceof NetworkError && (error.code === 'too-large' || error.code === 'malformed');
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('expected an error', { cause: error });
}

function refusalCounter(deps: RequestsDeps): { readonly add: (peerId: string) => void } {
  const counts = new Map<string, TokenBucket>();
  return {
    add: (peerId) => {
      const bucket = counts.get(peerId) ?? tokenBucket(REFUSALS, deps.clock);
      counts.delete(peerId);
      counts.set(peerId, bucket);
      const oldest = counts.keys().next().value;
      if (counts.size > PEERS_COUNTED && oldest !== undefined) counts.delete(oldest);
      if (!bucket.take(1)) deps.penalize(peerId, 'spam', 'streams over the limit');
    },
  };
}
