/**
 * The content-addressed store of committed files, and the places that uncommitted and rotten ones have beside it.
 * Follows docs/SPEC.md §11.5: nothing enters unless digest, size and pieces root are those expected, and
 * nothing is read unverified. A failing disk is a typed error here and never ends the node.
 *
 *     blobs/sha256/ab/<hex>           the bytes of a committed file
 *     blobs/sha256/ab/<hex>.leaves    its leaf layer: 32 bytes per 16 KiB block (none for an empty file)
 *     blobs/sha256/ab/<hex>.pin       empty: this node promised to keep the file
 *     staging/<hex>, <hex>.leaves     uncommitted bytes (staging.ts)
 *     staging/versions/<hex>          which uncommitted files wait for which version (generic/staged-versions.ts)
 *     temporary/<number>, …leaves     being written; emptied at open
 *     quarantine/<hex>-<ms>           found rotten; kept for the operator, never read again
 */

import { asDigest, type Digest, digestFromHex, digestToHex, formatDigest, sameBytes } from '../chain/index.ts';
import { BlobWriter, type FileIdentity, type WriterPlan, writeSynced } from './blob-writer.ts';
import { diskError, errnoOf, RegistryError } from './error.ts';
import { hashFile } from './hash-file.ts';
import { pause } from './pause.ts';
import type { Clock, FileHandle, FileSystem, Logger, Timers } from './ports.ts';
import { type Finding, type StoredPaths, VerifiedFiles, type VerifiedReader } from './verified-reader.ts';

export interface BlobStoreOptions {
  /** Budget for committed files and their leaf layers; a write beyond it is refused with NO_SPACE. */
  readonly allocatedBytes: number;
  /** A run is hashed again after this long. Default: 24 h. */
  readonly reverifyMs?: number;
  /** Speed of a scrub. Default: 8 MiB/s. */
  readonly scrubBytesPerSecond?: number;
}

export interface BlobStoreDeps {
  readonly files: FileSystem;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  /** A committed file was found rotten and put away: count it, fetch it again. */
  readonly onRotten?: (sha256: Digest) => void;
}

export interface WriteOptions {
  readonly maxBytes: number;
  readonly sha512?: boolean;
  readonly sha1?: boolean;
}

/** As counted on the disk. */
export interface StoreUsage {
  readonly allocatedBytes: number;
  /** Committed files and their leaf layers. */
  readonly usedBytes: number;
  readonly files: number;
  readonly quarantined: number;
}

export const BLOBS = 'blobs/sha256';
export const STAGING = 'staging';
const TEMPORARY = 'temporary';
const QUARANTINE = 'quarantine';
const HEX = /^[0-9a-f]{64}$/;

export class BlobStore {
  readonly #options: Required<BlobStoreOptions>;
  readonly #deps: BlobStoreDeps;
  readonly #verified: VerifiedFiles;
  /** Hex digest → bytes of the file, and of the file with its leaf layer. */
  readonly #index: Map<string, { readonly sizeBytes: number; readonly diskBytes: number }> = new Map();
  readonly #pinned: Set<string> = new Set();
  readonly #folders: Set<string> = new Set();
  #usedBytes = 0;
  #reservedBytes = 0;
  #nextTemporary = 0;

  private constructor(options: BlobStoreOptions, deps: BlobStoreDeps) {
    this.#options = { reverifyMs: 24 * 3_600_000, scrubBytesPerSecond: 8 * 1_048_576, ...options };
    this.#deps = deps;
    this.#verified = this.verifier((paths, file, finding) => this.#quarantine(paths, file, finding));
  }

  /** Makes the folders, clears what a crash left, and counts what is held. Throws READ_ONLY, NO_SPACE or DISK. */
  static async open(options: BlobStoreOptions, deps: BlobStoreDeps): Promise<BlobStore> {
    const store = new BlobStore(options, deps);
    try {
      for (const folder of [BLOBS, STAGING, TEMPORARY, QUARANTINE]) await deps.files.makeFolder(folder);
      for (const name of await deps.files.list(TEMPORARY)) await deps.files.remove(`${TEMPORARY}/${name}`);
      for (const shard of await deps.files.list(BLOBS)) await store.#load(shard);
    } catch (error) {
      throw diskError(error, BLOBS);
    }
    return store;
  }

  has(file: { readonly sha256: Digest; readonly sizeBytes: number }): boolean {
    return this.#index.get(digestToHex(file.sha256))?.sizeBytes === file.sizeBytes;
  }

  /** Digests of all files held, in order. */
  list(): readonly Digest[] {
    return [...this.#index.keys()].sort().map(digestFromHex);
  }

  /** A writer whose commit puts the file into the store. */
  write(options: WriteOptions): Promise<BlobWriter> {
    return this.openWriter({
      ...options,
      reserve: (sizeBytes) => this.#reserve(sizeBytes),
      release: (sizeBytes) => {
        this.#reservedBytes -= sizeBytes;
      },
      settle: (written, temporary) => this.adopt(written, temporary),
    });
  }

  /** A writer to temporary/ whose owner decides the place. */
  openWriter(plan: Omit<WriterPlan, 'temporaryPath' | 'sha512' | 'sha1'> & WriteOptions): Promise<BlobWriter> {
    this.#nextTemporary += 1;
    return BlobWriter.open(this.#deps.files, {
      sha512: false,
      sha1: false,
      ...plan,
      temporaryPath: `${TEMPORARY}/${this.#nextTemporary}`,
    });
  }

  /** Verified reads of a committed file, or null when it is not held. Throws ROTTEN after having put the file away. */
  async openReader(file: FileIdentity): Promise<VerifiedReader | null> {
    const hex = digestToHex(file.sha256);
    if (!this.#index.has(hex)) return null;
    const reader = await this.#verified.open(pathsOf(hex), file);
    if (reader === null) {
      this.#deps.log.error({ sha256: formatDigest(file.sha256) }, 'a stored file is gone from the disk');
      this.#forget(hex);
    }
    return reader;
  }

  /** Where a committed file lies, for a reader of its own with the same checks; null when it is not held. */
  locate(file: FileIdentity): StoredPaths | null {
    return this.has(file) ? pathsOf(digestToHex(file.sha256)) : null;
  }

  /** What such a reader found rotten: the file is put away, unless another one has taken its place. */
  putAway(file: FileIdentity, finding: Finding): Promise<void> {
    return this.#quarantine(pathsOf(digestToHex(file.sha256)), file, finding);
  }

  /** Takes synced files of the same disk into the store, by rename; the caller answers for what they are. */
  async adopt(file: FileIdentity, from: { readonly bytes: string; readonly leaves: string | null }): Promise<void> {
    const { files } = this.#deps;
    const hex = digestToHex(file.sha256);
    const paths = pathsOf(hex);
    const folder = `${BLOBS}/${hex.slice(0, 2)}`;
    if (!this.#folders.has(folder)) {
      await files.makeFolder(folder);
      await files.syncFolder(BLOBS);
      this.#folders.add(folder);
    }
    if (from.leaves !== null) await files.rename(from.leaves, paths.leaves);
    await files.rename(from.bytes, paths.bytes);
    await files.syncFolder(folder);
    this.#verified.forget(paths);
    this.#hold(hex, { sizeBytes: file.sizeBytes, leavesBytes: from.leaves === null ? 0 : Math.ceil(file.sizeBytes / 16_384) * 32 });
  }

  /** Promises to keep the file, across restarts too; `remove` answers `pinned` from now on. */
  async pin(sha256: Digest): Promise<void> {
    const hex = digestToHex(sha256);
    if (this.#pinned.has(hex) || !this.#index.has(hex)) return;
    await this.#disk(async () => {
      await writeSynced(this.#deps.files, `${pathsOf(hex).bytes}.pin`, new Uint8Array());
      await this.#deps.files.syncFolder(`${BLOBS}/${hex.slice(0, 2)}`);
    });
    this.#pinned.add(hex);
  }

  async unpin(sha256: Digest): Promise<void> {
    const hex = digestToHex(sha256);
    if (!this.#pinned.delete(hex)) return;
    await this.#disk(() => this.#deps.files.remove(`${pathsOf(hex).bytes}.pin`));
  }

  isPinned(sha256: Digest): boolean {
    return this.#pinned.has(digestToHex(sha256));
  }

  async remove(sha256: Digest): Promise<'removed' | 'absent' | 'pinned'> {
    const hex = digestToHex(sha256);
    if (this.#pinned.has(hex)) return 'pinned';
    if (!this.#index.has(hex)) return 'absent';
    await this.#disk(async () => {
      await this.#deps.files.remove(pathsOf(hex).bytes);
      await this.#deps.files.remove(pathsOf(hex).leaves);
      await this.#deps.files.syncFolder(`${BLOBS}/${hex.slice(0, 2)}`);
    });
    this.#forget(hex);
    return 'removed';
  }

  /** Walks the disk: what is really there, not what this process believes. */
  async usage(): Promise<StoreUsage> {
    const { files } = this.#deps;
    let usedBytes = 0;
    let count = 0;
    for (const shard of await files.list(BLOBS)) {
      for (const name of await files.list(`${BLOBS}/${shard}`)) {
        usedBytes += (await files.stat(`${BLOBS}/${shard}/${name}`))?.sizeBytes ?? 0;
        if (HEX.test(name)) count += 1;
      }
    }
    const quarantined = (await files.list(QUARANTINE)).length;
    return { allocatedBytes: this.#options.allocatedBytes, usedBytes, files: count, quarantined };
  }

  /** Hashes every file once, at bounded speed; rotten ones go to quarantine. Resolves early when the signal fires. */
  async scrub(signal?: AbortSignal): Promise<{ readonly checked: number; readonly rotten: number }> {
    let checked = 0;
    let rotten = 0;
    for (const sha256 of this.list()) {
      if (signal?.aborted === true) break;
      const verdict = await this.#scrubOne(digestToHex(sha256), signal);
      if (verdict !== 'gone') checked += 1;
      if (verdict === 'rotten') rotten += 1;
    }
    return { checked, rotten };
  }

  /** A verifier with this store's clock and interval, for files that lie elsewhere on the same disk. */
  verifier(onRotten: (paths: StoredPaths, file: FileIdentity, finding: Finding) => Promise<void>): VerifiedFiles {
    const { files, clock, log } = this.#deps;
    return new VerifiedFiles(
      { reverifyMs: this.#options.reverifyMs },
      {
        files,
        clock,
        onRotten,
        onRepaired: (_paths, file) =>
          log.warn({ sha256: formatDigest(file.sha256) }, 'a leaf layer was missing or damaged and was made anew'),
      },
    );
  }

  async #scrubOne(hex: string, signal: AbortSignal | undefined): Promise<'sound' | 'rotten' | 'gone'> {
    const { files } = this.#deps;
    const paths = pathsOf(hex);
    const sizeBytes = this.#index.get(hex)?.sizeBytes;
    const stat = await files.stat(paths.bytes);
    if (sizeBytes === undefined || stat === null) return 'gone';
    const file = { sha256: digestFromHex(hex), sizeBytes, piecesRoot: null };
    let handle: FileHandle | null = null;
    try {
      handle = await files.open(paths.bytes, 'read');
      const found = await hashFile(handle, sizeBytes, (nextBytes) => this.#pace(nextBytes, signal));
      if (signal?.aborted === true) return 'gone';
      if (stat.sizeBytes !== sizeBytes || !sameBytes(found.sha256, file.sha256)) {
        await this.#quarantine(paths, file, { reason: 'found by the scrub', inode: stat.inode });
        return 'rotten';
      }
      const leaves = await files.readFile(paths.leaves);
      if (found.leaves.length > 0 && (leaves === null || !sameBytes(leaves, found.leaves))) {
        await writeSynced(files, paths.leaves, found.leaves);
        this.#deps.log.warn({ sha256: formatDigest(file.sha256) }, 'a leaf layer was missing or damaged and was made anew');
      }
      return 'sound';
    } catch (error) {
      if (errnoOf(error) === 'EIO') {
        await this.#quarantine(paths, file, { reason: 'the disk could not read it (EIO)', inode: stat.inode });
        return 'rotten';
      }
      this.#deps.log.warn({ sha256: formatDigest(file.sha256), error: diskError(error, hex).message }, 'a file could not be scrubbed');
      return 'gone';
    } finally {
      await handle?.close();
    }
  }

  /** Waits as long as these bytes may take. */
  async #pace(nextBytes: number, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) return;
    await pause(this.#deps.timers, (nextBytes * 1000) / this.#options.scrubBytesPerSecond, signal);
  }

  async #load(shard: string): Promise<void> {
    const { files } = this.#deps;
    const folder = `${BLOBS}/${shard}`;
    const names = new Set(await files.list(folder));
    for (const name of names) {
      const hex = name.slice(0, 64);
      if (name.endsWith('.leaves') && !names.has(hex)) await files.remove(`${folder}/${name}`);
      if (name.endsWith('.pin')) this.#pinned.add(hex);
      if (!HEX.test(name) || !name.startsWith(shard)) continue;
      const stat = await files.stat(`${folder}/${name}`);
      const leaves = await files.stat(`${folder}/${name}.leaves`);
      if (stat !== null) this.#hold(name, { sizeBytes: stat.sizeBytes, leavesBytes: leaves?.sizeBytes ?? 0 });
    }
    this.#folders.add(folder);
  }

  async #quarantine(paths: StoredPaths, file: FileIdentity, finding: Finding): Promise<void> {
    const { files, log, clock, onRotten } = this.#deps;
    const hex = digestToHex(file.sha256);
    const stat = await this.#disk(() => files.stat(paths.bytes));
    if (stat === null || stat.inode !== finding.inode) return;
    // Out of the index first: even on a read-only disk the file is never served again.
    this.#forget(hex);
    const place = `${QUARANTINE}/${hex}-${clock.nowMs()}`;
    log.error(
      { sha256: formatDigest(file.sha256), reason: finding.reason, movedTo: place },
      'a stored file rotted and was put into quarantine',
    );
    try {
      await files.rename(paths.bytes, place);
      await files.remove(paths.leaves);
      await files.syncFolder(QUARANTINE);
      await files.syncFolder(`${BLOBS}/${hex.slice(0, 2)}`);
    } catch (error) {
      log.error({ sha256: formatDigest(file.sha256), error: diskError(error, place).message }, 'a rotten file could not be moved away');
    }
    onRotten?.(asDigest(file.sha256));
  }

  #reserve(sizeBytes: number): void {
    const { allocatedBytes } = this.#options;
    if (this.#usedBytes + this.#reservedBytes + sizeBytes > allocatedBytes) {
      throw new RegistryError('NO_SPACE', BLOBS, {
        message: `the ${allocatedBytes} bytes allocated to files are used up: raise the budget or remove files`,
      });
    }
    this.#reservedBytes += sizeBytes;
  }

  #hold(hex: string, size: { readonly sizeBytes: number; readonly leavesBytes: number }): void {
    this.#usedBytes -= this.#index.get(hex)?.diskBytes ?? 0;
    const diskBytes = size.sizeBytes + size.leavesBytes;
    this.#index.set(hex, { sizeBytes: size.sizeBytes, diskBytes });
    this.#usedBytes += diskBytes;
  }

  #forget(hex: string): void {
    this.#verified.forget(pathsOf(hex));
    this.#usedBytes -= this.#index.get(hex)?.diskBytes ?? 0;
    this.#index.delete(hex);
  }

  async #disk<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw diskError(error, BLOBS);
    }
  }
}

function pathsOf(hex: string): StoredPaths {
  const bytes = `${BLOBS}/${hex.slice(0, 2)}/${hex}`;
  return { bytes, leaves: `${bytes}.leaves` };
}
