/**
 * The write-ahead log of one height: every input of the state machine in order, and every value it may come to vote for. SPEC §11.3.
 * Synced before anything that follows from it leaves the node; a new file begins with each height, and the old one goes.
 */

import {
  array,
  type Block,
  block,
  bool,
  decode,
  digest,
  digestFromHex,
  encode,
  type Infer,
  nullable,
  oneOf,
  signedProposal,
  signedVote,
  uint,
  union,
} from '../../chain/index.ts';
import {
  asHeight,
  asRound,
  type CommitCertificate,
  type Input,
  type PolkaCertificate,
  type RoundCertificate,
} from '../../consensus/index.ts';
import { invariant } from '../invariant.ts';
import type { FileSystem } from '../ports.ts';
import { FrameLog } from './frame-log.ts';
import { proposalFromRecord, proposalToRecord, valueIdOfDigest, voteFromRecord, voteToRecord } from './records.ts';

const MAX_ENTRY_BYTES = 8 * 1024 * 1024;
const FOLDER = 'wal';
const LOG_NAME = /^\d{16}\.wal$/;

const certificateKind = oneOf('polkaCertificate', 'roundCertificate', 'commitCertificate');

const walEntry = union({
  value: { block },
  valueWanted: {},
  proposeValue: { round: uint(), blockId: digest },
  proposal: { proposal: signedProposal, valid: bool },
  vote: { vote: signedVote },
  certificate: { certificateKind, height: uint(), round: uint(), blockId: nullable(digest), votes: array(signedVote, 1024) },
  timeout: { timeoutKind: oneOf('propose', 'prevote', 'precommit'), height: uint(), round: uint() },
});
type WalEntry = Infer<typeof walEntry>;
type CertificateEntry = Extract<WalEntry, { kind: 'certificate' }>;

/** What a replay yields, in the order in which it was written. */
export type WalReplay = { readonly kind: 'value'; readonly block: Block } | { readonly kind: 'input'; readonly input: Input };

export class Wal {
  readonly #files: FileSystem;
  #log: FrameLog;
  #height: number;

  private constructor(files: FileSystem, log: FrameLog, height: number) {
    this.#files = files;
    this.#log = log;
    this.#height = height;
  }

  /** Opens the log of `height`, drops those of lower heights, and yields what to replay. */
  static async open(files: FileSystem, height: number): Promise<{ readonly wal: Wal; readonly replay: readonly WalReplay[] }> {
    await files.makeFolder(FOLDER);
    const { log, bodies } = await FrameLog.open(files, pathOf(height));
    await files.syncFolder(FOLDER);
    // Only logs: a disk of its own has a lost+found.
    const older = (await files.list(FOLDER)).filter((name) => LOG_NAME.test(name) && name !== nameOf(height));
    for (const name of older) await files.remove(`${FOLDER}/${name}`);
    return { wal: new Wal(files, log, height), replay: bodies.map(readEntry) };
  }

  /** Begins the log of a later height; what the old one held is decided and committed. */
  async advance(height: number): Promise<void> {
    const old = this.#height;
    await this.#log.close();
    const { log } = await FrameLog.open(this.#files, pathOf(height));
    await this.#files.syncFolder(FOLDER);
    await this.#files.remove(pathOf(old));
    this.#log = log;
    this.#height = height;
  }

  appendInput(input: Input): void {
    this.#log.append(encode(walEntry, inputToEntry(input)));
  }

  appendValue(value: Block): void {
    this.#log.append(encode(walEntry, { kind: 'value', block: value }));
  }

  async sync(): Promise<void> {
    await this.#log.sync();
  }

  async close(): Promise<void> {
    await this.#log.sync();
    await this.#log.close();
  }
}

function nameOf(height: number): string {
  return `${String(height).padStart(16, '0')}.wal`;
}

function pathOf(height: number): string {
  return `${FOLDER}/${nameOf(height)}`;
}

function readEntry(body: Uint8Array): WalReplay {
  const entry = decode(walEntry, body, { maxBytes: MAX_ENTRY_BYTES });
  invariant(entry.ok, `the write-ahead log holds a sound frame that is no entry${entry.ok ? '' : `: ${entry.reason}`}`);
  return entry.value.kind === 'value' ? { kind: 'value', block: entry.value.block } : { kind: 'input', input: entryToInput(entry.value) };
}

function inputToEntry(input: Input): WalEntry {
  switch (input.kind) {
    case 'valueWanted':
      return { kind: 'valueWanted' };
    case 'proposeValue':
      return { kind: 'proposeValue', round: input.round, blockId: digestFromHex(input.valueId) };
    case 'proposal':
      return { kind: 'proposal', proposal: proposalToRecord(input.proposal), valid: input.valid };
    case 'vote':
      return { kind: 'vote', vote: voteToRecord(input.vote) };
    case 'timeout':
      return { kind: 'timeout', timeoutKind: input.timeout.kind, height: input.timeout.height, round: input.timeout.round };
    default:
      return certificateToEntry(input.kind, input.certificate);
  }
}

function certificateToEntry(
  kind: CertificateEntry['certificateKind'],
  certificate: PolkaCertificate | RoundCertificate | CommitCertificate,
): CertificateEntry {
  return {
    kind: 'certificate',
    certificateKind: kind,
    height: certificate.height,
    round: certificate.round,
    blockId: 'valueId' in certificate ? digestFromHex(certificate.valueId) : null,
    votes: certificate.votes.map(voteToRecord),
  };
}

function entryToInput(entry: Exclude<WalEntry, { kind: 'value' }>): Input {
  switch (entry.kind) {
    case 'valueWanted':
      return { kind: 'valueWanted' };
    case 'proposeValue':
      return { kind: 'proposeValue', round: asRound(entry.round), valueId: valueIdOfDigest(entry.blockId) };
    case 'proposal':
      return { kind: 'proposal', proposal: proposalFromRecord(entry.proposal), valid: entry.valid };
    case 'vote':
      return { kind: 'vote', vote: voteFromRecord(entry.vote) };
    case 'timeout':
      return { kind: 'timeout', timeout: { kind: entry.timeoutKind, height: asHeight(entry.height), round: asRound(entry.round) } };
    case 'certificate':
      return entryToCertificate(entry);
  }
}

function entryToCertificate(entry: CertificateEntry): Input {
  const base = { height: asHeight(entry.height), round: asRound(entry.round), votes: entry.votes.map(voteFromRecord) };
  if (entry.certificateKind === 'roundCertificate') return { kind: 'roundCertificate', certificate: base };
  invariant(entry.blockId !== null, 'a certificate for a value names it');
  return { kind: entry.certificateKind, certificate: { ...base, valueId: valueIdOfDigest(entry.blockId) } };
}
