/**
 * The part of the state fold that concerns nodes: who may be added, which keys are free, and how the set two blocks on changes. Follows
 * docs/SPEC.md §4.1. Called by fold.ts alone.
 */

import { nodeKey } from './claims.ts';
import { compareBytes, type Digest, digestToHex, type Sha256, sameBytes } from './digest.ts';
import { nodeIdOf } from './identity.ts';
import { nodeOf, SETS_KEY, type StateReader, setsOf } from './state.ts';
import type { Claim, NodeRecord, Parameters, StateRecord, ValidatorSetRecord } from './structures.ts';
import { checkSet, checkSetChange, isEnoughInCommon, validatorSetFromNodes } from './validator-set.ts';

export type NodeRefusalCode = 'nodeExists' | 'nodeUnknown' | 'nodeIdMismatch' | 'keyInUse' | 'setInvalid' | 'setChangeTooGreat';

interface Refused {
  readonly code: NodeRefusalCode;
  readonly detail: string;
}

/** The state while a block is folded into it. */
export interface Fold {
  readonly state: StateReader;
  readonly height: number;
  readonly sha256: Sha256;
  /** In force during the whole block, whatever SetParams stands in it. */
  readonly parameters: Parameters;
  readonly changes: Map<string, StateRecord>;
  readonly keys: Set<string>;
}

/** Who did something that evidence shows, and at which height. */
export interface Fault {
  readonly nodeId: Digest;
  readonly height: number;
}

export function checkAddNode(fold: Fold, node: NodeRecord): Refused | null {
  const held = nodeOf(fold.state, node.nodeId);
  if (held?.active === true)
    return { code: 'nodeExists', detail: `node ${digestToHex(node.nodeId)} is authorized since height ${held.height}` };
  const isFirst = sameBytes(nodeIdOf(fold.sha256, node.networkKey), node.nodeId);
  const isReturning = held !== null && sameBytes(held.node.networkKey, node.networkKey);
  if (!isFirst && !isReturning)
    return { code: 'nodeIdMismatch', detail: 'the node id is neither the digest of the network key nor known with it' };
  return checkKeysFree(fold, [node.networkKey, node.consensusKey, node.checkpointKey]);
}

export function checkActive(fold: Fold, nodeId: Digest): Refused | null {
  const held = nodeOf(fold.state, nodeId);
  return held?.active === true ? null : { code: 'nodeUnknown', detail: `node ${digestToHex(nodeId)} is not authorized` };
}

/** No key of an active node, nor of one that still votes, may be admitted a second time, for whatever use. */
export function checkKeysFree(fold: Fold, keys: readonly Uint8Array[]): Refused | null {
  const { current, next, afterNext } = setsOf(fold.state);
  const voting = [...current, ...next, ...afterNext];
  const records = afterNext.flatMap(({ nodeId }) => nodeOf(fold.state, nodeId)?.node ?? []);
  const used = [
    ...voting.map((validator) => validator.consensusKey),
    ...records.flatMap((node) => [node.networkKey, node.consensusKey, node.checkpointKey]),
  ];
  const found = keys.find((key) => used.some((other) => sameBytes(other, key)));
  return found === undefined ? null : { code: 'keyInUse', detail: 'one of the keys is in use already' };
}

export function removeNode(fold: Fold, nodeId: Digest): Refused | null {
  const held = nodeOf(fold.state, nodeId);
  if (held === null) return { code: 'nodeUnknown', detail: `node ${digestToHex(nodeId)} is not known` };
  fold.changes.set(nodeKey(nodeId), { ...held, height: fold.height, active: false });
  return changeMember(fold, nodeId, null);
}

export function rotateKey(fold: Fold, claim: Extract<Claim, { readonly kind: 'RotateKey' }>): Refused | null {
  const held = nodeOf(fold.state, claim.nodeId);
  if (held === null) return { code: 'nodeUnknown', detail: `node ${digestToHex(claim.nodeId)} is not known` };
  const node: NodeRecord = { ...held.node, [`${claim.use}Key`]: claim.publicKey };
  fold.changes.set(nodeKey(claim.nodeId), { ...held, height: fold.height, node });
  return claim.use === 'consensus' ? changeMember(fold, claim.nodeId, node) : null;
}

/**
 * Takes out those whom the block's evidence is against, each where the sets allow it: by the inequality alone, without the leave that small
 * sets have, so that no set is emptied but by hand. Evidence from before the node's record, which a quorum wrote since, takes nobody out.
 */
export function removeGuilty(fold: Pick<Fold, 'state' | 'height' | 'changes'>, faults: readonly Fault[]): void {
  for (const { nodeId, height } of faults) {
    const held = nodeOf(fold.state, nodeId);
    if (held?.active !== true || height < held.height) continue;
    const { current, next, afterNext } = setsOf(fold.state);
    const others = afterNext.filter((validator) => !sameBytes(validator.nodeId, nodeId));
    if (checkSet(others) !== null || !isEnoughInCommon(next, others)) continue;
    fold.changes.set(nodeKey(nodeId), { ...held, height: fold.height, active: false });
    fold.changes.set(SETS_KEY, { kind: 'sets', current, next, afterNext: others });
  }
}

/** Puts the node into set(H + 2), with the keys it now has, or takes it out. */
export function changeMember(fold: Fold, nodeId: Digest, node: NodeRecord | null): Refused | null {
  const { current, next, afterNext } = setsOf(fold.state);
  const others = afterNext.filter((validator) => !sameBytes(validator.nodeId, nodeId));
  const members = node === null ? others : [...others, ...validatorSetFromNodes([node])];
  const changed = members.sort((left, right) => compareBytes(left.nodeId, right.nodeId));
  const invalid = checkSet(changed);
  if (invalid !== null) return { code: 'setInvalid', detail: invalid };
  const refusal = checkSetChange(next, changed);
  if (refusal !== null) return { code: 'setChangeTooGreat', detail: refusal };
  fold.changes.set(SETS_KEY, { kind: 'sets', current, next, afterNext: changed });
  return null;
}

export function sameSet(left: ValidatorSetRecord, right: ValidatorSetRecord): boolean {
  return (
    left.length === right.length &&
    left.every((validator, index) => {
      const other = right[index];
      return (
        other !== undefined &&
        other.power === validator.power &&
        sameBytes(other.nodeId, validator.nodeId) &&
        sameBytes(other.consensusKey, validator.consensusKey)
      );
    })
  );
}
