/**
 * The bytes of each structure of the chain and of each message between nodes, spelled out in test/chain/vectors (byte-vectors.ts says how).
 * SPEC §1, §3–§6, §9.
 */

import t from 'tap';
import * as chain from '../../chain/index.ts';
import { checkVectors, toHex, type Vector } from '../byte-vectors.ts';
import { digestOf, filled, sampleArtifact, sampleCoordinates, sampleParameters, sha256 } from './arbitraries.ts';

const folder = new URL('../../../test/chain/vectors/', import.meta.url);

const chainId = digestOf(0xc1);
const nodeId = digestOf(0x01);
const blockId = digestOf(0xb1);
const signature = filled(0x51, 64);
const node: chain.NodeRecord = {
  nodeId,
  name: 'authority-1',
  networkKey: filled(0x11),
  consensusKey: filled(0x12),
  checkpointKey: filled(0x13),
};
const vote: chain.SignedVote = { type: 'precommit', height: 7, round: 1, blockId, nodeId, signature };
const proposal: chain.SignedProposal = { height: 7, round: 1, blockId, validRound: null, nodeId, signature };
const sealed: chain.SealedTransaction = {
  claims: [sampleArtifact()],
  endorsements: [{ nodeId, expiresMs: 1_700_000_060_000, signature }],
  consents: [],
};
const certificate: chain.CommitCertificateRecord = { height: 7, round: 1, blockId, signatures: [{ nodeId, signature }] };
const header: chain.BlockHeader = {
  version: 1,
  chainId,
  height: 7,
  round: 0,
  timeMs: 1_700_000_000_000,
  previousBlockId: digestOf(0xb0),
  transactionsRoot: digestOf(0xa1),
  logSize: 300,
  logRoot: digestOf(0xa2),
  stateRoot: digestOf(0xa3),
  setDigest: digestOf(0xa4),
  nextSetDigest: digestOf(0xa4),
  lastCommitDigest: digestOf(0xa5),
  evidenceRoot: digestOf(0xa6),
  proposer: nodeId,
};
const validators: chain.ValidatorSetRecord = [{ nodeId, power: 1, consensusKey: filled(0x12) }];

function claimVector(claim: chain.Claim): Vector {
  return { bytes: chain.encode(chain.claim, claim), identity: ['claimDigest', chain.claimDigest(sha256, claim)] };
}

const subject: chain.RequestSubject = {
  ecosystem: 'docker',
  registry: 'registry.example',
  namespace: 'library',
  name: 'alpine',
  reference: '3.20',
};
const request: chain.Request = { subject, author: filled(0x11), timeMs: 1_700_000_000_000, signature };
const reason = 'contains malware';
const logLeaf = chain.encode(chain.logLeaf, {
  height: 7,
  transactionId: chain.transactionId(sha256, sealed.claims),
  index: 0,
  kind: 'AddArtifact',
  key: chain.keyOf(sampleArtifact()),
  filesRoot: digestOf(0xa7),
  operationDigest: chain.claimDigest(sha256, sampleArtifact()),
  endorsementsDigest: digestOf(0xa8),
});
const vectors: Readonly<Record<string, Vector>> = {
  'claim-add-artifact': claimVector(sampleArtifact()),
  'claim-set-name': claimVector({
    kind: 'SetName',
    ecosystem: 'generic',
    registry: '',
    namespace: 'demo',
    name: 'hello',
    label: 'latest',
    target: sampleCoordinates(),
    replaces: 3,
  }),
  'claim-remove-artifact': claimVector({
    kind: 'RemoveArtifact',
    target: { kind: 'artifact', coordinates: sampleCoordinates() },
    reason,
    replaces: 3,
  }),
  'claim-remove-file': claimVector({ kind: 'RemoveArtifact', target: { kind: 'file', sha256: digestOf(0xf1) }, reason, replaces: null }),
  'claim-lift-ban': claimVector({ kind: 'LiftBan', sha256: digestOf(0xf1), reason, replaces: 4 }),
  'claim-add-node': claimVector({ kind: 'AddNode', node, replaces: null }),
  'claim-remove-node': claimVector({ kind: 'RemoveNode', nodeId, reason: 'retired', replaces: 0 }),
  'claim-rotate-key': claimVector({ kind: 'RotateKey', nodeId, use: 'consensus', publicKey: filled(0x14), replaces: 0 }),
  'claim-set-params': claimVector({ kind: 'SetParams', parameters: sampleParameters(), atHeight: 1000, replaces: 0 }),
  'transaction-claims': {
    bytes: chain.encode(chain.claimList, sealed.claims),
    identity: ['transactionId', chain.transactionId(sha256, sealed.claims)],
  },
  'transaction-sealed': {
    bytes: chain.encode(chain.sealedTransaction, sealed),
    identity: ['sealedDigest', chain.sealedDigest(sha256, sealed)],
  },
  'validator-set': {
    bytes: chain.encode(chain.validatorSet, validators),
    identity: ['setDigest', chain.validatorSetDigest(sha256, validators)],
  },
  'commit-certificate': {
    bytes: chain.encode(chain.commitCertificate, certificate),
    identity: ['certificateDigest', chain.certificateDigest(sha256, certificate)],
  },
  'block-header': { bytes: chain.encode(chain.blockHeader, header), identity: ['blockId', chain.blockIdOf(sha256, header)] },
  'evidence-duplicate-vote': evidenceVector({ kind: 'duplicateVote', first: vote, second: { ...vote, blockId: null } }),
  'evidence-duplicate-proposal': evidenceVector({
    kind: 'duplicateProposal',
    first: proposal,
    second: { ...proposal, blockId: digestOf(0xb2), validRound: 0 },
  }),
  'payload-vote': { bytes: chain.votePayload(chainId, vote) },
  'payload-vote-nil': { bytes: chain.votePayload(chainId, { type: 'prevote', height: 300, round: 0, blockId: null }) },
  'payload-proposal': { bytes: chain.proposalPayload(chainId, proposal) },
  'payload-endorsement': { bytes: chain.endorsementPayload(chainId, digestOf(0xd1), 1_700_000_060_000) },
  'payload-candidate': { bytes: chain.candidatePayload(chainId, digestOf(0xd1), filled(0x11)) },
  'payload-refusal': {
    bytes: chain.refusalPayload(chainId, {
      transactionId: digestOf(0xd1),
      reason: 'the upstream has other bytes',
      timeMs: 1_700_000_000_000,
    }),
  },
  'payload-request': { bytes: chain.requestPayload(chainId, { subject, author: filled(0x11), timeMs: 1_700_000_000_000 }) },
  'payload-status': { bytes: chain.statusPayload(chainId, { height: 7, blockId: digestOf(0xb1), timeMs: 1_700_000_000_000 }) },
  'payload-consent': { bytes: chain.consentPayload(chainId, digestOf(0xd2), 'network') },
  'log-leaf': { bytes: logLeaf, identity: ['leafHash', chain.logLeafHash(sha256, logLeaf)] },
  block: { bytes: chain.encode(chain.block, { header, evidence: [], lastCommit: certificate, transactions: [sealed] }) },
  ...stateVectors(),
  ...messageVectors(),
};

/** What the state holds under a key: one of each kind. */
function stateVectors(): Readonly<Record<string, Vector>> {
  const records: readonly chain.StateRecord[] = [
    { kind: 'artifact', height: 3, claim: sampleArtifact() },
    { kind: 'tombstone', height: 4, reason },
    { kind: 'name', height: 3, target: sampleCoordinates() },
    { kind: 'ban', height: 4, banned: true, reason },
    { kind: 'node', height: 0, node, active: true },
    { kind: 'parameters', height: 0, parameters: sampleParameters(), pending: null },
    { kind: 'sets', current: validators, next: validators, afterNext: validators },
    { kind: 'evidence', height: 9, nodeId },
  ];
  return Object.fromEntries(records.map((record) => [`state-${record.kind}`, { bytes: chain.encode(chain.stateRecord, record) }]));
}

/** What travels, by gossip and by direct request. */
function messageVectors(): Readonly<Record<string, Vector>> {
  const id = digestOf(0xd1);
  const { claims, consents, endorsements } = sealed;
  const endorsement = { nodeId, expiresMs: 1_700_000_060_000, signature };
  const proposed: chain.ProposalMessage = {
    proposal,
    header,
    sealedDigests: [chain.sealedDigest(sha256, sealed)],
    lastCommit: certificate,
    evidence: [],
    attempt: 0,
  };
  const bytesOfBlock = { block: filled(0xee, 4), certificate: filled(0xcc, 4) };
  return {
    'message-vote': { bytes: chain.encode(chain.voteMessage, { vote, attempt: 2 }) },
    'message-proposal': { bytes: chain.encode(chain.proposalMessage, proposed) },
    'message-certificate': {
      bytes: chain.encode(chain.certificateMessage, { kind: 'round', height: 7, round: 1, votes: [vote], attempt: 2 }),
    },
    'message-candidate': {
      bytes: chain.encode(chain.candidateMessage, { candidate: { claims, consents, author: filled(0x11), signature }, attempt: 0 }),
    },
    'message-endorsement': { bytes: chain.encode(chain.endorsementMessage, { transactionId: id, endorsement, attempt: 0 }) },
    'message-refusal': {
      bytes: chain.encode(chain.refusalMessage, {
        refusal: { transactionId: id, nodeId, reason: 'hello.tar.gz: other bytes', timeMs: 1_700_000_000_000, signature },
        attempt: 0,
      }),
    },
    'message-transaction': {
      bytes: chain.encode(chain.sealedMessage, { transaction: { claims, consents, endorsements }, attempt: 0 }),
    },
    'message-signed-status': {
      bytes: chain.encode(chain.signedStatusMessage, { height: 7, blockId, timeMs: 1_700_000_000_000, nodeId, signature }),
    },
    'message-status': { bytes: chain.encode(chain.statusMessage, { height: 7, blockId, timeMs: 1_700_000_000_000, nodeId: null }) },
    'blocks-request': { bytes: chain.encode(chain.blocksRequest, { from: 8, max: 64 }) },
    'blocks-response': { bytes: chain.encode(chain.blocksResponse, { blocks: [bytesOfBlock], height: 8 }) },
    'transactions-request': { bytes: chain.encode(chain.transactionsRequest, { digests: [digestOf(0xd3)] }) },
    'transactions-response': { bytes: chain.encode(chain.transactionsResponse, { transactions: [filled(0xdd, 4)] }) },
    'help-request': { bytes: chain.encode(chain.helpRequest, { height: 7 }) },
    'help-response': { bytes: chain.encode(chain.helpResponse, { votes: [vote], proposals: [proposed] }) },
    'message-request': {
      bytes: chain.encode(chain.request, request),
      identity: ['requestId', chain.requestIdOf(sha256, subject)],
    },
    'build-question-ask': { bytes: chain.encode(chain.buildQuestion, { kind: 'ask', request }) },
    'build-question-report': {
      bytes: chain.encode(chain.buildQuestion, { kind: 'report', requestId: chain.requestIdOf(sha256, subject) }),
    },
    'build-report': {
      bytes: chain.encode(chain.buildReport, {
        requestId: chain.requestIdOf(sha256, subject),
        subject,
        state: 'running',
        detail: '',
        startedMs: 1_700_000_000_000,
        fetchedBytes: 4096,
        verdicts: [{ nodeId, transactionId: id, verdict: 'endorsed', detail: '' }],
      }),
    },
    'key-proof': {
      bytes: chain.encode(chain.keyProof, { siblings: [digestOf(0xa3)], leaf: { path: digestOf(1), valueDigest: digestOf(2) } }),
    },
  };
}

function evidenceVector(evidence: chain.EvidenceRecord): Vector {
  return { bytes: chain.encode(chain.evidence, evidence), identity: ['evidenceId', chain.evidenceId(sha256, evidence)] };
}

t.test('each structure has the bytes and the identity that its vector spells out', async (t) => checkVectors(t, folder, vectors));

t.test('an identity covers content, never a signature', async (t) => {
  const forged = filled(0x52, 64);
  const evidence = { kind: 'duplicateVote', first: vote, second: { ...vote, blockId: null } } as const;
  const resigned = { ...evidence, first: { ...vote, signature: forged } } as const;
  t.same(chain.evidenceId(sha256, resigned), chain.evidenceId(sha256, evidence));
  const swapped = { kind: 'duplicateVote', first: evidence.second, second: evidence.first } as const;
  t.same(chain.evidenceId(sha256, swapped), chain.evidenceId(sha256, evidence), 'whichever was heard first');
  const other = { ...evidence, first: { ...vote, blockId: digestOf(0xb3) } } as const;
  t.notSame(chain.evidenceId(sha256, other), chain.evidenceId(sha256, evidence));
  t.same(chain.nodeIdOf(sha256, filled(0x11)), sha256(filled(0x11)));
});

t.test('no two domains, chains or fields share a payload', async (t) => {
  const other = digestOf(0xc2);
  const payloads = [chainId, other].flatMap((chain_) => [
    chain.votePayload(chain_, vote),
    chain.votePayload(chain_, { ...vote, type: 'prevote' }),
    chain.votePayload(chain_, { ...vote, height: 8 }),
    chain.votePayload(chain_, { ...vote, round: 2 }),
    chain.votePayload(chain_, { ...vote, blockId: null }),
    chain.proposalPayload(chain_, proposal),
    chain.proposalPayload(chain_, { ...proposal, validRound: 0 }),
    chain.endorsementPayload(chain_, digestOf(1), 5),
    chain.endorsementPayload(chain_, digestOf(1), 6),
    chain.candidatePayload(chain_, digestOf(1), filled(2)),
    chain.consentPayload(chain_, digestOf(1), 'network'),
    chain.consentPayload(chain_, digestOf(1), 'consensus'),
    chain.refusalPayload(chain_, { transactionId: digestOf(1), reason: 'network', timeMs: 5 }),
  ]);
  t.equal(new Set(payloads.map(toHex)).size, payloads.length);
});
