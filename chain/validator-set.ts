/**
 * Validator sets: how one is made from node records, how power is counted, and how far two neighbouring sets may differ. Follows
 * docs/SPEC.md §4. Integers only.
 */

import { bytesToHex } from '@noble/hashes/utils.js';
import { asNodeId, asVotingPower, type ValidatorSet } from '../consensus/index.ts';
import { compareBytes, type Digest, digestToHex, sameBytes } from './digest.ts';
import { MAX_VALIDATORS, type NodeRecord, type ValidatorSetRecord } from './structures.ts';

export type ValidatorRecord = ValidatorSetRecord[number];

/** Least power that no set reaches in sum, so that 3 · power stays an exact integer. */
const POWER_LIMIT = 2 ** 51;

/** Power of every authority in version 1 of the protocol. */
const AUTHORITY_POWER = 1;

/** The set of these nodes, sorted by nodeId. */
export function validatorSetFromNodes(nodes: readonly NodeRecord[]): ValidatorSetRecord {
  return nodes
    .map(({ nodeId, consensusKey }) => ({ nodeId, power: AUTHORITY_POWER, consensusKey }))
    .sort((left, right) => compareBytes(left.nodeId, right.nodeId));
}

export function totalPower(set: ValidatorSetRecord): number {
  return set.reduce((sum, validator) => sum + validator.power, 0);
}

/** More than two thirds: 3w > 2W. */
export function hasQuorum(signedPower: number, total: number): boolean {
  return 3 * signedPower > 2 * total;
}

/** The validator and its place in the set, or null. */
export function findValidator(
  set: ValidatorSetRecord,
  nodeId: Digest,
): { readonly index: number; readonly validator: ValidatorRecord } | null {
  let low = 0;
  let high = set.length - 1;
  while (low <= high) {
    const index = (low + high) >> 1;
    const validator = set[index] as ValidatorRecord;
    const order = compareBytes(validator.nodeId, nodeId);
    if (order === 0) return { index, validator };
    if (order < 0) low = index + 1;
    else high = index - 1;
  }
  return null;
}

/** Null for a set that may stand in a header, else why not. Keys are checked when their node is admitted. */
export function checkSet(set: ValidatorSetRecord): string | null {
  if (set.length === 0) return 'a validator set is never empty';
  if (set.length > MAX_VALIDATORS) return `a validator set has at most ${MAX_VALIDATORS} members`;
  for (const [index, validator] of set.entries()) {
    if (validator.power < 1) return `validator ${digestToHex(validator.nodeId)} has no power`;
    const previous = set[index - 1];
    if (previous !== undefined && compareBytes(previous.nodeId, validator.nodeId) >= 0)
      return 'validators are sorted by node id, none twice';
  }
  if (new Set(set.map((validator) => bytesToHex(validator.consensusKey))).size !== set.length) {
    return 'two validators share a consensus key';
  }
  return totalPower(set) < POWER_LIMIT ? null : 'the power of a set stays below 2^51';
}

/**
 * Null when `next` may follow `old`: enough in common. Where either set has fewer than four members, one member may come, go or change its
 * key regardless.
 */
export function checkSetChange(old: ValidatorSetRecord, next: ValidatorSetRecord): string | null {
  const refusal = checkSet(next);
  if (refusal !== null) return refusal;
  const { power, kept, members } = inCommon(old, next);
  // Gone, come, or present in both with another key.
  const changes = old.length - members + (next.length - members) + (members - kept);
  if (Math.min(old.length, next.length) < 4 && changes <= 1) return null;
  return isEnoughInCommon(old, next)
    ? null
    : `too great a change of the validator set at once: ${power} of ${totalPower(old)} → ${totalPower(next)} in common; two blocks on it may be made`;
}

/** 3 · common ≥ 2 · max(W_old, W_next). */
export function isEnoughInCommon(old: ValidatorSetRecord, next: ValidatorSetRecord): boolean {
  return 3 * inCommon(old, next).power >= 2 * Math.max(totalPower(old), totalPower(next));
}

/** Members of both sets, and the number and power of those whose consensus key is the same in both. */
function inCommon(
  old: ValidatorSetRecord,
  next: ValidatorSetRecord,
): { readonly power: number; readonly kept: number; readonly members: number } {
  let power = 0;
  let kept = 0;
  let members = 0;
  for (const validator of old) {
    const found = findValidator(next, validator.nodeId);
    if (found === null) continue;
    members += 1;
    if (!sameBytes(found.validator.consensusKey, validator.consensusKey)) continue;
    kept += 1;
    power += Math.min(found.validator.power, validator.power);
  }
  return { power, kept, members };
}

/** The set as consensus knows it. */
export function toConsensusSet(set: ValidatorSetRecord): ValidatorSet {
  return set.map(({ nodeId, power }) => ({ nodeId: asNodeId(digestToHex(nodeId)), power: asVotingPower(power) }));
}
