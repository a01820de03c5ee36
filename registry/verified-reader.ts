/**
 * Reads of stored files, verified run by run: the leaf layer against piecesRoot, the bytes against the leaf layer.
 * Follows docs/SPEC.md §11.5: a run is hashed at its first use in a process, whenever the file's stat changes, and again
 * after `reverifyMs`. Never gives out a byte of a run that did not fit; what to do with a rotten file is its owner's business.
 */

import { formatDigest, sameBytes } from '../chain/index.ts';
import { type FileIdentity, writeSynced } from './blob-writer.ts';
import { diskError, errnoOf, RegistryError } from './error.ts';
import { hashFile } from './hash-file.ts';
import { BLOCK_BYTES, buildRunTree, isRun, leavesOf, proveWithin, type Run, type RunTree, runBlocks, runRange } from './pieces.ts';
import type { Clock, FileHandle, FileStat, FileSystem } from './ports.ts';

/** A run as it is sent to a peer. */
export interface ProvenRun {
  readonly bytes: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

export interface VerifiedReader {
  readonly file: FileIdentity;
  /** Reads verified bytes from `position`; fewer than asked at the end of a run or of the file, 0 only at the end. One call at a time. */
  readonly read: (target: Uint8Array, position: number) => Promise<number>;
  /** A run with its proof; `run` must exist in the file (`isRun`). */
  readonly readRun: (run: Run) => Promise<ProvenRun>;
  readonly close: () => Promise<void>;
}

export interface StoredPaths {
  readonly bytes: string;
  readonly leaves: string;
}

export interface Finding {
  readonly reason: string;
  /** Of the file that was read: by now another one may stand at that path. */
  readonly inode: number;
}

export interface VerifierOptions {
  /** After this long a run is hashed again. */
  readonly reverifyMs: number;
  /** How many runs of how many files are remembered as verified, in runs. */
  readonly maxKnownRuns?: number;
}

export interface VerifierDeps {
  readonly files: FileSystem;
  readonly clock: Clock;
  /** Puts the file away, before the read fails with ROTTEN. Every reader that finds it so calls. */
  readonly onRotten: (paths: StoredPaths, file: FileIdentity, finding: Finding) => Promise<void>;
  /** A leaf layer was missing or damaged while the bytes were right, and has been written anew. */
  readonly onRepaired: (paths: StoredPaths, file: FileIdentity) => void;
}

/** What this process has already checked of one file. */
interface Known {
  stat: FileStat;
  readonly tree: RunTree | null;
  /** Per run: when it was verified; -Infinity = not since the stat changed. */
  readonly verifiedMs: Float64Array;
}

export class VerifiedFiles {
  readonly #options: Required<VerifierOptions>;
  readonly #deps: VerifierDeps;
  /** Least recently opened first. */
  readonly #known: Map<string, Known> = new Map();
  #knownRuns = 0;

  constructor(options: VerifierOptions, deps: VerifierDeps) {
    this.#options = { maxKnownRuns: 262_144, ...options };
    this.#deps = deps;
  }

  /** Null when there is no such file. Throws ROTTEN when size or leaf layer show already that it is not the one expected. */
  async open(paths: StoredPaths, file: FileIdentity): Promise<VerifiedReader | null> {
    const subject = formatDigest(file.sha256);
    let handle: FileHandle;
    try {
      handle = await this.#deps.files.open(paths.bytes, 'read');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null;
      throw diskError(error, subject);
    }
    try {
      const known = await this.#know(paths, file, handle);
      return new Reader({ paths, file, handle, known, reverifyMs: this.#options.reverifyMs }, this.#deps);
    } catch (error) {
      await handle.close();
      throw diskError(error, subject);
    }
  }

  /** Forgets what was verified: the file is gone. */
  forget(paths: StoredPaths): void {
    const known = this.#known.get(paths.bytes);
    if (known === undefined) return;
    this.#known.delete(paths.bytes);
    this.#knownRuns -= known.verifiedMs.length + 1;
  }

  async #know(paths: StoredPaths, file: FileIdentity, handle: FileHandle): Promise<Known> {
    const stat = await handle.stat();
    const before = this.#known.get(paths.bytes);
    this.forget(paths);
    const same = before !== undefined && sameStat(before.stat, stat) && sameIdentity(before.tree, file);
    const known = same ? before : await this.#check(paths, file, { handle, stat });
    // Another reader may have come in between.
    this.forget(paths);
    this.#known.set(paths.bytes, known);
    this.#knownRuns += known.verifiedMs.length + 1;
    for (const [path] of this.#known) {
      if (this.#knownRuns <= this.#options.maxKnownRuns || path === paths.bytes) break;
      this.forget({ bytes: path, leaves: '' });
    }
    return known;
  }

  async #check(paths: StoredPaths, file: FileIdentity, opened: { readonly handle: FileHandle; readonly stat: FileStat }): Promise<Known> {
    const { stat } = opened;
    if (stat.sizeBytes !== file.sizeBytes) {
      throw await rotten(this.#deps, { paths, file, known: { stat } }, `expected ${file.sizeBytes} bytes, found ${stat.sizeBytes}`);
    }
    if (file.sizeBytes === 0) return { stat, tree: null, verifiedMs: new Float64Array(0) };
    const leaves = await this.#deps.files.readFile(paths.leaves);
    const tree = leaves !== null && leaves.length > 0 && leaves.length % 32 === 0 ? buildRunTree(leaves) : null;
    if (tree !== null && sameIdentity(tree, file))
      return { stat, tree, verifiedMs: new Float64Array(tree.runs).fill(Number.NEGATIVE_INFINITY) };
    return this.#repair(paths, file, opened);
  }

  /** The leaf layer is no use: the bytes themselves decide, whole. */
  async #repair(paths: StoredPaths, file: FileIdentity, opened: { readonly handle: FileHandle; readonly stat: FileStat }): Promise<Known> {
    const found = await hashFile(opened.handle, file.sizeBytes);
    const tree = found.leaves.length === 0 ? null : buildRunTree(found.leaves);
    if (tree === null || !sameBytes(found.sha256, file.sha256) || !sameIdentity(tree, file)) {
      throw await rotten(this.#deps, { paths, file, known: opened }, 'neither leaf layer nor bytes match');
    }
    await writeSynced(this.#deps.files, paths.leaves, found.leaves);
    this.#deps.onRepaired(paths, file);
    return { stat: opened.stat, tree, verifiedMs: new Float64Array(tree.runs).fill(this.#deps.clock.nowMs()) };
  }
}

interface ReaderInit {
  readonly paths: StoredPaths;
  readonly file: FileIdentity;
  readonly handle: FileHandle;
  readonly known: Known;
  readonly reverifyMs: number;
}

class Reader implements VerifiedReader {
  readonly file: FileIdentity;
  readonly #init: ReaderInit;
  readonly #deps: VerifierDeps;
  readonly #runBytes: number;
  #closed = false;

  constructor(init: ReaderInit, deps: VerifierDeps) {
    this.file = init.file;
    this.#init = init;
    this.#deps = deps;
    this.#runBytes = runBlocks(init.file.sizeBytes) * BLOCK_BYTES;
  }

  readonly read = async (target: Uint8Array, position: number): Promise<number> => {
    if (position >= this.file.sizeBytes) return 0;
    const run = Math.floor(position / this.#runBytes);
    const start = run * this.#runBytes;
    const end = Math.min(start + this.#runBytes, this.file.sizeBytes);
    const part = target.subarray(0, Math.min(target.length, end - position));
    if (part.length === end - start) {
      await this.#readRun(run, part);
      return part.length;
    }
    // Side by side: a stat before the read would not see more than one beside it does.
    const [isVerified] = await bothOf(this.#isVerified(run), this.#fill(part, position));
    if (!isVerified) part.set((await this.#verified(run)).subarray(position - start, position - start + part.length));
    return part.length;
  };

  readonly readRun = async (run: Run): Promise<ProvenRun> => {
    const { sizeBytes } = this.file;
    const { tree } = this.#init.known;
    if (tree === null || !isRun(sizeBytes, run))
      throw new RangeError(`expected a run of ${sizeBytes} bytes, got ${run.index}+${run.count}`);
    const width = runBlocks(sizeBytes);
    const number = Math.floor(run.index / width);
    const whole = await this.#runBytesOf(number);
    const above = tree.proofAbove(number);
    if (run.count === width) return { bytes: whole, proof: above };
    const from = run.index % width;
    const below = proveWithin(leavesOf(whole), { index: from, count: run.count }, width);
    const { length } = runRange(sizeBytes, run);
    return { bytes: whole.subarray(from * BLOCK_BYTES, from * BLOCK_BYTES + length), proof: [...below, ...above] };
  };

  readonly close = async (): Promise<void> => {
    if (this.#closed) return;
    this.#closed = true;
    await this.#init.handle.close();
  };

  async #runBytesOf(run: number): Promise<Uint8Array> {
    const bytes = this.#bufferOf(run);
    await this.#readRun(run, bytes);
    return bytes;
  }

  /** Reads a whole run into `bytes`; hashes it unless that was done. */
  async #readRun(run: number, bytes: Uint8Array): Promise<void> {
    const [isVerified] = await bothOf(this.#isVerified(run), this.#fill(bytes, run * this.#runBytes));
    if (!isVerified) await this.#verify(run, bytes);
  }

  async #verified(run: number): Promise<Uint8Array> {
    const bytes = this.#bufferOf(run);
    await this.#fill(bytes, run * this.#runBytes);
    await this.#verify(run, bytes);
    return bytes;
  }

  #bufferOf(run: number): Uint8Array {
    return new Uint8Array(Math.min(this.#runBytes, this.file.sizeBytes - run * this.#runBytes));
  }

  async #isVerified(run: number): Promise<boolean> {
    const { known, handle, reverifyMs } = this.#init;
    const stat = await this.#disk(handle.stat());
    if (!sameStat(stat, known.stat)) {
      known.stat = stat;
      known.verifiedMs.fill(Number.NEGATIVE_INFINITY);
    }
    return this.#deps.clock.nowMs() - (known.verifiedMs[run] ?? Number.NEGATIVE_INFINITY) < reverifyMs;
  }

  async #verify(run: number, bytes: Uint8Array): Promise<void> {
    const { known } = this.#init;
    if (known.tree?.matches(run, bytes) !== true) throw await rotten(this.#deps, this.#init, `run ${run} does not match the leaf layer`);
    known.verifiedMs[run] = this.#deps.clock.nowMs();
  }

  /** Fills the target whole; a file that ends early or can't be read is rotten too. */
  async #fill(target: Uint8Array, position: number): Promise<void> {
    let filled = 0;
    while (filled < target.length) {
      const read = await this.#disk(this.#init.handle.read(target.subarray(filled), position + filled));
      if (read === 0) throw await rotten(this.#deps, this.#init, `the file ends at ${position + filled} of ${this.file.sizeBytes} bytes`);
      filled += read;
    }
  }

  async #disk<T>(action: Promise<T>): Promise<T> {
    try {
      return await action;
    } catch (error) {
      if (errnoOf(error) === 'EIO') throw await rotten(this.#deps, this.#init, 'the disk could not read it (EIO)');
      throw diskError(error, formatDigest(this.file.sha256));
    }
  }
}

/** Waits for both, also when one of them fails: nobody may write into a buffer that was given back. */
async function bothOf<A, B>(left: Promise<A>, right: Promise<B>): Promise<readonly [A, B]> {
  await Promise.allSettled([left, right]);
  return [await left, await right];
}

async function rotten(
  deps: VerifierDeps,
  where: { readonly paths: StoredPaths; readonly file: FileIdentity; readonly known: { readonly stat: FileStat } },
  reason: string,
): Promise<RegistryError> {
  await deps.onRotten(where.paths, where.file, { reason, inode: where.known.stat.inode });
  return new RegistryError('ROTTEN', formatDigest(where.file.sha256), { message: `the stored file rotted: ${reason}` });
}

function sameIdentity(tree: RunTree | null, file: FileIdentity): boolean {
  return tree === null || file.piecesRoot === null ? tree === null && file.piecesRoot === null : sameBytes(tree.root, file.piecesRoot);
}

function sameStat(left: FileStat, right: FileStat): boolean {
  return (
    left.sizeBytes === right.sizeBytes &&
    left.modifiedMs === right.modifiedMs &&
    left.changedMs === right.changedMs &&
    left.inode === right.inode
  );
}
