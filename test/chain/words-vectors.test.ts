/**
 * The bytes of each structure that is hashed or signed, spelled out in test/chain/vectors: one file a structure, one line an item, `#`
 * comments. A changed byte is a changed protocol; CAIRN_UPDATE_GOLDEN=1 rewrites the files, and the commit says why. SPEC §1, §3, §5, §6.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import * as chain from '../../chain/index.ts';
import { digestOf, filled, sampleArtifact, sampleCoordinates, sampleParameters, sha256 } from './arbitraries.ts';

const folder = new URL('../../../test/chain/vectors/', import.meta.url);
const isUpdate = process.env.CAIRN_UPDATE_GOLDEN === '1';

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

interface Vector {
  readonly bytes: Uint8Array;
  /** What the bytes are called by, where they are. */
  readonly identity?: readonly [string, chain.Digest];
}

function claimVector(claim: chain.Claim): Vector {
  return { bytes: chain.encode(chain.claim, claim), identity: ['claimDigest', chain.claimDigest(sha256, claim)] };
}

const reason = 'contains malware';
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
  'payload-refusal': { bytes: chain.refusalPayload(chainId, digestOf(0xd1), 'the upstream has other bytes') },
  'payload-consent': { bytes: chain.consentPayload(chainId, digestOf(0xd2), 'network') },
};

function evidenceVector(evidence: chain.EvidenceRecord): Vector {
  return { bytes: chain.encode(chain.evidence, evidence), identity: ['evidenceId', chain.evidenceId(sha256, evidence)] };
}

/** One line an item: its bytes, then what they are. Reads only what it wrote, so it checks nothing. */
function annotate(data: Uint8Array): readonly string[] {
  const lines: string[] = [];
  let position = 0;
  const item = (depth: number): void => {
    const start = position;
    const initial = data[position] ?? 0;
    const [major, minor] = [initial >> 5, initial & 31];
    const width = minor < 24 ? 0 : 2 ** (minor - 24);
    const argument = width === 0 ? minor : Number(BigInt(`0x${toHex(data.subarray(start + 1, start + 1 + width))}`));
    position += 1 + width;
    if (major === 2 || major === 3) position += argument;
    const content = data.subarray(start + 1 + width, position);
    lines.push(`${'  '.repeat(depth)}${toHex(data.subarray(start, position))}  # ${describe(initial, argument, content)}`);
    const children = major === 4 ? argument : major === 5 ? 2 * argument : 0;
    for (let index = 0; index < children; index += 1) item(depth + 1 + (major === 5 ? index % 2 : 0));
  };
  item(0);
  return lines;
}

function describe(initial: number, argument: number, content: Uint8Array): string {
  switch (initial >> 5) {
    case 0:
      return `${argument}`;
    case 2:
      return `${argument} bytes`;
    case 3:
      return JSON.stringify(Buffer.from(content).toString('utf8'));
    case 4:
      return `array of ${argument}`;
    case 5:
      return `record of ${argument}`;
    default:
      return initial === 0xf6 ? 'null' : initial === 0xf5 ? 'true' : 'false';
  }
}

function toHex(data: Uint8Array): string {
  return Buffer.from(data).toString('hex');
}

function format(vector: Vector): string {
  const identity = vector.identity === undefined ? [] : [`# ${vector.identity[0]} ${chain.digestToHex(vector.identity[1])}`];
  return `${[...identity, ...annotate(vector.bytes)].join('\n')}\n`;
}

t.test('each structure has the bytes and the identity that its vector spells out', async (t) => {
  for (const [name, vector] of Object.entries(vectors)) {
    const file = new URL(`${name}.txt`, folder);
    if (isUpdate) writeFileSync(file, format(vector));
    const written = readFileSync(file, 'utf8');
    const hex = written.replaceAll(/#.*$/gm, '').replaceAll(/\s/g, '');
    t.equal(hex, toHex(vector.bytes), `${name}: bytes`);
    const identity = /^# (\w+) ([0-9a-f]{64})$/m.exec(written);
    t.equal(identity?.[2] ?? null, vector.identity === undefined ? null : chain.digestToHex(vector.identity[1]), `${name}: identity`);
  }
});

t.test('each vector file belongs to a structure', async (t) => {
  const known = Object.keys(vectors).map((name) => `${name}.txt`);
  t.same(
    readdirSync(folder).filter((file) => /^(?:claim|transaction|validator|commit|block-header|evidence|payload)/.test(file)),
    known.sort(),
  );
});

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
    chain.refusalPayload(chain_, digestOf(1), 'network'),
  ]);
  t.equal(new Set(payloads.map(toHex)).size, payloads.length);
});
