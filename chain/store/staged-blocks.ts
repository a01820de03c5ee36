/**
 * Blocks made ready for one batch: each in turn is turned into writes over what those before it leave, and nothing reaches the disk. Follows
 * docs/SPEC.md §5. Reads the past as the chain reader does, pending blocks included.
 */

import type { BlockEffects, Digest, StateRecord } from '../index.ts';
import { type ChainGenesis, ChainReader, type ChainStoreDeps } from './chain-reader.ts';
import { type CommittedBytes, commitBatch, tipAfter } from './commit-batch.ts';
import { damaged } from './error.ts';
import { fileChanges, type LiveArtifact, liveArtifactOf } from './file-index.ts';
import type { KeyValueWrite } from './key-value-store.ts';
import { type FileUse, fileKey, fileUse, historyEntry, historyKey, type TipRecord, useKey } from './layout.ts';
import { PendingWrites } from './pending-writes.ts';

export interface StagingStart {
  readonly tip: TipRecord;
  /** The record under a key as of that tip. */
  readonly record: (key: string) => StateRecord | null;
}

export class StagedBlocks extends ChainReader {
  readonly #pending: PendingWrites;
  readonly #start: StagingStart;
  readonly #replaced = new Map<string, StateRecord | null>();
  readonly #removed = new Map<string, Uint8Array>();
  readonly #records = new Map<string, StateRecord>();
  readonly #nodes = new Map<string, Uint8Array>();
  #tip: TipRecord;

  constructor(deps: ChainStoreDeps, genesis: ChainGenesis, start: StagingStart) {
    const pending = new PendingWrites(deps.kv);
    super({ kv: pending, sha256: deps.sha256 }, genesis);
    this.#pending = pending;
    this.#start = start;
    this.#tip = start.tip;
  }

  /** The tip that the blocks leave. */
  get tip(): TipRecord {
    return this.#tip;
  }

  /** Records and tree nodes that the blocks write. */
  get written(): { readonly records: ReadonlyMap<string, StateRecord>; readonly nodes: ReadonlyMap<string, Uint8Array> } {
    return { records: this.#records, nodes: this.#nodes };
  }

  /** What stood there before: lets a view of the start still be read. */
  get replaced(): { readonly records: ReadonlyMap<string, StateRecord | null>; readonly nodes: ReadonlyMap<string, Uint8Array> } {
    return { records: this.#replaced, nodes: this.#removed };
  }

  writes(): readonly KeyValueWrite[] {
    return this.#pending.writes();
  }

  async add(committed: CommittedBytes): Promise<void> {
    const { effects } = committed;
    const before = new Map([...effects.records.keys()].map((key) => [key, this.#record(key)] as const));
    const files = await this.#fileChanges(effects, before);
    const tip = tipAfter(this.#tip, { effects, before, files, fileUse: (sha256) => this.#fileUseOf(sha256) });
    await this.#pending.write(commitBatch(this.values.sha256, { committed, files, tip, logStart: this.#tip.logSize }));
    for (const [key, record] of before) if (!this.#replaced.has(key)) this.#replaced.set(key, record);
    for (const [hash, node] of effects.treeRemoved) this.#removed.set(hash, node);
    for (const [key, record] of effects.records) this.#records.set(key, record);
    for (const [hash, node] of effects.treeAdded) this.#nodes.set(hash, node);
    this.#tip = tip;
  }

  #record(key: string): StateRecord | null {
    return this.#records.get(key) ?? this.#start.record(key);
  }

  #fileChanges(effects: BlockEffects, before: ReadonlyMap<string, StateRecord | null>): ReturnType<typeof fileChanges> {
    return fileChanges(effects, {
      stateBefore: (key) => before.get(key) ?? null,
      fileUse: (sha256) => this.#fileUseOf(sha256),
      otherUser: (sha256, except) => this.#otherUser(sha256, except),
      transactionOf: (key, height) => this.#transactionOf(key, height),
    });
  }

  #fileUseOf(sha256: string): FileUse | null {
    return this.values.record(fileKey(sha256), fileUse);
  }

  async #otherUser(sha256: string, except: ReadonlySet<string>): Promise<LiveArtifact> {
    const keys = await this.values.keysAfter(useKey(sha256, ''), { limit: except.size + 1 });
    const key = keys.find((one) => !except.has(one));
    const other = key === undefined ? null : liveArtifactOf(key, this.#record(key));
    if (other === null) throw damaged(`no live artifact is found that uses the file ${sha256}`);
    return other;
  }

  #transactionOf(key: string, height: number): Digest {
    const entry = this.values.record(historyKey(key, height), historyEntry);
    const leaf = entry === null ? null : this.leaf(entry.logIndex);
    if (leaf === null) throw damaged(`the log has no operation about ${key} at height ${height}`);
    return leaf.transactionId;
  }
}
