/**
 * What the registry's tests stand on: a clock and timers moved by hand, a log that is kept, a ledger that is a map, and peers that speak in
 * memory and may lie, hang or vanish. Nothing here opens a socket or waits.
 */

import { createHash } from 'node:crypto';
import {
  asDigest,
  type Coordinates,
  coordinatesKey,
  type Digest,
  digestToHex,
  type FileEntry,
  nameKey,
  type PackageName,
  packageKey,
  parseCoordinatesKey,
} from '../../chain/index.ts';
import {
  BlobStore,
  type Clock,
  type FileIdentity,
  fileEntryOf,
  type Ledger,
  type LedgerEntry,
  Library,
  type LibraryOptions,
  type Logger,
  type PageOptions,
  type PeerJudge,
  type PeerRequests,
  PieceHasher,
  type ProviderDirectory,
  Staging,
  serveTransfers,
  type Timers,
} from '../../registry/index.ts';
import { type MemoryFileSystem, memoryFileSystem } from '../world/memory-file-system.ts';
import { WatchedMap, WatchedSet } from './watched.ts';

export const CHAIN_ID: Digest = asDigest(new Uint8Array(32).fill(7));

/** Bytes that differ from block to block and from salt to salt. */
export function someBytes(sizeBytes: number, salt = 0): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; at += 1) bytes[at] = (at * 31 + (at >> 14) * 7 + salt * 13 + (at >> 8)) & 0xff;
  return bytes;
}

export function identify(bytes: Uint8Array): FileIdentity {
  const pieces = new PieceHasher();
  pieces.update(bytes);
  return { sha256: asDigest(createHash('sha256').update(bytes).digest()), sizeBytes: bytes.length, piecesRoot: pieces.finish().piecesRoot };
}

export function entryOf(name: string, bytes: Uint8Array): FileEntry {
  return fileEntryOf(name, { ...identify(bytes), sha512: null, sha1: null, leaves: new Uint8Array() });
}

/** Time stands still until `advance`; then timers fire in order. */
export class HandClock implements Clock, Timers {
  #nowMs = 1_000_000;
  #timers: { readonly atMs: number; readonly callback: () => void }[] = [];

  readonly nowMs = (): number => this.#nowMs;

  readonly set = (delayMs: number, callback: () => void): { readonly cancel: () => void } => {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((one) => one !== timer);
      },
    };
  };

  get waiting(): number {
    return this.#timers.length;
  }

  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      const next = this.#timers.filter((timer) => timer.atMs <= untilMs).sort((left, right) => left.atMs - right.atMs)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((one) => one !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    this.#nowMs = untilMs;
  }
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export function keptLog(): { readonly log: Logger; readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => void lines.push({ level, message, fields });
  return { lines, log: { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') } };
}

/** What the chain says, set by the test. */
export class MapLedger implements Ledger {
  #epoch = 0;
  readonly #changed = (): void => {
    this.#epoch += 1;
  };
  readonly entries: Map<string, LedgerEntry> = new WatchedMap(this.#changed);
  readonly banned: Set<string> = new WatchedSet(this.#changed);
  readonly endorsersOf: string[] = [];
  fresh = true;

  readonly epoch = (): number => this.#epoch;
  readonly lookUp = (coordinates: Coordinates): LedgerEntry | null => this.entries.get(coordinatesKey(coordinates)) ?? null;
  readonly file = (sha256: Digest): FileEntry | null => {
    for (const entry of this.entries.values()) {
      const file = entry.kind === 'live' ? entry.files.find((one) => digestToHex(one.digests.sha256) === digestToHex(sha256)) : undefined;
      if (file !== undefined) return file;
    }
    return null;
  };
  readonly isServable = (sha256: Digest): boolean => this.file(sha256) !== null && !this.banned.has(digestToHex(sha256));
  readonly isFresh = (): boolean => this.fresh;
  readonly endorsers = (): readonly string[] => this.endorsersOf;
  readonly list = async (): Promise<readonly Coordinates[]> => [];
  readonly names: Map<string, Coordinates> = new WatchedMap(this.#changed);
  readonly isBanned = (sha256: Digest): boolean => this.banned.has(digestToHex(sha256));
  readonly name = (of: PackageName, label: string): Coordinates | null => this.names.get(nameKey(of, label)) ?? null;
  readonly labels = async (of: PackageName, { after, limit }: PageOptions<string>): Promise<readonly string[]> => {
    const prefix = nameKey(of, '');
    const labels = [...this.names.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
    return labels
      .filter((label) => after === null || label > after)
      .sort()
      .slice(0, limit);
  };
  readonly versions = async (of: PackageName, { after, limit }: PageOptions<Coordinates>): Promise<readonly Coordinates[]> => {
    const live = [...this.entries].filter(([key, entry]) => entry.kind === 'live' && key.startsWith(`${packageKey(of)}|`));
    const keys = live.map(([key]) => key).filter((key) => after === null || key > coordinatesKey(after));
    return keys
      .sort()
      .slice(0, limit)
      .map(parseCoordinatesKey)
      .filter((one) => one !== null);
  };

  commit(coordinates: Coordinates, files: readonly FileEntry[], height = 5, dependencies: readonly Coordinates[] = []): void {
    this.entries.set(coordinatesKey(coordinates), { kind: 'live', height, committedMs: 0, files, dependencies });
  }

  setName(target: Coordinates, label: string): void {
    this.names.set(nameKey(target, label), target);
  }

  remove(coordinates: Coordinates, reason: string, height = 9): void {
    this.entries.set(coordinatesKey(coordinates), { kind: 'removed', height, reason });
  }
}

export function generic(version: string, name = 'tool', namespace = 'demo'): Coordinates {
  return { ecosystem: 'generic', registry: '', namespace, name, version };
}

type Handler = (peerId: string, body: Uint8Array) => Promise<Uint8Array>;
/** Changes what a peer answers; `honest` is its real answer. */
export type Behaviour = (honest: () => Promise<Uint8Array>, request: Uint8Array) => Promise<Uint8Array>;

/** Peers in one process. A behaviour that rejects is a peer that hung or vanished. */
export class PeerWorld {
  readonly #handlers: Map<string, Handler> = new Map();
  readonly behaviours: Map<string, Behaviour> = new Map();
  readonly asked: { readonly peerId: string; readonly protocol: string }[] = [];
  inFlight = 0;
  maxInFlight = 0;

  join(ownId: string): PeerRequests {
    return {
      handle: (protocol, _limits, handler) => void this.#handlers.set(`${ownId} ${protocol}`, handler),
      request: async (peerId, protocol, body, options) => {
        this.asked.push({ peerId, protocol });
        this.inFlight += 1;
        this.maxInFlight = Math.max(this.maxInFlight, this.inFlight);
        try {
          await new Promise((resolve) => setImmediate(resolve));
          const handler = this.#handlers.get(`${peerId} ${protocol}`);
          if (handler === undefined || options.signal?.aborted === true) throw new Error(`${peerId} can't be reached`);
          const honest = (): Promise<Uint8Array> => handler(ownId, body);
          const answer = await (this.behaviours.get(peerId)?.(honest, body) ?? honest());
          if (answer.length > options.maxResponseBytes) throw new Error('the answer is too long');
          return answer;
        } finally {
          this.inFlight -= 1;
        }
      },
    };
  }
}

/** One node's registry, without HTTP. */
export interface TestNode {
  readonly id: string;
  readonly files: MemoryFileSystem;
  readonly blobs: BlobStore;
  readonly staging: Staging;
  readonly library: Library;
  readonly ledger: MapLedger;
  readonly clock: HandClock;
  readonly log: Logger;
  readonly lines: LogLine[];
  readonly faults: { readonly peerId: string; readonly fault: string }[];
  readonly provided: string[];
  readonly judge: PeerJudge;
  readonly requests: PeerRequests;
  readonly rotten: string[];
}

export interface TestNodeOptions {
  readonly world: PeerWorld;
  readonly ledger: MapLedger;
  readonly providers?: readonly string[];
  readonly authorities?: readonly string[];
  readonly files?: MemoryFileSystem;
  readonly library?: Partial<LibraryOptions>;
  readonly quotaBytes?: number;
}

export async function testNode(id: string, options: TestNodeOptions): Promise<TestNode> {
  const { world, ledger } = options;
  const files = options.files ?? memoryFileSystem();
  const clock = new HandClock();
  const { log, lines } = keptLog();
  const faults: { peerId: string; fault: string }[] = [];
  const provided: string[] = [];
  const rotten: string[] = [];
  const judge: PeerJudge = { penalize: (peerId, fault) => void faults.push({ peerId, fault }) };
  const directory: ProviderDirectory = {
    provide: async (sha256) => void provided.push(digestToHex(asDigest(sha256))),
    findProviders: async () => options.providers ?? [],
  };
  const requests = world.join(id);
  const onRotten = (sha256: Digest): void => void rotten.push(digestToHex(sha256));
  const blobs = await BlobStore.open({ allocatedBytes: 1e9 }, { files, clock, timers: clock, log, onRotten });
  const staging = await Staging.open({ quotaBytes: options.quotaBytes ?? 1e9, expiryMs: 3_600_000 }, { files, clock, log, blobs });
  const deps = { files, clock, timers: clock, log, blobs, staging, ledger, requests, judge, directory };
  const library = new Library({ transfer: { chainId: CHAIN_ID }, ...options.library }, deps);
  const isAuthority = (peerId: string): boolean => options.authorities?.includes(peerId) ?? false;
  serveTransfers({ chainId: CHAIN_ID }, { requests, judge, ledger, blobs, staging, isAuthority, log });
  return { id, files, blobs, staging, library, ledger, clock, log, lines, faults, provided, judge, requests, rotten };
}

export async function put(node: Pick<TestNode, 'blobs'>, bytes: Uint8Array): Promise<FileIdentity> {
  const file = identify(bytes);
  const writer = await node.blobs.write({ maxBytes: bytes.length });
  await writer.write(bytes);
  await writer.commit(file);
  return file;
}

export async function stage(node: Pick<TestNode, 'staging'>, bytes: Uint8Array): Promise<FileIdentity> {
  const writer = await node.staging.write({ maxBytes: bytes.length });
  await writer.write(bytes);
  return writer.commit(await writer.finish());
}

/** Reads a source to its end. */
export async function readAll(source: { readonly read: (target: Uint8Array, position: number) => Promise<number> }): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let position = 0; ; ) {
    const target = new Uint8Array(100_000);
    const read = await source.read(target, position);
    if (read === 0) return Buffer.concat(parts);
    parts.push(target.subarray(0, read));
    position += read;
  }
}

export function blobPath(file: FileIdentity): string {
  const hex = digestToHex(file.sha256);
  return `blobs/sha256/${hex.slice(0, 2)}/${hex}`;
}
