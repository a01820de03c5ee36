/**
 * What the chain store can be asked about the past: blocks, transactions, the log, and the indexes of artifacts and files. Follows
 * docs/SPEC.md §5. Answers from what is on the disk, and writes nothing.
 */

import {
  artifactKey,
  type BlockHeader,
  blockHeader,
  blockIdOf,
  type Coordinates,
  type Digest,
  decode,
  digestToHex,
  type LogLeaf,
  type LogNodeReader,
  logLeaf,
  type NodeRecord,
  type PackageName,
  type Parameters,
  packageKey,
  parseCoordinatesKey,
  type Sha256,
  type StateRecord,
  stateRecord,
} from '../index.ts';
import type { KeyValueStore } from './key-value-store.ts';
import {
  blockKey,
  certificateKey,
  type FileUse,
  fileKey,
  fileUse,
  headerKey,
  historyEntry,
  historyKey,
  historyPrefix,
  leafKey,
  liveKey,
  logEntry,
  rangeOf,
  stateKeyOf,
  type TransactionPlace,
  transactionKey,
  transactionPlace,
  useKey,
} from './layout.ts';
import { type PageOptions, pageOf, SealedValues } from './sealed-values.ts';

/** Where a chain begins; `chainId` is the digest of the document that the rest comes from. */
export interface ChainGenesis {
  readonly chainId: Digest;
  readonly timeMs: number;
  readonly parameters: Parameters;
  readonly nodes: readonly NodeRecord[];
}

export interface ChainStoreDeps {
  readonly kv: KeyValueStore;
  readonly sha256: Sha256;
  /**
   * Told of damage and of a disk that fails, before whoever was reading gets the error too: that may be a client's request, and the node
   * must not go on. Default: nobody is told.
   */
  readonly onFailure?: (error: unknown) => void;
}

/** A block and the certificate that this node holds for it, as they travel. */
export interface StoredBlock {
  readonly block: Uint8Array;
  readonly certificate: Uint8Array;
}

/** One entry of a key's history. */
export interface HistoryEntry {
  readonly height: number;
  readonly logIndex: number;
}

export class ChainReader {
  protected readonly values: SealedValues;
  protected readonly genesis: ChainGenesis;

  constructor(deps: ChainStoreDeps, genesis: ChainGenesis) {
    this.values = new SealedValues(deps);
    this.genesis = genesis;
  }

  /** The block of that height and its certificate, or null. */
  block(height: number): StoredBlock | null {
    const block = this.values.bytes(blockKey(height));
    const certificate = this.values.bytes(certificateKey(height));
    if (block === null && certificate === null) return null;
    if (block === null || certificate === null) throw this.values.damaged(`block ${height} or its certificate is missing`);
    return { block, certificate };
  }

  /** The certificate held for that height, or null. */
  certificate(height: number): Uint8Array | null {
    return this.values.bytes(certificateKey(height));
  }

  header(height: number): BlockHeader | null {
    const bytes = this.values.bytes(headerKey(height));
    if (bytes === null) return null;
    const header = decode(blockHeader, bytes, { maxBytes: bytes.length });
    if (!header.ok) throw this.values.damaged(`the header of block ${height} does not decode: ${header.reason}`);
    return header.value;
  }

  /** The id of that block, the chain id at height 0, or null. */
  blockIdAt(height: number): Digest | null {
    if (height === 0) return this.genesis.chainId;
    const header = this.header(height);
    return header === null ? null : blockIdOf(this.values.sha256, header);
  }

  /** Header time of that height, in milliseconds since 1970, or null. */
  timeMsAt(height: number): number | null {
    return height === 0 ? this.genesis.timeMs : (this.header(height)?.timeMs ?? null);
  }

  /** Where the transaction was committed, and who endorsed it; or null. */
  transaction(id: Digest): TransactionPlace | null {
    return this.values.record(transactionKey(id), transactionPlace);
  }

  transactionHeight(id: Digest): number | null {
    return this.transaction(id)?.height ?? null;
  }

  /** How live artifacts use the file, or null when none does. Says nothing of bans. */
  fileUse(sha256: Digest): FileUse | null {
    return this.values.record(fileKey(digestToHex(sha256)), fileUse);
  }

  /** Keys of the live artifacts that use the file, in order, after `after` (exclusive). */
  async usersOf(sha256: Digest, options: PageOptions): Promise<readonly string[]> {
    const prefix = useKey(digestToHex(sha256), '');
    return await this.values.keysAfter(prefix, options);
  }

  /** Coordinates of live artifacts in the order of their keys, after `after` (exclusive); of one package where it is named. */
  async liveArtifacts(options: {
    readonly of?: PackageName;
    readonly after?: Coordinates | null;
    readonly limit: number;
  }): Promise<readonly Coordinates[]> {
    const bucket = liveKey('');
    const within = options.of === undefined ? '' : `artifact|${packageKey(options.of)}|`;
    const after = options.after === undefined || options.after === null ? null : artifactKey(options.after);
    const { from, to } = rangeOf(bucket + within);
    const start = after === null || bucket + after < from ? from : `${bucket}${after}\0`;
    const entries = await this.values.range({ from: start, to, limit: options.limit });
    return entries.map(([key]) => {
      const coordinates = parseCoordinatesKey(key.slice(bucket.length + 'artifact|'.length));
      if (coordinates === null) throw this.values.damaged(`${key} names no coordinates`);
      return coordinates;
    });
  }

  /** State records whose key begins with `prefix` (`name|`, `ban|`, `evidence|` …), in order, after the key `after` (exclusive). */
  async records(prefix: string, options: PageOptions): Promise<readonly (readonly [string, StateRecord])[]> {
    const bucket = stateKeyOf('');
    const { from, to } = rangeOf(bucket + prefix);
    const start = options.after === undefined ? from : pageOf(bucket, options.after).from;
    const found = await this.values.records({ from: start, to, limit: options.limit }, stateRecord);
    return found.map(([key, record]) => [key.slice(bucket.length), record] as const);
  }

  /** Operations about a state key, newest first, below height `before`. */
  async history(key: string, options: { readonly before?: number; readonly limit: number }): Promise<readonly HistoryEntry[]> {
    const range = {
      from: historyKey(key, 0),
      to: historyKey(key, options.before ?? Number.MAX_SAFE_INTEGER),
      limit: options.limit,
      reverse: true,
    };
    const found = await this.values.records(range, historyEntry);
    return found.map(([stored, { logIndex }]) => ({ height: Number(stored.slice(-16)), logIndex }));
  }

  /** Operations about all state keys that begin so, in the order of key and height. */
  async histories(prefix: string, options: { readonly limit: number }): Promise<readonly HistoryEntry[]> {
    const { from, to } = rangeOf(historyPrefix(prefix));
    const found = await this.values.records({ from, to, limit: options.limit }, historyEntry);
    return found.map(([stored, { logIndex }]) => ({ height: Number(stored.slice(-16)), logIndex }));
  }

  /** Leaf of the operation log, or null past its end. */
  leaf(index: number): LogLeaf | null {
    const bytes = this.leafBytes(index);
    if (bytes === null) return null;
    const leaf = decode(logLeaf, bytes, { maxBytes: bytes.length });
    if (!leaf.ok) throw this.values.damaged(`leaf ${index} of the log does not decode: ${leaf.reason}`);
    return leaf.value;
  }

  leafBytes(index: number): Uint8Array | null {
    return this.values.record(leafKey(index), logEntry)?.leaf ?? null;
  }

  /** Nodes of the log tree, for proofs. */
  readonly logNode: LogNodeReader = (level, index) => {
    const entry = this.values.record(leafKey((index + 1) * 2 ** level - 1), logEntry);
    return entry?.completed[level] ?? null;
  };
}
