/**
 * How an image stands on the chain: one manifest with its config and layers as one artifact, an index as an artifact of its own. Follows
 * docs/SPEC.md §3.8. Says only what the bytes and the policy determine, so that all authorities make the same claim of the same image.
 */

import {
  type AddArtifact,
  type Coordinates,
  coordinatesKey,
  digestToHex,
  type FileEntry,
  formatDigest,
  type PolicyRule,
  sameBytes,
} from '../../chain/index.ts';
import type { FileIdentity } from '../blob-writer.ts';
import type { Descriptor, ParsedManifest } from './manifest.ts';

/** RFC 6838, 4.2, as the chain takes it; what descriptors say beyond it is no type. */
const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/;
const BYTES_TYPE = 'application/octet-stream';

/** Everything of a manifest that this node has on its disk. `blobs`: config and layers, by the digest in the manifest. */
export interface HeldImage {
  readonly coordinates: Coordinates;
  readonly mediaType: string;
  readonly manifest: ParsedManifest;
  readonly manifestFile: FileIdentity;
  readonly blobs: ReadonlyMap<string, FileIdentity>;
  /** Of its config; null of an index, and of what is no image for a platform. */
  readonly platform: string | null;
}

/** What a manifest names beside itself, each digest once, config first. */
export function blobsOf(manifest: ParsedManifest): readonly Descriptor[] {
  if (manifest.kind === 'index') return [];
  const all = [manifest.config, ...manifest.layers];
  return all.filter((one, index) => all.findIndex((other) => sameBytes(other.sha256, one.sha256)) === index);
}

/** The claim of an image under the rule that admits it. `replaces`: null, since what was removed only an admin brings back. */
export function imageClaim(image: HeldImage, rule: PolicyRule): AddArtifact {
  const { coordinates, manifest, mediaType } = image;
  const own = fileOf(manifest.kind === 'index' ? 'index' : 'manifest', mediaType, image.manifestFile);
  const blobs = blobsOf(manifest).flatMap((descriptor): readonly FileEntry[] => {
    const hex = digestToHex(descriptor.sha256);
    const held = image.blobs.get(hex);
    return held === undefined ? [] : [fileOf(`sha256-${hex}`, descriptor.mediaType, held)];
  });
  return {
    kind: 'AddArtifact',
    coordinates,
    files: [own, ...blobs].sort((left, right) => (left.name < right.name ? -1 : 1)),
    source: { kind: 'upstream', id: rule.upstream ?? '' },
    dependencies: dependenciesOf(coordinates, manifest),
    verification: rule.verification,
    replaces: null,
  };
}

/** The manifest of that digest in the same repository. */
export function siblingOf(coordinates: Coordinates, descriptor: Pick<Descriptor, 'sha256'>): Coordinates {
  return { ...coordinates, version: formatDigest(descriptor.sha256) };
}

/** True when the rule takes images of this platform; `linux/arm` in a rule stands for its variants too. */
export function admitsPlatform(rule: Pick<PolicyRule, 'platforms'>, platform: string | null): boolean {
  return rule.platforms.length === 0 || rule.platforms.some((one) => platform === one || platform?.startsWith(`${one}/`) === true);
}

/** What the rule does not allow is known before a byte of it is fetched; null where all is allowed. `blobs`: all but the manifest. */
export function sizeRefusal(blobs: readonly Descriptor[], rule: PolicyRule): string | null {
  const files = blobs.length + 1;
  if (files > rule.maxFiles) return `the policy allows ${rule.maxFiles} files a version, the image has ${files}`;
  const large = blobs.find(({ sizeBytes }) => sizeBytes > rule.maxFileBytes);
  return large === undefined
    ? null
    : `the policy allows ${rule.maxFileBytes} bytes a file, ${formatDigest(large.sha256)} has ${large.sizeBytes}`;
}

export function platformRefusal(platform: string | null): string {
  return `the policy does not take the platform ${platform ?? '(none)'}`;
}

/** An index's children, and whatever the manifest says it is about. */
function dependenciesOf(coordinates: Coordinates, manifest: ParsedManifest): readonly Coordinates[] {
  const named = [...(manifest.kind === 'index' ? manifest.manifests : []), ...(manifest.subject === null ? [] : [manifest.subject])];
  const byKey = new Map(named.map((descriptor) => siblingOf(coordinates, descriptor)).map((one) => [coordinatesKey(one), one]));
  byKey.delete(coordinatesKey(coordinates));
  return [...byKey.entries()].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, one]) => one);
}

function fileOf(name: string, mediaType: string, { sha256, sizeBytes, piecesRoot }: FileIdentity): FileEntry {
  return {
    name,
    mediaType: MEDIA_TYPE.test(mediaType) ? mediaType : BYTES_TYPE,
    sizeBytes,
    digests: { sha256, sha512: null, sha1: null, h1: null },
    piecesRoot,
  };
}
