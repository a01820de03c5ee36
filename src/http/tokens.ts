/**
 * The two tokens of a node: one for its admin API, one for publishing. From the configuration, else from files 0600 in the data folder.
 * Never logs one; compares in constant time.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import { ADMIN_TOKEN_FILE, GenesisError, PUBLISH_TOKEN_FILE, readSecret, writeSecret } from '../../genesis/index.ts';
import type { Config } from '../config/index.ts';

/** The admin token, made when there is none yet; throws a GenesisError when others could read it. */
export async function loadAdminToken(config: Config, dataDir: string): Promise<string> {
  if (config['admin.token'] !== '') return config['admin.token'];
  const path = join(dataDir, ADMIN_TOKEN_FILE);
  const found = await readTokenFile(path);
  if (found !== null) return found;
  const token = randomBytes(32).toString('base64url');
  await writeSecret(path, `${token}\n`);
  return token;
}

/** The admin token without making one, or null; for clients. */
export async function findAdminToken(config: Config, dataDir: string): Promise<string | null> {
  return config['admin.token'] !== '' ? config['admin.token'] : readTokenFile(join(dataDir, ADMIN_TOKEN_FILE));
}

/** The publish token, or null: then nothing can be published through this node. */
export async function loadPublishToken(config: Config, dataDir: string): Promise<string | null> {
  return config['publish.token'] !== '' ? config['publish.token'] : readTokenFile(join(dataDir, PUBLISH_TOKEN_FILE));
}

/** True when the `Authorization` header carries the token, as `Bearer TOKEN` or as the password of `Basic`. */
export function isAuthorized(header: string | undefined, token: string): boolean {
  const [scheme = '', credentials = ''] = (header ?? '').split(' ', 2);
  switch (scheme.toLowerCase()) {
    case 'bearer':
      return sameSecret(credentials, token);
    case 'basic': {
      const pair = Buffer.from(credentials, 'base64').toString('utf8');
      return sameSecret(pair.slice(pair.indexOf(':') + 1), token);
    }
    default:
      return false;
  }
}

function sameSecret(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

async function readTokenFile(path: string): Promise<string | null> {
  try {
    const token = (await readSecret(path)).trim();
    if (/^[!-~]{16,256}$/.test(token)) return token;
    throw new GenesisError('damaged-key', `${path} holds no token: expected 16 to 256 printable characters; remove it and start anew`, {
      path,
    });
  } catch (error) {
    if (error instanceof GenesisError && error.code === 'missing') return null;
    throw error;
  }
}
