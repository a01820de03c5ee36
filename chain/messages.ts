/**
 * What travels between nodes, and how large each may be. Follows docs/SPEC.md §8.3 and §9. Shapes only: who may send what and when is the
 * network's business. `attempt` grows with each re-send, because gossip drops a byte-identical message for two minutes.
 */

import { MAX_BLOCK_BYTES, MAX_CERTIFICATE_BYTES, MAX_SEALED_BYTES } from './limits.ts';
import { array, bytes, digest, fixedBytes, type Infer, nullable, oneOf, record, text, uint, union } from './schema.ts';
import {
  blockHeader,
  candidate,
  commitCertificate,
  endorsement,
  evidence,
  MAX_EVIDENCE,
  MAX_TRANSACTIONS,
  MAX_VALIDATORS,
  refusal,
  request,
  requestSubject,
  sealedTransaction,
  signedProposal,
  signedVote,
} from './structures.ts';

const KIB = 1024;
const attempt = uint(0xffffffff);
const height = uint();
const round = uint(0xffff);

/** Gossip: one vote. */
export const voteMessage = record({ vote: signedVote, attempt });
export type VoteMessage = Infer<typeof voteMessage>;
export const MAX_VOTE_MESSAGE_BYTES = 512;

/** Gossip: a proposal with all of its value but the transactions' bytes, which peers mostly hold already. */
export const proposalMessage = record({
  proposal: signedProposal,
  header: blockHeader,
  sealedDigests: array(digest, MAX_TRANSACTIONS),
  lastCommit: nullable(commitCertificate),
  evidence: array(evidence, MAX_EVIDENCE),
  attempt,
});
export type ProposalMessage = Infer<typeof proposalMessage>;
export const MAX_PROPOSAL_MESSAGE_BYTES: number = 160 * KIB;

/** Gossip or direct: votes that justify a step, for those who missed them. A round certificate may hold prevotes and precommits. */
export const certificateMessage = record({
  kind: oneOf('polka', 'round', 'commit'),
  height,
  round,
  votes: array(signedVote, 2 * MAX_VALIDATORS),
  attempt,
});
export type CertificateMessage = Infer<typeof certificateMessage>;
export const MAX_CERTIFICATE_MESSAGE_BYTES: number = 128 * KIB;

/** Gossip: an unsealed transaction. */
export const candidateMessage = record({ candidate, attempt });
export type CandidateMessage = Infer<typeof candidateMessage>;
export const MAX_CANDIDATE_MESSAGE_BYTES: number = 352 * KIB;

/**
 * Gossip or direct: one endorsement. Here and below `publicKey` is the one it is signed with: who lags behind a rotation sees that it doesn't
 * know that key yet, and blames nobody.
 */
export const endorsementMessage = record({ transactionId: digest, endorsement, publicKey: fixedBytes(32), attempt });
export type EndorsementMessage = Infer<typeof endorsementMessage>;
export const MAX_ENDORSEMENT_MESSAGE_BYTES = 512;

/** Gossip or direct: one refusal. */
export const refusalMessage = record({ refusal, publicKey: fixedBytes(32), attempt });
export type RefusalMessage = Infer<typeof refusalMessage>;
export const MAX_REFUSAL_MESSAGE_BYTES: number = 2 * KIB;

/** Gossip or direct: a transaction ready for a block. `setDigest`: of the set whose endorsements it bears; who has another set next can't judge it. */
export const sealedMessage = record({ transaction: sealedTransaction, setDigest: digest, attempt });
export type SealedMessage = Infer<typeof sealedMessage>;
export const MAX_SEALED_MESSAGE_BYTES: number = MAX_SEALED_BYTES + 128;

/** Direct: where a node stands. `nodeId` null for a regular node. Unsigned: a hint where to ask, never a proof. */
export const statusMessage = record({ height, blockId: digest, timeMs: uint(), nodeId: nullable(digest) });
export type StatusMessage = Infer<typeof statusMessage>;
export const MAX_STATUS_MESSAGE_BYTES = 256;

/** Gossip: where an authority stands, in its own word (`statusPayload`), so that nobody else can make the network relay it. */
export const signedStatusMessage = record({
  height,
  blockId: digest,
  timeMs: uint(),
  nodeId: digest,
  publicKey: fixedBytes(32),
  signature: fixedBytes(64),
});
export type SignedStatusMessage = Infer<typeof signedStatusMessage>;
export const MAX_SIGNED_STATUS_MESSAGE_BYTES = 256;

/** Bound of every request below. */
export const MAX_REQUEST_BYTES = 128;

/** Asks for committed blocks from height `from` on. */
export const blocksRequest = record({ from: height, max: uint(64) });
export type BlocksRequest = Infer<typeof blocksRequest>;
/** As many as fit, in order; `height` is the answering node's own. Each block and certificate is decoded under its own limit. */
export const blocksResponse = record({
  blocks: array(record({ block: bytes(MAX_BLOCK_BYTES), certificate: bytes(MAX_CERTIFICATE_BYTES) }), 64),
  height,
});
export type BlocksResponse = Infer<typeof blocksResponse>;
export const MAX_BLOCKS_RESPONSE_BYTES: number = 4 * MAX_BLOCK_BYTES;

/** Asks for transactions by the digests of their sealed bytes. */
export const transactionsRequest = record({ digests: array(digest, MAX_TRANSACTIONS) });
export type TransactionsRequest = Infer<typeof transactionsRequest>;
export const MAX_TRANSACTIONS_REQUEST_BYTES: number = 72 * KIB;
/** The sealed bytes of those it has. */
export const transactionsResponse = record({ transactions: array(bytes(MAX_SEALED_BYTES), MAX_TRANSACTIONS) });
export type TransactionsResponse = Infer<typeof transactionsResponse>;
export const MAX_TRANSACTIONS_RESPONSE_BYTES: number = MAX_BLOCK_BYTES + 64 * KIB;

/** Asks what a peer knows of the height in work: the help for one whose gossip was lost. */
export const helpRequest = record({ height });
export type HelpRequest = Infer<typeof helpRequest>;
/** The votes it counted and the proposals it holds for that height, newest rounds first; both empty when it works on another height. */
export const helpResponse = record({ votes: array(signedVote, 4 * MAX_VALIDATORS), proposals: array(proposalMessage, 2) });
export type HelpResponse = Infer<typeof helpResponse>;
export const MAX_HELP_RESPONSE_BYTES: number = 2 * MAX_PROPOSAL_MESSAGE_BYTES + 256 * KIB;

/** Gossip among authorities: a node's signed request for what the chain does not have. */
export const MAX_REQUEST_MESSAGE_BYTES: number = 4 * KIB;

/** Direct, to an authority: please fetch this; or: how far is it? */
export const buildQuestion = union({ ask: { request }, report: { requestId: digest } });
export type BuildQuestion = Infer<typeof buildQuestion>;
export const MAX_BUILD_QUESTION_BYTES: number = 4 * KIB;

/** What an authority knows of a request: its own state, and each authority's verdict as far as it was heard. For people; never a proof. */
export const buildReport = record({
  requestId: digest,
  subject: nullable(requestSubject),
  /** unknown: never asked for, or forgotten. absent: the upstream has no such thing. busy: ask again later. failed: the upstream could not be asked. */
  state: oneOf('unknown', 'busy', 'running', 'committed', 'absent', 'refused', 'failed'),
  detail: text(512),
  startedMs: uint(),
  fetchedBytes: uint(),
  verdicts: array(
    record({ nodeId: digest, transactionId: digest, verdict: oneOf('endorsed', 'refused', 'silent'), detail: text(512) }),
    2 * MAX_VALIDATORS,
  ),
});
export type BuildReport = Infer<typeof buildReport>;
export const MAX_BUILD_REPORT_BYTES: number = 1024 * KIB;
