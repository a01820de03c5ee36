/**
 * The key that a rotation is to put in the place of one in use: it lies beside it as `USE.next.pem` until the chain has it, and the one it
 * replaces is kept in `retired/`. SPEC §10.2. Never deletes a key.
 */

import { link, mkdir, open, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { exists, generateSeed, KEY_USES, type KeyFileUse, keyPath, loadSeed, type NodeKeys, saveSeed } from './key-files.ts';

const RETIRED_FOLDER = 'retired';

/** The next keys that lie in the keys folder; throws a GenesisError when one is damaged or readable by others. */
export async function loadNextKeys(folder: string): Promise<Partial<NodeKeys>> {
  const found: [KeyFileUse, Uint8Array][] = [];
  for (const use of KEY_USES) if (await exists(nextPath(folder, use))) found.push([use, await loadSeed(nextPath(folder, use))]);
  return Object.fromEntries(found);
}

/** The next key of that use: the one that is there, else a fresh one, on the disk. */
export async function makeNextKey(folder: string, use: KeyFileUse): Promise<Uint8Array> {
  const path = nextPath(folder, use);
  if (!(await exists(path))) {
    await saveSeed(path, generateSeed());
    await syncFolder(folder);
  }
  return await loadSeed(path);
}

/** Puts the next key in the place of the one in use, in one step, and keeps that one. Returns where. */
export async function takeNextKey(folder: string, use: KeyFileUse): Promise<string> {
  const retired = join(folder, RETIRED_FOLDER);
  await mkdir(retired, { recursive: true, mode: 0o700 });
  const count = (await readdir(retired)).filter((name) => name.startsWith(`${use}-`)).length;
  const kept = join(retired, `${use}-${count + 1}.pem`);
  await link(keyPath(folder, use), kept);
  await syncFolder(retired);
  await rename(nextPath(folder, use), keyPath(folder, use));
  await syncFolder(folder);
  return kept;
}

function nextPath(folder: string, use: KeyFileUse): string {
  return join(folder, `${use}.next.pem`);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
