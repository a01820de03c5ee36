/**
 * One file on its way into the store, and whoever reads it meanwhile: readers follow right behind the verified bytes, and get the last
 * block only when the flat digest fits and the file is committed. Follows docs/SPEC.md, "File transfer".
 */

import { formatDigest } from '../chain/index.ts';
import type { FileIdentity } from './blob-writer.ts';
import { diskError, errnoOf, RegistryError } from './error.ts';
import { BLOCK_BYTES } from './pieces.ts';
import type { FileHandle, FileSystem } from './ports.ts';

/** Positioned reads of one file's verified bytes. */
export interface ByteSource {
  /** Fewer than asked where it suits the source, 0 only at the end. One call at a time. */
  readonly read: (target: Uint8Array, position: number) => Promise<number>;
  readonly close: () => Promise<void>;
}

/** `work` fetches and commits the file, and tells how far it is. */
export class Download {
  readonly file: FileIdentity;
  /** The file being written; readable from the start, renamed at the commit. */
  readonly temporaryPath: string;
  /** Resolves when the work is over, well or not. */
  readonly ended: Promise<void>;
  readonly #listeners: Set<() => void> = new Set();
  #verifiedBytes = 0;
  #outcome: { readonly kind: 'committed' } | { readonly kind: 'failed'; readonly error: unknown } | null = null;

  constructor(file: FileIdentity, temporaryPath: string, work: (onProgress: (verifiedBytes: number) => void) => Promise<void>) {
    this.file = file;
    this.temporaryPath = temporaryPath;
    this.ended = work((verifiedBytes) => {
      this.#verifiedBytes = verifiedBytes;
      this.#tell();
    }).then(
      () => this.#end({ kind: 'committed' }),
      (error: unknown) => this.#end({ kind: 'failed', error }),
    );
  }

  /** Bytes that may be given out: all but the last block before the commit. */
  get readableBytes(): number {
    if (this.#outcome?.kind === 'committed') return this.file.sizeBytes;
    const lastBlock = Math.floor(Math.max(0, this.file.sizeBytes - 1) / BLOCK_BYTES) * BLOCK_BYTES;
    return Math.min(this.#verifiedBytes, lastBlock);
  }

  get committed(): boolean {
    return this.#outcome?.kind === 'committed';
  }

  /** Resolves when more than `position` bytes are readable or the file is committed; rejects as the download fails or the signal fires. */
  async reach(position: number, signal?: AbortSignal): Promise<void> {
    while (!this.committed && this.readableBytes <= position) {
      if (this.#outcome?.kind === 'failed') throw this.#outcome.error;
      if (signal?.aborted === true)
        throw new RegistryError('ABORTED', formatDigest(this.file.sha256), { message: 'given up waiting for the network' });
      await this.#changed(signal);
    }
  }

  #changed(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#listeners.delete(done);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      this.#listeners.add(done);
      signal?.addEventListener('abort', done, { once: true });
    });
  }

  #end(outcome: { readonly kind: 'committed' } | { readonly kind: 'failed'; readonly error: unknown }): void {
    this.#outcome = outcome;
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Reads a download while it runs; once it is committed, from what `openCommitted` gives. */
export class DownloadReader implements ByteSource {
  readonly #download: Download;
  readonly #files: FileSystem;
  readonly #openCommitted: () => Promise<ByteSource>;
  readonly #signal: AbortSignal | undefined;
  #handle: FileHandle | null = null;
  #committed: ByteSource | null = null;

  constructor(
    download: Download,
    deps: { readonly files: FileSystem; readonly openCommitted: () => Promise<ByteSource> },
    signal: AbortSignal | undefined,
  ) {
    this.#download = download;
    this.#files = deps.files;
    this.#openCommitted = deps.openCommitted;
    this.#signal = signal;
  }

  readonly read = async (target: Uint8Array, position: number): Promise<number> => {
    if (position >= this.#download.file.sizeBytes) return 0;
    await this.#download.reach(position, this.#signal);
    if (!this.#download.committed) {
      const handle = await this.#temporary();
      const readable = this.#download.readableBytes - position;
      if (handle !== null && readable > 0) return handle.read(target.subarray(0, Math.min(target.length, readable)), position);
      await this.#download.reach(this.#download.file.sizeBytes, this.#signal);
    }
    this.#committed ??= await this.#openCommitted();
    return this.#committed.read(target, position);
  };

  readonly close = async (): Promise<void> => {
    const handle = this.#handle;
    const committed = this.#committed;
    this.#handle = null;
    this.#committed = null;
    await handle?.close();
    await committed?.close();
  };

  /** Null when the file has just been renamed into the store. */
  async #temporary(): Promise<FileHandle | null> {
    try {
      this.#handle ??= await this.#files.open(this.#download.temporaryPath, 'read');
      return this.#handle;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null;
      throw diskError(error, this.#download.temporaryPath);
    }
  }
}
