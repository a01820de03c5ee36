/**
 * Writes one file: to a temporary name, hashed while it is written, synced, and moved into place only when it is what was expected.
 * Follows docs/SPEC.md §11.5. Knows no layout: where the file goes is its owner's plan. Never reads what it wrote.
 */

import { createHash, type Hash } from 'node:crypto';
import { asDigest, type Digest, formatDigest, sameBytes } from '../chain/index.ts';
import { diskError, RegistryError } from './error.ts';
import { PieceHasher } from './pieces.ts';
import type { FileHandle, FileSystem } from './ports.ts';

/** What a file is, whatever it is called. piecesRoot is null for size 0. */
export interface FileIdentity {
  readonly sha256: Digest;
  readonly sizeBytes: number;
  readonly piecesRoot: Digest | null;
}

/** What was written. sha512 and sha1 are null unless they were asked for. */
export interface WrittenFile extends FileIdentity {
  readonly sha512: Uint8Array | null;
  readonly sha1: Uint8Array | null;
  /** Packed leaf layer, 32 bytes a block. */
  readonly leaves: Uint8Array;
}

/** What the owner of the place decides. */
export interface WriterPlan {
  /** Names nobody else uses: `<temporaryPath>` and `<temporaryPath>.leaves`. */
  readonly temporaryPath: string;
  readonly maxBytes: number;
  readonly sha512: boolean;
  readonly sha1: boolean;
  /** Takes space out of the budget, or throws NO_SPACE or STAGING_FULL. */
  readonly reserve: (sizeBytes: number) => void;
  /** Gives it back. */
  readonly release: (sizeBytes: number) => void;
  /** Moves the synced temporary files into place, durably. */
  readonly settle: (written: WrittenFile, temporary: { readonly bytes: string; readonly leaves: string | null }) => Promise<void>;
}

/** Life: write…, then commit or cancel. After any failure it has cancelled itself and left no file. */
export class BlobWriter {
  /** The temporary file, readable while it is written. */
  readonly temporaryPath: string;
  readonly #files: FileSystem;
  readonly #plan: WriterPlan;
  readonly #pieces: PieceHasher = new PieceHasher();
  readonly #sha256: Hash = createHash('sha256');
  readonly #sha512: Hash | null;
  readonly #sha1: Hash | null;
  #handle: FileHandle | null;
  #sizeBytes = 0;
  #reservedBytes = 0;
  #written: WrittenFile | null = null;

  private constructor(files: FileSystem, plan: WriterPlan, handle: FileHandle) {
    this.temporaryPath = plan.temporaryPath;
    this.#files = files;
    this.#plan = plan;
    this.#handle = handle;
    this.#sha512 = plan.sha512 ? createHash('sha512') : null;
    this.#sha1 = plan.sha1 ? createHash('sha1') : null;
  }

  /** Throws NO_SPACE, READ_ONLY or DISK. */
  static async open(files: FileSystem, plan: WriterPlan): Promise<BlobWriter> {
    try {
      return new BlobWriter(files, plan, await files.open(plan.temporaryPath, 'create'));
    } catch (error) {
      throw diskError(error, plan.temporaryPath);
    }
  }

  /** Bytes written so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Appends. Throws TOO_LARGE, NO_SPACE, STAGING_FULL, READ_ONLY or DISK, and has then cancelled. One call at a time. */
  async write(data: Uint8Array): Promise<void> {
    await this.#orCancel(async () => {
      const handle = this.#alive();
      if (this.#sizeBytes + data.length > this.#plan.maxBytes) {
        throw new RegistryError('TOO_LARGE', this.temporaryPath, { message: `expected at most ${this.#plan.maxBytes} bytes, more came` });
      }
      this.#plan.reserve(data.length);
      this.#reservedBytes += data.length;
      await handle.write(data, this.#sizeBytes);
      this.#sizeBytes += data.length;
      this.#pieces.update(data);
      this.#sha256.update(data);
      this.#sha512?.update(data);
      this.#sha1?.update(data);
    });
  }

  /** Ends the file and says what it is; on the disk when resolved, but not yet in place. */
  async finish(): Promise<WrittenFile> {
    if (this.#written !== null) return this.#written;
    await this.#orCancel(() => this.#alive().sync());
    const { leaves, piecesRoot, sizeBytes } = this.#pieces.finish();
    this.#written = {
      sha256: asDigest(this.#sha256.digest()),
      sizeBytes,
      piecesRoot,
      sha512: this.#sha512?.digest() ?? null,
      sha1: this.#sha1?.digest() ?? null,
      leaves,
    };
    return this.#written;
  }

  /** Moves the file into place if it equals `expected`; else throws MISMATCH (or BAD_RECORD: pieces fit, digest doesn't) and cancels. */
  async commit(expected: FileIdentity): Promise<WrittenFile> {
    const written = await this.finish();
    await this.#orCancel(async () => {
      compare(written, expected);
      const leaves = written.leaves.length === 0 ? null : `${this.temporaryPath}.leaves`;
      if (leaves !== null) await writeSynced(this.#files, leaves, written.leaves);
      await this.#close();
      await this.#plan.settle(written, { bytes: this.temporaryPath, leaves });
    });
    this.#plan.release(this.#reservedBytes);
    this.#reservedBytes = 0;
    return written;
  }

  /** Forgets everything; harmless after commit or cancel. */
  async cancel(): Promise<void> {
    this.#plan.release(this.#reservedBytes);
    this.#reservedBytes = 0;
    await ignoreDisk(this.#close());
    await ignoreDisk(this.#files.remove(this.temporaryPath));
    await ignoreDisk(this.#files.remove(`${this.temporaryPath}.leaves`));
  }

  #alive(): FileHandle {
    if (this.#handle === null)
      throw new RegistryError('DISK', this.temporaryPath, { message: 'the file was already committed or given up' });
    return this.#handle;
  }

  async #close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close();
  }

  async #orCancel(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      await this.cancel();
      throw diskError(error, this.temporaryPath);
    }
  }
}

/** Writes a small file whole and syncs it; its name is durable once the folder is synced. */
export async function writeSynced(files: FileSystem, path: string, data: Uint8Array): Promise<void> {
  const handle = await files.open(path, 'write');
  try {
    await handle.truncate(0);
    await handle.write(data, 0);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function compare(written: WrittenFile, expected: FileIdentity): void {
  const subject = formatDigest(expected.sha256);
  const flatFits = sameBytes(written.sha256, expected.sha256);
  if (written.sizeBytes === expected.sizeBytes && sameRoot(written.piecesRoot, expected.piecesRoot)) {
    if (flatFits) return;
    throw new RegistryError('BAD_RECORD', subject, {
      message: `every piece fits, yet the bytes are ${formatDigest(written.sha256)}: the record is wrong`,
    });
  }
  if (flatFits)
    throw new RegistryError('BAD_RECORD', subject, { message: 'the digest fits, yet size or pieces root do not: the record is wrong' });
  throw new RegistryError('MISMATCH', subject, {
    message: `expected ${expected.sizeBytes} bytes of ${subject}, got ${written.sizeBytes} of ${formatDigest(written.sha256)}`,
  });
}

function sameRoot(left: Digest | null, right: Digest | null): boolean {
  return left === null || right === null ? left === right : sameBytes(left, right);
}

/** Cleaning up after a failure must not hide it; what stays behind in temporary/ goes at the next open. */
async function ignoreDisk(action: Promise<void>): Promise<void> {
  try {
    await action;
  } catch (error) {
    diskError(error, 'clean-up');
  }
}
