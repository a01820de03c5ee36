/**
 * The chain on the disk: blocks, certificates, state, log and indexes over a key-value store. One atomic, synced batch a block, or
 * a page of them, so that a crash leaves the old tip or the new one. Follows docs/SPEC.md §5. Checks no rule of the chain: it is given blocks that were decided, with
 * their effects. What it reads back it checks against checksums, and the tip against its block at every start.
 */

import {
  type ChainView,
  type Digest,
  digestFromHex,
  digestToHex,
  type FileEntry,
  isBanned,
  type StateRecord,
  sameBytes,
  stateRecord,
} from '../index.ts';
import { BoundedCache } from './bounded-cache.ts';
import { type ChainGenesis, ChainReader, type ChainStoreDeps, type StoredBlock } from './chain-reader.ts';
import type { CommittedBytes } from './commit-batch.ts';
import { writeOrFail } from './error.ts';
import { type Counts, nodeKeyOf, stateKeyOf, type TipRecord } from './layout.ts';
import { StagedBlocks } from './staged-blocks.ts';

/** Records and tree nodes kept in memory. */
const CACHED_RECORDS = 4096;
const CACHED_NODES = 32_768;
/** How many commits a view outlives. */
const KEPT_UNDOS = 4;
const TREE_NODE_BYTES = 65;

/** What a commit replaced: lets a view of the block before still be read. */
interface Undo {
  /** The heights before and after it. */
  readonly since: number;
  readonly height: number;
  readonly records: ReadonlyMap<string, StateRecord | null>;
  readonly nodes: ReadonlyMap<string, Uint8Array>;
}

export class ChainStore extends ChainReader {
  readonly #records = new BoundedCache<StateRecord | 'none'>(CACHED_RECORDS);
  readonly #nodes = new BoundedCache<Uint8Array>(CACHED_NODES);
  #tip: TipRecord;
  #view: ChainView;
  #undos: readonly Undo[] = [];
  #isCommitting = false;

  /** Use `openChainStore`. */
  constructor(deps: ChainStoreDeps, genesis: ChainGenesis, tip: TipRecord) {
    super(deps, genesis);
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

  /** Null beyond the tip, also while a commit is writing there. */
  override block(height: number): StoredBlock | null {
    if (height < 1 || height > this.height) return null;
    const block = super.block(height);
    if (block === null) throw this.values.damaged(`block ${height} is missing`);
    return block;
  }

  get counts(): Counts {
    return this.#tip.counts;
  }

  /** The record under a state key as of the tip, or null. */
  record(key: string): StateRecord | null {
    return this.#view.state.get(key);
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

  /** Writes one decided block; see `commitAll`. */
  async commit(committed: CommittedBytes): Promise<void> {
    await this.commitAll([committed]);
  }

  /**
   * Writes decided blocks that follow each other in one synced batch: after a crash all of them are there, or none. The effects of the first
   * must be of the tip's view, those of each other one of the view that the one before leaves. Rejects with a ChainStoreError when the disk
   * fails: the store must then be opened anew.
   */
  async commitAll(blocks: readonly CommittedBytes[]): Promise<void> {
    if (this.#isCommitting) throw new TypeError('a commit is under way, or one has failed');
    requireChain(this.#tip, blocks);
    this.#isCommitting = true;
    const { kv, sha256 } = this.values;
    const staged = new StagedBlocks({ kv, sha256 }, this.genesis, { tip: this.#tip, record: (key) => this.#recordNow(key) });
    for (const one of blocks) await staged.add(one);
    const { height: since } = this.#tip;
    this.#undos = [...this.#undos, { since, height: staged.tip.height, ...staged.replaced }].slice(-KEPT_UNDOS);
    await writeOrFail(kv, staged.writes());
    for (const [key, record] of staged.written.records) this.#records.set(key, record);
    for (const [hash, node] of staged.written.nodes) this.#nodes.set(hash, node);
    this.#tip = staged.tip;
    this.#view = this.#viewOf(staged.tip);
    this.#isCommitting = false;
  }

  #viewOf(tip: TipRecord): ChainView {
    const { height, round, blockId, timeMs, stateRoot } = tip;
    return {
      chainId: this.genesis.chainId,
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

  #nodeAt(height: number, hash: string): Uint8Array {
    for (const undo of this.#undosAfter(height)) {
      const node = undo.nodes.get(hash);
      if (node !== undefined) return node;
    }
    return this.#nodeNow(hash);
  }

  #undosAfter(height: number): readonly Undo[] {
    if (height === this.#tip.height && !this.#isCommitting) return [];
    if (height < (this.#undos[0]?.since ?? this.#tip.height)) {
      throw new TypeError(`the view of height ${height} is too old at ${this.#tip.height}`);
    }
    return this.#undos.filter((undo) => undo.height > height);
  }

  #recordNow(key: string): StateRecord | null {
    const known = this.#records.get(key);
    if (known !== undefined) return known === 'none' ? null : known;
    const record = this.values.record(stateKeyOf(key), stateRecord);
    this.#records.set(key, record ?? 'none');
    return record;
  }

  #nodeNow(hash: string): Uint8Array {
    const known = this.#nodes.get(hash);
    if (known !== undefined) return known;
    const node = this.values.get(nodeKeyOf(hash));
    if (node === null) throw this.values.damaged(`node ${hash} of the state tree is missing`);
    if (node.length !== TREE_NODE_BYTES || !sameBytes(this.values.sha256(node), digestFromHex(hash))) {
      throw this.values.damaged(`node ${hash} of the state tree does not fit its hash`);
    }
    this.#nodes.set(hash, node);
    return node;
  }
}

function requireChain(tip: TipRecord, blocks: readonly CommittedBytes[]): void {
  let { height, blockId } = tip;
  for (const { effects } of blocks) {
    if (effects.height !== height + 1 || !sameBytes(effects.header.previousBlockId, blockId)) {
      throw new TypeError(`expected the block after ${height}, got block ${effects.height}`);
    }
    ({ height, blockId } = effects);
  }
}
