/**
 * Where a committed file comes from: this node's own store, else the other nodes. Follows docs/ARCHITECTURE.md, "The life of an artifact":
 * endorsers first, then whoever the DHT names; one fetch however many clients wait; a rotten own file is fetched anew in the middle of an answer.
 * Asks neither the chain whether a file may be served nor any upstream: the first is the adapter's question, the second the authorities'.
 */

import { type Digest, digestToHex, type FileEntry, formatDigest } from '../chain/index.ts';
import type { BlobStore } from './blob-store.ts';
import type { FileIdentity } from './blob-writer.ts';
import { type ByteSource, Download, DownloadReader } from './download.ts';
import { RegistryError } from './error.ts';
import { pause } from './pause.ts';
import type { Clock, FileSystem, Logger, PeerJudge, PeerRequests, ProviderDirectory, Timers } from './ports.ts';
import type { Staging } from './staging.ts';
import { fetchFile, type TransferOptions } from './transfer.ts';
import type { Ledger } from './types.ts';
import type { StoredPaths } from './verified-reader.ts';

export interface LibraryOptions {
  readonly transfer: TransferOptions;
  /** How long a client waits for the first byte; the fetch goes on without it. Default: 10 s. */
  readonly openWaitMs?: number;
  /** Files fetched at once; beyond it clients are told to come again. Default: 16. */
  readonly maxDownloads?: number;
  /** Providers asked of the DHT for one file. Default: 20. */
  readonly maxProviders?: number;
  /** Pause between two files announced at boot. Default: 50 ms. */
  readonly providePauseMs?: number;
}

export interface LibraryDeps {
  readonly files: FileSystem;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  readonly blobs: BlobStore;
  readonly staging: Staging;
  readonly ledger: Pick<Ledger, 'file' | 'isServable' | 'endorsers'>;
  readonly requests: PeerRequests;
  readonly judge: PeerJudge;
  readonly directory: ProviderDirectory;
  /** Told of every verified read for a client: where the bytes came from, and how many. */
  readonly onRead?: (from: 'local' | 'network', sizeBytes: number) => void;
}

/** How often one answer may change its source before it is given up. */
const MAX_SOURCES = 4;

export class Library {
  readonly #options: Required<LibraryOptions>;
  readonly #deps: LibraryDeps;
  readonly #downloads: Map<string, Promise<Download>> = new Map();
  /** Files whose committed record contradicts itself; asking peers again would give the same. */
  readonly #badRecords: Set<string> = new Set();
  readonly #stopped: AbortController = new AbortController();

  constructor(options: LibraryOptions, deps: LibraryDeps) {
    this.#options = { openWaitMs: 10_000, maxDownloads: 16, maxProviders: 20, providePauseMs: 50, ...options };
    this.#deps = deps;
  }

  /**
   * Verified bytes of a committed file; resolves when the first of them can be read. Reads go on from another source at the same offset
   * when a run turns out rotten. Throws UNAVAILABLE, BAD_RECORD, ABORTED, NO_SPACE, READ_ONLY or DISK.
   */
  async open(entry: FileEntry, options: { readonly signal?: AbortSignal } = {}): Promise<ByteSource> {
    const file = identityOf(entry);
    return new LibraryReader(await this.#source(file, options.signal), () => this.#source(file, options.signal));
  }

  /** Where the file lies in this node's store, for who reads it there by itself and counts what it read; null when it doesn't. */
  async locate(entry: FileEntry): Promise<StoredPaths | null> {
    const { blobs, staging, log } = this.#deps;
    const file = identityOf(entry);
    const paths = blobs.has(file) || (await staging.promote(file)) ? blobs.locate(file) : null;
    if (paths !== null) log.info({ sha256: formatDigest(file.sha256), sizeBytes: file.sizeBytes, step: 'local' }, 'file request');
    return paths;
  }

  /** Makes sure that the file lies in this node's store; fetches it when it doesn't. Throws as `open` does. */
  async hold(entry: FileEntry, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const file = identityOf(entry);
    if (this.#deps.blobs.has(file) || (await this.settle(entry))) return;
    await (await this.#download(file)).reach(file.sizeBytes, options.signal);
  }

  /** At the commit of a version: staged bytes enter the store and are announced. True when the store holds the file. */
  async settle(entry: FileEntry): Promise<boolean> {
    const held = await this.#deps.staging.promote(identityOf(entry));
    if (held) void this.#provide(entry.digests.sha256);
    return held;
  }

  /** Fetches a committed file anew after the store has put a rotten one away; never throws. */
  async heal(sha256: Digest): Promise<void> {
    const entry = this.#deps.ledger.isServable(sha256) ? this.#deps.ledger.file(sha256) : null;
    if (entry === null || this.#stopped.signal.aborted) return;
    try {
      await this.hold(entry, { signal: this.#stopped.signal });
      this.#deps.log.info({ sha256: formatDigest(sha256) }, 'a rotten file was replaced from the network');
    } catch (error) {
      this.#deps.log.warn({ sha256: formatDigest(sha256), error: messageOf(error) }, 'a rotten file could not be replaced yet');
    }
  }

  /** Announces every servable file held, a bounded number a second; resolves to how many. */
  async provideAll(): Promise<number> {
    let provided = 0;
    for (const sha256 of this.#deps.blobs.list()) {
      if (this.#stopped.signal.aborted) break;
      if (!this.#deps.ledger.isServable(sha256)) continue;
      if (await this.#provide(sha256)) provided += 1;
      await pause(this.#deps.timers, this.#options.providePauseMs, this.#stopped.signal);
    }
    return provided;
  }

  /** Ends all fetches; waiting clients get an error. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    for (const started of await Promise.allSettled(this.#downloads.values())) {
      if (started.status === 'fulfilled') await started.value.ended;
    }
  }

  async #source(file: FileIdentity, signal: AbortSignal | undefined): Promise<ByteSource> {
    const { log } = this.#deps;
    const fields = { sha256: formatDigest(file.sha256), sizeBytes: file.sizeBytes };
    const local = await this.#local(file);
    if (local !== null) {
      log.info({ ...fields, step: 'local' }, 'file request');
      return this.#counted('local', local);
    }
    try {
      const download = await this.#download(file);
      await this.#firstByte(download, signal);
      log.info({ ...fields, step: 'network' }, 'file request');
      return this.#counted(
        'network',
        new DownloadReader(download, { files: this.#deps.files, openCommitted: () => this.#committed(file) }, signal),
      );
    } catch (error) {
      log.info({ ...fields, step: 'refused', error: messageOf(error) }, 'file request');
      throw error;
    }
  }

  #counted(from: 'local' | 'network', source: ByteSource): ByteSource {
    const read = async (target: Uint8Array, position: number): Promise<number> => {
      const sizeBytes = await source.read(target, position);
      this.#deps.onRead?.(from, sizeBytes);
      return sizeBytes;
    };
    return { read, close: () => source.close() };
  }

  async #local(file: FileIdentity): Promise<ByteSource | null> {
    const { blobs, staging } = this.#deps;
    if (!blobs.has(file)) await staging.promote(file);
    try {
      return await blobs.openReader(file);
    } catch (error) {
      if (error instanceof RegistryError && error.code === 'ROTTEN') return null;
      throw error;
    }
  }

  async #committed(file: FileIdentity): Promise<ByteSource> {
    const reader = await this.#deps.blobs.openReader(file);
    if (reader !== null) return reader;
    throw new RegistryError('ROTTEN', formatDigest(file.sha256), { message: 'the file left the store while it was being read' });
  }

  async #firstByte(download: Download, signal: AbortSignal | undefined): Promise<void> {
    const late = new AbortController();
    const timer = this.#deps.timers.set(this.#options.openWaitMs, () => late.abort());
    const gone = (): void => late.abort();
    signal?.addEventListener('abort', gone, { once: true });
    try {
      await download.reach(0, late.signal);
    } catch (error) {
      if (!(error instanceof RegistryError) || error.code !== 'ABORTED' || signal?.aborted === true) throw error;
      const subject = formatDigest(download.file.sha256);
      throw new RegistryError('UNAVAILABLE', subject, {
        message: `no byte of ${subject} came within ${this.#options.openWaitMs} ms: come again`,
      });
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', gone);
    }
  }

  /** The one fetch of this file. */
  #download(file: FileIdentity): Promise<Download> {
    const hex = digestToHex(file.sha256);
    const running = this.#downloads.get(hex);
    if (running !== undefined) return running;
    const subject = formatDigest(file.sha256);
    if (this.#badRecords.has(hex)) {
      return Promise.reject(
        new RegistryError('BAD_RECORD', subject, { message: `the committed record of ${subject} contradicts its bytes` }),
      );
    }
    if (this.#downloads.size >= this.#options.maxDownloads || this.#stopped.signal.aborted) {
      return Promise.reject(new RegistryError('UNAVAILABLE', subject, { message: 'too many files are being fetched already: come again' }));
    }
    const started = this.#start(file, hex);
    this.#downloads.set(hex, started);
    started.catch(() => this.#downloads.delete(hex));
    return started;
  }

  async #start(file: FileIdentity, hex: string): Promise<Download> {
    const { blobs, ledger } = this.#deps;
    const { signal } = this.#stopped;
    const into = await blobs.write({ maxBytes: file.sizeBytes });
    return new Download(file, into.temporaryPath, async (onProgress) => {
      try {
        const moreProviders = (): Promise<readonly string[]> => this.#findProviders(file.sha256);
        const request = { file, kind: 'files', providers: ledger.endorsers(file.sha256), moreProviders, into, signal, onProgress } as const;
        const givers = await fetchFile(this.#options.transfer, this.#deps, request);
        this.#deps.log.debug({ sha256: formatDigest(file.sha256), givers }, 'file fetched');
        void this.#provide(file.sha256);
      } catch (error) {
        if (error instanceof RegistryError && error.code === 'BAD_RECORD') this.#badRecords.add(hex);
        throw error;
      } finally {
        this.#downloads.delete(hex);
      }
    });
  }

  async #findProviders(sha256: Digest): Promise<readonly string[]> {
    try {
      return await this.#deps.directory.findProviders(sha256, { limit: this.#options.maxProviders, signal: this.#stopped.signal });
    } catch (error) {
      this.#deps.log.debug({ sha256: formatDigest(sha256), error: messageOf(error) }, 'the DHT named no provider');
      return [];
    }
  }

  async #provide(sha256: Digest): Promise<boolean> {
    try {
      await this.#deps.directory.provide(sha256);
      return true;
    } catch (error) {
      this.#deps.log.debug({ sha256: formatDigest(sha256), error: messageOf(error) }, 'a file could not be announced');
      return false;
    }
  }
}

class LibraryReader implements ByteSource {
  readonly #reopen: () => Promise<ByteSource>;
  #source: ByteSource;
  #sources = 1;

  constructor(source: ByteSource, reopen: () => Promise<ByteSource>) {
    this.#source = source;
    this.#reopen = reopen;
  }

  readonly read = async (target: Uint8Array, position: number): Promise<number> => {
    for (;;) {
      try {
        return await this.#source.read(target, position);
      } catch (error) {
        if (!(error instanceof RegistryError) || error.code !== 'ROTTEN' || this.#sources >= MAX_SOURCES) throw error;
      }
      await this.#source.close();
      this.#source = await this.#reopen();
      this.#sources += 1;
    }
  };

  readonly close = (): Promise<void> => this.#source.close();
}

/** What the store and the peers go by. */
export function identityOf(entry: FileEntry): FileIdentity {
  return { sha256: entry.digests.sha256, sizeBytes: entry.sizeBytes, piecesRoot: entry.piecesRoot };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
