/**
 * Finds an image for a request: what its tag names, all its bytes fetched, and the claim that this authority would make of it. Follows
 * docs/SPEC.md §3.8. An index is found alone; the images in it that the policy takes are parts, each a request of its own.
 */

import { type Coordinates, formatDigest, isVersion, type PolicyRule, type RequestSubject } from '../../chain/index.ts';
import type { Resolution, Resolver } from '../types.ts';
import { admitsPlatform, type HeldImage, imageClaim, platformRefusal } from './claim.ts';
import type { UpstreamImages } from './images.ts';

/** Images of one index that are fetched with it; the others when somebody asks for them. */
const MAX_PARTS = 64;

export interface OciResolverDeps {
  readonly images: UpstreamImages;
  /** Upstreams that requests of others may use on this node. */
  readonly isShared: (upstreamId: string) => boolean;
}

export function ociResolver({ images, isShared }: OciResolverDeps): Resolver {
  return {
    resolve: async (subject, { rule, signal }) => {
      const { reference, ...of } = subject;
      const version = isVersion('docker', reference)
        ? reference
        : formatDigest(await images.resolve(of, reference, { rule, fresh: false, signal }));
      const image = await images.hold({ ...of, version }, { rule, signal });
      return resolutionOf(image, rule);
    },
    peek: async ({ reference, ...of }, { rule, signal }) => formatDigest(await images.peek(of, reference, { rule, signal })),
    fetchedBytes: ({ reference, ...of }) => images.fetchedBytes(of, reference),
    mayUse: (rule) =>
      rule.upstream !== null && isShared(rule.upstream)
        ? null
        : `this authority has no upstream '${rule.upstream ?? ''}' that requests may use: see upstream.urls and upstream.shared`,
  };
}

function resolutionOf(image: HeldImage, rule: PolicyRule): Resolution {
  if (image.manifest.kind === 'image' && !admitsPlatform(rule, image.platform))
    return { kind: 'refused', reason: platformRefusal(image.platform) };
  return { kind: 'found', artifact: imageClaim(image, rule), parts: partsOf(image, rule) };
}

function partsOf({ coordinates, manifest }: HeldImage, rule: PolicyRule): readonly RequestSubject[] {
  if (manifest.kind !== 'index') return [];
  const taken = manifest.manifests.filter(({ platform }) => admitsPlatform(rule, platform)).slice(0, MAX_PARTS);
  const versions = new Set(taken.map(({ sha256 }) => formatDigest(sha256)));
  return [...versions].map((version) => subjectOf(coordinates, version));
}

function subjectOf({ version: _version, ...of }: Coordinates, reference: string): RequestSubject {
  return { ...of, reference };
}
