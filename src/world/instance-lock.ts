/**
 * One process per data folder: a file `lock` names the process that works there. The lock of a dead process is taken over, told from a
 * living one by process id, start time and boot id, so that neither a reused id nor a container's eternal id 1 keeps a folder shut.
 * It guards against a second start by mistake, not against an enemy, and not across machines that share a disk.
 */

import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export class FolderInUseError extends Error {
  readonly code = 'FOLDER_IN_USE';
  readonly folder: string;
  /** Process that holds the folder. */
  readonly processId: number;

  constructor(folder: string, processId: number) {
    super(
      `expected a data folder of its own, but process ${processId} already works in ${folder}; stop that node or choose another folder`,
    );
    this.name = 'FolderInUseError';
    this.folder = folder;
    this.processId = processId;
  }
}

export interface InstanceLock {
  readonly release: () => Promise<void>;
}

const ATTEMPTS = 5;

/** Makes the folder when absent. Throws FolderInUseError while another living process holds it, or the disk's own error. */
export async function lockFolder(folder: string): Promise<InstanceLock> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, 'lock');
  const mine = await describeProcess(process.pid);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    if (await claim(path, mine)) return { release: () => releaseLock(path, mine) };
    const holder = await readLock(path);
    if (holder === null) continue;
    if (await isAlive(holder)) throw new FolderInUseError(folder, Number.parseInt(holder, 10));
    await removeStale(path, holder);
  }
  throw new FolderInUseError(folder, Number.parseInt((await readLock(path)) ?? '0', 10));
}

/** Writes beside and links into place, so that a lock is never seen half written. */
async function claim(path: string, mine: string): Promise<boolean> {
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  await writeFile(draft, mine, { mode: 0o600, flag: 'wx' });
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

/** Moves the stale lock away and looks at it again: if another process was quicker, its fresh lock goes back. */
async function removeStale(path: string, stale: string): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  try {
    if ((await readLock(aside)) !== stale) await link(aside, path);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

async function releaseLock(path: string, mine: string): Promise<void> {
  if ((await readLock(path)) === mine) await rm(path, { force: true });
}

async function readLock(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/** `PID START BOOT`; START and BOOT are `-` where the system has no /proc. */
async function describeProcess(processId: number): Promise<string> {
  const [fields, bootId] = await Promise.all([statFields(processId), procText('/proc/sys/kernel/random/boot_id')]);
  return `${processId} ${fields[19] ?? '-'} ${bootId?.trim() ?? '-'}\n`;
}

/** Of /proc/PID/stat from the state on; empty for no such process, or a system without /proc. */
async function statFields(processId: number): Promise<readonly string[]> {
  const line = await procText(`/proc/${processId}/stat`);
  return line === null ? [] : line.slice(line.lastIndexOf(')') + 2).split(' ');
}

async function isAlive(holder: string): Promise<boolean> {
  const processId = Number.parseInt(holder, 10);
  if (!Number.isSafeInteger(processId) || processId <= 0) return false;
  if (!exists(processId)) return false;
  // A killed process keeps its id until its parent has taken note, which in a container without an init may be never.
  const [state] = await statFields(processId);
  if (state === 'Z' || state === 'X') return false;
  return holder === (await describeProcess(processId));
}

function exists(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

async function procText(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return null; // No such process, or a system without /proc: the process id alone has to do.
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
