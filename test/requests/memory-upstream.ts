/** An upstream registry of the virtual world: images made up by a test, each authority's view its own. Counts what it is asked. */

import { createHash } from 'node:crypto';
import { asDigest, type Digest, formatDigest, parseDigest } from '../../chain/index.ts';
import { type OciUpstream, RegistryError } from '../../registry/index.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';

export interface MadeDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export interface MadeImage {
  readonly digest: string;
  readonly layer: Uint8Array;
}

/** What one repository holds; several views may share it. */
export class MemoryRegistry {
  readonly blobs: Map<string, { readonly bytes: Uint8Array; readonly mediaType: string }> = new Map();
  readonly tags: Map<string, string> = new Map();

  /** An image of one layer for a platform, under a tag if one is given; `more` layers are as its maker describes them. */
  image(
    salt: string,
    options: { readonly tag?: string; readonly architecture?: string; readonly more?: readonly MadeDescriptor[] } = {},
  ): MadeImage {
    const layer = new TextEncoder().encode(`layer of ${salt} `.repeat(2000));
    const config = json({ os: 'linux', architecture: options.architecture ?? 'amd64', salt });
    const document = {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: this.blob(config, 'application/vnd.oci.image.config.v1+json'),
      layers: [this.blob(layer, 'application/vnd.oci.image.layer.v1.tar'), ...(options.more ?? [])],
    };
    const { digest } = this.blob(json(document), MANIFEST);
    if (options.tag !== undefined) this.tags.set(options.tag, digest);
    return { digest, layer };
  }

  index(tag: string, images: readonly (readonly [MadeImage, string])[]): string {
    const manifests = images.map(([{ digest }, architecture]) => ({
      mediaType: MANIFEST,
      digest,
      size: this.blobs.get(digest)?.bytes.length ?? 0,
      platform: { os: 'linux', architecture },
    }));
    const { digest } = this.blob(json({ schemaVersion: 2, mediaType: INDEX, manifests }), INDEX);
    this.tags.set(tag, digest);
    return digest;
  }

  blob(bytes: Uint8Array, mediaType: string): MadeDescriptor {
    const digest = formatDigest(sha256Of(bytes));
    this.blobs.set(digest, { bytes, mediaType });
    return { mediaType, digest, size: bytes.length };
  }
}

export interface MemoryUpstream extends OciUpstream {
  readonly asked: { manifests: number; resolves: number; blobs: number };
  down: boolean;
  /** Blobs that never come, until whoever waits gives up. */
  readonly stalled: Set<string>;
  /** Another registry in place of the first: what this authority alone sees. */
  shows: MemoryRegistry;
}

export function memoryUpstream(registry: MemoryRegistry): MemoryUpstream {
  const asked = { manifests: 0, resolves: 0, blobs: 0 };
  const find = (reference: string): { readonly bytes: Uint8Array; readonly mediaType: string; readonly sha256: Digest } => {
    if (upstream.down) throw new RegistryError('UPSTREAM_FAILED', 'memory', { message: 'the upstream is down' });
    const digest = reference.startsWith('sha256:') ? reference : upstream.shows.tags.get(reference);
    const found = digest === undefined ? undefined : upstream.shows.blobs.get(digest);
    const sha256 = parseDigest(digest ?? '');
    if (found === undefined || sha256 === null)
      throw new RegistryError('UPSTREAM_ABSENT', reference, { message: `no ${reference} upstream` });
    return { ...found, sha256 };
  };
  const upstream: MemoryUpstream = {
    asked,
    down: false,
    stalled: new Set(),
    shows: registry,
    manifest: async (_repository, reference) => {
      asked.manifests += 1;
      return find(reference);
    },
    resolve: async (_repository, tag) => {
      asked.resolves += 1;
      return find(tag).sha256;
    },
    blob: async function* (_repository, { sha256, sizeBytes }, signal) {
      asked.blobs += 1;
      const { bytes } = find(formatDigest(sha256));
      if (upstream.stalled.has(formatDigest(sha256))) await abortOf(signal);
      if (bytes.length !== sizeBytes) throw new RegistryError('UPSTREAM_FAILED', 'memory', { message: 'the blob has another size' });
      yield Uint8Array.from(bytes);
    },
  };
  return upstream;
}

function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const end = (): void => reject(new RegistryError('ABORTED', 'memory', { message: 'given up' }));
    if (signal.aborted) end();
    signal.addEventListener('abort', end, { once: true });
  });
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function sha256Of(bytes: Uint8Array): Digest {
  return asDigest(new Uint8Array(createHash('sha256').update(bytes).digest()));
}
