/**
 * A file system in memory that forgets like a disk: what was not synced may be lost at `crash`, in whole or in part, as a seed decides.
 * Implements the FileSystem port of registry/ports.ts. Data of a file is durable after `sync`; its name only after `syncFolder` of the
 * folder that holds it; a rename is atomic; a folder itself is durable at once. Never touches a real disk.
 */

import type { FileHandle, FileStat, FileSystem } from '../../registry/index.ts';

type Change =
  | { readonly kind: 'write'; readonly position: number; readonly data: Uint8Array }
  | { readonly kind: 'truncate'; readonly sizeBytes: number };

/** Bytes with room to grow. */
interface Image {
  bytes: Uint8Array;
  sizeBytes: number;
}

interface Inode extends Image {
  readonly id: number;
  /** What is on the disk: the same but for the unsynced changes. */
  durable: Image;
  unsynced: Change[];
  modifiedMs: number;
  changedMs: number;
}

/** One atomic step of the folders: names that were set, or taken away with null. */
type FolderStep = readonly { readonly path: string; readonly inode: Inode | null }[];

export interface MemoryFileSystem extends FileSystem {
  /** The machine loses power: open handles die, unsynced bytes and names survive only as far as the seed lets them. */
  readonly crash: () => void;
  /** Bytes that may still be written before ENOSPC; null = no limit. */
  readonly setSpace: (sizeBytes: number | null) => void;
  readonly setReadOnly: (readOnly: boolean) => void;
  /** Flips one bit on the disk; `quiet` leaves the times alone, as decay does, otherwise they move, as they do for an editor. */
  readonly flipBit: (path: string, bit: number, options?: { readonly quiet?: boolean }) => void;
  /** Reads of this path fail with EIO; null = none. */
  readonly setUnreadable: (path: string | null) => void;
  /** All files, sorted. */
  readonly paths: () => readonly string[];
  /** What a power cut now would surely leave of the file, not to be changed; null when not even its name is sure. */
  readonly durable: (path: string) => Uint8Array | null;
  /** Handles not closed yet. */
  readonly openHandles: () => number;
}

/** `seed` decides what a crash leaves; `nowMs` gives the times of files (default: a counter). */
export function memoryFileSystem(options: { readonly seed?: number; readonly nowMs?: () => number } = {}): MemoryFileSystem {
  return new Memory(options.seed ?? 1, options.nowMs);
}

class Memory implements MemoryFileSystem {
  #files = new Map<string, Inode>();
  #durable = new Map<string, Inode>();
  #steps: FolderStep[] = [];
  #folders = new Set<string>(['']);
  #generation = 0;
  #nextInode = 1;
  #ticks = 0;
  #handles = 0;
  #space: number | null = null;
  #readOnly = false;
  #unreadable: string | null = null;
  #random: () => number;
  #nowMs: () => number;

  constructor(seed: number, nowMs: (() => number) | undefined) {
    this.#random = generator(seed);
    this.#nowMs =
      nowMs ??
      (() => {
        this.#ticks += 1;
        return this.#ticks;
      });
  }

  readonly open = async (path: string, mode: 'read' | 'write' | 'create'): Promise<FileHandle> => {
    await turn();
    let inode = this.#files.get(path);
    if (mode === 'read' && inode === undefined) throw failure('ENOENT', path);
    if (mode !== 'read' && this.#readOnly) throw failure('EROFS', path);
    if (mode === 'create' && inode !== undefined) throw failure('EEXIST', path);
    if (inode === undefined) {
      this.#requireFolder(path);
      const now = this.#nowMs();
      inode = {
        id: this.#nextInode,
        bytes: new Uint8Array(),
        sizeBytes: 0,
        durable: { bytes: new Uint8Array(), sizeBytes: 0 },
        unsynced: [],
        modifiedMs: now,
        changedMs: now,
      };
      this.#nextInode += 1;
      this.#step([{ path, inode }]);
    }
    this.#handles += 1;
    return this.#handle(path, inode, mode !== 'read');
  };

  readonly readFile = async (path: string): Promise<Uint8Array | null> => {
    await turn();
    const inode = this.#files.get(path);
    if (inode === undefined) return null;
    if (path === this.#unreadable) throw failure('EIO', path);
    return inode.bytes.slice(0, inode.sizeBytes);
  };

  readonly stat = async (path: string): Promise<FileStat | null> => {
    await turn();
    const inode = this.#files.get(path);
    return inode === undefined ? null : statOf(inode);
  };

  readonly list = async (folder: string): Promise<readonly string[]> => {
    await turn();
    const names = new Set<string>();
    for (const path of [...this.#files.keys(), ...this.#folders]) {
      if (folderOf(path) === folder && path !== '') names.add(path.slice(folder === '' ? 0 : folder.length + 1));
    }
    return [...names].sort();
  };

  readonly makeFolder = async (folder: string): Promise<void> => {
    await turn();
    if (this.#folders.has(folder)) return;
    if (this.#readOnly) throw failure('EROFS', folder);
    for (let path = folder; path !== ''; path = folderOf(path)) this.#folders.add(path);
  };

  readonly rename = async (from: string, to: string): Promise<void> => {
    await turn();
    const inode = this.#files.get(from);
    if (inode === undefined) throw failure('ENOENT', from);
    if (this.#readOnly) throw failure('EROFS', to);
    this.#requireFolder(to);
    inode.changedMs = this.#nowMs();
    this.#step([
      { path: to, inode },
      { path: from, inode: null },
    ]);
  };

  readonly remove = async (path: string): Promise<void> => {
    await turn();
    if (!this.#files.has(path)) return;
    if (this.#readOnly) throw failure('EROFS', path);
    this.#step([{ path, inode: null }]);
  };

  readonly syncFolder = async (folder: string): Promise<void> => {
    await turn();
    const kept: FolderStep[] = [];
    for (const step of this.#steps) {
      if (step.some(({ path }) => folderOf(path) === folder)) apply(this.#durable, step);
      else kept.push(step);
    }
    this.#steps = kept;
  };

  readonly crash = (): void => {
    this.#generation += 1;
    this.#handles = 0;
    const surviving = Math.floor(this.#random() * (this.#steps.length + 1));
    for (const step of this.#steps.slice(0, surviving)) apply(this.#durable, step);
    this.#steps = [];
    for (const inode of new Set([...this.#files.values(), ...this.#durable.values()])) this.#tear(inode);
    this.#files = new Map(this.#durable);
  };

  readonly setSpace = (sizeBytes: number | null): void => {
    this.#space = sizeBytes;
  };

  readonly setReadOnly = (readOnly: boolean): void => {
    this.#readOnly = readOnly;
  };

  readonly setUnreadable = (path: string | null): void => {
    this.#unreadable = path;
  };

  readonly flipBit = (path: string, bit: number, options: { readonly quiet?: boolean } = {}): void => {
    const inode = this.#files.get(path);
    if (inode === undefined || bit >= inode.sizeBytes * 8) throw new RangeError(`no bit ${bit} in ${path}`);
    const position = bit >> 3;
    const bytes = inode.bytes.slice();
    bytes[position] = (bytes[position] ?? 0) ^ (1 << (bit & 7));
    inode.bytes = bytes;
    inode.durable = imageOf(inode);
    inode.unsynced = [];
    if (options.quiet === true) return;
    inode.modifiedMs = this.#nowMs();
    inode.changedMs = inode.modifiedMs;
  };

  readonly paths = (): readonly string[] => [...this.#files.keys()].sort();

  readonly durable = (path: string): Uint8Array | null => durableOf(this.#durable.get(path));

  readonly openHandles = (): number => this.#handles;

  #handle(path: string, inode: Inode, writable: boolean): FileHandle {
    const born = this.#generation;
    let closed = false;
    const alive = async (): Promise<void> => {
      await turn();
      if (closed || born !== this.#generation) throw failure('EBADF', path);
    };
    const change = async (one: Change): Promise<void> => {
      await alive();
      if (!writable) throw failure('EBADF', path);
      if (this.#readOnly) throw failure('EROFS', path);
      this.#spend(inode, one, path);
      alter(inode, one);
      inode.unsynced.push(one);
      inode.modifiedMs = this.#nowMs();
      inode.changedMs = inode.modifiedMs;
    };
    return {
      read: async (target, position) => {
        await alive();
        if (path === this.#unreadable) throw failure('EIO', path);
        const part = inode.bytes.subarray(Math.min(position, inode.sizeBytes), Math.min(inode.sizeBytes, position + target.length));
        target.set(part);
        return part.length;
      },
      write: (data, position) => change({ kind: 'write', position, data: data.slice() }),
      truncate: (sizeBytes) => change({ kind: 'truncate', sizeBytes }),
      stat: async () => {
        await alive();
        return statOf(inode);
      },
      sync: async () => {
        await alive();
        for (const one of inode.unsynced) alter(inode.durable, one);
        inode.unsynced = [];
      },
      close: async () => {
        await turn();
        if (closed) throw failure('EBADF', path);
        closed = true;
        if (born === this.#generation) this.#handles -= 1;
      },
    };
  }

  #spend(inode: Inode, one: Change, path: string): void {
    if (this.#space === null || one.kind !== 'write') return;
    const grown = Math.max(0, one.position + one.data.length - inode.sizeBytes);
    if (grown > this.#space) throw failure('ENOSPC', path);
    this.#space -= grown;
  }

  /** Keeps a first part of the unsynced changes; the write after them may survive in its first bytes. */
  #tear(inode: Inode): void {
    const surviving = Math.floor(this.#random() * (inode.unsynced.length + 1));
    const torn = inode.unsynced[surviving];
    inode.bytes = imageOf(inode.durable).bytes;
    inode.sizeBytes = inode.durable.sizeBytes;
    for (const one of inode.unsynced.slice(0, surviving)) alter(inode, one);
    if (torn?.kind === 'write')
      alter(inode, { ...torn, data: torn.data.slice(0, Math.max(0, Math.floor((this.#random() * 2 - 1) * torn.data.length))) });
    inode.durable = imageOf(inode);
    inode.unsynced = [];
  }

  #step(step: FolderStep): void {
    apply(this.#files, step);
    this.#steps.push(step);
  }

  #requireFolder(path: string): void {
    if (!this.#folders.has(folderOf(path))) throw failure('ENOENT', path);
  }
}

function imageOf({ bytes, sizeBytes }: Image): Image {
  return { bytes: bytes.slice(0, sizeBytes), sizeBytes };
}

function durableOf(inode: Inode | undefined): Uint8Array | null {
  return inode === undefined ? null : inode.durable.bytes.subarray(0, inode.durable.sizeBytes);
}

function alter(inode: Image, change: Change): void {
  if (change.kind === 'truncate') {
    inode.bytes = grownTo(inode.bytes.slice(0, Math.min(change.sizeBytes, inode.sizeBytes)), change.sizeBytes);
    inode.sizeBytes = change.sizeBytes;
    return;
  }
  const end = change.position + change.data.length;
  if (change.data.length === 0) return;
  if (end > inode.bytes.length) inode.bytes = grownTo(inode.bytes.subarray(0, inode.sizeBytes), Math.max(end, inode.bytes.length * 2));
  inode.bytes.set(change.data, change.position);
  inode.sizeBytes = Math.max(inode.sizeBytes, end);
}

function grownTo(bytes: Uint8Array, length: number): Uint8Array {
  const grown = new Uint8Array(length);
  grown.set(bytes);
  return grown;
}

function apply(files: Map<string, Inode>, step: FolderStep): void {
  for (const { path, inode } of step) {
    if (inode === null) files.delete(path);
    else files.set(path, inode);
  }
}

function statOf(inode: Inode): FileStat {
  return { sizeBytes: inode.sizeBytes, modifiedMs: inode.modifiedMs, changedMs: inode.changedMs, inode: inode.id };
}

function folderOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

/** Every call yields once, as a real disk would. */
async function turn(): Promise<void> {
  await Promise.resolve();
}

/** mulberry32: from 0, inclusive, to 1, exclusive. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
