/**
 * An authority's own check of what is claimed of an image or a tag: it looks at the upstream itself, fetches every byte, and compares the
 * whole claim with the one that it would make. Follows docs/SPEC.md §3.8. Policy and removals are the state's question, not asked here.
 */

import {
  type AddArtifact,
  type Claim,
  type Coordinates,
  coordinatesKey,
  digestToHex,
  type FileEntry,
  formatDigest,
  type PackageName,
  type PolicyRule,
  sameBytes,
} from '../../chain/index.ts';
import { RegistryError } from '../error.ts';
import type { CheckVerdict, ClaimChecker } from '../types.ts';
import { admitsPlatform, imageClaim, platformRefusal } from './claim.ts';
import type { UpstreamImages } from './images.ts';

export interface OciCheckerDeps {
  readonly images: UpstreamImages;
  /** The policy's rule for a package, or null. */
  readonly ruleFor: (name: PackageName) => PolicyRule | null;
}

type SetName = Extract<Claim, { kind: 'SetName' }>;

/**
 * `refused` says that the upstream, seen from here, is not as claimed. What says nothing about the claim (the upstream down, the own disk
 * full) rejects with a RegistryError instead, and the claim may be checked again.
 */
export function ociChecker(deps: OciCheckerDeps): ClaimChecker {
  return {
    check: async (claim, { signal }) => {
      if (claim.kind === 'AddArtifact') return await saying(claim.coordinates, () => checkImage(deps, claim, signal));
      if (claim.kind === 'SetName') return await saying(claim.target, () => checkTag(deps, claim, signal));
      return refused(`no upstream speaks of ${claim.kind}`);
    },
  };
}

async function checkImage(deps: OciCheckerDeps, claim: AddArtifact, signal: AbortSignal): Promise<CheckVerdict> {
  const { coordinates } = claim;
  const rule = deps.ruleFor(coordinates);
  if (rule === null || rule.upstream === null) return refused('the policy names no upstream for it');
  const image = await deps.images.hold(coordinates, { rule, signal });
  if (image.manifest.kind === 'image' && !admitsPlatform(rule, image.platform)) return refused(platformRefusal(image.platform));
  const difference = differenceOf(claim, imageClaim(image, rule));
  return difference === null ? { kind: 'genuine' } : refused(difference);
}

async function checkTag(deps: OciCheckerDeps, claim: SetName, signal: AbortSignal): Promise<CheckVerdict> {
  const rule = deps.ruleFor(claim);
  if (rule === null || rule.upstream === null) return refused('the policy names no upstream for it');
  const look = async (fresh: boolean): Promise<string> =>
    formatDigest(await deps.images.resolve(claim, claim.label, { rule, fresh, signal }));
  if ((await look(false)) === claim.target.version) return { kind: 'genuine' };
  const seen = await look(true);
  if (seen === claim.target.version) return { kind: 'genuine' };
  return refused(`the upstream's ${claim.label} is ${seen} here, the claim says ${claim.target.version}`);
}

/** What the upstream itself answers is a verdict; that it can't be asked is none. */
async function saying(about: Coordinates, check: () => Promise<CheckVerdict>): Promise<CheckVerdict> {
  try {
    return await check();
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    if (error.code === 'UPSTREAM_ABSENT') return refused(`the upstream has no ${about.version} here`);
    if (error.code === 'MISMATCH' || error.code === 'TOO_LARGE') return refused(error.message);
    throw error;
  }
}

/** The first thing in which two claims of one image differ, for people; null when they are the same but for `replaces`. */
export function differenceOf(claimed: AddArtifact, seen: AddArtifact): string | null {
  if (claimed.source.kind !== 'upstream' || seen.source.kind !== 'upstream' || claimed.source.id !== seen.source.id)
    return 'the source is not the upstream of the policy';
  if (claimed.verification !== seen.verification)
    return `the policy prescribes ${seen.verification}, the claim says ${claimed.verification}`;
  if (claimed.dependencies.map(coordinatesKey).join() !== seen.dependencies.map(coordinatesKey).join())
    return 'the claim names other dependencies than the manifest';
  if (claimed.files.length !== seen.files.length) return `expected ${seen.files.length} files, the claim has ${claimed.files.length}`;
  for (const [index, own] of seen.files.entries()) {
    const other = claimed.files[index];
    const difference = other === undefined ? 'missing' : fileDifference(other, own);
    if (difference !== null) return `${own.name.slice(0, 80)}: ${difference}`;
  }
  return null;
}

function fileDifference(claimed: FileEntry, seen: FileEntry): string | null {
  if (claimed.name !== seen.name) return `the claim has ${claimed.name.slice(0, 80)} in its place`;
  if (!sameBytes(claimed.digests.sha256, seen.digests.sha256))
    return `seen ${formatDigest(seen.digests.sha256)}, claimed ${formatDigest(claimed.digests.sha256)}`;
  if (claimed.sizeBytes !== seen.sizeBytes) return `seen ${seen.sizeBytes} bytes, claimed ${claimed.sizeBytes}`;
  if (claimed.mediaType !== seen.mediaType) return `seen as ${seen.mediaType}, claimed as ${claimed.mediaType}`;
  const [left, right] = [claimed.piecesRoot, seen.piecesRoot];
  if (left === null || right === null ? left !== right : !sameBytes(left, right))
    return `seen with the pieces root ${right === null ? 'null' : digestToHex(right)}`;
  const { sha512, sha1, h1 } = claimed.digests;
  return sha512 === null && sha1 === null && h1 === null ? null : 'an image has SHA-256 digests alone';
}

function refused(reason: string): CheckVerdict {
  return { kind: 'refused', reason: reason.slice(0, 512) };
}
