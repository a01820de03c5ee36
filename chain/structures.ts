/**
 * Every structure of the chain, declared once: parameters, policy, nodes, claims, transactions, certificates, blocks, and what travels
 * between nodes. Follows docs/SPEC.md §2–§6. Holds no rule beyond shape and size; the rules are in claims.ts and validity.ts.
 */

import { array, bool, digest, fixedBytes, type Infer, nullable, oneOf, record, type Schema, text, uint, union } from './schema.ts';

/** Bounds of the encoding itself; the network's own, tighter ones stand in its parameters. SPEC §8. */
export const MAX_VALIDATORS = 256;
export const MAX_FILES = 4096;
export const MAX_CLAIMS = 256;
export const MAX_TRANSACTIONS = 2000;
export const MAX_EVIDENCE = 64;
export const MAX_RULES = 256;
export const MAX_PLATFORMS = 64;

const publicKey = fixedBytes(32);
const signature = fixedBytes(64);
const time = uint();
const height = uint();
const round = uint(0xffff);

/** One authorized node. nodeId = SHA-256 of the first admitted network key; the three keys are Ed25519 and distinct. */
export const nodeRecordFields = {
  nodeId: digest,
  name: text(64),
  networkKey: publicKey,
  consensusKey: publicKey,
  checkpointKey: publicKey,
};
export const nodeRecord = record(nodeRecordFields);
export type NodeRecord = Infer<typeof nodeRecord>;

/**
 * A validator set: sorted by nodeId, no doubles, never empty. It names the consensus keys, so that its digest commits to them and a
 * rotation decided in H takes effect with set(H + 2): what a certificate is checked with never depends on later node records.
 */
export const validatorSet = array(record({ nodeId: digest, consensusKey: publicKey, power: uint() }), MAX_VALIDATORS);
export type ValidatorSetRecord = Infer<typeof validatorSet>;

export const ecosystem = oneOf('generic', 'docker', 'maven', 'npm', 'pypi', 'cargo', 'go');
export type EcosystemName = Infer<typeof ecosystem>;
export const verification = oneOf('mirrored', 'rebuilt', 'rebuilt-after-normalization', 'published', 'manual');
export type Verification = Infer<typeof verification>;

/** What a package is called on the chain. The grammar of each component is coordinates.ts'; the empty string = absent. */
export const coordinates = record({ ecosystem, registry: text(128), namespace: text(256), name: text(256), version: text(256) });
export type Coordinates = Infer<typeof coordinates>;

/** One file of a package version. piecesRoot: BEP 52 root (SHA-256, 16 KiB blocks), null for size 0. */
export const fileEntry = record({
  name: text(256),
  mediaType: text(255),
  sizeBytes: uint(),
  digests: record({ sha256: digest, sha512: nullable(fixedBytes(64)), sha1: nullable(fixedBytes(20)), h1: nullable(digest) }),
  piecesRoot: nullable(digest),
});
export type FileEntry = Infer<typeof fileEntry>;

/** Where the bytes came from: an upstream named by the policy, or a publisher whom the policy grants the namespace. */
export const source = union({ upstream: { id: text(64) }, publisher: { nodeId: digest } });
export type Source = Infer<typeof source>;

/** One rule of the admission policy; the first that matches decides, and none matching denies. */
export const policyRule = record({
  ecosystem,
  registry: text(128),
  /** Exact namespace, `prefix/*`, or `*`. */
  namespace: text(256),
  verification,
  /** Upstream id the authorities fetch from, or null. */
  upstream: nullable(text(64)),
  /** Nodes that may publish here. */
  publishers: array(digest, MAX_VALIDATORS),
  maxFileBytes: uint(),
  maxFiles: uint(MAX_FILES),
  minimumAgeMs: uint(),
  /** True: an authority endorses only what its admin has marked. */
  manual: bool,
  /** Whose requests make the authorities fetch from the upstream what the chain does not have. */
  requests: oneOf('none', 'authorities', 'everyone'),
  /** Platforms of images that may come in, as `os/architecture[/variant]`; none named = all, and what has no platform too. */
  platforms: array(text(64), MAX_PLATFORMS),
});
export type PolicyRule = Infer<typeof policyRule>;

/** What all nodes must agree on. Changed by SetParams only. Durations in milliseconds, sizes in bytes. */
export const parametersFields = {
  protocolVersion: uint(0xffff),
  heartbeatMs: uint(),
  candidateMs: uint(),
  endorsementMs: uint(),
  requestOnMissMs: uint(),
  nameRefreshMs: uint(),
  /** Proposer-based time: clocks agree within precision; a proposal arrives within messageDelay + round · messageDelayGrowth. */
  precisionMs: uint(),
  messageDelayMs: uint(),
  messageDelayGrowthMs: uint(),
  timeouts: record({
    proposeMs: uint(),
    proposeDeltaMs: uint(),
    prevoteMs: uint(),
    prevoteDeltaMs: uint(),
    precommitMs: uint(),
    precommitDeltaMs: uint(),
    capMs: uint(),
  }),
  maxBlockBytes: uint(),
  maxTransactionBytes: uint(),
  maxTransactionClaims: uint(MAX_CLAIMS),
  maxBlockOperations: uint(),
  maxEvidenceAgeBlocks: uint(),
  policy: array(policyRule, MAX_RULES),
};
export const parameters = record(parametersFields);
export type Parameters = Infer<typeof parameters>;

/** `replaces`: height of the record that the operation supersedes (0 = genesis), or null where there must be none. */
const replaces = nullable(height);

/** A claim: an operation that says only what bytes, policy and state determine. SPEC §3. */
export const claim = union({
  AddArtifact: {
    coordinates,
    files: array(fileEntry, MAX_FILES),
    source,
    dependencies: array(coordinates, MAX_FILES),
    verification,
    replaces,
  },
  SetName: { ecosystem, registry: text(128), namespace: text(256), name: text(256), label: text(128), target: coordinates, replaces },
  /** Of one version (its record becomes a tombstone) or of one file, wherever it is used (its digest is banned). */
  RemoveArtifact: { target: union({ artifact: { coordinates }, file: { sha256: digest } }), reason: text(256), replaces },
  LiftBan: { sha256: digest, reason: text(256), replaces },
  AddNode: { node: nodeRecord, replaces },
  RemoveNode: { nodeId: digest, reason: text(256), replaces },
  RotateKey: { nodeId: digest, use: oneOf('network', 'consensus', 'checkpoint'), publicKey, replaces },
  SetParams: { parameters, atHeight: nullable(height), replaces },
});
export type Claim = Infer<typeof claim>;
export type ClaimKind = Claim['kind'];
export type AddArtifact = Extract<Claim, { kind: 'AddArtifact' }>;

/** The claims of a transaction, in order; SHA-256 of its encoding is the transaction id. */
export const claimList: Schema<readonly Claim[]> = array(claim, MAX_CLAIMS);

/** One authority's word that it checked a transaction by its own means and holds its bytes. Signed with its consensus key. */
export const endorsement = record({ nodeId: digest, expiresMs: time, signature });
export type Endorsement = Infer<typeof endorsement>;

/** A new node's consent, one signature with each of its keys (AddNode: all three; RotateKey: the new key). */
export const consent = record({ nodeId: digest, signatures: array(signature, 3) });
export type Consent = Infer<typeof consent>;

/** Claims with endorsements of > 2/3 of the power, sorted by nodeId, unique. Consents: one for each AddNode or RotateKey, in order. */
export const sealedTransaction = record({
  claims: claimList,
  endorsements: array(endorsement, MAX_VALIDATORS),
  consents: array(consent, MAX_CLAIMS),
});
export type SealedTransaction = Infer<typeof sealedTransaction>;

/** An unsealed transaction, signed by its author's network key. `author` is the author's raw network public key. */
export const candidate = record({ claims: claimList, consents: array(consent, MAX_CLAIMS), author: publicKey, signature });
export type Candidate = Infer<typeof candidate>;

/** A signed refusal of a candidate, with the reason. Signed with the consensus key. */
export const refusal = record({ transactionId: digest, nodeId: digest, reason: text(512), timeMs: time, signature });
export type Refusal = Infer<typeof refusal>;

/** What a node asks the authorities for: a package, and its version or a label of it (Docker digest or tag). */
export const requestSubject = record({ ecosystem, registry: text(128), namespace: text(256), name: text(256), reference: text(256) });
export type RequestSubject = Infer<typeof requestSubject>;

/** A signed request for what the chain does not have. `author` is the asking node's raw network public key, which signs it. */
export const request = record({ subject: requestSubject, author: publicKey, timeMs: time, signature });
export type Request = Infer<typeof request>;

/** A vote as it travels; blockId null = nil. */
export const signedVote = record({
  type: oneOf('prevote', 'precommit'),
  height,
  round,
  blockId: nullable(digest),
  nodeId: digest,
  signature,
});
export type SignedVote = Infer<typeof signedVote>;

/** A proposal as it travels (the value's header and parts beside it, see `proposalMessage`). */
export const signedProposal = record({ height, round, blockId: digest, validRound: nullable(round), nodeId: digest, signature });
export type SignedProposal = Infer<typeof signedProposal>;

/** Precommits of > 2/3 of the power of set(height) for blockId, sorted by nodeId, unique. */
export const commitCertificate = record({
  height,
  round,
  blockId: digest,
  signatures: array(record({ nodeId: digest, signature }), MAX_VALIDATORS),
});
export type CommitCertificateRecord = Infer<typeof commitCertificate>;

export const evidence = union({
  duplicateVote: { first: signedVote, second: signedVote },
  duplicateProposal: { first: signedProposal, second: signedProposal },
});
export type EvidenceRecord = Infer<typeof evidence>;

/** A block header; SHA-256 of its encoding is the block id. `lastCommitDigest` is null at height 1. */
export const blockHeader = record({
  version: uint(0xffff),
  chainId: digest,
  height,
  round,
  timeMs: time,
  previousBlockId: digest,
  transactionsRoot: digest,
  logSize: uint(),
  logRoot: digest,
  stateRoot: digest,
  setDigest: digest,
  nextSetDigest: digest,
  lastCommitDigest: nullable(digest),
  evidenceRoot: digest,
  proposer: digest,
});
export type BlockHeader = Infer<typeof blockHeader>;

export const block = record({
  header: blockHeader,
  transactions: array(sealedTransaction, MAX_TRANSACTIONS),
  lastCommit: nullable(commitCertificate),
  evidence: array(evidence, MAX_EVIDENCE),
});
export type Block = Infer<typeof block>;

/** One leaf of the operation log. SPEC §5. */
export const logLeaf = record({
  height,
  transactionId: digest,
  index: uint(),
  kind: text(32),
  key: text(1024),
  filesRoot: nullable(digest),
  operationDigest: digest,
  endorsementsDigest: digest,
});
export type LogLeaf = Infer<typeof logLeaf>;

/** What the state holds under a key. SPEC §4. */
export const stateRecord = union({
  artifact: { height, claim },
  tombstone: { height, reason: text(256) },
  name: { height, target: coordinates },
  ban: { height, banned: bool, reason: text(256) },
  /** `active` false once removed; the record stays, so that `replaces` can name it. */
  node: { height, node: nodeRecord, active: bool },
  parameters: { height, parameters, pending: nullable(record({ parameters, atHeight: height })) },
  sets: { current: validatorSet, next: validatorSet, afterNext: validatorSet },
  evidence: { height, nodeId: digest },
});
export type StateRecord = Infer<typeof stateRecord>;
