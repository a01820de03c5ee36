/**
 * The upstreams of this authority, from its configuration: each id that the network's policy may name, with its URL and, if the file has some,
 * its credentials. Never asks anything by itself.
 */

import { ociUpstream } from '../../registry/index.ts';
import { type Config, ConfigError } from '../config/index.ts';
import type { Upstream } from '../node-options.ts';
import type { Clock, Logger, Timers } from '../ports.ts';
import { loadUpstreamCredentials } from './credentials.ts';
import { UndiciHttp } from './http.ts';

export type UpstreamConfig = Pick<Config, 'upstream.urls' | 'upstream.alsoAt' | 'upstream.shared'>;

export interface OpenUpstreams {
  /** By upstream id. */
  readonly upstreams: ReadonlyMap<string, Upstream>;
  /** Ends what is under way. */
  readonly close: () => Promise<void>;
}

/** Throws a ConfigError for an id named twice or a URL that is none, and what `loadUpstreamCredentials` throws. */
export async function openUpstreams(
  config: UpstreamConfig,
  dataDir: string,
  deps: { readonly clock: Clock; readonly timers: Timers; readonly log: Logger },
): Promise<OpenUpstreams> {
  const urls = parseUpstreamUrls(config['upstream.urls']);
  const alsoAt = parseOrigins(config['upstream.alsoAt'], urls);
  const credentials = await loadUpstreamCredentials(dataDir, [...urls.keys()]);
  const http = new UndiciHttp();
  const upstreams = new Map<string, Upstream>();
  for (const [id, url] of urls) {
    const known = credentials.get(id) ?? null;
    if (known !== null && url.startsWith('http:')) deps.log.warn({ upstream: id }, 'credentials of an upstream travel in plain http');
    // What only this authority's credentials open must not become everybody's because somebody asked.
    const isShared = known === null || config['upstream.shared'].includes(id);
    upstreams.set(id, { client: ociUpstream({ id, url, credentials: known, alsoAt: alsoAt.get(id) ?? [] }, { http, ...deps }), isShared });
  }
  return { upstreams, close: () => http.close() };
}

/** `ID=URL` each, as the setting's own pattern allows. */
function parseUpstreamUrls(entries: readonly string[]): ReadonlyMap<string, string> {
  const urls = new Map<string, string>();
  const bad = (why: string): ConfigError => new ConfigError('bad-value', `upstream.urls: ${why}`, { key: 'upstream.urls' });
  for (const entry of entries) {
    const id = entry.slice(0, entry.indexOf('='));
    const url = entry.slice(id.length + 1);
    if (urls.has(id)) throw bad(`expected one URL for ${id}, got a second`);
    if (!URL.canParse(url)) throw bad(`expected a URL for ${id}, got ${JSON.stringify(url)}`);
    urls.set(id, url);
  }
  return urls;
}

/** `ID=ORIGIN` each, any number for one id. */
function parseOrigins(entries: readonly string[], urls: ReadonlyMap<string, string>): ReadonlyMap<string, readonly string[]> {
  const origins = new Map<string, readonly string[]>();
  const bad = (why: string): ConfigError => new ConfigError('bad-value', `upstream.alsoAt: ${why}`, { key: 'upstream.alsoAt' });
  for (const entry of entries) {
    const id = entry.slice(0, entry.indexOf('='));
    const origin = entry.slice(id.length + 1);
    const url = urls.get(id);
    if (url === undefined) throw bad(`expected an id of upstream.urls (${[...urls.keys()].join(', ') || 'which is empty'}), got ${id}`);
    if (!URL.canParse(origin)) throw bad(`expected an origin for ${id}, got ${JSON.stringify(origin)}`);
    if (url.startsWith('https:') && origin.startsWith('http:')) throw bad(`expected https for ${id}, as its URL is, got ${origin}`);
    origins.set(id, [...(origins.get(id) ?? []), origin]);
  }
  return origins;
}
