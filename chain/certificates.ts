/**
 * Whose signatures a certificate, a sealed transaction and a piece of evidence need, and whether they add up. Follows docs/SPEC.md §5 and §6.
 * Verifies no signature: it lists what is to be verified, and the shell's verdicts come back as booleans in the same order.
 */

import { needsConsent } from './claims.ts';
import { compareBytes, type Digest, digestToHex, type Sha256, sameBytes } from './digest.ts';
import { claimDigest, transactionId } from './identity.ts';
import { consentPayload, endorsementPayload, type KeyUse, proposalPayload, votePayload } from './signing.ts';
import { type ChainView, nodeKeyAt, nodeOf, setsOf, validatorSetAt } from './state.ts';
import type { Claim, CommitCertificateRecord, Consent, EvidenceRecord, SealedTransaction, ValidatorSetRecord } from './structures.ts';
import { findValidator, hasQuorum, totalPower } from './validator-set.ts';

/** One signature to verify: `message` is what it covers, `about` says in words whose it is. */
export interface SignatureItem {
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
  readonly about: string;
}

export type CertificateRefusalCode =
  | 'certificateHeight'
  | 'certificateBlock'
  | 'certificateRound'
  | 'certificateMember'
  | 'certificateOrder'
  | 'certificateQuorum'
  | 'certificateSignature';

export type EndorsementRefusalCode =
  | 'endorsementMember'
  | 'endorsementOrder'
  | 'endorsementExpired'
  | 'endorsementQuorum'
  | 'consentMissing'
  | 'consentUnasked';

export type EvidenceRefusalCode = 'evidenceSlot' | 'evidenceSame' | 'evidenceMember' | 'evidenceAge' | 'evidenceFuture' | 'evidenceSeen';

/** Why something was refused; `detail` is one sentence for people. */
export interface Refused<Code extends string> {
  readonly code: Code;
  readonly detail: string;
}

/** What a certificate must be for. `headerRound`: round in the header of that block, which no certificate precedes. */
export interface ExpectedCommit {
  readonly height: number;
  readonly blockId: Digest;
  readonly headerRound: number;
}

interface Signer {
  readonly nodeId: Digest;
}

/**
 * Null when the certificate proves that its block was decided: > 2/3 of set(height), sorted, unique, every signature good.
 * `verdicts` answer `certificateSignatures` of the same view.
 */
export function checkCommitCertificate(
  view: ChainView,
  certificate: CommitCertificateRecord,
  expected: ExpectedCommit,
  verdicts: readonly boolean[],
): Refused<CertificateRefusalCode> | null {
  const refusal = checkCertificateForm(view, certificate, expected);
  if (refusal !== null) return refusal;
  const bad = certificate.signatures.findIndex((_, index) => verdicts[index] !== true);
  const signer = certificate.signatures[bad];
  return signer === undefined
    ? null
    : { code: 'certificateSignature', detail: `the precommit of ${digestToHex(signer.nodeId)} does not verify` };
}

/** The same, but for the signatures. */
export function checkCertificateForm(
  view: ChainView,
  certificate: CommitCertificateRecord,
  expected: ExpectedCommit,
): Refused<CertificateRefusalCode> | null {
  if (certificate.height !== expected.height || !isWithin(view, certificate.height)) {
    return { code: 'certificateHeight', detail: `expected a certificate of height ${expected.height}, got ${certificate.height}` };
  }
  if (!sameBytes(certificate.blockId, expected.blockId)) {
    return { code: 'certificateBlock', detail: `expected a certificate of ${digestToHex(expected.blockId)}` };
  }
  if (certificate.round < expected.headerRound) {
    return {
      code: 'certificateRound',
      detail: `the block is of round ${expected.headerRound}, its certificate of round ${certificate.round}`,
    };
  }
  switch (checkSigners(validatorSetAt(view, certificate.height), certificate.signatures)) {
    case 'order':
      return { code: 'certificateOrder', detail: 'signatures are sorted by node id, none twice' };
    case 'member':
      return { code: 'certificateMember', detail: `a signer is no member of the set of height ${certificate.height}` };
    case 'quorum':
      return { code: 'certificateQuorum', detail: 'the signers have no more than two thirds of the power' };
    default:
      return null;
  }
}

/** What is to be verified of a certificate, in order; signers unknown at its height are left out, and refused by the check. */
export function certificateSignatures(view: ChainView, certificate: CommitCertificateRecord): readonly SignatureItem[] {
  const { height, round, blockId, signatures } = certificate;
  const message = votePayload(view.chainId, { type: 'precommit', height, round, blockId });
  return signatures.flatMap(({ nodeId, signature }) => {
    const publicKey = nodeKeyAt(view, height, nodeId);
    return publicKey === null ? [] : [{ publicKey, message, signature, about: `precommit of ${digestToHex(nodeId)} in the last commit` }];
  });
}

/** Null when the endorsements and consents of a transaction suffice for the block after this view at `timeMs`, but for the signatures. */
export function checkEndorsements(view: ChainView, sealed: SealedTransaction, timeMs: number): Refused<EndorsementRefusalCode> | null {
  switch (checkSigners(validatorSetAt(view, view.height + 1), sealed.endorsements)) {
    case 'order':
      return { code: 'endorsementOrder', detail: 'endorsements are sorted by node id, none twice' };
    case 'member':
      return { code: 'endorsementMember', detail: `an endorser is no member of the set of height ${view.height + 1}` };
    case 'quorum':
      return { code: 'endorsementQuorum', detail: 'the endorsers have no more than two thirds of the power' };
    default:
      break;
  }
  const expired = sealed.endorsements.find((endorsement) => endorsement.expiresMs <= timeMs);
  if (expired !== undefined) {
    return { code: 'endorsementExpired', detail: `the endorsement of ${digestToHex(expired.nodeId)} expired at ${expired.expiresMs}` };
  }
  return checkConsents(sealed);
}

/** What is to be verified of a sealed transaction, in order: its endorsements, then its consents. */
export function endorsementSignatures(view: ChainView, sealed: SealedTransaction, sha256: Sha256): readonly SignatureItem[] {
  const id = transactionId(sha256, sealed.claims);
  const name = digestToHex(id);
  // They mostly expire together, and then sign the same bytes.
  const messages = new Map<number, Uint8Array>();
  const endorsements = sealed.endorsements.flatMap(({ nodeId, expiresMs, signature }) => {
    const publicKey = nodeKeyAt(view, view.height + 1, nodeId);
    const message = messages.get(expiresMs) ?? endorsementPayload(view.chainId, id, expiresMs);
    messages.set(expiresMs, message);
    return publicKey === null ? [] : [{ publicKey, message, signature, about: `endorsement of ${name} by ${digestToHex(nodeId)}` }];
  });
  return [...endorsements, ...consentSignatures(view.chainId, sealed, sha256)];
}

/** What is to be verified of a transaction's consents, in order. */
export function consentSignatures(
  chainId: Digest,
  transaction: Pick<SealedTransaction, 'claims' | 'consents'>,
  sha256: Sha256,
): readonly SignatureItem[] {
  return transaction.claims.filter(needsConsent).flatMap((claim, index) => {
    const consent = transaction.consents[index];
    if (consent === undefined) return [];
    const digest = claimDigest(sha256, claim);
    return newKeysOf(claim).flatMap(({ use, publicKey }, at) => {
      const signature = consent.signatures[at];
      const about = `consent of the ${use} key of ${digestToHex(consent.nodeId)}`;
      return signature === undefined ? [] : [{ publicKey, message: consentPayload(chainId, digest, use), signature, about }];
    });
  });
}

/** Null when each claim that brings keys has its consent in order, with as many signatures as keys, and no other consent is there. */
export function checkConsents(transaction: {
  readonly claims: readonly Claim[];
  readonly consents: readonly Consent[];
}): Refused<EndorsementRefusalCode> | null {
  const wanted = transaction.claims.filter(needsConsent);
  if (transaction.consents.length > wanted.length) {
    return { code: 'consentUnasked', detail: `expected ${wanted.length} consents, got ${transaction.consents.length}` };
  }
  for (const [index, claim] of wanted.entries()) {
    const consent = transaction.consents[index];
    const nodeId = claim.kind === 'AddNode' ? claim.node.nodeId : claim.nodeId;
    if (consent === undefined || !sameBytes(consent.nodeId, nodeId) || consent.signatures.length !== newKeysOf(claim).length) {
      return { code: 'consentMissing', detail: `node ${digestToHex(nodeId)} has not consented with each of its new keys` };
    }
  }
  return null;
}

/** Null when the evidence shows one member saying two things in one place, recently enough; but for the signatures. */
export function checkEvidence(
  view: ChainView,
  evidence: EvidenceRecord,
  maxAgeBlocks: number,
): Refused<Exclude<EvidenceRefusalCode, 'evidenceSeen'>> | null {
  const { first, second } = evidence;
  const sameSlot = sameBytes(first.nodeId, second.nodeId) && first.height === second.height && first.round === second.round;
  if (!sameSlot || (evidence.kind === 'duplicateVote' && evidence.first.type !== evidence.second.type)) {
    return { code: 'evidenceSlot', detail: 'the two messages are of different nodes, heights, rounds or types' };
  }
  if (saysTheSame(evidence)) return { code: 'evidenceSame', detail: 'the two messages say the same' };
  const height = view.height + 1;
  if (first.height > height) return { code: 'evidenceFuture', detail: `evidence of height ${first.height} in block ${height}` };
  if (height - first.height > maxAgeBlocks) {
    return { code: 'evidenceAge', detail: `evidence of height ${first.height} is more than ${maxAgeBlocks} blocks old` };
  }
  return evidencePublicKey(view, evidence) === null
    ? { code: 'evidenceMember', detail: `${digestToHex(first.nodeId)} was no validator at height ${first.height}` }
    : null;
}

/** What is to be verified of evidence, in order: first and second message. */
export function evidenceSignatures(view: ChainView, evidence: EvidenceRecord): readonly SignatureItem[] {
  const publicKey = evidencePublicKey(view, evidence);
  if (publicKey === null) return [];
  const about = `evidence against ${digestToHex(evidence.first.nodeId)}`;
  if (evidence.kind === 'duplicateVote') {
    return [evidence.first, evidence.second].map((vote) => ({
      publicKey,
      message: votePayload(view.chainId, vote),
      signature: vote.signature,
      about,
    }));
  }
  return [evidence.first, evidence.second].map((proposal) => ({
    publicKey,
    message: proposalPayload(view.chainId, proposal),
    signature: proposal.signature,
    about,
  }));
}

/**
 * The key that the culprit signed with: of the set of that height while the state still holds it, else of the node's record. Whoever has
 * rotated the key since is out of reach, which takes the consent of two thirds.
 */
function evidencePublicKey(view: ChainView, evidence: EvidenceRecord): Uint8Array | null {
  const { nodeId, height } = evidence.first;
  if (isWithin(view, height)) return nodeKeyAt(view, height, nodeId);
  return findValidator(setsOf(view.state).current, nodeId)?.validator.consensusKey ?? nodeOf(view.state, nodeId)?.node.consensusKey ?? null;
}

function saysTheSame(evidence: EvidenceRecord): boolean {
  const { first, second } = evidence;
  const sameBlock =
    first.blockId === null || second.blockId === null ? first.blockId === second.blockId : sameBytes(first.blockId, second.blockId);
  return sameBlock && (evidence.kind === 'duplicateVote' || evidence.first.validRound === evidence.second.validRound);
}

function checkSigners(set: ValidatorSetRecord, signers: readonly Signer[]): 'order' | 'member' | 'quorum' | null {
  let power = 0;
  for (const [index, { nodeId }] of signers.entries()) {
    const previous = signers[index - 1];
    if (previous !== undefined && compareBytes(previous.nodeId, nodeId) >= 0) return 'order';
    const found = findValidator(set, nodeId);
    if (found === null) return 'member';
    power += found.validator.power;
  }
  return hasQuorum(power, totalPower(set)) ? null : 'quorum';
}

function newKeysOf(
  claim: Extract<Claim, { kind: 'AddNode' | 'RotateKey' }>,
): readonly { readonly use: KeyUse; readonly publicKey: Uint8Array }[] {
  if (claim.kind === 'RotateKey') return [{ use: claim.use, publicKey: claim.publicKey }];
  return [
    { use: 'network', publicKey: claim.node.networkKey },
    { use: 'consensus', publicKey: claim.node.consensusKey },
    { use: 'checkpoint', publicKey: claim.node.checkpointKey },
  ];
}

function isWithin(view: ChainView, height: number): boolean {
  return height >= view.height && height <= view.height + 2;
}
