/**
 * The state fold: what a list of transactions makes of the state, or why it is refused. Follows docs/SPEC.md §4. Claims apply in order, each
 * seeing what those before it did; one refused claim refuses all. Looks at no signature and no endorsement: validity does.
 */

import { keyOf, PARAMETERS_KEY } from './claims.ts';
import { digestToHex, type Sha256 } from './digest.ts';
import {
  changeMember,
  checkActive,
  checkAddNode,
  checkKeysFree,
  type Fold,
  type NodeRefusalCode,
  removeNode,
  rotateKey,
  sameSet,
} from './fold-nodes.ts';
import { checkAgainstPolicy, type PolicyRefusal } from './policy.ts';
import { artifactOf, isBanned, overlayReader, parametersAt, parametersRecordOf, SETS_KEY, type StateReader, setsOf } from './state.ts';
import type { Claim, SealedTransaction, StateRecord } from './structures.ts';

/** Why an operation does not fit the state. */
export type OperationRefusalCode =
  | PolicyRefusal['code']
  | NodeRefusalCode
  | 'keyTwiceInBlock'
  | 'staleReplaces'
  | 'artifactExists'
  | 'artifactUnknown'
  | 'artifactRemoved'
  | 'fileBanned'
  | 'fileNotBanned'
  | 'nameTargetNotLive'
  | 'nameUnchanged'
  | 'parametersHeight'
  | 'protocolVersion';

/** One sentence for people, and where the refused claim stands. */
export interface OperationRefusal {
  readonly code: OperationRefusalCode;
  readonly detail: string;
  readonly transactionIndex: number;
  readonly claimIndex: number;
}

export type FoldResult =
  | { readonly ok: true; readonly changes: ReadonlyMap<string, StateRecord> }
  | { readonly ok: false; readonly refusal: OperationRefusal };

type Refused = Pick<OperationRefusal, 'code' | 'detail'>;
type ClaimOf<K extends Claim['kind']> = Extract<Claim, { readonly kind: K }>;

/** Fewest blocks between SetParams with another protocol version and its height: time to install it. */
export const MIN_VERSION_NOTICE_BLOCKS = 2;

/** Changes that block `height` makes of the state that `reader` holds, or the first refusal. Takes well-formed claims. */
export function applyOperations(
  reader: StateReader,
  height: number,
  transactions: readonly Pick<SealedTransaction, 'claims'>[],
  sha256: Sha256,
): FoldResult {
  const changes = beginBlock(reader, height);
  const fold: Fold = {
    state: overlayReader(reader, changes),
    height,
    sha256,
    parameters: parametersAt(reader, height),
    changes,
    keys: new Set(),
  };
  for (const [transactionIndex, { claims }] of transactions.entries()) {
    for (const [claimIndex, claim] of claims.entries()) {
      const refused = applyClaim(fold, claim);
      if (refused !== null) return { ok: false, refusal: { ...refused, transactionIndex, claimIndex } };
    }
  }
  return { ok: true, changes };
}

/** What a new block changes before its first operation: the sets move on by one height, and waiting parameters come into force. */
function beginBlock(reader: StateReader, height: number): Map<string, StateRecord> {
  const changes = new Map<string, StateRecord>();
  const { current, next, afterNext } = setsOf(reader);
  if (!sameSet(current, next) || !sameSet(next, afterNext))
    changes.set(SETS_KEY, { kind: 'sets', current: next, next: afterNext, afterNext });
  const record = parametersRecordOf(reader);
  if (record.pending !== null && height >= record.pending.atHeight) {
    changes.set(PARAMETERS_KEY, { ...record, parameters: record.pending.parameters, pending: null });
  }
  return changes;
}

function applyClaim(fold: Fold, claim: Claim): Refused | null {
  const key = keyOf(claim);
  if (fold.keys.has(key)) return { code: 'keyTwiceInBlock', detail: `another operation of this block is about ${key}` };
  fold.keys.add(key);
  return checkAgainstPolicy(fold.parameters, claim) ?? checkFits(fold, claim) ?? checkReplaces(fold, key, claim) ?? write(fold, key, claim);
}

/** What the operation needs the state to be, apart from `replaces`: said first, since it tells more. */
function checkFits(fold: Fold, claim: Claim): Refused | null {
  switch (claim.kind) {
    case 'AddArtifact':
      return checkAddArtifact(fold, claim);
    case 'SetName':
      return checkSetName(fold, claim);
    case 'RemoveArtifact':
      return checkRemoveArtifact(fold, claim);
    case 'LiftBan':
      return isBanned(fold.state, claim.sha256) ? null : { code: 'fileNotBanned', detail: `${digestToHex(claim.sha256)} is not banned` };
    case 'AddNode':
      return checkAddNode(fold, claim.node);
    case 'RemoveNode':
      return checkActive(fold, claim.nodeId);
    case 'RotateKey':
      return checkActive(fold, claim.nodeId) ?? checkKeysFree(fold, [claim.publicKey]);
    case 'SetParams':
      return checkSetParams(fold, claim);
    default:
      return assertNever(claim);
  }
}

function checkReplaces(fold: Fold, key: string, claim: Claim): Refused | null {
  const held = heightOf(fold.state.get(key));
  if (claim.replaces === held) return null;
  const said = claim.replaces === null ? 'none' : `the record of height ${claim.replaces}`;
  return { code: 'staleReplaces', detail: `${key}: replaces ${said}, but ${held === null ? 'there is none' : `it is of height ${held}`}` };
}

function checkAddArtifact(fold: Fold, claim: ClaimOf<'AddArtifact'>): Refused | null {
  const held = artifactOf(fold.state, claim.coordinates);
  if (held?.kind === 'artifact') return { code: 'artifactExists', detail: `${keyOf(claim)} is live since height ${held.height}` };
  const banned = claim.files.find((file) => isBanned(fold.state, file.digests.sha256));
  return banned === undefined ? null : { code: 'fileBanned', detail: `${keyOf(claim)}: the file ${banned.name} is banned` };
}

function checkSetName(fold: Fold, claim: ClaimOf<'SetName'>): Refused | null {
  const target = artifactOf(fold.state, claim.target);
  if (target?.kind !== 'artifact')
    return { code: 'nameTargetNotLive', detail: `${keyOf(claim)}: version ${claim.target.version} is not live` };
  const held = fold.state.get(keyOf(claim));
  return held?.kind === 'name' && held.target.version === claim.target.version
    ? { code: 'nameUnchanged', detail: `${keyOf(claim)} is ${claim.target.version} already` }
    : null;
}

function checkRemoveArtifact(fold: Fold, claim: ClaimOf<'RemoveArtifact'>): Refused | null {
  if (claim.target.kind === 'file') {
    const { sha256 } = claim.target;
    return isBanned(fold.state, sha256) ? { code: 'fileBanned', detail: `${digestToHex(sha256)} is banned already` } : null;
  }
  const held = artifactOf(fold.state, claim.target.coordinates);
  if (held === null) return { code: 'artifactUnknown', detail: `${keyOf(claim)} is not known` };
  return held.kind === 'tombstone' ? { code: 'artifactRemoved', detail: `${keyOf(claim)} was removed at height ${held.height}` } : null;
}

function checkSetParams(fold: Fold, claim: ClaimOf<'SetParams'>): Refused | null {
  const { parameters, atHeight } = claim;
  if (atHeight !== null && atHeight <= fold.height) {
    return { code: 'parametersHeight', detail: `expected a height above ${fold.height}, got ${atHeight}` };
  }
  const { protocolVersion } = fold.parameters;
  if (parameters.protocolVersion === protocolVersion) return null;
  if (parameters.protocolVersion < protocolVersion) {
    return {
      code: 'protocolVersion',
      detail: `the protocol version never goes back from ${protocolVersion} to ${parameters.protocolVersion}`,
    };
  }
  return atHeight !== null && atHeight >= fold.height + MIN_VERSION_NOTICE_BLOCKS
    ? null
    : { code: 'protocolVersion', detail: `a new protocol version needs a height of at least ${fold.height + MIN_VERSION_NOTICE_BLOCKS}` };
}

/** Writes the record that the operation makes; only the validator set can still refuse. */
function write(fold: Fold, key: string, claim: Claim): Refused | null {
  const { height, changes } = fold;
  switch (claim.kind) {
    case 'AddArtifact':
      changes.set(key, { kind: 'artifact', height, claim });
      return null;
    case 'SetName':
      changes.set(key, { kind: 'name', height, target: claim.target });
      return null;
    case 'RemoveArtifact':
      changes.set(
        key,
        claim.target.kind === 'artifact'
          ? { kind: 'tombstone', height, reason: claim.reason }
          : { kind: 'ban', height, banned: true, reason: claim.reason },
      );
      return null;
    case 'LiftBan':
      changes.set(key, { kind: 'ban', height, banned: false, reason: claim.reason });
      return null;
    case 'SetParams':
      changes.set(key, parametersRecord(fold, claim));
      return null;
    case 'AddNode':
      changes.set(key, { kind: 'node', height, node: claim.node, active: true });
      return changeMember(fold, claim.node.nodeId, claim.node);
    case 'RemoveNode':
      return removeNode(fold, claim.nodeId);
    case 'RotateKey':
      return rotateKey(fold, claim);
    default:
      return assertNever(claim);
  }
}

function parametersRecord(fold: Fold, claim: ClaimOf<'SetParams'>): StateRecord {
  const { parameters, atHeight } = claim;
  if (atHeight === null) return { kind: 'parameters', height: fold.height, parameters, pending: null };
  return { kind: 'parameters', height: fold.height, parameters: fold.parameters, pending: { parameters, atHeight } };
}

/** What `replaces` must name: the height of the record, null where there is none. */
export function heightOf(record: StateRecord | null): number | null {
  if (record === null || record.kind === 'sets') return null;
  return record.height;
}

function assertNever(claim: never): never {
  throw new TypeError(`unknown claim ${JSON.stringify(claim)}`);
}
