/**
 * One candidate on its way: what this node knows of it, and what follows from that for a given set. Only looks and counts; the pool acts.
 */

import {
  applyOperations,
  type Candidate,
  type Claim,
  checkTransactionShape,
  type Digest,
  digestToHex,
  type Endorsement,
  findValidator,
  hasQuorum,
  keyOf,
  type Sha256,
  sameBytes,
  sameSet,
  totalPower,
  type ValidatorSetRecord,
} from '../../chain/index.ts';
import type { Head } from '../ledger/head.ts';

/** What became of a candidate, for whoever waits for it. */
export type Outcome =
  | { readonly kind: 'committed'; readonly height: number }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'pending' };

export interface Pending {
  readonly id: Digest;
  /** This node authors it, first or in the place of an author that fell silent. */
  own: boolean;
  candidate: Candidate;
  readonly authorPeerId: string;
  readonly addedMs: number;
  /** When its author said it last. */
  heardMs: number;
  readonly abort: AbortController;
  readonly endorsements: Map<string, Endorsement>;
  /** The key of the own endorsement among them. */
  ownKey: Uint8Array | null;
  readonly refusals: Map<string, string>;
  readonly waiters: Set<(outcome: Outcome) => void>;
  state: 'queued' | 'checking' | 'unchecked' | 'endorsed' | 'refused' | 'unmarked';
  /** Genuine, but this authority's word for one of its keys is given to other content until then. */
  takenUntilMs: number | null;
  sentMs: number;
  answeredMs: number;
  /** When the own check ended. */
  checkedMs: number;
  attempt: number;
  quorumMs: number | null;
  sealedMs: number | null;
}

export function newPending(from: Pick<Pending, 'id' | 'candidate' | 'authorPeerId' | 'own' | 'addedMs'>): Pending {
  return {
    ...from,
    heardMs: from.addedMs,
    abort: new AbortController(),
    endorsements: new Map(),
    ownKey: null,
    refusals: new Map(),
    waiters: new Set(),
    state: 'queued',
    takenUntilMs: null,
    sentMs: 0,
    answeredMs: 0,
    checkedMs: 0,
    attempt: 0,
    quorumMs: null,
    sealedMs: null,
  };
}

/** Endorsements of > 2/3 of the power that are good until `untilMs`, in the order of the set; null while there are too few. */
export function quorumOf(pending: Pending, set: ValidatorSetRecord, untilMs: number): readonly Endorsement[] | null {
  const endorsements: Endorsement[] = [];
  let power = 0;
  for (const member of set) {
    const endorsement = pending.endorsements.get(digestToHex(member.nodeId));
    if (endorsement === undefined || endorsement.expiresMs <= untilMs) continue;
    endorsements.push(endorsement);
    power += member.power;
  }
  return hasQuorum(power, totalPower(set)) ? endorsements : null;
}

/** The reason once > 1/3 of the power, or the own check of an own candidate, has refused; null before. */
export function refusedReason(pending: Pending, set: ValidatorSetRecord, ownNodeId: Digest): string | null {
  const ownReason = pending.refusals.get(digestToHex(ownNodeId));
  if (pending.own && ownReason !== undefined) return ownReason;
  const refusing = set.filter((member) => pending.refusals.has(digestToHex(member.nodeId)));
  const power = refusing.reduce((sum, member) => sum + member.power, 0);
  const [first] = pending.refusals.values();
  return 3 * power > totalPower(set) ? (first ?? null) : null;
}

/**
 * Whether genuine content waits for one of the keys this one holds, and goes before it: the lower id. Where the authorities' words are
 * split, all let the same one lapse, and the vote comes unstuck.
 */
export function hasBetterRival(pending: Pending, all: Iterable<Pending>): boolean {
  const keys = new Set(pending.candidate.claims.map(keyOf));
  for (const rival of all) {
    if (rival.takenUntilMs === null || digestToHex(rival.id) >= digestToHex(pending.id)) continue;
    if (rival.candidate.claims.some((claim) => keys.has(keyOf(claim)))) return true;
  }
  return false;
}

/**
 * Why the chain as it stands would refuse the claims, or null. Too great a change of the set is no such reason: once the change before it is
 * in force it may be made.
 */
export function refusalOf(head: Head, claims: readonly Claim[], sha256: Sha256): string | null {
  const shape = checkTransactionShape(claims, head.parameters);
  if (shape !== null) return shape;
  const result = applyOperations(head.view.state, head.height + 1, [{ claims }], sha256);
  return result.ok || result.refusal.code === 'setChangeTooGreat' ? null : result.refusal.detail;
}

/**
 * What another set changes for endorsements: whose word no longer counts, because the member has gone or has another key; and whether this
 * node speaks with a key that it didn't have. Null where nothing changes.
 */
export function setMove(
  before: ValidatorSetRecord,
  now: ValidatorSetRecord,
  ownNodeId: Digest,
): { readonly silenced: readonly Digest[]; readonly speaksAnew: boolean } | null {
  if (sameSet(before, now)) return null;
  const isIn = (set: ValidatorSetRecord, member: ValidatorSetRecord[number]): boolean => {
    const found = findValidator(set, member.nodeId);
    return found !== null && sameBytes(found.validator.consensusKey, member.consensusKey);
  };
  const own = findValidator(now, ownNodeId);
  return {
    silenced: before.filter((member) => !isIn(now, member)).map(({ nodeId }) => nodeId),
    speaksAnew: own !== null && !isIn(before, own.validator),
  };
}
