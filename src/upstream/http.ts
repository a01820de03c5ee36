/**
 * HTTP to upstreams over undici, behind the registry's port. Two pools that share no connection: one may reach any address, the other only
 * public ones, which it knows at the time of connecting, from the resolved address and not from the name. TLS by the authorities that Node
 * trusts. Never follows a redirect, never decompresses, never uses a proxy.
 */

import { type LookupAddress, type LookupOptions, lookup as systemLookup } from 'node:dns';
import { isIP } from 'node:net';
import { Agent, buildConnector } from 'undici';
import { RegistryError, type UpstreamHttp, type UpstreamResponse } from '../../registry/index.ts';
import { isPublicAddress } from './addresses.ts';

const CONNECT_MS = 10_000;
/** Above the limits of the upstream client, which end first; these are for what it can't see. */
const HEADERS_MS = 30_000;
const BODY_MS = 60_000;
const MAX_HEADER_BYTES = 32_768;
const CONNECTIONS_PER_ORIGIN = 16;
const MAX_ORIGINS = 256;
const KEEP_ALIVE_MS = 15_000;

type LookupCallback = (error: Error | null, addresses: readonly LookupAddress[]) => void;
/** As `dns.lookup` with `all`. */
export type Lookup = (host: string, options: LookupOptions & { readonly all: true }, callback: LookupCallback) => void;

type Request = UpstreamHttp['request'];

export class UndiciHttp implements UpstreamHttp {
  readonly #anywhere: Agent;
  readonly #publicOnly: Agent;

  constructor(deps: { readonly lookup: Lookup } = { lookup: systemLookup }) {
    this.#anywhere = new Agent({ ...poolOptions(), connect: connectorOf(deps.lookup, () => true) });
    this.#publicOnly = new Agent({ ...poolOptions(), connect: connectorOf(deps.lookup, isPublicAddress) });
  }

  readonly request: Request = async (url, { method, headers, allowPrivate, signal }) => {
    const { origin, pathname, search } = new URL(url);
    const agent = allowPrivate ? this.#anywhere : this.#publicOnly;
    const answer = await agent.request({
      origin,
      path: pathname + search,
      method,
      headers: { 'user-agent': 'cairn', 'accept-encoding': 'identity', ...headers },
      signal,
    });
    // Who reads the body learns of its error; one that nobody reads must not end the process.
    answer.body.on('error', () => {});
    return { status: answer.statusCode, headers: joined(answer.headers), body: bodyOf(answer.body) };
  };

  /** Ends what is under way. */
  async close(): Promise<void> {
    await Promise.all([this.#anywhere.destroy(), this.#publicOnly.destroy()]);
  }
}

function poolOptions(): Agent.Options {
  return {
    connections: CONNECTIONS_PER_ORIGIN,
    maxOrigins: MAX_ORIGINS,
    pipelining: 1,
    headersTimeout: HEADERS_MS,
    bodyTimeout: BODY_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    allowH2: false,
  };
}

/** Connects to allowed addresses only: literal ones are looked at before, resolved ones while connecting, and the one reached once more. */
function connectorOf(lookup: Lookup, isAllowed: (address: string) => boolean): buildConnector.connector {
  const filtered = (host: string, options: LookupOptions, callback: (error: Error | null, ...found: unknown[]) => void): void => {
    lookup(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error);
      const allowed = addresses.filter(({ address }) => isAllowed(address));
      const [first] = allowed;
      if (first === undefined) callback(refused(host));
      else if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
  const connect = buildConnector({ timeout: CONNECT_MS, lookup: filtered as never });
  return (options, callback) => {
    const host = options.hostname;
    if (isIP(host) !== 0 && !isAllowed(host)) return callback(refused(host), null);
    connect(options, (error, socket) => {
      if (error !== null) return callback(error, null);
      if (socket.remoteAddress !== undefined && isAllowed(socket.remoteAddress)) return callback(null, socket);
      socket.destroy();
      callback(refused(host), null);
    });
  };
}

function refused(host: string): RegistryError {
  return new RegistryError('UPSTREAM_FAILED', host, {
    message: `${host} is at a private or reserved address, which only a configured upstream or an origin of upstream.alsoAt may be`,
  });
}

function joined(headers: Readonly<Record<string, string | string[] | undefined>>): Readonly<Record<string, string>> {
  const entries = Object.entries(headers).filter((entry): entry is [string, string | string[]] => entry[1] !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [name, typeof value === 'string' ? value : value.join(', ')]));
}

/** As a stream's own iterator, but that leaving it before the first step frees the connection, too. */
function bodyOf(body: AsyncIterable<Uint8Array> & { readonly destroy: () => unknown }): UpstreamResponse['body'] {
  const steps = body[Symbol.asyncIterator]();
  const end = async (): Promise<IteratorResult<Uint8Array>> => {
    body.destroy();
    return { done: true, value: undefined };
  };
  return { [Symbol.asyncIterator]: () => ({ next: () => steps.next(), return: end }) };
}
