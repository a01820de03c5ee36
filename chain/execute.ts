/**
 * What a block does: its transactions folded into the state, the roots it must state, the leaves it adds to the log. One function serves who
 * proposes a block and who checks one. Follows docs/SPEC.md §5. Pure: new tree nodes are handed back, and nothing is written.
 */

import { checkEndorsements, checkEvidence, type EndorsementRefusalCode, type EvidenceRefusalCode, type Refused } from './certificates.ts';
import { checkTransactionShape, keyOf } from './claims.ts';
import { encode } from './codec.ts';
import { type Digest, digestToHex, type Sha256 } from './digest.ts';
import { applyOperations, type OperationRefusalCode } from './fold.ts';
import { removeGuilty } from './fold-nodes.ts';
import { blockIdOf, certificateDigest, transactionId, validatorSetDigest } from './identity.ts';
import { appendLeaf, type LogRange, logLeafHash, logRoot, merkleRoot } from './log-tree.ts';
import { array } from './schema.ts';
import { type ChainView, encodeRecords, evidenceKey, overlayReader, parametersOf, validatorSetAt } from './state.ts';
import { type TreeReader, type TreeUpdate, updateTree } from './state-tree.ts';
import {
  type BlockHeader,
  type Claim,
  type CommitCertificateRecord,
  claim as claimSchema,
  type EvidenceRecord,
  endorsement,
  evidence as evidenceSchema,
  fileEntry,
  type LogLeaf,
  logLeaf,
  MAX_VALIDATORS,
  type SealedTransaction,
  type StateRecord,
  sealedTransaction,
} from './structures.ts';

/** What its proposer chooses of a block; all else follows from it and the parent. */
export interface BlockContent {
  readonly height: number;
  readonly round: number;
  readonly timeMs: number;
  readonly transactions: readonly SealedTransaction[];
  readonly lastCommit: CommitCertificateRecord | null;
  readonly evidence: readonly EvidenceRecord[];
  readonly proposer: Digest;
}

/** Everything that committing the block changes. */
export interface BlockEffects {
  readonly height: number;
  readonly blockId: Digest;
  readonly header: BlockHeader;
  /** The records written, decoded and as stored. No record is ever deleted. */
  readonly records: ReadonlyMap<string, StateRecord>;
  readonly stateChanges: ReadonlyMap<string, Uint8Array>;
  /** State tree nodes by hex of their hash. */
  readonly treeAdded: ReadonlyMap<string, Uint8Array>;
  readonly treeRemoved: ReadonlyMap<string, Uint8Array>;
  readonly stateRoot: Digest;
  /** Leaves that the block adds to the log, with the subtree roots that each completes from level 0 upwards. */
  readonly logLeaves: readonly { readonly leaf: LogLeaf; readonly bytes: Uint8Array; readonly completed: readonly Digest[] }[];
  readonly logRange: LogRange;
  readonly transactions: readonly SealedTransaction[];
  /** In the order of the transactions. */
  readonly transactionIds: readonly Digest[];
  /** Bytes of the sealed transactions and of the evidence, in order: what the block's size is made of. */
  readonly transactionBytes: readonly Uint8Array[];
  readonly evidenceBytes: readonly Uint8Array[];
}

export type ContentRefusalCode = OperationRefusalCode | EndorsementRefusalCode | EvidenceRefusalCode | 'transactionForm';

/** Why content makes no block. `transactionIndex`: the transaction to leave out, null when it isn't one's fault. */
export interface ContentRefusal extends Refused<ContentRefusalCode> {
  readonly transactionIndex: number | null;
  readonly claimIndex: number | null;
}

export type ExecuteResult =
  | { readonly ok: true; readonly header: BlockHeader; readonly blockId: Digest; readonly effects: BlockEffects }
  | { readonly ok: false; readonly refusal: ContentRefusal };

const endorsementList = array(endorsement, MAX_VALIDATORS);

/** Makes the block after `view` from its content, or says why none can be made. Signatures aside, what it makes is valid content. */
export function executeBlock(view: ChainView, content: BlockContent, sha256: Sha256): ExecuteResult {
  if (content.height !== view.height + 1) throw new RangeError(`expected content of height ${view.height + 1}, got ${content.height}`);
  const refused = checkTransactions(view, content) ?? checkAllEvidence(view, content.evidence);
  if (refused !== null) return { ok: false, refusal: refused };
  const folded = applyOperations(view.state, content.height, content.transactions, sha256);
  if (!folded.ok) return { ok: false, refusal: folded.refusal };
  const records = recordEvidence(view, content, folded.changes);
  const stateChanges = encodeRecords(records);
  const tree = updateTree({ sha256, reader: view.tree }, view.stateRoot, stateChanges);
  const { range, leaves, transactionIds } = extendLog(view.logRange, content, sha256);
  const transactionBytes = content.transactions.map((transaction) => encode(sealedTransaction, transaction));
  const evidenceBytes = content.evidence.map((one) => encode(evidenceSchema, one));
  const header: BlockHeader = {
    ...headerStart(view, content),
    transactionsRoot: merkleRoot(sha256, transactionBytes),
    logSize: range.size,
    logRoot: logRoot(sha256, range),
    stateRoot: tree.root,
    setDigest: validatorSetDigest(sha256, validatorSetAt(view, content.height)),
    nextSetDigest: validatorSetDigest(sha256, validatorSetAt(view, content.height + 1)),
    lastCommitDigest: content.lastCommit === null ? null : certificateDigest(sha256, content.lastCommit),
    evidenceRoot: merkleRoot(sha256, evidenceBytes),
  };
  const blockId = blockIdOf(sha256, header);
  const parts = {
    transactions: content.transactions,
    records,
    stateChanges,
    tree,
    range,
    leaves,
    transactionIds,
    transactionBytes,
    evidenceBytes,
  };
  return { ok: true, header, blockId, effects: effectsOf(header, blockId, parts) };
}

/** Null when the transaction could stand alone in the block after `view` at `timeMs`, but for its signatures. For pools of transactions. */
export function checkSealed(
  view: ChainView,
  sealed: SealedTransaction,
  timeMs: number,
  sha256: Sha256,
): Refused<ContentRefusalCode> | null {
  const shape = checkTransactionShape(sealed.claims, parametersOf(view));
  if (shape !== null) return { code: 'transactionForm', detail: shape };
  const refused = checkEndorsements(view, sealed, timeMs);
  if (refused !== null) return refused;
  const folded = applyOperations(view.state, view.height + 1, [sealed], sha256);
  return folded.ok ? null : folded.refusal;
}

/** The view after the block, read through its effects: valid until they are committed. */
export function nextView(view: ChainView, effects: BlockEffects): ChainView {
  return {
    chainId: view.chainId,
    height: effects.height,
    round: effects.header.round,
    blockId: effects.blockId,
    timeMs: effects.header.timeMs,
    logRange: effects.logRange,
    stateRoot: effects.stateRoot,
    state: overlayReader(view.state, effects.records),
    tree: overlayTree(view.tree, effects.treeAdded),
  };
}

function overlayTree(below: TreeReader, added: ReadonlyMap<string, Uint8Array>): TreeReader {
  return { get: (hash) => added.get(digestToHex(hash)) ?? below.get(hash) };
}

/** The block's changes with a record for each piece of evidence and, where the parameters say so, without the guilty in the set. */
function recordEvidence(view: ChainView, content: BlockContent, folded: ReadonlyMap<string, StateRecord>): Map<string, StateRecord> {
  const { height, evidence } = content;
  const changes = new Map(folded);
  for (const one of evidence) changes.set(evidenceKey(one), { kind: 'evidence', height, nodeId: one.first.nodeId });
  if (parametersOf(view).removeGuilty) {
    removeGuilty(
      { state: overlayReader(view.state, changes), height, changes },
      evidence.map(({ first }) => first),
    );
  }
  return changes;
}

function checkTransactions(view: ChainView, content: BlockContent): ContentRefusal | null {
  const parameters = parametersOf(view);
  for (const [transactionIndex, sealed] of content.transactions.entries()) {
    const shape = checkTransactionShape(sealed.claims, parameters);
    const refused: Refused<ContentRefusalCode> | null =
      shape === null ? checkEndorsements(view, sealed, content.timeMs) : { code: 'transactionForm', detail: shape };
    if (refused !== null) return { ...refused, transactionIndex, claimIndex: null };
  }
  return null;
}

function checkAllEvidence(view: ChainView, evidence: readonly EvidenceRecord[]): ContentRefusal | null {
  const { maxEvidenceAgeBlocks } = parametersOf(view);
  const seen = new Set<string>();
  for (const one of evidence) {
    const refused = checkEvidence(view, one, maxEvidenceAgeBlocks);
    if (refused !== null) return { ...refused, transactionIndex: null, claimIndex: null };
    const key = evidenceKey(one);
    if (seen.has(key) || view.state.get(key) !== null) {
      return { code: 'evidenceSeen', detail: `${key} is on the chain already`, transactionIndex: null, claimIndex: null };
    }
    seen.add(key);
  }
  return null;
}

function headerStart(
  view: ChainView,
  content: BlockContent,
): Pick<BlockHeader, 'version' | 'chainId' | 'height' | 'round' | 'timeMs' | 'previousBlockId' | 'proposer'> {
  return {
    version: parametersOf(view).protocolVersion,
    chainId: view.chainId,
    height: content.height,
    round: content.round,
    timeMs: content.timeMs,
    previousBlockId: view.blockId,
    proposer: content.proposer,
  };
}

interface LogExtension {
  readonly range: LogRange;
  readonly leaves: BlockEffects['logLeaves'];
  readonly transactionIds: readonly Digest[];
}

function extendLog(start: LogRange, content: BlockContent, sha256: Sha256): LogExtension {
  let range = start;
  const leaves: BlockEffects['logLeaves'][number][] = [];
  const transactionIds: Digest[] = [];
  for (const { claims, endorsements } of content.transactions) {
    const id = transactionId(sha256, claims);
    transactionIds.push(id);
    const endorsementsDigest = sha256(encode(endorsementList, endorsements));
    for (const [index, claim] of claims.entries()) {
      const leaf: LogLeaf = { height: content.height, transactionId: id, index, ...operationOf(claim, sha256), endorsementsDigest };
      const bytes = encode(logLeaf, leaf);
      const appended = appendLeaf(sha256, range, logLeafHash(sha256, bytes));
      leaves.push({ leaf, bytes, completed: appended.completed });
      range = appended.range;
    }
  }
  return { range, leaves, transactionIds };
}

function operationOf(claim: Claim, sha256: Sha256): Pick<LogLeaf, 'kind' | 'key' | 'filesRoot' | 'operationDigest'> {
  return {
    kind: claim.kind,
    key: keyOf(claim),
    filesRoot:
      claim.kind === 'AddArtifact'
        ? merkleRoot(
            sha256,
            claim.files.map((file) => encode(fileEntry, file)),
          )
        : null,
    operationDigest: sha256(encode(claimSchema, claim)),
  };
}

interface Parts {
  readonly transactions: readonly SealedTransaction[];
  readonly records: ReadonlyMap<string, StateRecord>;
  readonly stateChanges: ReadonlyMap<string, Uint8Array>;
  readonly tree: TreeUpdate;
  readonly range: LogRange;
  readonly leaves: BlockEffects['logLeaves'];
  readonly transactionIds: readonly Digest[];
  readonly transactionBytes: readonly Uint8Array[];
  readonly evidenceBytes: readonly Uint8Array[];
}

function effectsOf(header: BlockHeader, blockId: Digest, parts: Parts): BlockEffects {
  return {
    height: header.height,
    blockId,
    header,
    records: parts.records,
    stateChanges: parts.stateChanges,
    treeAdded: parts.tree.added,
    treeRemoved: parts.tree.removed,
    stateRoot: parts.tree.root,
    logLeaves: parts.leaves,
    logRange: parts.range,
    transactions: parts.transactions,
    transactionIds: parts.transactionIds,
    transactionBytes: parts.transactionBytes,
    evidenceBytes: parts.evidenceBytes,
  };
}
