/**
 * What a claim is about and whether it is well-formed on its own: every rule that needs neither state nor policy. Follows docs/SPEC.md §3.
 * Never looks at who made a claim: a claim says only what bytes, policy and state determine.
 */

import { bytesToHex } from '@noble/hashes/utils.js';
import { encode } from './codec.ts';
import {
  checkCoordinates,
  checkFileName,
  checkLabel,
  checkPackageName,
  coordinatesKey,
  type PackageName,
  packageKey,
} from './coordinates.ts';
import { type Digest, digestToHex, sameBytes } from './digest.ts';
import { checkPublicKey } from './keys.ts';
import { MAX_KEY_CLAIMS } from './limits.ts';
import { checkParameters } from './parameters.ts';
import { isUpstreamId } from './policy.ts';
import {
  type AddArtifact,
  type Claim,
  type Coordinates,
  claimList,
  type FileEntry,
  type NodeRecord,
  type Parameters,
} from './structures.ts';

/** RFC 6838, 4.2, without parameters and in lower case. */
const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/;

/** The state key that the claim's operation writes: `artifact|…`, `name|…`, `ban|…`, `node|…` or `parameters`. One per block. */
export function keyOf(claim: Claim): string {
  switch (claim.kind) {
    case 'AddArtifact':
      return artifactKey(claim.coordinates);
    case 'SetName':
      return nameKey(claim, claim.label);
    case 'RemoveArtifact':
      return claim.target.kind === 'artifact' ? artifactKey(claim.target.coordinates) : banKey(claim.target.sha256);
    case 'LiftBan':
      return banKey(claim.sha256);
    case 'AddNode':
      return nodeKey(claim.node.nodeId);
    case 'RemoveNode':
    case 'RotateKey':
      return nodeKey(claim.nodeId);
    case 'SetParams':
      return PARAMETERS_KEY;
    default:
      return assertNever(claim);
  }
}

export const PARAMETERS_KEY = 'parameters';

export function artifactKey(coordinates: Coordinates): string {
  return `artifact|${coordinatesKey(coordinates)}`;
}

export function nameKey(of: PackageName, label: string): string {
  return `name|${packageKey(of)}|${label}`;
}

export function banKey(sha256: Digest): string {
  return `ban|${digestToHex(sha256)}`;
}

export function nodeKey(nodeId: Digest): string {
  return `node|${digestToHex(nodeId)}`;
}

/** True for a claim that brings new keys, whose holders' consent travels beside the endorsements. */
export function needsConsent(claim: Claim): claim is Extract<Claim, { kind: 'AddNode' | 'RotateKey' }> {
  return claim.kind === 'AddNode' || claim.kind === 'RotateKey';
}

/** Null for a claim that is well-formed on its own, else why not. Takes values that fit the schema. */
export function checkClaimShape(claim: Claim): string | null {
  switch (claim.kind) {
    case 'AddArtifact':
      return checkArtifact(claim);
    case 'SetName':
      return checkName(claim);
    case 'RemoveArtifact':
      return checkReason(claim.reason) ?? (claim.target.kind === 'artifact' ? checkCoordinates(claim.target.coordinates) : null);
    case 'LiftBan':
    case 'RemoveNode':
      return checkReason(claim.reason);
    case 'AddNode':
      return checkNodeRecord(claim.node);
    case 'RotateKey':
      return checkPublicKey(claim.publicKey);
    case 'SetParams':
      return checkParameters(claim.parameters);
    default:
      return assertNever(claim);
  }
}

/** Null for a transaction within the network's limits, of well-formed claims, none about what another is about. Else why not. */
export function checkTransactionShape(claims: readonly Claim[], parameters: Parameters): string | null {
  if (claims.length === 0) return 'a transaction has at least one claim';
  if (claims.length > parameters.maxTransactionClaims) {
    return `expected at most ${parameters.maxTransactionClaims} claims, got ${claims.length}`;
  }
  if (claims.filter(needsConsent).length > MAX_KEY_CLAIMS) return `expected at most ${MAX_KEY_CLAIMS} claims that bring keys`;
  const sizeBytes = encode(claimList, claims).length;
  if (sizeBytes > parameters.maxTransactionBytes) return `expected at most ${parameters.maxTransactionBytes} bytes, got ${sizeBytes}`;
  const keys = new Set<string>();
  for (const [index, claim] of claims.entries()) {
    const refusal = checkClaimShape(claim);
    if (refusal !== null) return `claim ${index}: ${refusal}`;
    const key = keyOf(claim);
    if (keys.has(key)) return `claim ${index}: another claim is about ${key} too`;
    keys.add(key);
  }
  return null;
}

/** Null for a node record with a plain name and three distinct, admissible keys. Whether the id is new or known is state's to say. */
export function checkNodeRecord(node: NodeRecord): string | null {
  if (!/^[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?$/.test(node.name)) return 'node name: expected lower-case letters, digits, dots and hyphens';
  const keys = [node.networkKey, node.consensusKey, node.checkpointKey];
  if (new Set(keys.map(bytesToHex)).size !== keys.length) return 'the three keys of a node are distinct';
  for (const key of keys) {
    const refusal = checkPublicKey(key);
    if (refusal !== null) return refusal;
  }
  return null;
}

/** Null for one line of text, not empty, without spaces at its ends or characters that hide or reorder it. */
export function checkReason(reason: string): string | null {
  if (reason === '' || reason.startsWith(' ') || reason.endsWith(' ')) return 'reason: expected text without spaces at its ends';
  return [...reason].some((character) => isUnseen(character.codePointAt(0) ?? 0)) ? 'reason: expected one line of visible text' : null;
}

function checkArtifact(claim: AddArtifact): string | null {
  return (
    checkCoordinates(claim.coordinates) ??
    checkFiles(claim) ??
    checkDependencies(claim) ??
    (claim.source.kind === 'upstream' && !isUpstreamId(claim.source.id) ? 'source: not an upstream id' : null) ??
    checkVerification(claim)
  );
}

function checkVerification({ source, verification }: AddArtifact): string | null {
  if (verification === 'manual') return null;
  return (verification === 'published') === (source.kind === 'publisher') ? null : `verification: ${verification} does not fit the source`;
}

function checkFiles({ coordinates, files }: AddArtifact): string | null {
  if (files.length === 0) return 'an artifact has at least one file';
  const bySha256 = new Map<string, FileEntry>();
  let previous: FileEntry | null = null;
  for (const file of files) {
    if (previous !== null && previous.name >= file.name) return 'files are sorted by name, none twice';
    previous = file;
    const refusal = checkFile(file) ?? (file.digests.h1 !== null && coordinates.ecosystem !== 'go' ? 'h1 is a digest of Go alone' : null);
    if (refusal !== null) return `file ${JSON.stringify(file.name)}: ${refusal}`;
    const twin = bySha256.get(digestToHex(file.digests.sha256));
    if (twin !== undefined && !sameContent(twin, file))
      return `file ${JSON.stringify(file.name)}: contradicts ${JSON.stringify(twin.name)}`;
    bySha256.set(digestToHex(file.digests.sha256), file);
  }
  return null;
}

function checkFile(file: FileEntry): string | null {
  if (!MEDIA_TYPE.test(file.mediaType)) return `${JSON.stringify(file.mediaType)} is no media type`;
  if ((file.sizeBytes === 0) !== (file.piecesRoot === null)) return 'piecesRoot is null for an empty file, and for no other';
  return checkFileName(file.name);
}

/** Two files with one SHA-256 are the same bytes, so all else that bytes determine is the same too. */
function sameContent(left: FileEntry, right: FileEntry): boolean {
  return (
    left.sizeBytes === right.sizeBytes &&
    sameOrNull(left.piecesRoot, right.piecesRoot) &&
    sameOrNull(left.digests.sha512, right.digests.sha512) &&
    sameOrNull(left.digests.sha1, right.digests.sha1) &&
    sameOrNull(left.digests.h1, right.digests.h1)
  );
}

function sameOrNull(left: Uint8Array | null, right: Uint8Array | null): boolean {
  return left === null || right === null ? left === right : sameBytes(left, right);
}

function checkDependencies({ coordinates, dependencies }: AddArtifact): string | null {
  const own = coordinatesKey(coordinates);
  let previous = '';
  for (const dependency of dependencies) {
    const refusal = checkCoordinates(dependency);
    if (refusal !== null) return `dependency: ${refusal}`;
    const key = coordinatesKey(dependency);
    if (key <= previous) return 'dependencies are sorted by key, none twice';
    if (key === own) return 'an artifact does not depend on itself';
    previous = key;
  }
  return null;
}

/** A label names a version of its own package. */
function checkName(claim: Extract<Claim, { kind: 'SetName' }>): string | null {
  const refusal = checkPackageName(claim) ?? checkLabel(claim.label) ?? checkCoordinates(claim.target);
  if (refusal !== null) return refusal;
  return packageKey(claim) === packageKey(claim.target) ? null : 'a name points to a version of its own package';
}

/** Controls, line separators, zero-width and direction marks. Fixed ranges: Unicode's own classes grow with the runtime. */
function isUnseen(codePoint: number): boolean {
  return (
    codePoint < 0x20 ||
    (codePoint >= 0x7f && codePoint < 0xa0) ||
    codePoint === 0x061c ||
    (codePoint >= 0x200b && codePoint <= 0x200f) ||
    (codePoint >= 0x2028 && codePoint <= 0x202e) ||
    (codePoint >= 0x2060 && codePoint <= 0x206f) ||
    codePoint === 0xfeff
  );
}

function assertNever(claim: never): never {
  throw new TypeError(`unknown claim ${JSON.stringify(claim)}`);
}
