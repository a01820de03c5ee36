/**
 * The bytes that a node sends, signs or keeps beside the chain's own structures: genesis document, frames of a stream, sessions, runs of
 * files, write-ahead log, sign state, the node's notes, values of the chain store. Spelled out in test/vectors. SPEC §5.4, §9–§11.
 */

import type { Connection, Libp2p, PrivateKey, Stream } from '@libp2p/interface';
import t from 'tap';
import { asDigest, type Block, encode, type SignedVote } from '../chain/index.ts';
import { FORMAT, FORMAT_KEY, formatRecord, sealRecord, TIP_KEY, tipRecord } from '../chain/store/layout.ts';
import { asHeight, asRound, type Input } from '../consensus/index.ts';
import { chainIdOf, type GenesisDocument, genesisDocument, SIGN_STATE_FILE } from '../genesis/index.ts';
import { StagedVersions } from '../registry/index.ts';
import { encodeRunAnswer, encodeRunRequest } from '../registry/transfer-messages.ts';
import { proposalFromRecord, valueIdOfDigest, voteFromRecord } from '../src/agreement/records.ts';
import { SignState } from '../src/agreement/sign-state.ts';
import { Wal } from '../src/agreement/wal.ts';
import { EndorsementBook } from '../src/claims/endorsement-book.ts';
import { Marks } from '../src/claims/marks.ts';
import { readFrame, writeFrame } from '../src/network/stream-exchange.ts';
import { openTwinWatch } from '../src/network/twin-watch.ts';
import { consentToRotate, formatConsentNote } from '../src/orders/consent-note.ts';
import type { Signer } from '../src/ports.ts';
import { checkVectors, toHex, type Vector } from './byte-vectors.ts';
import { digestOf, filled, sampleArtifact, sampleCoordinates, sampleFile, sampleParameters, sha256 } from './chain/arbitraries.ts';
import { memoryFileSystem } from './world/memory-file-system.ts';
import { MemoryKeyValueStore } from './world/memory-key-value-store.ts';

const folder = new URL('../../test/vectors/', import.meta.url);

const chainId = digestOf(0xc1);
const nodeId = digestOf(0x01);
const blockId = digestOf(0xb1);
const signature = filled(0x51, 64);
const clock = { nowMs: () => 1_700_000_000_000 };
const timers = { set: () => ({ cancel: () => {} }) };
const log = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };
const signer: Signer = { publicKey: () => filled(0x12), sign: () => signature, holds: () => true };

const FRAME: NonNullable<Vector['head']> = [
  [4, 'length of the body'],
  [4, 'CRC-32 of the body'],
];
const SEALED: NonNullable<Vector['head']> = [[8, 'checksum: first bytes of SHA-256(key, 0x00, value)']];

type Vectors = Readonly<Record<string, Vector>>;

function genesisVectors(): Vectors {
  const node = { nodeId, name: 'node1', networkKey: filled(0x11), consensusKey: filled(0x12), checkpointKey: filled(0x13) };
  const document: GenesisDocument = {
    version: 1,
    name: 'example',
    timeMs: 1_700_000_000_000,
    parameters: sampleParameters(),
    nodes: [node],
  };
  return { 'genesis-document': { bytes: encode(genesisDocument, document), identity: ['chainId', chainIdOf(document)] } };
}

function chainStoreVectors(): Vectors {
  const tip = {
    height: 7,
    round: 0,
    blockId,
    timeMs: 1_700_000_000_000,
    logSize: 3,
    logPeaks: [digestOf(0xa1), digestOf(0xa2)],
    stateRoot: digestOf(0xa3),
    counts: { artifacts: 1, files: 1, names: 0, bans: 0, transactions: 1 },
  };
  return {
    'chain-store-format': {
      bytes: sealRecord(sha256, FORMAT_KEY, formatRecord, { format: FORMAT, chainId, timeMs: 1_700_000_000_000 }),
      head: SEALED,
    },
    'chain-store-tip': { bytes: sealRecord(sha256, TIP_KEY, tipRecord, tip), head: SEALED },
  };
}

function transferVectors(): Vectors {
  return {
    'run-request': { bytes: encodeRunRequest({ sha256: digestOf(0xf1), sizeBytes: 3_000_000, index: 64, count: 64 }) },
    'run-answer': { bytes: encodeRunAnswer({ kind: 'run', bytes: filled(0xbb, 4), proof: [filled(0xf3)] }) },
    'run-absent': { bytes: encodeRunAnswer({ kind: 'absent' }) },
  };
}

/** The side of a stream that is in hand here: what is sent is kept, what the peer sends is given at once. */
class OneStream extends EventTarget {
  readonly writeStatus = 'writable';
  readonly readStatus = 'paused';
  readonly sent: Uint8Array[] = [];
  readonly #incoming: Uint8Array;

  constructor(incoming: Uint8Array = new Uint8Array()) {
    super();
    this.#incoming = incoming;
  }

  send(piece: Uint8Array): boolean {
    this.sent.push(piece);
    return true;
  }

  resume(): void {
    this.dispatchEvent(Object.assign(new Event('message'), { data: this.#incoming }));
  }

  async close(): Promise<void> {}
}

function asStream(stream: OneStream): Stream {
  return stream as unknown as Stream;
}

async function framed(body: Uint8Array): Promise<Uint8Array> {
  const stream = new OneStream();
  await writeFrame(asStream(stream), body, new AbortController().signal);
  return new Uint8Array(Buffer.concat(stream.sent));
}

async function streamVectors(): Promise<Vectors> {
  const bytes = await framed(encodeRunAnswer({ kind: 'absent' }));
  const body = await readFrame(asStream(new OneStream(bytes)), 256, new AbortController().signal);
  t.equal(toHex(body), toHex(bytes.subarray(4)), 'a frame is read as it is written');
  return { 'stream-frame': { bytes, head: [[4, 'length of the body']] } };
}

/** A node 5 s old is asked `who` by a peer that knows another session of its key. */
async function sessionVectors(): Promise<Vectors> {
  const question = Uint8Array.from([0x82, 0x63, ...Buffer.from('who'), 0x50, ...filled(0x22, 16)]);
  const incoming = await framed(question);
  const found: { payload?: Uint8Array; serve?: (stream: Stream, connection: Connection) => Promise<void> } = {};
  const privateKey = {
    sign: async (payload: Uint8Array) => {
      found.payload = payload;
      return signature;
    },
  };
  let nowMs = 0;
  const watch = openTwinWatch({
    privateKey: privateKey as unknown as PrivateKey,
    chainId,
    protocol: '/session',
    clock: { nowMs: () => nowMs },
    timers,
    random: { bytes: (length) => filled(0x33, length), next: () => 0 },
    logger: log,
    metTwin: () => {},
  });
  const node = {
    handle: async (_protocol: string, serve: (stream: Stream, connection: Connection) => Promise<void>) => {
      found.serve = serve;
    },
    addEventListener: () => {},
  };
  await watch.attach(node as unknown as Libp2p);
  nowMs = 5000;
  const stream = new OneStream(incoming);
  await found.serve?.(asStream(stream), {} as Connection);
  const answer = new Uint8Array(Buffer.concat(stream.sent)).subarray(4);
  return {
    'session-question': { bytes: question },
    'session-answer': { bytes: answer },
    'payload-session': { bytes: found.payload ?? new Uint8Array() },
  };
}

async function signStateVectors(): Promise<Vectors> {
  const files = memoryFileSystem();
  const kept = async (work: (state: SignState) => Promise<unknown>): Promise<Uint8Array> => {
    const before = (await files.readFile(SIGN_STATE_FILE))?.length ?? 0;
    const state = await SignState.open(files, signer);
    await work(state);
    await state.close();
    return ((await files.readFile(SIGN_STATE_FILE)) ?? new Uint8Array()).subarray(before);
  };
  return {
    'sign-state-silent': { bytes: await kept((state) => state.keepSilentThrough(6)), head: FRAME },
    'sign-state-signed': {
      bytes: await kept((state) => state.sign({ height: 7, round: 1, step: 'precommit' }, filled(0x77, 4))),
      head: FRAME,
    },
  };
}

const vote: SignedVote = { type: 'precommit', height: 7, round: 1, blockId, nodeId, signature };
const small: Block = {
  header: {
    version: 1,
    chainId,
    height: 7,
    round: 0,
    timeMs: 1_700_000_000_000,
    previousBlockId: digestOf(0xb0),
    transactionsRoot: digestOf(0xa1),
    logSize: 3,
    logRoot: digestOf(0xa2),
    stateRoot: digestOf(0xa3),
    setDigest: digestOf(0xa4),
    nextSetDigest: digestOf(0xa4),
    lastCommitDigest: digestOf(0xa5),
    evidenceRoot: digestOf(0xa6),
    proposer: nodeId,
  },
  evidence: [],
  lastCommit: null,
  transactions: [],
};

async function walVectors(): Promise<Vectors> {
  const [height, round, valueId] = [asHeight(7), asRound(1), valueIdOfDigest(blockId)];
  const votes = [voteFromRecord(vote)];
  const inputs: Readonly<Record<string, Input>> = {
    wanted: { kind: 'valueWanted' },
    propose: { kind: 'proposeValue', round, valueId },
    proposal: {
      kind: 'proposal',
      proposal: proposalFromRecord({ height: 7, round: 1, blockId, validRound: null, nodeId, signature }),
      valid: true,
    },
    vote: { kind: 'vote', vote: voteFromRecord(vote) },
    polka: { kind: 'polkaCertificate', certificate: { height, round, valueId, votes } },
    round: { kind: 'roundCertificate', certificate: { height, round, votes } },
    timeout: { kind: 'timeout', timeout: { kind: 'precommit', height, round } },
  };
  const files = memoryFileSystem();
  const path = 'wal/0000000000000007.wal';
  const vectors: Record<string, Vector> = {};
  let written = 0;
  const { wal } = await Wal.open(files, 7);
  const take = async (name: string): Promise<void> => {
    await wal.sync();
    const whole = (await files.readFile(path)) ?? new Uint8Array();
    vectors[`wal-${name}`] = { bytes: whole.subarray(written), head: FRAME };
    written = whole.length;
  };
  for (const [name, input] of Object.entries(inputs)) {
    wal.appendInput(input);
    await take(name);
  }
  wal.appendValue(small);
  await take('value');
  await wal.close();
  const { replay } = await Wal.open(files, 7);
  t.same(
    replay,
    [...Object.values(inputs).map((input) => ({ kind: 'input', input })), { kind: 'value', block: small }],
    'a log is replayed as it was written',
  );
  return vectors;
}

/** What stands behind the prefix of the line. */
function consentBytes(): Uint8Array {
  const about = { chainId, nodeId, use: 'consensus', publicKey: filled(0x12), replaces: 3 } as const;
  const line = formatConsentNote(consentToRotate(about, () => signature, sha256));
  t.ok(line.startsWith('cairn-consent-1.'), 'the prefix of a consent');
  return new Uint8Array(Buffer.from(line.slice('cairn-consent-1.'.length), 'base64url'));
}

async function noteVectors(): Promise<Vectors> {
  const store = new MemoryKeyValueStore();
  const book = new EndorsementBook({ chainId, nodeId, store, signer, clock });
  await book.endorse(digestOf(0xd1), [sampleArtifact()], 60_000);
  const marks = new Marks({ store, clock });
  await marks.put(`ban|${'f1'.repeat(32)}`, 'contains malware');
  const entries = new Map(await store.range({ from: '', to: '\x7f' }));
  t.same([...entries.keys()], ['endorsed|-|artifact|generic||demo|hello|1.0.0', `mark|ban|${'f1'.repeat(32)}`], 'keys of the node store');
  const files = memoryFileSystem();
  const staging = { get: () => ({ sha256: asDigest(filled(0xf1)), sizeBytes: 1000, piecesRoot: null }) };
  await files.makeFolder('staging');
  const versions = await StagedVersions.open({ files, staging: staging as never, log });
  await versions.add(sampleCoordinates(), sampleFile());
  const [name] = await files.list('staging/versions');
  t.equal(name, toHex(sha256(Buffer.from('generic||demo|hello|1.0.0|hello.tar.gz'))), 'name of a staged note');
  const [endorsed, marked] = [...entries.values()];
  return {
    'node-store-endorsed': { bytes: endorsed ?? new Uint8Array() },
    'node-store-mark': { bytes: marked ?? new Uint8Array() },
    'consent-note': { bytes: consentBytes() },
    'staged-version': { bytes: (await files.readFile(`staging/versions/${name}`)) ?? new Uint8Array() },
  };
}

t.test('what a node sends, signs and keeps has the bytes that its vector spells out', async (t) => {
  checkVectors(t, folder, {
    ...genesisVectors(),
    ...chainStoreVectors(),
    ...transferVectors(),
    ...(await streamVectors()),
    ...(await sessionVectors()),
    ...(await signStateVectors()),
    ...(await walVectors()),
    ...(await noteVectors()),
  });
});
