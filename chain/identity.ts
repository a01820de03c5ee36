/**
 * What each structure is called: the SHA-256 of its content's encoding, never of a signature over it. Follows docs/SPEC.md §1, §3 and §5.
 * Hashes by the port it is given.
 */

import { encode } from './codec.ts';
import { compareBytes, type Digest, type Sha256 } from './digest.ts';
import { logLeafHash } from './log-tree.ts';
import { array, bytes, digest, nullable, oneOf, record, uint } from './schema.ts';
import {
  type BlockHeader,
  blockHeader,
  type Claim,
  type CommitCertificateRecord,
  claimList,
  claim as claimSchema,
  commitCertificate,
  type EvidenceRecord,
  type RequestSubject,
  requestSubject,
  type SealedTransaction,
  type SignedProposal,
  type SignedVote,
  sealedTransaction,
  type ValidatorSetRecord,
  validatorSet,
} from './structures.ts';

const voteContent = record({
  type: oneOf('prevote', 'precommit'),
  height: uint(),
  round: uint(),
  blockId: nullable(digest),
  nodeId: digest,
});
const proposalContent = record({ height: uint(), round: uint(), blockId: digest, validRound: nullable(uint()), nodeId: digest });
const faultContent = record({ kind: oneOf('duplicateVote', 'duplicateProposal'), said: array(bytes(512), 2) });

type DigestOf<T> = (sha256: Sha256, value: T) => Digest;

/** Works it out once for each object: structures are never changed once they are made, and are asked for their names again and again. */
function once<T extends object>(digestOf: DigestOf<T>): DigestOf<T> {
  const known = new WeakMap<T, Digest>();
  return (sha256, value) => {
    const before = known.get(value);
    if (before !== undefined) return before;
    const digest = digestOf(sha256, value);
    known.set(value, digest);
    return digest;
  };
}

/** Identity of a transaction: of the list of its claims, without endorsements or consents. */
export const transactionId: DigestOf<readonly Claim[]> = once((sha256, claims) => sha256(encode(claimList, claims)));

/** Identity of one claim; what a new key's consent signs. */
export function claimDigest(sha256: Sha256, claim: Claim): Digest {
  return sha256(encode(claimSchema, claim));
}

/**
 * Names exactly one set of sealed bytes to fetch, endorsements and consents included. It is their leaf hash in `transactionsRoot`, so that a
 * list of these digests is checked against a header before any of the bytes are there.
 */
export const sealedDigest: DigestOf<SealedTransaction> = once((sha256, sealed) => logLeafHash(sha256, encode(sealedTransaction, sealed)));

export const blockIdOf: DigestOf<BlockHeader> = once((sha256, header) => sha256(encode(blockHeader, header)));

export const validatorSetDigest: DigestOf<ValidatorSetRecord> = once((sha256, set) => sha256(encode(validatorSet, set)));

/** Digest of a whole certificate, signatures included: honest nodes hold different ones for one block. */
export const certificateDigest: DigestOf<CommitCertificateRecord> = once((sha256, certificate) =>
  sha256(encode(commitCertificate, certificate)),
);

/** Identity of a fault: the two things said, without signatures and in the order of their encodings, whichever was heard first. */
export function evidenceId(sha256: Sha256, evidence: EvidenceRecord): Digest {
  const [first, second] =
    evidence.kind === 'duplicateVote'
      ? [encode(voteContent, withoutSignature(evidence.first)), encode(voteContent, withoutSignature(evidence.second))]
      : [encode(proposalContent, withoutSignature(evidence.first)), encode(proposalContent, withoutSignature(evidence.second))];
  const ordered = compareBytes(first, second) <= 0 ? [first, second] : [second, first];
  return sha256(encode(faultContent, { kind: evidence.kind, said: ordered }));
}

/** Identity of what is asked for, whoever asks and when: the id of its build. */
export function requestIdOf(sha256: Sha256, subject: RequestSubject): Digest {
  return sha256(encode(requestSubject, subject));
}

/** A node's name for ever: the digest of the first network key admitted for it. */
export function nodeIdOf(sha256: Sha256, networkKey: Uint8Array): Digest {
  return sha256(networkKey);
}

function withoutSignature<T extends SignedVote | SignedProposal>(signed: T): Omit<T, 'signature'> {
  const { signature: _signature, ...content } = signed;
  return content;
}
