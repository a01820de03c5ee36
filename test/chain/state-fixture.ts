/**
 * A small network for tests of the chain floor: authorities with real keys made from their number, claims, sealed transactions and blocks,
 * truly signed. Follows docs/SPEC.md §3–§6. Never touches a disk or a clock.
 */

import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import {
  type AddArtifact,
  asDigest,
  type Block,
  type BlockContent,
  type BlockEffects,
  type ChainView,
  type Claim,
  type CommitCertificateRecord,
  type Consent,
  type Coordinates,
  claimDigest,
  compareBytes,
  consentPayload,
  type Digest,
  decode,
  digestToHex,
  EMPTY_LOG,
  type EvidenceRecord,
  endorsementPayload,
  executeBlock,
  type FileEntry,
  genesisState,
  type NodeRecord,
  nextView,
  nodeIdOf,
  type Parameters,
  proposerAt,
  type SealedTransaction,
  type Sha256,
  type SignatureItem,
  type SignedVote,
  type StateRecord,
  stateRecord,
  transactionId,
  votePayload,
} from '../../chain/index.ts';

export const sha256: Sha256 = (data) => asDigest(new Uint8Array(createHash('sha256').update(data).digest()));
export const digestOf = (text: string): Digest => sha256(Buffer.from(text));

const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

interface KeyPair {
  readonly publicKey: Uint8Array;
  readonly privateKey: KeyObject;
}

function keyFrom(seed: string): KeyPair {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, digestOf(seed)]), format: 'der', type: 'pkcs8' });
  const der = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return { publicKey: new Uint8Array(der.subarray(-32)), privateKey };
}

const signWith = (key: KeyPair, message: Uint8Array): Uint8Array => new Uint8Array(sign(null, message, key.privateKey));

/** What the shell's verifier would say. */
export function verdictsOn(items: readonly SignatureItem[]): boolean[] {
  return items.map(({ publicKey, message, signature }) => {
    const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' });
    return verify(null, message, key, signature);
  });
}

export type Use = 'network' | 'consensus' | 'checkpoint';

/** One node with its keys; `generation` tells later keys of one node apart. */
export interface TestNode {
  readonly record: NodeRecord;
  readonly sign: (use: Use, message: Uint8Array) => Uint8Array;
}

export function nodeNamed(name: string): TestNode {
  const keys = { network: keyFrom(`${name}/network`), consensus: keyFrom(`${name}/consensus`), checkpoint: keyFrom(`${name}/checkpoint`) };
  const record: NodeRecord = {
    nodeId: nodeIdOf(sha256, keys.network.publicKey),
    name,
    networkKey: keys.network.publicKey,
    consensusKey: keys.consensus.publicKey,
    checkpointKey: keys.checkpoint.publicKey,
  };
  return { record, sign: (use, message) => signWith(keys[use], message) };
}

/** The node after its key for `use` was replaced by that of another (never registered) node. */
export function withKeyOf(node: TestNode, use: Use, other: TestNode): TestNode {
  return {
    record: { ...node.record, [`${use}Key`]: other.record[`${use}Key`] },
    sign: (asked, message) => (asked === use ? other : node).sign(asked, message),
  };
}

export const GENESIS_MS = 1_700_000_000_000;

export function parametersWith(publishers: readonly Digest[], changes: Partial<Parameters> = {}): Parameters {
  return {
    protocolVersion: 1,
    heartbeatMs: 600_000,
    candidateMs: 3000,
    endorsementMs: 60_000,
    requestOnMissMs: 20_000,
    nameRefreshMs: 3_600_000,
    precisionMs: 500,
    messageDelayMs: 2000,
    messageDelayGrowthMs: 500,
    timeouts: {
      proposeMs: 3000,
      proposeDeltaMs: 500,
      prevoteMs: 1000,
      prevoteDeltaMs: 500,
      precommitMs: 1000,
      precommitDeltaMs: 500,
      capMs: 30_000,
    },
    maxBlockBytes: 2_097_152,
    maxTransactionBytes: 262_144,
    maxTransactionClaims: 256,
    maxBlockOperations: 2000,
    maxEvidenceAgeBlocks: 10,
    removeGuilty: false,
    policy: [
      {
        ecosystem: 'generic',
        registry: '',
        namespace: 'demo/*',
        verification: 'published',
        upstream: null,
        publishers: [...publishers].sort(compareBytes),
        maxFileBytes: 1_000_000_000,
        maxFiles: 16,
        minimumAgeMs: 0,
        manual: false,
        requests: 'none',
        platforms: [],
      },
    ],
    ...changes,
  };
}

export const coordinatesOf = (name: string, version = '1.0'): Coordinates => ({
  ecosystem: 'generic',
  registry: '',
  namespace: 'demo/x',
  name,
  version,
});

export function fileOf(content: string, name = `${content}.bin`): FileEntry {
  return {
    name,
    mediaType: 'application/octet-stream',
    sizeBytes: content.length,
    digests: { sha256: digestOf(content), sha512: null, sha1: null, h1: null },
    piecesRoot: digestOf(`pieces of ${content}`),
  };
}

/** A network whose authorities sign what they are asked to. */
export class TestNetwork {
  readonly nodes: readonly TestNode[];
  readonly parameters: Parameters;
  readonly chainId: Digest = digestOf('genesis of a test network');

  constructor(count = 4, changes: Partial<Parameters> = {}) {
    this.nodes = Array.from({ length: count }, (_, index) => nodeNamed(`node-${index}`)).sort((left, right) =>
      compareBytes(left.record.nodeId, right.record.nodeId),
    );
    this.parameters = parametersWith(
      this.nodes.map((node) => node.record.nodeId),
      changes,
    );
  }

  get genesis(): { chainId: Digest; timeMs: number; parameters: Parameters; nodes: readonly NodeRecord[] } {
    return { chainId: this.chainId, timeMs: GENESIS_MS, parameters: this.parameters, nodes: this.nodes.map((node) => node.record) };
  }

  /** The view before the first block, in memory. */
  view(): ChainView {
    const start = genesisState(this.genesis, sha256);
    const records = new Map([...start.changes].map(([key, value]) => [key, decodeRecord(value)] as const));
    return {
      chainId: this.chainId,
      height: 0,
      round: 0,
      blockId: this.chainId,
      timeMs: GENESIS_MS,
      logRange: EMPTY_LOG,
      stateRoot: start.tree.root,
      state: { get: (key) => records.get(key) ?? null },
      tree: { get: (hash) => start.tree.added.get(digestToHex(hash)) ?? null },
    };
  }

  artifact(name: string, changes: Partial<AddArtifact> = {}): AddArtifact {
    return {
      kind: 'AddArtifact',
      coordinates: coordinatesOf(name),
      files: [fileOf(name)],
      source: { kind: 'publisher', nodeId: (this.nodes[0] as TestNode).record.nodeId },
      dependencies: [],
      verification: 'published',
      replaces: null,
      ...changes,
    };
  }

  seal(
    claims: readonly Claim[],
    options: { readonly by?: readonly TestNode[]; readonly expiresMs?: number; readonly consents?: readonly Consent[] } = {},
  ): SealedTransaction {
    const expiresMs = options.expiresMs ?? GENESIS_MS + 1e9;
    const message = endorsementPayload(this.chainId, transactionId(sha256, claims), expiresMs);
    const endorsements = [...(options.by ?? this.nodes)]
      .sort((left, right) => compareBytes(left.record.nodeId, right.record.nodeId))
      .map((node) => ({ nodeId: node.record.nodeId, expiresMs, signature: node.sign('consensus', message) }));
    return { claims, endorsements, consents: options.consents ?? [] };
  }

  consent(claim: Claim, node: TestNode, uses: readonly Use[] = ['network', 'consensus', 'checkpoint']): Consent {
    const digest = claimDigest(sha256, claim);
    return { nodeId: node.record.nodeId, signatures: uses.map((use) => node.sign(use, consentPayload(this.chainId, digest, use))) };
  }

  commit(
    block: { readonly height: number; readonly blockId: Digest },
    options: { readonly round?: number; readonly by?: readonly TestNode[] } = {},
  ): CommitCertificateRecord {
    const { height, blockId } = block;
    const round = options.round ?? 0;
    const message = votePayload(this.chainId, { type: 'precommit', height, round, blockId });
    const signatures = [...(options.by ?? this.nodes)]
      .sort((left, right) => compareBytes(left.record.nodeId, right.record.nodeId))
      .map((node) => ({ nodeId: node.record.nodeId, signature: node.sign('consensus', message) }));
    return { height, round, blockId, signatures };
  }

  vote(node: TestNode, vote: Pick<SignedVote, 'type' | 'height' | 'round' | 'blockId'>): SignedVote {
    return { ...vote, nodeId: node.record.nodeId, signature: node.sign('consensus', votePayload(this.chainId, vote)) };
  }

  content(view: ChainView, changes: Partial<BlockContent> = {}, signers?: readonly TestNode[]): BlockContent {
    const height = view.height + 1;
    const round = changes.round ?? 0;
    return {
      height,
      round,
      timeMs: view.timeMs + 1,
      transactions: [],
      lastCommit: view.height === 0 ? null : this.commit(view, { by: signers ?? this.nodes, round: view.round }),
      evidence: [],
      proposer: proposerAt(view, height, round),
      ...changes,
    };
  }

  /** A block of these transactions; throws where the chain refuses its content. */
  block(view: ChainView, changes: Partial<BlockContent> = {}, signers?: readonly TestNode[]): { block: Block; effects: BlockEffects } {
    const content = this.content(view, changes, signers);
    const made = executeBlock(view, content, sha256);
    if (!made.ok) throw new Error(`refused: ${made.refusal.code}: ${made.refusal.detail}`);
    const { transactions, lastCommit, evidence } = content;
    return { block: { header: made.header, transactions, lastCommit, evidence }, effects: made.effects };
  }

  /** The view after a block of these claims, each in a transaction of its own. */
  after(view: ChainView, claims: readonly Claim[], consents: readonly Consent[] = [], by?: readonly TestNode[]): ChainView {
    const transactions = claims.map((claim) => this.seal([claim], { consents, ...(by === undefined ? {} : { by }) }));
    return nextView(view, this.block(view, { transactions }, by).effects);
  }

  duplicateVote(node: TestNode, slot: { readonly height: number; readonly round?: number }): EvidenceRecord {
    const base = { type: 'precommit', height: slot.height, round: slot.round ?? 0 } as const;
    return {
      kind: 'duplicateVote',
      first: this.vote(node, { ...base, blockId: digestOf('one') }),
      second: this.vote(node, { ...base, blockId: digestOf('other') }),
    };
  }
}

export function decodeRecord(value: Uint8Array): StateRecord {
  const decoded = decode(stateRecord, value, { maxBytes: value.length });
  if (!decoded.ok) throw new Error(decoded.reason);
  return decoded.value;
}
