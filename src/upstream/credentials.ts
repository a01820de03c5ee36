/**
 * The file `upstream-credentials` in the data folder: how this node names itself to its upstreams. One line an upstream, `ID basic
 * USER:PASSWORD` or `ID bearer TOKEN`, `#` begins a comment line. Only its owner may read it. Errors name file and line, never what stands there.
 */

import { join } from 'node:path';
import { GenesisError, readSecret } from '../../genesis/index.ts';
import type { UpstreamCredentials } from '../../registry/index.ts';
import { ConfigError } from '../config/index.ts';

export const UPSTREAM_CREDENTIALS_FILE = 'upstream-credentials';

/** By upstream id; empty when there is no file. Throws a ConfigError for a line that can't be, a GenesisError when others may read the file. */
export async function loadUpstreamCredentials(dataDir: string, ids: readonly string[]): Promise<ReadonlyMap<string, UpstreamCredentials>> {
  const path = join(dataDir, UPSTREAM_CREDENTIALS_FILE);
  const text = await readSecret(path).catch((error: unknown) => {
    if (error instanceof GenesisError && error.code === 'missing') return '';
    throw error;
  });
  return parseUpstreamCredentials(text, { path, ids });
}

/** The pure part of `loadUpstreamCredentials`. */
export function parseUpstreamCredentials(
  text: string,
  from: { readonly path: string; readonly ids: readonly string[] },
): ReadonlyMap<string, UpstreamCredentials> {
  const found = new Map<string, UpstreamCredentials>();
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.replace(/\r$/, '');
    if (/^\s*(?:#|$)/.test(line)) continue;
    const bad = (why: string): ConfigError => new ConfigError('bad-value', `${from.path}: line ${index + 1}: ${why}`);
    const [, id = '', kind = '', secret = ''] = /^\s*(\S+)\s+(\S+)\s+(\S.*)$/.exec(line) ?? [];
    const credentials = credentialsOf(kind, secret);
    if (credentials === null) throw bad('expected ID basic USER:PASSWORD, or ID bearer TOKEN');
    if (!from.ids.includes(id)) throw bad(`expected an id of upstream.urls (${from.ids.join(', ') || 'which is empty'}), got another`);
    if (found.has(id)) throw bad(`expected one line for ${id}, got a second`);
    found.set(id, credentials);
  }
  return found;
}

/** A password may hold any printable character, blanks and `:` too; a user no `:`. */
function credentialsOf(kind: string, secret: string): UpstreamCredentials | null {
  if (/\p{Cc}/u.test(secret) || secret.length > 16_384) return null;
  if (kind === 'bearer') return /^[!-~]+$/.test(secret) ? { kind, token: secret } : null;
  const colon = secret.indexOf(':');
  return kind === 'basic' && colon > 0 ? { kind, user: secret.slice(0, colon), password: secret.slice(colon + 1) } : null;
}
