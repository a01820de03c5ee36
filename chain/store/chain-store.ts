/**
 * The chain on the disk: blocks, certificates, state, log and indexes over a key-value store. One atomic, synced batch a block, so that a
 * crash leaves the old tip or the new one. Follows docs/SPEC.md §8. Checks no rule of the chain: it is given blocks that were decided, with
 * their effects. What it reads back it checks against checksums, and the tip against its block at every start.
 */

import {
  artifactKey,
  type BlockEffects,
  type BlockHeader,
  blockHeader,
  blockIdOf,
  type ChainView,
  type Coordinates,
  type Digest,
  decode,
  digestFromHex,
  digestToHex,
  type FileEntry,
  type GenesisState,
  genesisState,
  isBanned,
  type LogLeaf,
  type LogNodeReader,
  logLeaf,
  type NodeRecord,
  type PackageName,
  type Parameters,
  packageKey,
  parseCoordinatesKey,
  type Schema,
  type Sha256,
  type StateRecord,
  sameBytes,
  stateRecord,
} from '../index.ts';
import { BoundedCache } from './bounded-cache.ts';
import { type CommittedBytes, commitBatch, tipAfter } from './commit-batch.ts';
import { ChainStoreError, damaged } from './error.ts';
import { fileChanges, type LiveArtifact, liveArtifactOf } from './file-index.ts';
import type { KeyValueStore, KeyValueWrite } from './key-value-store.ts';
import {
  blockKey,
  type Counts,
  certificateKey,
  type FileUse,
  FORMAT,
  FORMAT_KEY,
  fileKey,
  fileUse,
  formatRecord,
  headerKey,
  historyEntry,
  historyKey,
  leafKey,
  liveKey,
  logEntry,
  nodeKeyOf,
  rangeOf,
  seal,
  sealRecord,
  stateKeyOf,
  TIP_KEY,
  type TipRecord,
  type TransactionPlace,
  tipRecord,
  transactionKey,
  transactionPlace,
  unseal,
  unsealRecord,
  useKey,
} from './layout.ts';
import { verifyTip } from './verify-tip.ts';

/** Records and tree nodes kept in memory. */
const CACHED_RECORDS = 4096;
const CACHED_NODES = 32_768;
/** How many commits a view outlives. */
const KEPT_UNDOS = 4;
const TREE_NODE_BYTES = 65;

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

/** What a commit replaced: lets a view of the block before still be read. */
interface Undo {
  readonly height: number;
  readonly records: ReadonlyMap<string, StateRecord | null>;
  readonly nodes: ReadonlyMap<string, Uint8Array>;
}

/** Opens the chain in the store, or begins it there; rejects with a ChainStoreError. */
export async function openChainStore(deps: ChainStoreDeps, genesis: ChainGenesis): Promise<ChainStore> {
  const { kv, sha256 } = deps;
  const start = genesisState(genesis, sha256);
  const found = kv.get(FORMAT_KEY);
  if (found === null) {
    const rest = await kv.range({ from: '', to: '\x7f', limit: 1 });
    if (rest.length > 0) throw damaged('it holds entries but does not say what they are');
    await writeOrFail(kv, genesisBatch(sha256, genesis, start));
  } else {
    const { format, chainId } = unsealRecord(sha256, FORMAT_KEY, formatRecord, found);
    if (format !== FORMAT) throw new ChainStoreError('UNKNOWN_FORMAT', `expected format ${FORMAT}, found ${format}`);
    if (!sameBytes(chainId, genesis.chainId)) {
      throw new ChainStoreError('WRONG_GENESIS', `expected the chain ${digestToHex(genesis.chainId)}, found ${digestToHex(chainId)}`);
    }
  }
  const tip = kv.get(TIP_KEY);
  if (tip === null) throw damaged('it has no tip');
  const store = new ChainStore(deps, genesis, unsealRecord(sha256, TIP_KEY, tipRecord, tip));
  verifyTip(store, { sha256, genesisRoot: start.tree.root });
  return store;
}

export class ChainStore {
  readonly #kv: KeyValueStore;
  readonly #sha256: Sha256;
  readonly #genesis: ChainGenesis;
  readonly #records = new BoundedCache<StateRecord | 'none'>(CACHED_RECORDS);
  readonly #nodes = new BoundedCache<Uint8Array>(CACHED_NODES);
  #tip: TipRecord;
  #view: ChainView;
  #undos: readonly Undo[] = [];
  #isCommitting = false;

  /** Use `openChainStore`. */
  constructor(deps: ChainStoreDeps, genesis: ChainGenesis, tip: TipRecord) {
    this.#kv = deps.kv;
    this.#sha256 = deps.sha256;
    this.#genesis = genesis;
    this.#tip = tip;
    this.#view = this.#viewOf(tip);
  }

  /** What the next block follows: one object until a block is committed. It stays right, and readable, for four commits more. */
  view(): ChainView {
    return this.#view;
  }

  get height(): number {
    return this.#tip.height;
  }

  get counts(): Counts {
    return this.#tip.counts;
  }

  /** The block of that height and its certificate, or null. */
  block(height: number): StoredBlock | null {
    const block = this.#get(blockKey(height));
    const certificate = this.#get(certificateKey(height));
    if (block === null && certificate === null) return null;
    if (block === null || certificate === null) throw damaged(`block ${height} or its certificate is missing`);
    return { block, certificate };
  }

  /** The certificate held for that height, or null. */
  certificate(height: number): Uint8Array | null {
    return this.#get(certificateKey(height));
  }

  header(height: number): BlockHeader | null {
    const bytes = this.#get(headerKey(height));
    if (bytes === null) return null;
    const header = decode(blockHeader, bytes, { maxBytes: bytes.length });
    if (!header.ok) throw damaged(`the header of block ${height} does not decode: ${header.reason}`);
    return header.value;
  }

  /** The id of that block, the chain id at height 0, or null. */
  blockIdAt(height: number): Digest | null {
    if (height === 0) return this.#genesis.chainId;
    const header = this.header(height);
    return header === null ? null : blockIdOf(this.#sha256, header);
  }

  /** Header time of that height, in milliseconds since 1970, or null. */
  timeMsAt(height: number): number | null {
    return height === 0 ? this.#genesis.timeMs : (this.header(height)?.timeMs ?? null);
  }

  /** The record under a state key as of the tip, or null. */
  record(key: string): StateRecord | null {
    return this.#view.state.get(key);
  }

  /** Where the transaction was committed, and who endorsed it; or null. */
  transaction(id: Digest): TransactionPlace | null {
    return this.#read(transactionKey(id), transactionPlace);
  }

  transactionHeight(id: Digest): number | null {
    return this.transaction(id)?.height ?? null;
  }

  /** How live artifacts use the file, or null when none does. Says nothing of bans. */
  fileUse(sha256: Digest): FileUse | null {
    return this.#read(fileKey(digestToHex(sha256)), fileUse);
  }

  /** The committed entry of a file that may be served: some live artifact uses it and it isn't banned. */
  servableFile(sha256: Digest): FileEntry | null {
    return isBanned(this.#view.state, sha256) ? null : (this.fileUse(sha256)?.entry ?? null);
  }

  /** Ids of the nodes that endorsed the newest live artifact with this file, each promising to hold it. */
  endorsersOf(sha256: Digest): readonly Digest[] {
    const use = this.fileUse(sha256);
    return use === null ? [] : (this.transaction(use.transactionId)?.endorsers ?? []);
  }

  /** Keys of the live artifacts that use the file, in order, after `after` (exclusive). */
  async usersOf(sha256: Digest, options: { readonly after?: string; readonly limit: number }): Promise<readonly string[]> {
    const prefix = useKey(digestToHex(sha256), '');
    return await this.#keysAfter(prefix, options);
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
    const entries = await this.#kv.range({ from: start, to, limit: options.limit });
    return entries.map(([key]) => {
      const coordinates = parseCoordinatesKey(key.slice(bucket.length + 'artifact|'.length));
      if (coordinates === null) throw damaged(`${key} names no coordinates`);
      return coordinates;
    });
  }

  /** State records whose key begins with `prefix` (`name|`, `ban|`, `evidence|` …), in order, after the key `after` (exclusive). */
  async records(
    prefix: string,
    options: { readonly after?: string; readonly limit: number },
  ): Promise<readonly (readonly [string, StateRecord])[]> {
    const bucket = stateKeyOf('');
    const { from, to } = rangeOf(bucket + prefix);
    const start = options.after === undefined ? from : `${bucket}${options.after}\0`;
    const entries = await this.#kv.range({ from: start, to, limit: options.limit });
    return entries.map(([key, value]) => [key.slice(bucket.length), unsealRecord(this.#sha256, key, stateRecord, value)] as const);
  }

  /** Operations about a state key, newest first, below height `before`. */
  async history(key: string, options: { readonly before?: number; readonly limit: number }): Promise<readonly HistoryEntry[]> {
    const range = {
      from: historyKey(key, 0),
      to: historyKey(key, options.before ?? Number.MAX_SAFE_INTEGER),
      limit: options.limit,
      reverse: true,
    };
    return (await this.#kv.range(range)).map(([stored, value]) => ({
      height: Number(stored.slice(-16)),
      logIndex: unsealRecord(this.#sha256, stored, historyEntry, value).logIndex,
    }));
  }

  /** Leaf of the operation log, or null past its end. */
  leaf(index: number): LogLeaf | null {
    const bytes = this.leafBytes(index);
    if (bytes === null) return null;
    const leaf = decode(logLeaf, bytes, { maxBytes: bytes.length });
    if (!leaf.ok) throw damaged(`leaf ${index} of the log does not decode: ${leaf.reason}`);
    return leaf.value;
  }

  leafBytes(index: number): Uint8Array | null {
    return this.#read(leafKey(index), logEntry)?.leaf ?? null;
  }

  /** Nodes of the log tree, for proofs. */
  readonly logNode: LogNodeReader = (level, index) => {
    const entry = this.#read(leafKey((index + 1) * 2 ** level - 1), logEntry);
    return entry?.completed[level] ?? null;
  };

  /**
   * Writes a decided block in one synced batch; its effects must be of the tip's view. Rejects with a ChainStoreError when the disk fails:
   * the store must then be opened anew.
   */
  async commit(committed: CommittedBytes): Promise<void> {
    const { effects } = committed;
    if (this.#isCommitting) throw new TypeError('a commit is under way, or one has failed');
    if (effects.height !== this.#tip.height + 1 || !sameBytes(effects.header.previousBlockId, this.#tip.blockId)) {
      throw new TypeError(`expected the block after ${this.#tip.height}, got block ${effects.height}`);
    }
    this.#isCommitting = true;
    const undo = this.#undoOf(effects);
    const files = await this.#fileChanges(effects, undo);
    const tip = tipAfter(this.#tip, { effects, before: undo.records, files, fileUse: (sha256) => this.#fileUseOf(sha256) });
    const batch = commitBatch(this.#sha256, { committed, files, tip, logStart: this.#tip.logSize });
    this.#undos = [...this.#undos, undo].slice(-KEPT_UNDOS);
    await writeOrFail(this.#kv, batch);
    for (const [key, record] of effects.records) this.#records.set(key, record);
    for (const [hash, node] of effects.treeAdded) this.#nodes.set(hash, node);
    this.#tip = tip;
    this.#view = this.#viewOf(tip);
    this.#isCommitting = false;
  }

  #viewOf(tip: TipRecord): ChainView {
    const { height, round, blockId, timeMs, stateRoot } = tip;
    return {
      chainId: this.#genesis.chainId,
      height,
      round,
      blockId,
      timeMs,
      stateRoot,
      logRange: { size: tip.logSize, peaks: tip.logPeaks },
      state: { get: (key) => this.#recordAt(height, key) },
      tree: { get: (hash) => this.#nodeAt(height, digestToHex(hash)) },
    };
  }

  /** What stood under the key after block `height`, which may lie some commits back. */
  #recordAt(height: number, key: string): StateRecord | null {
    for (const undo of this.#undosAfter(height)) {
      const record = undo.records.get(key);
      if (record !== undefined) return record;
    }
    return this.#recordNow(key);
  }

  #nodeAt(height: number, hash: string): Uint8Array | null {
    for (const undo of this.#undosAfter(height)) {
      const node = undo.nodes.get(hash);
      if (node !== undefined) return node;
    }
    return this.#nodeNow(hash);
  }

  #undosAfter(height: number): readonly Undo[] {
    if (height === this.#tip.height && !this.#isCommitting) return [];
    if (this.#tip.height - height > KEPT_UNDOS) throw new TypeError(`the view of height ${height} is too old at ${this.#tip.height}`);
    return this.#undos.filter((undo) => undo.height > height);
  }

  #recordNow(key: string): StateRecord | null {
    const known = this.#records.get(key);
    if (known !== undefined) return known === 'none' ? null : known;
    const record = this.#read(stateKeyOf(key), stateRecord);
    this.#records.set(key, record ?? 'none');
    return record;
  }

  #nodeNow(hash: string): Uint8Array | null {
    const known = this.#nodes.get(hash);
    if (known !== undefined) return known;
    const node = this.#kv.get(nodeKeyOf(hash));
    if (node === null) return null;
    if (node.length !== TREE_NODE_BYTES || !sameBytes(this.#sha256(node), digestFromHex(hash))) {
      throw damaged(`node ${hash} of the state tree does not fit its hash`);
    }
    this.#nodes.set(hash, node);
    return node;
  }

  #undoOf(effects: BlockEffects): Undo {
    const records = new Map([...effects.records.keys()].map((key) => [key, this.#recordNow(key)] as const));
    return { height: effects.height, records, nodes: effects.treeRemoved };
  }

  #fileChanges(effects: BlockEffects, undo: Undo): ReturnType<typeof fileChanges> {
    return fileChanges(effects, {
      stateBefore: (key) => undo.records.get(key) ?? null,
      fileUse: (sha256) => this.#fileUseOf(sha256),
      otherUser: (sha256, except) => this.#otherUser(sha256, except),
      transactionOf: (key, height) => this.#transactionOf(key, height),
    });
  }

  #fileUseOf(sha256: string): FileUse | null {
    return this.#read(fileKey(sha256), fileUse);
  }

  async #otherUser(sha256: string, except: ReadonlySet<string>): Promise<LiveArtifact> {
    const keys = await this.#keysAfter(useKey(sha256, ''), { limit: except.size + 1 });
    const key = keys.find((one) => !except.has(one));
    const other = key === undefined ? null : liveArtifactOf(key, this.#recordNow(key));
    if (other === null) throw damaged(`no live artifact is found that uses the file ${sha256}`);
    return other;
  }

  #transactionOf(key: string, height: number): Digest {
    const entry = this.#read(historyKey(key, height), historyEntry);
    const leaf = entry === null ? null : this.leaf(entry.logIndex);
    if (leaf === null) throw damaged(`the log has no operation about ${key} at height ${height}`);
    return leaf.transactionId;
  }

  async #keysAfter(prefix: string, options: { readonly after?: string; readonly limit: number }): Promise<readonly string[]> {
    const { from, to } = rangeOf(prefix);
    const start = options.after === undefined ? from : `${prefix}${options.after}\0`;
    return (await this.#kv.range({ from: start, to, limit: options.limit })).map(([key]) => key.slice(prefix.length));
  }

  #get(key: string): Uint8Array | null {
    const sealed = this.#kv.get(key);
    return sealed === null ? null : unseal(this.#sha256, key, sealed);
  }

  #read<T>(key: string, schema: Schema<T>): T | null {
    const sealed = this.#kv.get(key);
    return sealed === null ? null : unsealRecord(this.#sha256, key, schema, sealed);
  }
}

function genesisBatch(sha256: Sha256, genesis: ChainGenesis, start: GenesisState): readonly KeyValueWrite[] {
  const { chainId, timeMs } = genesis;
  const tip: TipRecord = {
    height: 0,
    round: 0,
    blockId: chainId,
    timeMs,
    logSize: 0,
    logPeaks: [],
    stateRoot: start.tree.root,
    counts: { artifacts: 0, files: 0, names: 0, bans: 0, transactions: 0 },
  };
  return [
    ...[...start.changes].map(([key, value]) => ({ key: stateKeyOf(key), value: seal(sha256, stateKeyOf(key), value) })),
    ...[...start.tree.added].map(([hash, value]) => ({ key: nodeKeyOf(hash), value })),
    { key: TIP_KEY, value: sealRecord(sha256, TIP_KEY, tipRecord, tip) },
    { key: FORMAT_KEY, value: sealRecord(sha256, FORMAT_KEY, formatRecord, { format: FORMAT, chainId, timeMs }) },
  ];
}

async function writeOrFail(kv: KeyValueStore, batch: readonly KeyValueWrite[]): Promise<void> {
  try {
    await kv.write(batch);
  } catch (error) {
    throw new ChainStoreError('WRITE_FAILED', `a block could not be written: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
