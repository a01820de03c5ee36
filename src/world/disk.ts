/**
 * Real files below one root, behind the FileSystem port. Files are made 0600 and folders 0700, because nothing Cairn writes is for other
 * accounts of the machine. Never leaves the root by name, and never turns an error into a silent success: Node's `code` is kept.
 */

import { type BigIntStats, fstatSync } from 'node:fs';
import { mkdir, type FileHandle as NodeHandle, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileHandle, FileSystem } from '../ports.ts';
import { explained } from './folder.ts';

type FileStat = Awaited<ReturnType<FileHandle['stat']>>;

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const FLAGS = { read: 'r', create: 'wx+' } as const;

/** The folder `root` must exist. Every path is relative to it. What the disk itself refuses is a FolderError that names the root. */
export function openDisk(root: string): FileSystem {
  const told: Told = async (work) => {
    try {
      return await work();
    } catch (error) {
      throw explained(error, root);
    }
  };
  return toldFiles(plainDisk(root, told), told);
}

/** Does the work, and says of a failing disk where it is. */
type Told = <T>(work: () => Promise<T>) => Promise<T>;

function toldFiles(files: FileSystem, told: Told): FileSystem {
  return {
    open: (path, mode) => told(() => files.open(path, mode)),
    readFile: (path) => told(() => files.readFile(path)),
    stat: (path) => told(() => files.stat(path)),
    list: (folder) => told(() => files.list(folder)),
    makeFolder: (folder) => told(() => files.makeFolder(folder)),
    rename: (from, to) => told(() => files.rename(from, to)),
    remove: (path) => told(() => files.remove(path)),
    syncFolder: (folder) => told(() => files.syncFolder(folder)),
  };
}

function plainDisk(root: string, told: Told): FileSystem {
  const at = (path: string): string => join(root, checkedPath(path));
  return {
    open: async (path, mode) =>
      handleOf(mode === 'write' ? await openOrMake(at(path)) : await open(at(path), FLAGS[mode], FILE_MODE), told),
    readFile: async (path) => orNull(async () => plainBytes(await readFile(at(path)))),
    stat: async (path) => orNull(async () => statOf(await stat(at(path), { bigint: true }))),
    list: async (folder) => ((await orNull(() => readdir(at(folder)))) ?? []).sort(),
    makeFolder: async (folder) => {
      await mkdir(at(folder), { recursive: true, mode: FOLDER_MODE });
    },
    rename: (from, to) => rename(at(from), at(to)),
    remove: (path) => rm(at(path), { force: true }),
    syncFolder: async (folder) => {
      const handle = await open(at(folder), 'r');
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    },
  };
}

/** Read and write, kept when there: `r+` first, because every append flag would ignore positions. */
async function openOrMake(path: string): Promise<NodeHandle> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
  try {
    return await open(path, 'wx+', FILE_MODE);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    return await open(path, 'r+');
  }
}

function handleOf(file: NodeHandle, told: Told): FileHandle {
  return {
    read: (target, position) => told(() => readAll(file, target, position)),
    write: (data, position) => told(() => writeAll(file, data, position)),
    truncate: (sizeBytes) => told(() => file.truncate(sizeBytes)),
    // On the spot: of an open file the system knows the answer, and a trip to the thread pool costs ten times as much. It is asked for every run.
    stat: () => told(async () => statOf(fstatSync(file.fd, { bigint: true }))),
    sync: () => told(() => file.datasync()),
    close: () => told(() => file.close()),
  };
}

async function readAll(file: NodeHandle, target: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < target.length) {
    const { bytesRead } = await file.read(target, done, target.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

async function writeAll(file: NodeHandle, data: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < data.length) {
    const { bytesWritten } = await file.write(data, done, data.length - done, position + done);
    done += bytesWritten;
  }
}

/** Times keep their microseconds; an inode beyond 2^53 keeps its low bits, which is enough to see that a file was exchanged. */
function statOf(found: BigIntStats): FileStat {
  return {
    sizeBytes: Number(found.size),
    modifiedMs: Number(found.mtimeNs / 1000n) / 1000,
    changedMs: Number(found.ctimeNs / 1000n) / 1000,
    inode: Number(BigInt.asUintN(53, found.ino)),
  };
}

async function orNull<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
}

/** Throws a RangeError for a path that is absolute, climbs, or holds NUL: such a path is a bug, never a request. */
function checkedPath(path: string): string {
  const escapes = path.startsWith('/') || path.includes('\0') || path.split('/').includes('..');
  if (escapes) throw new RangeError(`expected a path below the data folder, got ${JSON.stringify(path)}`);
  return path;
}

function plainBytes(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
