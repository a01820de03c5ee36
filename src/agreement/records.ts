/**
 * The same votes, proposals and certificates in two spellings: `consensus` names nodes and values by hex text, `chain` holds raw bytes.
 * Converts between them; checks nothing.
 */

import {
  type CommitCertificateRecord,
  type Digest,
  digestFromHex,
  digestToHex,
  type EvidenceRecord,
  type SignedProposal,
  type SignedVote,
} from '../../chain/index.ts';
import {
  asHeight,
  asNodeId,
  asRound,
  asValueId,
  type CommitCertificate,
  type Evidence,
  type NodeId,
  type Proposal,
  type ValueId,
  type Vote,
} from '../../consensus/index.ts';

export function nodeIdOfDigest(digest: Digest): NodeId {
  return asNodeId(digestToHex(digest));
}

export function valueIdOfDigest(digest: Digest): ValueId {
  return asValueId(digestToHex(digest));
}

export function voteFromRecord(record: SignedVote): Vote {
  return {
    type: record.type,
    height: asHeight(record.height),
    round: asRound(record.round),
    valueId: record.blockId === null ? null : valueIdOfDigest(record.blockId),
    nodeId: nodeIdOfDigest(record.nodeId),
    signature: record.signature,
  };
}

export function voteToRecord(vote: Vote): SignedVote {
  return {
    type: vote.type,
    height: vote.height,
    round: vote.round,
    blockId: vote.valueId === null ? null : digestFromHex(vote.valueId),
    nodeId: digestFromHex(vote.nodeId),
    signature: vote.signature,
  };
}

export function proposalFromRecord(record: SignedProposal): Proposal {
  return {
    height: asHeight(record.height),
    round: asRound(record.round),
    valueId: valueIdOfDigest(record.blockId),
    validRound: record.validRound === null ? null : asRound(record.validRound),
    nodeId: nodeIdOfDigest(record.nodeId),
    signature: record.signature,
  };
}

export function proposalToRecord(proposal: Proposal): SignedProposal {
  return {
    height: proposal.height,
    round: proposal.round,
    blockId: digestFromHex(proposal.valueId),
    validRound: proposal.validRound,
    nodeId: digestFromHex(proposal.nodeId),
    signature: proposal.signature,
  };
}

/** Signatures sorted by node id, one each. */
export function certificateToRecord(certificate: CommitCertificate): CommitCertificateRecord {
  const byNode = new Map(certificate.votes.map((vote) => [vote.nodeId, vote.signature]));
  return {
    height: certificate.height,
    round: certificate.round,
    blockId: digestFromHex(certificate.valueId),
    signatures: [...byNode]
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([nodeId, signature]) => ({ nodeId: digestFromHex(nodeId), signature })),
  };
}

export function evidenceToRecord(evidence: Evidence): EvidenceRecord {
  return evidence.kind === 'duplicateVote'
    ? { kind: 'duplicateVote', first: voteToRecord(evidence.first), second: voteToRecord(evidence.second) }
    : { kind: 'duplicateProposal', first: proposalToRecord(evidence.first), second: proposalToRecord(evidence.second) };
}
