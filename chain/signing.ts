/**
 * What signatures cover: `[domain, chainId, …fields]`, a versioned domain for each structure, so that no signature means anything in
 * another place or on another chain. Follows docs/SPEC.md §6. Signs and verifies nothing.
 */

import { encode } from './codec.ts';
import type { Digest } from './digest.ts';
import { digest, fixedBytes, nullable, oneOf, text, tuple, uint } from './schema.ts';
import { type RequestSubject, requestSubject, type SignedProposal, type SignedVote } from './structures.ts';

/** What a node's three keys are for. */
export type KeyUse = 'network' | 'consensus' | 'checkpoint';

const votePayloadSchema = tuple(oneOf('cairn/vote/1'), digest, oneOf('prevote', 'precommit'), uint(), uint(), nullable(digest));
const proposalPayloadSchema = tuple(oneOf('cairn/proposal/1'), digest, uint(), uint(), digest, nullable(uint()));
const endorsementPayloadSchema = tuple(oneOf('cairn/endorsement/1'), digest, digest, uint());
const candidatePayloadSchema = tuple(oneOf('cairn/candidate/1'), digest, digest, fixedBytes(32));
const refusalPayloadSchema = tuple(oneOf('cairn/refusal/1'), digest, digest, text(512), uint());
const requestPayloadSchema = tuple(oneOf('cairn/request/1'), digest, requestSubject, fixedBytes(32), uint());
const statusPayloadSchema = tuple(oneOf('cairn/status/1'), digest, uint(), digest, uint());
const consentPayloadSchema = tuple(oneOf('cairn/consent/1'), digest, digest, oneOf('network', 'consensus', 'checkpoint'));

/** Signed with the consensus key. Carries no time and no node id: the key says who. */
export function votePayload(chainId: Digest, vote: Pick<SignedVote, 'type' | 'height' | 'round' | 'blockId'>): Uint8Array {
  return encode(votePayloadSchema, ['cairn/vote/1', chainId, vote.type, vote.height, vote.round, vote.blockId]);
}

/** Signed with the consensus key. */
export function proposalPayload(
  chainId: Digest,
  proposal: Pick<SignedProposal, 'height' | 'round' | 'blockId' | 'validRound'>,
): Uint8Array {
  const { height, round, blockId, validRound } = proposal;
  return encode(proposalPayloadSchema, ['cairn/proposal/1', chainId, height, round, blockId, validRound]);
}

/** Signed with the consensus key. `expiresMs` is compared with the time of the block's header. */
export function endorsementPayload(chainId: Digest, transactionId: Digest, expiresMs: number): Uint8Array {
  return encode(endorsementPayloadSchema, ['cairn/endorsement/1', chainId, transactionId, expiresMs]);
}

/** Signed with the author's network key, `author` in raw bytes. */
export function candidatePayload(chainId: Digest, transactionId: Digest, author: Uint8Array): Uint8Array {
  return encode(candidatePayloadSchema, ['cairn/candidate/1', chainId, transactionId, author]);
}

/** Signed with the consensus key. */
export function refusalPayload(
  chainId: Digest,
  refusal: { readonly transactionId: Digest; readonly reason: string; readonly timeMs: number },
): Uint8Array {
  return encode(refusalPayloadSchema, ['cairn/refusal/1', chainId, refusal.transactionId, refusal.reason, refusal.timeMs]);
}

/** Signed with the asking node's network key, `author` in raw bytes. `timeMs`: when it was asked, by that node's clock. */
export function requestPayload(
  chainId: Digest,
  request: { readonly subject: RequestSubject; readonly author: Uint8Array; readonly timeMs: number },
): Uint8Array {
  return encode(requestPayloadSchema, ['cairn/request/1', chainId, request.subject, request.author, request.timeMs]);
}

/** Signed with the new key of that use: who holds it consents to exactly this AddNode or RotateKey. */
export function consentPayload(chainId: Digest, claimDigest: Digest, use: KeyUse): Uint8Array {
  return encode(consentPayloadSchema, ['cairn/consent/1', chainId, claimDigest, use]);
}

/** Signed with the consensus key. `timeMs` grows with each status, so that an old one is no news. */
export function statusPayload(
  chainId: Digest,
  status: { readonly height: number; readonly blockId: Digest; readonly timeMs: number },
): Uint8Array {
  return encode(statusPayloadSchema, ['cairn/status/1', chainId, status.height, status.blockId, status.timeMs]);
}
