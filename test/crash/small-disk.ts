/**
 * A small file system of a test's own, in a file, mounted for one folder or file of a node: it can be filled to the last byte, and it can turn
 * read-only under open files, as a disk does that begins to fail. Needs root, ext4 and a loop device. Takes itself away.
 */

import { execFile } from 'node:child_process';
import { cp, mkdir, open, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const SIZE_BYTES = 24 * 1024 * 1024;
const FILLER = 'filler';

export interface SmallDisk {
  /** Writes until nothing more fits. */
  readonly fill: () => Promise<void>;
  readonly makeRoom: () => Promise<void>;
  /** Like a bad sector in its administration: the kernel allows no further write. */
  readonly turnReadOnly: () => Promise<void>;
  /** Puts what it holds back where it was, on the disk below. */
  readonly remove: () => Promise<void>;
}

/** Null: it can; else why not. */
export async function whyNoSmallDisk(folder: string): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'needs root to mount a file system';
  const trial = path.join(folder, 'trial');
  await mkdir(trial);
  try {
    const disk = await mountAt(trial);
    await disk.unmount();
    return null;
  } catch (error) {
    return `cannot mount a small file system here: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`;
  }
}

/** Moves the folder or file onto a small disk of its own; nothing may have it open. A file is reached by a symbolic link. */
export async function putOnSmallDisk(target: string): Promise<SmallDisk> {
  const isFolder = (await stat(target)).isDirectory();
  const aside = `${target}.aside`;
  await rename(target, aside);
  const mountPoint = isFolder ? target : `${target}.disk`;
  await mkdir(mountPoint);
  const { device, unmount } = await mountAt(mountPoint);
  if (isFolder) {
    await cp(aside, mountPoint, { recursive: true });
  } else {
    await cp(aside, path.join(mountPoint, 'file'));
    await symlink(path.join(mountPoint, 'file'), target);
  }
  await rm(aside, { recursive: true });
  return {
    fill: () => fill(path.join(mountPoint, FILLER)),
    makeRoom: () => rm(path.join(mountPoint, FILLER), { force: true }),
    turnReadOnly: () => writeFile(`/sys/fs/ext4/${path.basename(device)}/trigger_fs_error`, 'as a test wishes\n'),
    remove: async () => {
      await cp(isFolder ? mountPoint : path.join(mountPoint, 'file'), aside, { recursive: true, filter: isOfTheNode });
      await unmount();
      await rm(mountPoint, { recursive: true, force: true });
      await rm(target, { recursive: true, force: true });
      await rename(aside, target);
    },
  };
}

function isOfTheNode(file: string): boolean {
  return !['lost+found', FILLER].includes(path.basename(file));
}

async function mountAt(mountPoint: string): Promise<{ readonly device: string; readonly unmount: () => Promise<void> }> {
  const image = `${mountPoint}.image`;
  const handle = await open(image, 'w');
  await handle.truncate(SIZE_BYTES);
  await handle.close();
  try {
    await run('mke2fs', '-q', '-F', '-t', 'ext4', '-m', '0', image);
    await run('mount', '-o', 'loop,errors=remount-ro', image, mountPoint);
  } catch (error) {
    await rm(image, { force: true });
    throw error;
  }
  const device = (await run('findmnt', '-n', '-o', 'SOURCE', mountPoint)).trim();
  return {
    device,
    unmount: async () => {
      await run('umount', mountPoint);
      await rm(image, { force: true });
    },
  };
}

/** Ever smaller pieces, to the last byte. */
async function fill(file: string): Promise<void> {
  const handle = await open(file, 'a');
  try {
    for (let size = 1024 * 1024; size >= 1; size = Math.floor(size / 4)) {
      await writeUntilFull(() => handle.appendFile(new Uint8Array(size)));
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeUntilFull(write: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      await write();
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return;
      throw error;
    }
  }
}

async function run(program: string, ...args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(program, args)).stdout;
}
