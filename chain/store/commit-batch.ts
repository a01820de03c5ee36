/**
 * What a commit writes: the one batch that moves the chain from one tip to the next. Follows docs/SPEC.md §5. Makes the writes and writes
 * nothing itself.
 */

import { type BlockEffects, blockHeader, encode, type SealedTransaction, type Sha256, type StateRecord } from '../index.ts';
import { type FileChanges, filesOf } from './file-index.ts';
import type { KeyValueWrite } from './key-value-store.ts';
import {
  blockKey,
  type Counts,
  certificateKey,
  type FileUse,
  fileKey,
  fileUse,
  headerKey,
  historyEntry,
  historyKey,
  leafKey,
  liveArtifact,
  liveKey,
  logEntry,
  nodeKeyOf,
  seal,
  sealRecord,
  stateKeyOf,
  TIP_KEY,
  type TipRecord,
  tipRecord,
  transactionKey,
  transactionPlace,
  useKey,
} from './layout.ts';

/** A decided block with its certificate, as they travel, and what it does. */
export interface CommittedBytes {
  readonly block: Uint8Array;
  readonly certificate: Uint8Array;
  readonly effects: BlockEffects;
}

interface Commit {
  readonly committed: CommittedBytes;
  readonly files: FileChanges;
  readonly tip: TipRecord;
  /** Size of the log before the block. */
  readonly logStart: number;
}

export function commitBatch(sha256: Sha256, commit: Commit): readonly KeyValueWrite[] {
  const { committed, tip } = commit;
  const { effects } = committed;
  const put = (key: string, value: Uint8Array): KeyValueWrite => ({ key, value: seal(sha256, key, value) });
  return [
    put(blockKey(tip.height), committed.block),
    put(certificateKey(tip.height), committed.certificate),
    put(headerKey(tip.height), encode(blockHeader, effects.header)),
    ...[...effects.stateChanges].map(([key, value]) => put(stateKeyOf(key), value)),
    ...[...effects.treeRemoved.keys()].map((hash) => ({ key: nodeKeyOf(hash), value: null })),
    ...[...effects.treeAdded].map(([hash, value]) => ({ key: nodeKeyOf(hash), value })),
    ...logWrites(sha256, commit),
    ...transactionWrites(sha256, effects),
    ...fileWrites(sha256, commit.files),
    { key: TIP_KEY, value: sealRecord(sha256, TIP_KEY, tipRecord, tip) },
  ];
}

/** The tip that the block leaves. `before`: the records that the block overwrites, null where there was none. */
export function tipAfter(
  tip: TipRecord,
  block: {
    readonly effects: BlockEffects;
    readonly before: ReadonlyMap<string, StateRecord | null>;
    readonly files: FileChanges;
    readonly fileUse: (sha256: string) => FileUse | null;
  },
): TipRecord {
  const { effects } = block;
  return {
    height: effects.height,
    round: effects.header.round,
    blockId: effects.blockId,
    timeMs: effects.header.timeMs,
    logSize: effects.logRange.size,
    logPeaks: effects.logRange.peaks,
    stateRoot: effects.stateRoot,
    counts: countsAfter(tip.counts, block),
  };
}

function countsAfter(counts: Counts, block: Parameters<typeof tipAfter>[1]): Counts {
  let { artifacts, files, names, bans, transactions } = counts;
  for (const [sha256, use] of block.files.files) files += (use === null ? 0 : 1) - (block.fileUse(sha256) === null ? 0 : 1);
  for (const [key, record] of block.effects.records) {
    const before = block.before.get(key) ?? null;
    artifacts += Number(record.kind === 'artifact') - Number(before?.kind === 'artifact');
    names += Number(record.kind === 'name') - Number(before?.kind === 'name');
    bans += Number(isStandingBan(record)) - Number(isStandingBan(before));
  }
  transactions += block.effects.transactionIds.length;
  return { artifacts, files, names, bans, transactions };
}

function isStandingBan(record: StateRecord | null): boolean {
  return record?.kind === 'ban' && record.banned;
}

function logWrites(sha256: Sha256, commit: Commit): KeyValueWrite[] {
  return commit.committed.effects.logLeaves.flatMap(({ leaf, bytes, completed }, offset) => {
    const logIndex = commit.logStart + offset;
    const key = leafKey(logIndex);
    const history = historyKey(leaf.key, leaf.height);
    return [
      { key, value: sealRecord(sha256, key, logEntry, { leaf: bytes, completed }) },
      { key: history, value: sealRecord(sha256, history, historyEntry, { logIndex }) },
    ];
  });
}

function transactionWrites(sha256: Sha256, effects: BlockEffects): KeyValueWrite[] {
  return effects.transactionIds.map((id, index) => {
    const key = transactionKey(id);
    const endorsers = endorsersOf(effects.transactions[index]);
    return { key, value: sealRecord(sha256, key, transactionPlace, { height: effects.height, index, endorsers }) };
  });
}

function endorsersOf(transaction: SealedTransaction | undefined): readonly SealedTransaction['endorsements'][number]['nodeId'][] {
  return transaction === undefined ? [] : transaction.endorsements.map((endorsement) => endorsement.nodeId);
}

function fileWrites(sha256: Sha256, changes: FileChanges): KeyValueWrite[] {
  const writes: KeyValueWrite[] = [];
  for (const { key, claim } of changes.removed) {
    writes.push({ key: liveKey(key), value: null });
    for (const file of filesOf(claim).keys()) writes.push({ key: useKey(file, key), value: null });
  }
  for (const { key, height, claim } of changes.added) {
    writes.push({ key: liveKey(key), value: sealRecord(sha256, liveKey(key), liveArtifact, { height }) });
    for (const file of filesOf(claim).keys()) {
      const used = useKey(file, key);
      writes.push({ key: used, value: sealRecord(sha256, used, liveArtifact, { height }) });
    }
  }
  for (const [file, use] of changes.files) {
    const key = fileKey(file);
    writes.push({ key, value: use === null ? null : sealRecord(sha256, key, fileUse, use) });
  }
  return writes;
}
