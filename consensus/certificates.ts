/**
 * Certificates: when one that came in holds together, and how this node makes its own from what it has counted.
 *
 * Follows arXiv:1807.04938: a polka is what L28, L36 wait for, precommits what L49 waits for, and a round certificate is what L47 or L55
 * wait for. Signatures have been verified by the shell; here only form, membership and power are asked. A certificate counts whole or not
 * at all.
 */

import { isQuorum, isSkip } from './thresholds.ts';
import type { CommitCertificate, Height, NodeId, PolkaCertificate, Round, RoundCertificate, ValueId, Vote, VoteType } from './types.ts';
import { asRound } from './types.ts';
import { hasQuorumAny, hasQuorumFor, type VoteKeeper, votesFor, votesOf } from './vote-keeper.ts';

/** Prevotes for its value, of its height and round, one per validator, nobody else, > 2/3 of the power. */
export function isPolkaCertificate(keeper: VoteKeeper, certificate: PolkaCertificate): boolean {
  return isValueCertificate(keeper, certificate, 'prevote');
}

/** Precommits for its value, of its height and round, one per validator, nobody else, > 2/3 of the power. */
export function isCommitCertificate(keeper: VoteKeeper, certificate: CommitCertificate): boolean {
  return isValueCertificate(keeper, certificate, 'precommit');
}

/**
 * Either precommits (for anything) of > 2/3 of the power, all of round − 1, one per validator; or votes (of both types, for anything) of
 * > 1/3 of the power, all of `round`, one per validator and type. Nobody but validators of this height.
 */
export function isRoundCertificate(keeper: VoteKeeper, certificate: RoundCertificate): boolean {
  const { height, round, votes } = certificate;
  const isOfRoundBefore = votes.every((vote) => vote.type === 'precommit' && vote.round === round - 1);
  const isOfRound = votes.every((vote) => vote.round === round);
  if (!isOfRoundBefore && !isOfRound) return false;
  const power = powerOfSenders(keeper, height, votes);
  return power !== null && (isOfRoundBefore ? isQuorum(power, keeper.totalPower) : isSkip(power, keeper.totalPower));
}

/** The polka counted for `valueId` in `round`, or null. */
export function polkaCertificateOf(keeper: VoteKeeper, round: Round, valueId: ValueId): PolkaCertificate | null {
  return valueCertificateOf(keeper, round, 'prevote', valueId);
}

/** The precommits counted for `valueId` in `round`, if > 2/3, or null. Grows while late precommits come in. */
export function commitCertificateOf(keeper: VoteKeeper, round: Round, valueId: ValueId): CommitCertificate | null {
  return valueCertificateOf(keeper, round, 'precommit', valueId);
}

/** What justifies being in `round`, or null (round 0 needs nothing). */
export function roundCertificateOf(keeper: VoteKeeper, round: Round): RoundCertificate | null {
  if (round === 0) return null;
  const { height } = keeper;
  const before = asRound(round - 1);
  if (hasQuorumAny(keeper, before, 'precommit')) return { height, round, votes: votesOf(keeper, before, 'precommit') };
  if (!isSkip(keeper.rounds.get(round)?.senderPower ?? 0, keeper.totalPower)) return null;
  return { height, round, votes: [...votesOf(keeper, round, 'prevote'), ...votesOf(keeper, round, 'precommit')] };
}

function isValueCertificate(keeper: VoteKeeper, certificate: PolkaCertificate | CommitCertificate, type: VoteType): boolean {
  const { height, round, valueId, votes } = certificate;
  if (!votes.every((vote) => vote.type === type && vote.round === round && vote.valueId === valueId)) return false;
  const power = powerOfSenders(keeper, height, votes);
  return power !== null && isQuorum(power, keeper.totalPower);
}

/** Power of the distinct senders; null if a vote is of another height, not a validator's, or the second in its slot. */
function powerOfSenders(keeper: VoteKeeper, height: Height, votes: readonly Vote[]): number | null {
  if (height !== keeper.height) return null;
  const slots: Readonly<Record<VoteType, Set<NodeId>>> = { prevote: new Set(), precommit: new Set() };
  const senders = new Set<NodeId>();
  let power = 0;
  for (const vote of votes) {
    const own = keeper.powers.get(vote.nodeId);
    const slot = slots[vote.type];
    if (own === undefined || vote.height !== height || slot.has(vote.nodeId)) return null;
    slot.add(vote.nodeId);
    if (!senders.has(vote.nodeId)) power += own;
    senders.add(vote.nodeId);
  }
  return power;
}

function valueCertificateOf(keeper: VoteKeeper, round: Round, type: VoteType, valueId: ValueId): PolkaCertificate | null {
  if (!hasQuorumFor(keeper, round, type, valueId)) return null;
  return { height: keeper.height, round, valueId, votes: votesFor(keeper, round, type, valueId) };
}
