/**
 * What this authority sees of an image at its upstream, with the bytes in its own staging: each manifest, config and layer fetched once,
 * hashed here and compared with what names it. Follows docs/SPEC.md §3.8. Decides nothing: a claim is compared with what was seen by the
 * checker, and made of it by the request desk. Foreign URLs are never fetched.
 */

import { setMaxListeners } from 'node:events';
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
import { blobsOf, type HeldImage } from './claim.ts';
import { type Descriptor, MAX_MANIFEST_BYTES, parseManifest, platformOfConfig } from './manifest.ts';
import { isImageConfigType } from './media-types.ts';
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
/** Images remembered as fetched; one costs a few KiB. */
const MAX_HELD = 512;
/** Blobs fetched at once, over all images. */
const MAX_FETCHES = 6;
/** A config is read whole to learn its platform. */
const MAX_CONFIG_BYTES = 4_194_304;

export class UpstreamImages {
  readonly #deps: UpstreamImagesDeps;
  readonly #resolved: Map<string, { readonly sha256: Digest; readonly atMs: number }> = new Map();
  readonly #manifests: Map<string, FetchedManifest> = new Map();
  readonly #held: Map<string, Promise<HeldImage>> = new Map();
  readonly #fetching: Map<string, Promise<FileIdentity>> = new Map();
  readonly #waiting: (() => void)[] = [];
  readonly #stopped: AbortController = new AbortController();
  #running = 0;
  /** Bytes taken from upstreams so far, by the image they were for. */
  readonly #fetchedBytes: Map<string, number> = new Map();

  constructor(deps: UpstreamImagesDeps) {
    this.#deps = deps;
    // Every fetch under way listens.
    setMaxListeners(0, this.#stopped.signal);
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
    remember(this.#manifests, digestToHex(manifest.sha256), manifest, MAX_HELD / 8);
    remember(this.#resolved, key, { sha256: manifest.sha256, atMs: nowMs }, MAX_RESOLVED);
    return manifest.sha256;
  }

  /** The same by a HEAD where the upstream answers it: for tags that have most likely stayed. */
  async peek(of: PackageName, tag: string, options: { readonly rule: PolicyRule; readonly signal: AbortSignal }): Promise<Digest> {
    return await this.#upstream(options.rule).resolve(repositoryOf(of), tag, options.signal);
  }

  /**
   * The image with all its bytes on this disk; fetched where they are not, once however many ask. Throws UPSTREAM_*, MISMATCH (the manifest
   * is none), TOO_LARGE, STAGING_FULL, NO_SPACE, READ_ONLY, DISK or ABORTED.
   */
  async hold(coordinates: Coordinates, options: { readonly rule: PolicyRule; readonly signal: AbortSignal }): Promise<HeldImage> {
    const key = coordinatesKey(coordinates);
    const known = this.#held.get(key);
    if (known !== undefined) {
      const image = await unless(options.signal, known, key);
      if (this.#isHeld(image)) return image;
      if (this.#held.get(key) === known) this.#held.delete(key);
    }
    const again = this.#held.get(key);
    if (again !== undefined) return await unless(options.signal, again, key);
    const fetched = this.#fetch(coordinates, options.rule);
    remember(this.#held, key, fetched, MAX_HELD);
    fetched.catch(() => {
      if (this.#held.get(key) === fetched) this.#held.delete(key);
    });
    return await unless(options.signal, fetched, key);
  }

  /** Ends all fetches. */
  stop(): void {
    this.#stopped.abort();
  }

  #isHeld(image: HeldImage): boolean {
    return [image.manifestFile, ...image.blobs.values()].every((file) => this.#heldFile(file) !== null);
  }

  /** Goes on when those who asked for it have left: others may be waiting, and the bytes are half here. */
  async #fetch(coordinates: Coordinates, rule: PolicyRule): Promise<HeldImage> {
    const { signal } = this.#stopped;
    const upstream = this.#upstream(rule);
    const repository = repositoryOf(coordinates);
    const fetched = await this.#manifestOf(coordinates, upstream, signal);
    const parsed = parseManifest(fetched.bytes, fetched.mediaType);
    if (!parsed.ok) throw new RegistryError('MISMATCH', coordinates.version, { message: `no manifest of an image: ${parsed.reason}` });
    const key = coordinatesKey(coordinates);
    const descriptors = blobsOf(parsed.manifest);
    const tooLarge = descriptors.find(({ sizeBytes }) => sizeBytes > rule.maxFileBytes);
    if (tooLarge !== undefined) {
      const message = `the policy allows ${rule.maxFileBytes} bytes a file, ${formatDigest(tooLarge.sha256)} has ${tooLarge.sizeBytes}`;
      throw new RegistryError('TOO_LARGE', coordinates.version, { message });
    }
    const manifestFile = await this.#stageManifest(fetched);
    const blobs = await Promise.all(
      descriptors.map(async (descriptor) => {
        const file = await this.#blob(descriptor, { key, stream: () => upstream.blob(repository, descriptor, signal) });
        return [digestToHex(descriptor.sha256), file] as const;
      }),
    );
    const { manifest } = parsed;
    const platform =
      manifest.kind === 'image' && isImageConfigType(manifest.config.mediaType) ? await this.#platformOf(manifest.config) : null;
    return { coordinates, mediaType: fetched.mediaType, manifest, manifestFile, blobs: new Map(blobs), platform };
  }

  async #manifestOf(coordinates: Coordinates, upstream: OciUpstream, signal: AbortSignal): Promise<FetchedManifest> {
    const sha256 = parseDigest(coordinates.version);
    const known = sha256 === null ? undefined : this.#manifests.get(digestToHex(sha256));
    return known ?? (await upstream.manifest(repositoryOf(coordinates), coordinates.version, signal));
  }

  #stageManifest({ bytes, sha256 }: FetchedManifest): Promise<FileIdentity> {
    async function* stream(): AsyncIterable<Uint8Array> {
      yield bytes;
    }
    return this.#once({ sha256, sizeBytes: bytes.length }, () => this.#write({ sha256, sizeBytes: bytes.length }, stream(), () => {}));
  }

  #blob(descriptor: Descriptor, from: { readonly key: string; readonly stream: () => AsyncIterable<Uint8Array> }): Promise<FileIdentity> {
    return this.#once(descriptor, async () => {
      await this.#turn();
      try {
        return await this.#write(descriptor, from.stream(), (sizeBytes) => this.#count(from.key, sizeBytes));
      } catch (error) {
        // The image is there, and can't be whole: that says something of it, and not that there is none.
        if (!(error instanceof RegistryError) || error.code !== 'UPSTREAM_ABSENT') throw error;
        const message = `its manifest names ${formatDigest(descriptor.sha256)}, which the upstream does not have`;
        throw new RegistryError('MISMATCH', formatDigest(descriptor.sha256), { message, cause: error });
      } finally {
        this.#endTurn();
      }
    });
  }

  /** One write of a file however many images name it; none when its bytes are here. */
  #once(file: Pick<Descriptor, 'sha256' | 'sizeBytes'>, write: () => Promise<FileIdentity>): Promise<FileIdentity> {
    const hex = digestToHex(file.sha256);
    const running = this.#fetching.get(hex);
    if (running !== undefined) return running;
    const held = this.#heldFile(file);
    if (held !== null) return Promise.resolve(held);
    const started = write().finally(() => this.#fetching.delete(hex));
    this.#fetching.set(hex, started);
    return started;
  }

  /** What this disk has of it, staged or committed, or null. */
  #heldFile(file: Pick<Descriptor, 'sha256' | 'sizeBytes'>): FileIdentity | null {
    const staged = this.#deps.staging.get(file.sha256);
    if (staged !== null) return staged.sizeBytes === file.sizeBytes ? staged : null;
    const entry = this.#deps.blobs.has(file) ? this.#deps.ledger.file(file.sha256) : null;
    return entry === null ? null : { sha256: entry.digests.sha256, sizeBytes: entry.sizeBytes, piecesRoot: entry.piecesRoot };
  }

  async #write(
    file: Pick<Descriptor, 'sha256' | 'sizeBytes'>,
    stream: AsyncIterable<Uint8Array>,
    onBytes: (sizeBytes: number) => void,
  ): Promise<FileIdentity> {
    const into = await this.#deps.staging.write({ maxBytes: file.sizeBytes });
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

  async #platformOf(config: Descriptor): Promise<string | null> {
    const file = this.#heldFile(config);
    if (file === null || file.sizeBytes > Math.min(MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES)) return null;
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
    remember(this.#fetchedBytes, key, (this.#fetchedBytes.get(key) ?? 0) + sizeBytes, MAX_HELD);
  }

  async #turn(): Promise<void> {
    if (this.#running < MAX_FETCHES) this.#running += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** The place goes to who waits longest. */
  #endTurn(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }
}

/** The repository's path at its registry. */
function repositoryOf(of: PackageName): string {
  return of.namespace === '' ? of.name : `${of.namespace}/${of.name}`;
}

/** The work's outcome, or ABORTED as soon as the signal fires; the work goes on. */
function unless<T>(signal: AbortSignal, work: Promise<T>, subject: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(new RegistryError('ABORTED', subject, { message: 'given up: nobody waits any more' }));
    if (signal.aborted) return gone();
    signal.addEventListener('abort', gone, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', gone));
  });
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
