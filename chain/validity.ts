/**
 * Whether a block may follow its parent: one pure function, with a name for each reason to refuse. Follows docs/SPEC.md §5. Signatures are
 * verified by the shell beforehand and come in as verdicts; whether a proposal is timely is the shell's to judge as well.
 */

import {
  type CertificateRefusalCode,
  certificateSignatures,
  checkCertificateForm,
  endorsementSignatures,
  evidenceSignatures,
  type Refused,
  type SignatureItem,
} from './certificates.ts';
import { encode } from './codec.ts';
import { digestToHex, type Sha256, sameBytes } from './digest.ts';
import { type BlockEffects, type ContentRefusalCode, executeBlock } from './execute.ts';
import { validatorSetDigest } from './identity.ts';
import { type ChainView, parametersOf, validatorSetAt } from './state.ts';
import { type Block, type BlockHeader, blockHeader, commitCertificate } from './structures.ts';

/** The newest rules that this software knows. A node stops before a height whose parameters name a later version. */
export const PROTOCOL_VERSION = 1;

export type BlockRefusalCode =
  | ContentRefusalCode
  | CertificateRefusalCode
  | 'versionUnknown'
  | 'version'
  | 'chainId'
  | 'height'
  | 'parent'
  | 'proposer'
  | 'timeNotGrowing'
  | 'blockTooLarge'
  | 'tooManyOperations'
  | 'emptyBlock'
  | 'lastCommitMissing'
  | 'lastCommitUnexpected'
  | 'signature'
  | 'transactionsRoot'
  | 'logSize'
  | 'logRoot'
  | 'stateRoot'
  | 'setDigest'
  | 'nextSetDigest'
  | 'lastCommitDigest'
  | 'evidenceRoot';

export type BlockRefusal = Refused<BlockRefusalCode>;

export type CheckBlockResult =
  | { readonly ok: true; readonly effects: BlockEffects }
  | { readonly ok: false; readonly refusal: BlockRefusal };

/** Header fields that follow from content and parent, in the order they are compared; each names its own refusal. */
const DERIVED = [
  'transactionsRoot',
  'logSize',
  'logRoot',
  'stateRoot',
  'setDigest',
  'nextSetDigest',
  'lastCommitDigest',
  'evidenceRoot',
] as const satisfies readonly (keyof BlockHeader & BlockRefusalCode)[];

/** Everything in a block that must be verified, in order: last certificate, endorsements and consents, evidence. */
export function blockSignatures(view: ChainView, block: Block, sha256: Sha256): readonly SignatureItem[] {
  return [
    ...(block.lastCommit === null ? [] : certificateSignatures(view, block.lastCommit)),
    ...block.transactions.flatMap((transaction) => endorsementSignatures(view, transaction, sha256)),
    ...block.evidence.flatMap((evidence) => evidenceSignatures(view, evidence)),
  ];
}

/**
 * The effects of a valid block, or the first reason why it isn't. `verdicts` answer `blockSignatures` of the same view and block;
 * `knownVersion` is what this software knows.
 */
export function checkBlock(
  view: ChainView,
  block: Block,
  verdicts: readonly boolean[],
  { sha256, knownVersion = PROTOCOL_VERSION }: { readonly sha256: Sha256; readonly knownVersion?: number },
): CheckBlockResult {
  const refusal =
    checkHeader(view, block.header, knownVersion) ??
    checkBulk(view, block) ??
    checkLastCommit(view, block) ??
    checkEmpty(view, block, sha256);
  if (refusal !== null) return { ok: false, refusal };
  const { header, transactions, lastCommit, evidence } = block;
  const { height, round, timeMs, proposer } = header;
  const made = executeBlock(view, { height, round, timeMs, proposer, transactions, lastCommit, evidence }, sha256);
  if (!made.ok) return { ok: false, refusal: withPlace(made.refusal) };
  const late = checkSize(view, block, made.effects) ?? checkVerdicts(view, block, verdicts, sha256) ?? checkDerived(header, made.header);
  return late === null ? { ok: true, effects: made.effects } : { ok: false, refusal: late };
}

/** The node id whose turn it is: set(height)[(height + round) mod n]. */
export function proposerAt(view: ChainView, height: number, round: number): BlockHeader['proposer'] {
  const set = validatorSetAt(view, height);
  const turn = set[(height + round) % set.length];
  if (turn === undefined) throw new RangeError('a validator set is never empty');
  return turn.nodeId;
}

function checkHeader(view: ChainView, header: BlockHeader, knownVersion: number): BlockRefusal | null {
  const { protocolVersion } = parametersOf(view);
  if (protocolVersion > knownVersion) {
    return {
      code: 'versionUnknown',
      detail: `height ${view.height + 1} needs protocol version ${protocolVersion}, this is ${knownVersion}`,
    };
  }
  if (header.version !== protocolVersion) return { code: 'version', detail: `expected version ${protocolVersion}, got ${header.version}` };
  if (!sameBytes(header.chainId, view.chainId)) return { code: 'chainId', detail: 'the block is of another chain' };
  if (header.height !== view.height + 1) return { code: 'height', detail: `expected height ${view.height + 1}, got ${header.height}` };
  if (!sameBytes(header.previousBlockId, view.blockId))
    return { code: 'parent', detail: `expected the parent ${digestToHex(view.blockId)}` };
  if (!sameBytes(header.proposer, proposerAt(view, header.height, header.round))) {
    return { code: 'proposer', detail: `round ${header.round} is not the turn of ${digestToHex(header.proposer)}` };
  }
  return header.timeMs > view.timeMs
    ? null
    : { code: 'timeNotGrowing', detail: `expected a time after ${view.timeMs}, got ${header.timeMs}` };
}

function checkBulk(view: ChainView, block: Block): BlockRefusal | null {
  const { maxBlockOperations } = parametersOf(view);
  const operations = block.transactions.reduce((sum, transaction) => sum + transaction.claims.length, 0);
  return operations <= maxBlockOperations
    ? null
    : { code: 'tooManyOperations', detail: `expected at most ${maxBlockOperations} operations, got ${operations}` };
}

function checkLastCommit(view: ChainView, block: Block): BlockRefusal | null {
  if (view.height === 0) {
    return block.lastCommit === null ? null : { code: 'lastCommitUnexpected', detail: 'the first block has no block before it to certify' };
  }
  if (block.lastCommit === null) return { code: 'lastCommitMissing', detail: `expected the certificate of height ${view.height}` };
  return checkCertificateForm(view, block.lastCommit, { height: view.height, blockId: view.blockId, headerRound: view.round });
}

/** SPEC §5.2: no work, no block. */
function checkEmpty(view: ChainView, block: Block, sha256: Sha256): BlockRefusal | null {
  const { header, transactions, evidence } = block;
  if (transactions.length > 0 || evidence.length > 0 || header.round >= 1) return null;
  const { heartbeatMs } = parametersOf(view);
  if (header.timeMs - view.timeMs >= heartbeatMs) return null;
  const set = validatorSetDigest(sha256, validatorSetAt(view, header.height));
  const next = validatorSetDigest(sha256, validatorSetAt(view, header.height + 1));
  if (!sameBytes(set, next)) return null;
  return { code: 'emptyBlock', detail: `an empty block needs ${heartbeatMs} ms since its parent, got ${header.timeMs - view.timeMs}` };
}

function checkSize(view: ChainView, block: Block, effects: BlockEffects): BlockRefusal | null {
  const { maxBlockBytes } = parametersOf(view);
  const sizeBytes = blockSizeBytes(block, effects);
  return sizeBytes <= maxBlockBytes ? null : { code: 'blockTooLarge', detail: `expected at most ${maxBlockBytes} bytes, got ${sizeBytes}` };
}

/** Length of the block's encoding, from parts that are encoded anyway. */
function blockSizeBytes(block: Block, effects: BlockEffects): number {
  const sum = (parts: readonly Uint8Array[]): number => parts.reduce((total, part) => total + part.length, headBytes(parts.length));
  const keys = 1 + ['header', 'transactions', 'lastCommit', 'evidence'].reduce((total, key) => total + 1 + key.length, 0);
  const lastCommit = block.lastCommit === null ? 1 : encode(commitCertificate, block.lastCommit).length;
  return keys + encode(blockHeader, block.header).length + lastCommit + sum(effects.transactionBytes) + sum(effects.evidenceBytes);
}

/** Length of a CBOR head for an array of this many items (RFC 8949, 3.1). */
function headBytes(count: number): number {
  if (count < 24) return 1;
  return count < 0x100 ? 2 : 3;
}

function checkVerdicts(view: ChainView, block: Block, verdicts: readonly boolean[], sha256: Sha256): BlockRefusal | null {
  const expected = countSignatures(block);
  if (verdicts.length === expected && !verdicts.includes(false)) return null;
  const bad = blockSignatures(view, block, sha256).find((_, index) => verdicts[index] !== true);
  return { code: 'signature', detail: `does not verify: ${bad?.about ?? `expected ${expected} verdicts, got ${verdicts.length}`}` };
}

/** As many as `blockSignatures` lists of a block whose signers are all known. */
function countSignatures(block: Block): number {
  const consents = block.transactions
    .flatMap((transaction) => transaction.consents)
    .reduce((sum, { signatures }) => sum + signatures.length, 0);
  const endorsements = block.transactions.reduce((sum, transaction) => sum + transaction.endorsements.length, 0);
  return (block.lastCommit?.signatures.length ?? 0) + endorsements + consents + 2 * block.evidence.length;
}

function checkDerived(header: BlockHeader, made: BlockHeader): BlockRefusal | null {
  for (const field of DERIVED) {
    if (!sameField(header[field], made[field]))
      return { code: field, detail: `${field}: expected ${show(made[field])}, got ${show(header[field])}` };
  }
  return null;
}

function withPlace(refusal: {
  readonly code: BlockRefusalCode;
  readonly detail: string;
  readonly transactionIndex: number | null;
  readonly claimIndex: number | null;
}): BlockRefusal {
  const { code, detail, transactionIndex, claimIndex } = refusal;
  if (transactionIndex === null) return { code, detail };
  return { code, detail: `transaction ${transactionIndex}${claimIndex === null ? '' : `, claim ${claimIndex}`}: ${detail}` };
}

function sameField(left: Uint8Array | number | null, right: Uint8Array | number | null): boolean {
  return left instanceof Uint8Array && right instanceof Uint8Array ? sameBytes(left, right) : left === right;
}

function show(value: BlockHeader['proposer'] | number | null): string {
  return value instanceof Uint8Array ? digestToHex(value) : String(value);
}
