/**
 * A node's three private keys on disk: PEM PKCS #8 (RFC 8410), one file a key, 0600 in a folder 0700. Never replaces a key, never reads one
 * that others could have read, never prints one.
 */

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { asDigest, type Digest, type NodeRecord, nodeIdOf } from '../chain/index.ts';
import { GenesisError } from './genesis-error.ts';

export const KEYS_FOLDER = 'keys';
export const KEY_USES = ['network', 'consensus', 'checkpoint'] as const;
export type KeyFileUse = (typeof KEY_USES)[number];

/** Ed25519 seeds, 32 bytes each. */
export type NodeKeys = Readonly<Record<KeyFileUse, Uint8Array>>;

/** Raw public keys, 32 bytes each. */
export type NodePublicKeys = Readonly<Record<KeyFileUse, Uint8Array>>;

/** What the node has signed. Made empty with the node's keys: a node that misses it may have forgotten what it signed, and keeps silent. */
export const SIGN_STATE_FILE = 'sign-state';
/** What a node that has run leaves in its folder. */
const USED_FOLDERS = ['chain', 'wal'];

const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SEED_LENGTH = 32;

/** Three fresh keys. */
export function generateNodeKeys(): NodeKeys {
  return { network: generateSeed(), consensus: generateSeed(), checkpoint: generateSeed() };
}

export function publicKeysOf(keys: NodeKeys): NodePublicKeys {
  return { network: publicKeyOf(keys.network), consensus: publicKeyOf(keys.consensus), checkpoint: publicKeyOf(keys.checkpoint) };
}

/** The record with which a node stands in genesis. */
export function nodeRecordOf(keys: NodeKeys, name: string): NodeRecord {
  const { network, consensus, checkpoint } = publicKeysOf(keys);
  return { nodeId: nodeIdOfKey(network), name, networkKey: network, consensusKey: consensus, checkpointKey: checkpoint };
}

/** SHA-256 of the network key: the id of a node whose first network key it is. */
export function nodeIdOfKey(networkKey: Uint8Array): Digest {
  return nodeIdOf((data) => asDigest(new Uint8Array(createHash('sha256').update(data).digest())), networkKey);
}

/** Writes the three files into `folder`, made when absent; throws a GenesisError (`exists`) when one is there. */
export async function saveNodeKeys(folder: string, keys: NodeKeys): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const use of KEY_USES) {
    const path = keyPath(folder, use);
    if (await exists(path)) throw new GenesisError('exists', `${path} exists; a key is never replaced`, { path });
  }
  for (const use of KEY_USES) await saveSeed(keyPath(folder, use), keys[use]);
}

/** Writes one private key; throws a GenesisError (`exists`) where there is a file. */
export async function saveSeed(path: string, seed: Uint8Array): Promise<void> {
  const pem = privateKeyOf(seed).export({ format: 'pem', type: 'pkcs8' });
  await writeSecret(path, pem.toString());
}

/**
 * Writes fresh keys into a data folder, and beside them the empty sign state of keys that have signed nothing; one that is there stays. Throws a
 * GenesisError (`exists`) where there are keys, or where a node has run: what that one signed is not to be forgotten.
 */
export async function saveFreshKeys(dataDir: string, keys: NodeKeys): Promise<void> {
  for (const name of USED_FOLDERS) {
    const path = join(dataDir, name);
    if (!(await exists(path))) continue;
    throw new GenesisError('exists', `${path} exists: a node has run here; give new keys a folder of their own (docs/operations.md)`, {
      path,
    });
  }
  await saveNodeKeys(join(dataDir, KEYS_FOLDER), keys);
  // After the keys, never before: beside keys that were there already an empty one would be a lie.
  const signState = join(dataDir, SIGN_STATE_FILE);
  if (!(await exists(signState))) await writeSecret(signState, '');
}

/** Reads the three files; throws a GenesisError when one is missing, damaged or readable by others. */
export async function loadNodeKeys(folder: string): Promise<NodeKeys> {
  await refuseOthers(folder, '700');
  const load = (use: KeyFileUse): Promise<Uint8Array> => loadSeed(keyPath(folder, use));
  return { network: await load('network'), consensus: await load('consensus'), checkpoint: await load('checkpoint') };
}

/** Creates a file 0600, synced; throws a GenesisError (`exists`) rather than replace one. */
export async function writeSecret(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EEXIST') throw cause;
    throw new GenesisError('exists', `${path} exists; a secret is never replaced`, { path, cause });
  });
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Reads a secret file's text; throws a GenesisError when it is missing or others may read it. */
export async function readSecret(path: string): Promise<string> {
  await refuseOthers(path, '600');
  return readFile(path, 'utf8');
}

/** Reads one private key's file; throws a GenesisError as `loadNodeKeys` does. */
export async function loadSeed(path: string): Promise<Uint8Array> {
  const text = await readSecret(path);
  let key: KeyObject;
  try {
    key = createPrivateKey(text);
  } catch (cause) {
    throw new GenesisError('damaged-key', `${path} is no PEM private key: restore it from your backup`, { path, cause });
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new GenesisError('damaged-key', `${path}: expected an Ed25519 key, got ${key.asymmetricKeyType ?? 'another'}`, { path });
  }
  const der = key.export({ format: 'der', type: 'pkcs8' });
  return new Uint8Array(der.subarray(der.length - SEED_LENGTH));
}

/** Throws unless the path exists and only its owner may touch it. */
async function refuseOthers(path: string, mode: string): Promise<void> {
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw new GenesisError('unreadable', `cannot read ${path}: ${cause.message}`, { path, cause });
    throw new GenesisError('missing', `${path} does not exist: make keys with 'cairn keys new', or restore them from your backup`, {
      path,
      cause,
    });
  });
  if ((found.mode & 0o077) !== 0) {
    throw new GenesisError('keys-readable-by-others', `${path} is open to other users: run 'chmod ${mode} ${path}'`, { path });
  }
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

export function keyPath(folder: string, use: KeyFileUse): string {
  return join(folder, `${use}.pem`);
}

/** A fresh one, 32 bytes. */
export function generateSeed(): Uint8Array {
  const der = generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' });
  return new Uint8Array(der.subarray(der.length - SEED_LENGTH));
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
}

/** Raw public half, 32 bytes. */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  const der = createPublicKey(privateKeyOf(seed)).export({ format: 'der', type: 'spki' });
  return new Uint8Array(der.subarray(der.length - 32));
}
