/**
 * Uncommitted bytes: what a publisher put here, or what an authority fetched to check a claim. Quota and expiry; the commit renames them
 * into the store. Follows docs/SPEC.md §11.6. Never served over HTTP; layout in blob-store.ts.
 */

import { type Digest, digestFromHex, digestToHex, formatDigest } from '../chain/index.ts';
import { type BlobStore, STAGING, type WriteOptions } from './blob-store.ts';
import type { BlobWriter, FileIdentity, WrittenFile } from './blob-writer.ts';
import { diskError, RegistryError } from './error.ts';
import { piecesRootOf } from './pieces.ts';
import type { Clock, FileSystem, Logger } from './ports.ts';
import type { StoredPaths, VerifiedFiles, VerifiedReader } from './verified-reader.ts';

export interface StagingOptions {
  /** Bytes of all uncommitted files together. */
  readonly quotaBytes: number;
  /** Bytes that nobody committed are dropped after this long. */
  readonly expiryMs: number;
}

export interface StagingWriteOptions extends WriteOptions {
  /** Dropped after so long where nobody holds or commits it; never later than all others are. */
  readonly keepMs?: number;
}

export interface StagingDeps {
  readonly files: FileSystem;
  readonly clock: Clock;
  readonly log: Logger;
  readonly blobs: BlobStore;
}

interface Staged {
  readonly file: FileIdentity;
  expiresMs: number;
}

export class Staging {
  readonly #options: StagingOptions;
  readonly #deps: StagingDeps;
  readonly #staged: Map<string, Staged> = new Map();
  /** On their way into the store, by hex digest. */
  readonly #moving: Map<string, Promise<void>> = new Map();
  readonly #verified: VerifiedFiles;
  #usedBytes = 0;
  #reservedBytes = 0;

  private constructor(options: StagingOptions, deps: StagingDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#verified = deps.blobs.verifier(async (_paths, file, finding) => {
      deps.log.error({ sha256: formatDigest(file.sha256), reason: finding.reason }, 'a staged file rotted and was dropped');
      await this.drop(file.sha256);
    });
  }

  /** Takes up what an earlier process left. */
  static async open(options: StagingOptions, deps: StagingDeps): Promise<Staging> {
    const staging = new Staging(options, deps);
    try {
      for (const name of await deps.files.list(STAGING)) {
        if (/^[0-9a-f]{64}$/.test(name)) await staging.#load(name);
        else if (name.endsWith('.leaves') && (await deps.files.stat(`${STAGING}/${name.slice(0, 64)}`)) === null) {
          await deps.files.remove(`${STAGING}/${name}`);
        }
      }
    } catch (error) {
      throw diskError(error, STAGING);
    }
    return staging;
  }

  /** A writer whose commit stages the file. Beyond the quota it fails with STAGING_FULL. */
  async write({ keepMs = this.#options.expiryMs, ...options }: StagingWriteOptions): Promise<BlobWriter> {
    await this.expire();
    return this.#deps.blobs.openWriter({
      ...options,
      reserve: (sizeBytes) => this.#reserve(sizeBytes),
      release: (sizeBytes) => {
        this.#reservedBytes -= sizeBytes;
      },
      settle: (written, temporary) => this.#settle(written, temporary, Math.min(keepMs, this.#options.expiryMs)),
    });
  }

  /** The staged file with this digest, or null. */
  get(sha256: Digest): FileIdentity | null {
    return this.#staged.get(digestToHex(sha256))?.file ?? null;
  }

  /** Verified reads of a staged file, or null. */
  async openReader(sha256: Digest): Promise<VerifiedReader | null> {
    const hex = digestToHex(sha256);
    const staged = this.#staged.get(hex);
    return staged === undefined ? null : this.#verified.open(pathsOf(hex), staged.file);
  }

  /** Keeps the bytes at least until then: an endorsement that lasts so long promised them. */
  hold(sha256: Digest, untilMs: number): void {
    const staged = this.#staged.get(digestToHex(sha256));
    if (staged !== undefined) staged.expiresMs = Math.max(staged.expiresMs, untilMs);
  }

  /** The commit: moves the staged bytes into the store. True when the store holds the file afterwards. */
  async promote(file: FileIdentity): Promise<boolean> {
    const { blobs } = this.#deps;
    const hex = digestToHex(file.sha256);
    if (blobs.has(file)) {
      await this.drop(file.sha256);
      return true;
    }
    const staged = this.#staged.get(hex);
    if (staged === undefined || staged.file.sizeBytes !== file.sizeBytes) return false;
    // The commit and a client that was quick ask for it at the same time: one of them moves it.
    const moving = this.#moving.get(hex) ?? this.#move(hex, staged.file);
    this.#moving.set(hex, moving);
    try {
      await moving;
    } finally {
      this.#moving.delete(hex);
    }
    return true;
  }

  async #move(hex: string, file: FileIdentity): Promise<void> {
    const paths = pathsOf(hex);
    try {
      await this.#deps.blobs.adopt(file, { bytes: paths.bytes, leaves: file.sizeBytes === 0 ? null : paths.leaves });
    } catch (error) {
      throw diskError(error, formatDigest(file.sha256));
    }
    this.#forget(hex);
  }

  async drop(sha256: Digest): Promise<void> {
    const hex = digestToHex(sha256);
    if (!this.#staged.has(hex)) return;
    this.#forget(hex);
    const { files } = this.#deps;
    try {
      await files.remove(pathsOf(hex).bytes);
      await files.remove(pathsOf(hex).leaves);
    } catch (error) {
      throw diskError(error, STAGING);
    }
  }

  /** Drops what nobody committed in time; resolves to how many. */
  async expire(): Promise<number> {
    const now = this.#deps.clock.nowMs();
    const overdue = [...this.#staged.values()].filter((staged) => staged.expiresMs <= now);
    for (const { file } of overdue) {
      this.#deps.log.info({ sha256: formatDigest(file.sha256), sizeBytes: file.sizeBytes }, 'staged bytes expired');
      await this.drop(file.sha256);
    }
    return overdue.length;
  }

  usage(): { readonly quotaBytes: number; readonly usedBytes: number; readonly files: number } {
    return { quotaBytes: this.#options.quotaBytes, usedBytes: this.#usedBytes, files: this.#staged.size };
  }

  async #settle(
    written: WrittenFile,
    temporary: { readonly bytes: string; readonly leaves: string | null },
    keepMs: number,
  ): Promise<void> {
    const { files, clock } = this.#deps;
    const hex = digestToHex(written.sha256);
    const paths = pathsOf(hex);
    if (temporary.leaves !== null) await files.rename(temporary.leaves, paths.leaves);
    await files.rename(temporary.bytes, paths.bytes);
    await files.syncFolder(STAGING);
    const { sha256, sizeBytes, piecesRoot } = written;
    const expiresMs = Math.max(this.#staged.get(hex)?.expiresMs ?? 0, clock.nowMs() + keepMs);
    this.#forget(hex);
    this.#keep(hex, { file: { sha256, sizeBytes, piecesRoot }, expiresMs });
  }

  async #load(hex: string): Promise<void> {
    const { files, log } = this.#deps;
    const paths = pathsOf(hex);
    const stat = await files.stat(paths.bytes);
    const leaves = await files.readFile(paths.leaves);
    const expected = Math.ceil((stat?.sizeBytes ?? 0) / 16_384) * 32;
    if (stat === null || (leaves?.length ?? 0) !== expected) {
      log.warn({ sha256: `sha256:${hex}` }, 'a staged file without its leaf layer was dropped');
      await files.remove(paths.bytes);
      await files.remove(paths.leaves);
      return;
    }
    const file = { sha256: digestFromHex(hex), sizeBytes: stat.sizeBytes, piecesRoot: leaves === null ? null : piecesRootOf(leaves) };
    this.#keep(hex, { file, expiresMs: stat.modifiedMs + this.#options.expiryMs });
  }

  #reserve(sizeBytes: number): void {
    const { quotaBytes } = this.#options;
    if (this.#usedBytes + this.#reservedBytes + sizeBytes > quotaBytes) {
      throw new RegistryError('STAGING_FULL', STAGING, {
        message: `the ${quotaBytes} bytes for uncommitted files are used up: try again later`,
      });
    }
    this.#reservedBytes += sizeBytes;
  }

  #keep(hex: string, staged: Staged): void {
    this.#staged.set(hex, staged);
    this.#usedBytes += staged.file.sizeBytes;
  }

  #forget(hex: string): void {
    const staged = this.#staged.get(hex);
    if (staged === undefined) return;
    this.#verified.forget(pathsOf(hex));
    this.#staged.delete(hex);
    this.#usedBytes -= staged.file.sizeBytes;
  }
}

function pathsOf(hex: string): StoredPaths {
  const bytes = `${STAGING}/${hex}`;
  return { bytes, leaves: `${bytes}.leaves` };
}
