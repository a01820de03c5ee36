/**
 * What this authority sees of an image at its upstream, with the bytes in its own staging: each manifest, config and layer fetched once,
 * hashed here and compared with what names it. Follows docs/SPEC.md §3.8. Decides nothing: a claim is compared with what was seen by the
 * checker, and made of it by the request desk. Foreign URLs are never fetched.
 */

import { Readable } from 'node:stream';
import {
  asDigest,
  type Coordinates,
  coordinatesKey,
  type Digest,
  digestToHex,
  formatDigest,
  type PackageName,
  type PolicyRule,
  packageKey,
  parseDigest,
  sameBytes,
} from '../../chain/index.ts';
import type { BlobStore } from '../blob-store.ts';
import type { FileIdentity } from '../blob-writer.ts';
import { RegistryError } from '../error.ts';
import type { Clock, Logger } from '../ports.ts';
import type { Staging } from '../staging.ts';
import type { Ledger } from '../types.ts';
import { admitsPlatform, blobsOf, type HeldImage, platformRefusal, sizeRefusal } from './claim.ts';
import { FetchTurns } from './fetch-turns.ts';
import { type Descriptor, MAX_MANIFEST_BYTES, parseManifest, platformOfConfig } from './manifest.ts';
import { isImageConfigType } from './media-types.ts';
import { SharedWork } from './shared-work.ts';
import type { FetchedManifest, OciUpstream } from './upstream.ts';

export interface UpstreamImagesDeps {
  /** By the ids that the network's policy uses. */
  readonly upstreams: ReadonlyMap<string, OciUpstream>;
  readonly staging: Staging;
  readonly blobs: BlobStore;
  readonly ledger: Pick<Ledger, 'file'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A tag's target counts as just seen for so long. */
const RESOLVED_MS = 10_000;
const MAX_RESOLVED = 1024;
/** Images remembered as fetched; one may cost half a MiB. */
const MAX_HELD = 128;
/** Images whose fetched bytes are remembered as a number. */
const MAX_COUNTED = 1024;
/** Manifests kept from the look at a tag to the fetch of what it names; larger ones are fetched again. */
const MAX_MANIFESTS = 64;
const MAX_KEPT_MANIFEST_BYTES = 262_144;
const TURNS = { atOnce: 12, ofOneImage: 3 } as const;
/** Staged bytes that no endorsement promises stay so long: as a build and the check of it may take, and some. */
const KEEP_MS = 900_000;
/** The part of staging that images may fill: the rest is for what is published. */
const STAGING_SHARE = 0.75;

type Wanted = Pick<Descriptor, 'sha256' | 'sizeBytes'>;

export class UpstreamImages {
  readonly #deps: UpstreamImagesDeps;
  readonly #resolved: Map<string, { readonly sha256: Digest; readonly atMs: number }> = new Map();
  readonly #manifests: Map<string, FetchedManifest> = new Map();
  readonly #held: Map<string, HeldImage> = new Map();
  readonly #images: SharedWork<HeldImage> = new SharedWork();
  readonly #files: SharedWork<FileIdentity> = new SharedWork();
  readonly #turns: FetchTurns = new FetchTurns(TURNS);
  /** Bytes taken from upstreams so far, by the image they were for. */
  readonly #fetchedBytes: Map<string, number> = new Map();
  /** Bytes of blobs that are to be staged by fetches under way. */
  #awaitedBytes = 0;

  constructor(deps: UpstreamImagesDeps) {
    this.#deps = deps;
  }

  /** Bytes that this process has fetched for the image; by a tag, for what it named when it was looked at last. */
  fetchedBytes(of: PackageName, reference: string): number {
    const known = this.#resolved.get(`${packageKey(of)}|${reference}`);
    const version = known === undefined ? reference : formatDigest(known.sha256);
    return this.#fetchedBytes.get(coordinatesKey({ ...of, version })) ?? 0;
  }

  /** The digest that the tag names now; `fresh` false takes what was seen a moment ago. Throws UPSTREAM_*, ABORTED, TOO_LARGE. */
  async resolve(
    of: PackageName,
    tag: string,
    options: { readonly rule: PolicyRule; readonly fresh: boolean; readonly signal: AbortSignal },
  ): Promise<Digest> {
    const key = `${packageKey(of)}|${tag}`;
    const known = this.#resolved.get(key);
    const nowMs = this.#deps.clock.nowMs();
    if (!options.fresh && known !== undefined && nowMs - known.atMs < RESOLVED_MS) return known.sha256;
    const manifest = await this.#upstream(options.rule).manifest(repositoryOf(of), tag, options.signal);
    if (manifest.bytes.length <= MAX_KEPT_MANIFEST_BYTES) remember(this.#manifests, digestToHex(manifest.sha256), manifest, MAX_MANIFESTS);
    remember(this.#resolved, key, { sha256: manifest.sha256, atMs: nowMs }, MAX_RESOLVED);
    return manifest.sha256;
  }

  /** The same by a HEAD where the upstream answers it: for tags that have most likely stayed. */
  async peek(of: PackageName, tag: string, options: { readonly rule: PolicyRule; readonly signal: AbortSignal }): Promise<Digest> {
    return await this.#upstream(options.rule).resolve(repositoryOf(of), tag, options.signal);
  }

  /**
   * The image with all its bytes on this disk; fetched where they are not, once however many ask, for as long as somebody waits. Throws
   * UPSTREAM_*, MISMATCH (no manifest, or of a platform that the rule does not take), TOO_LARGE, STAGING_FULL, NO_SPACE, READ_ONLY, DISK or
   * ABORTED.
   */
  async hold(coordinates: Coordinates, options: { readonly rule: PolicyRule; readonly signal: AbortSignal }): Promise<HeldImage> {
    const key = coordinatesKey(coordinates);
    const known = this.#held.get(key);
    if (known !== undefined && this.#isHeld(known)) return known;
    const image = await this.#images.join(key, options.signal, (signal) => this.#fetch(coordinates, { ...options, signal }));
    remember(this.#held, key, image, MAX_HELD);
    return image;
  }

  /** Ends all fetches. */
  stop(): void {
    this.#images.stop();
    this.#files.stop();
  }

  #isHeld(image: HeldImage): boolean {
    return [image.manifestFile, ...image.blobs.values()].every((file) => this.#heldFile(file) !== null);
  }

  async #fetch(
    coordinates: Coordinates,
    { rule, signal }: { readonly rule: PolicyRule; readonly signal: AbortSignal },
  ): Promise<HeldImage> {
    const upstream = this.#upstream(rule);
    const fetched = await this.#manifestOf(coordinates, upstream, signal);
    const parsed = parseManifest(fetched.bytes, fetched.mediaType);
    if (!parsed.ok) throw new RegistryError('MISMATCH', coordinates.version, { message: `no manifest of an image: ${parsed.reason}` });
    // What it says about itself may be megabytes, and makes no claim.
    const manifest = { ...parsed.manifest, extra: { artifactType: null, annotations: null } };
    const descriptors = blobsOf(manifest);
    const tooLarge = sizeRefusal(descriptors, rule);
    if (tooLarge !== null) throw new RegistryError('TOO_LARGE', coordinates.version, { message: tooLarge });
    const manifestFile = await this.#stageManifest(fetched, signal);
    const from: BlobSource = { upstream, repository: repositoryOf(coordinates), key: coordinatesKey(coordinates), signal };
    const blobs = await this.#withRoom(descriptors, async (taken) => {
      const [config, ...layers] = descriptors;
      const first = config === undefined ? [] : [await this.#blob(config, from).finally(() => taken(config))];
      // Of an image that is not wanted no layer is fetched.
      if (manifest.kind === 'image') await this.#checkPlatform(coordinates, manifest.config, rule);
      const others = layers.map(async (layer) => await this.#blob(layer, from).finally(() => taken(layer)));
      return new Map([...first, ...(await Promise.all(others))].map((file) => [digestToHex(file.sha256), file]));
    });
    const platform = manifest.kind === 'image' ? await this.#platformOf(manifest.config) : null;
    return { coordinates, mediaType: fetched.mediaType, manifest, manifestFile, blobs, platform };
  }

  async #manifestOf(coordinates: Coordinates, upstream: OciUpstream, signal: AbortSignal): Promise<FetchedManifest> {
    const sha256 = parseDigest(coordinates.version);
    const known = sha256 === null ? undefined : this.#manifests.get(digestToHex(sha256));
    return known ?? (await upstream.manifest(repositoryOf(coordinates), coordinates.version, signal));
  }

  async #checkPlatform({ version }: Coordinates, config: Descriptor, rule: PolicyRule): Promise<void> {
    const platform = await this.#platformOf(config);
    if (admitsPlatform(rule, platform)) return;
    throw new RegistryError('MISMATCH', version, { message: platformRefusal(platform) });
  }

  /** Begins only what staging has room for: half an image would be of no use, and would keep out another. */
  async #withRoom<T>(descriptors: readonly Wanted[], work: (taken: (one: Wanted) => void) => Promise<T>): Promise<T> {
    const { quotaBytes, usedBytes } = this.#deps.staging.usage();
    const missing = new Set(descriptors.filter((one) => this.#heldFile(one) === null));
    const sizeBytes = [...missing].reduce((sum, one) => sum + one.sizeBytes, 0);
    const roomBytes = quotaBytes * STAGING_SHARE - usedBytes - this.#awaitedBytes;
    if (sizeBytes > roomBytes) {
      const message = `the image has ${sizeBytes} bytes, and there is room for ${Math.max(0, Math.floor(roomBytes))} of images not yet committed`;
      throw new RegistryError('STAGING_FULL', 'staging', { message });
    }
    const taken = (one: Wanted): void => {
      if (missing.delete(one)) this.#awaitedBytes -= one.sizeBytes;
    };
    this.#awaitedBytes += sizeBytes;
    try {
      return await work(taken);
    } finally {
      for (const one of missing) taken(one);
    }
  }

  #stageManifest({ bytes, sha256 }: FetchedManifest, signal: AbortSignal): Promise<FileIdentity> {
    const file = { sha256, sizeBytes: bytes.length };
    return this.#once(file, signal, () => this.#write(file, Readable.from([bytes]), () => {}));
  }

  #blob(descriptor: Descriptor, { upstream, repository, key, signal }: BlobSource): Promise<FileIdentity> {
    return this.#once(descriptor, signal, (shared) =>
      this.#turns.run(key, async () => {
        try {
          const stream = upstream.blob(repository, descriptor, shared);
          return await this.#write(descriptor, stream, (sizeBytes) => this.#count(key, sizeBytes));
        } catch (error) {
          // The image is there, and can't be whole: that says something of it, and not that there is none.
          if (!(error instanceof RegistryError) || error.code !== 'UPSTREAM_ABSENT') throw error;
          const message = `its manifest names ${formatDigest(descriptor.sha256)}, which the upstream does not have`;
          throw new RegistryError('MISMATCH', formatDigest(descriptor.sha256), { message, cause: error });
        }
      }),
    );
  }

  /** One write of a file however many images name it; none when its bytes are here. Who says another size asks for another file. */
  async #once(file: Wanted, signal: AbortSignal, write: (signal: AbortSignal) => Promise<FileIdentity>): Promise<FileIdentity> {
    return this.#heldFile(file) ?? (await this.#files.join(`${digestToHex(file.sha256)}/${file.sizeBytes}`, signal, write));
  }

  /** What this disk has of it, staged or committed, or null. */
  #heldFile(file: Wanted): FileIdentity | null {
    const staged = this.#deps.staging.get(file.sha256);
    if (staged !== null) return staged.sizeBytes === file.sizeBytes ? staged : null;
    const entry = this.#deps.blobs.has(file) ? this.#deps.ledger.file(file.sha256) : null;
    return entry === null ? null : { sha256: entry.digests.sha256, sizeBytes: entry.sizeBytes, piecesRoot: entry.piecesRoot };
  }

  async #write(file: Wanted, stream: AsyncIterable<Uint8Array>, onBytes: (sizeBytes: number) => void): Promise<FileIdentity> {
    const into = await this.#deps.staging.write({ maxBytes: file.sizeBytes, keepMs: KEEP_MS });
    try {
      for await (const chunk of stream) {
        await into.write(chunk);
        onBytes(chunk.length);
      }
      const written = await into.finish();
      if (written.sizeBytes !== file.sizeBytes || !sameBytes(written.sha256, file.sha256)) {
        const message = `the upstream lies: asked for ${formatDigest(file.sha256)} (${file.sizeBytes} bytes), got ${formatDigest(written.sha256)} (${written.sizeBytes})`;
        throw new RegistryError('UPSTREAM_FAILED', formatDigest(file.sha256), { message });
      }
      const { sha256, sizeBytes, piecesRoot } = await into.commit(written);
      return { sha256: asDigest(sha256), sizeBytes, piecesRoot };
    } catch (error) {
      await into.cancel();
      throw error;
    }
  }

  /** What its config says; null of what is no image for a platform. */
  async #platformOf(config: Descriptor): Promise<string | null> {
    const file = isImageConfigType(config.mediaType) ? this.#heldFile(config) : null;
    if (file === null || file.sizeBytes > MAX_MANIFEST_BYTES) return null;
    const reader = (await this.#deps.staging.openReader(file.sha256)) ?? (await this.#deps.blobs.openReader(file));
    if (reader === null) return null;
    try {
      const bytes = new Uint8Array(file.sizeBytes);
      for (let position = 0; position < bytes.length; ) position += await reader.read(bytes.subarray(position), position);
      return platformOfConfig(bytes);
    } finally {
      await reader.close();
    }
  }

  #upstream(rule: PolicyRule): OciUpstream {
    const upstream = rule.upstream === null ? undefined : this.#deps.upstreams.get(rule.upstream);
    if (upstream !== undefined) return upstream;
    const message = `this authority has no upstream '${rule.upstream ?? ''}': set upstream.urls in its configuration`;
    throw new RegistryError('UPSTREAM_FAILED', rule.upstream ?? '', { message });
  }

  #count(key: string, sizeBytes: number): void {
    remember(this.#fetchedBytes, key, (this.#fetchedBytes.get(key) ?? 0) + sizeBytes, MAX_COUNTED);
  }
}

interface BlobSource {
  readonly upstream: OciUpstream;
  readonly repository: string;
  /** Of the image. */
  readonly key: string;
  readonly signal: AbortSignal;
}

/** The repository's path at its registry. */
function repositoryOf(of: PackageName): string {
  return of.namespace === '' ? of.name : `${of.namespace}/${of.name}`;
}

/** Keeps the newest. */
function remember<T>(map: Map<string, T>, key: string, value: T, most: number): void {
  map.delete(key);
  map.set(key, value);
  for (const [oldest] of map) {
    if (map.size <= most) return;
    map.delete(oldest);
  }
}
