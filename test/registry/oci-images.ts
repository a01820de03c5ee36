/**
 * Images made by hand for the tests of the OCI adapter: a layer that is a real tar, its config, its manifest, and indexes over them.
 * The same seed makes the same bytes. Nothing here reads a registry.
 */

import { gzipSync } from 'node:zlib';
import { type Coordinates, type FileEntry, formatDigest } from '../../chain/index.ts';
import { entryOf, identify, type MapLedger, put, type TestNode } from './fixture.ts';

export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';

export interface Part {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** A manifest or index with the files of its artifact, the manifest first. */
export interface MadeImage {
  readonly digest: string;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  readonly parts: readonly Part[];
  readonly dependencies: readonly string[];
}

export function digestOf(bytes: Uint8Array): string {
  return formatDigest(identify(bytes).sha256);
}

export function descriptorOf({ mediaType, bytes }: Part): Record<string, unknown> {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

/** One layer of one file; `more` is added to the manifest. */
export function makeImage(
  text: string,
  options: {
    readonly docker?: boolean;
    readonly architecture?: string;
    readonly more?: Record<string, unknown>;
    readonly subject?: string;
  } = {},
): MadeImage {
  const { docker = false, architecture = 'amd64', more = {}, subject } = options;
  const tar = tarOf('hello.txt', Buffer.from(text));
  const layer: Part = {
    mediaType: docker ? 'application/vnd.docker.image.rootfs.diff.tar.gzip' : 'application/vnd.oci.image.layer.v1.tar+gzip',
    bytes: gzipSync(tar),
  };
  const config: Part = {
    mediaType: docker ? 'application/vnd.docker.container.image.v1+json' : 'application/vnd.oci.image.config.v1+json',
    bytes: json({
      architecture,
      os: 'linux',
      config: { Cmd: ['/hello.txt'] },
      rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
      history: [{ created_by: 'a test' }],
    }),
  };
  const mediaType = docker ? DOCKER_MANIFEST : OCI_MANIFEST;
  const bytes = json({ schemaVersion: 2, mediaType, config: descriptorOf(config), layers: [descriptorOf(layer)], ...more });
  return {
    digest: digestOf(bytes),
    mediaType,
    bytes,
    parts: [{ mediaType, bytes }, config, layer],
    dependencies: subject === undefined ? [] : [subject],
  };
}

/** An index over images, one for each platform. */
export function makeIndex(images: readonly (readonly [string, MadeImage])[], options: { readonly docker?: boolean } = {}): MadeImage {
  const mediaType = options.docker === true ? DOCKER_LIST : OCI_INDEX;
  const manifests = images.map(([architecture, image]) => ({ ...descriptorOf(image), platform: { os: 'linux', architecture } }));
  const bytes = json({ schemaVersion: 2, mediaType, manifests });
  return {
    digest: digestOf(bytes),
    mediaType,
    bytes,
    parts: [{ mediaType, bytes }],
    dependencies: images.map(([, image]) => image.digest),
  };
}

/** `docker.io/library/NAME` unless the options say otherwise. */
export function image(
  name: string,
  digest: string,
  options: { readonly registry?: string; readonly namespace?: string } = {},
): Coordinates {
  const { registry = 'docker.io', namespace = 'library' } = options;
  return { ecosystem: 'docker', registry, namespace, name, version: digest };
}

export function filesOf(made: MadeImage): readonly FileEntry[] {
  const seen = new Map(made.parts.map((part) => [digestOf(part.bytes), part]));
  return [...seen].map(([digest, { mediaType, bytes }]) => {
    const own = mediaType === OCI_INDEX || mediaType === DOCKER_LIST ? 'index' : 'manifest';
    return { ...entryOf(digest === made.digest ? own : digest.replace(':', '-'), bytes), mediaType };
  });
}

/** Puts the files into the node's store and the artifact on its chain, under a tag if one is given. */
export async function commitImage(
  { node, ledger }: { readonly node: Pick<TestNode, 'blobs'>; readonly ledger: MapLedger },
  made: MadeImage,
  at: { readonly coordinates: Coordinates; readonly tag?: string; readonly stored?: boolean },
): Promise<void> {
  if (at.stored !== false) for (const { bytes } of made.parts) await put(node, bytes);
  const dependencies = made.dependencies.map((version) => ({ ...at.coordinates, version }));
  ledger.commit(at.coordinates, filesOf(made), 5, dependencies);
  if (at.tag !== undefined) ledger.setName(at.coordinates, at.tag);
}

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value, null, 3));
}

/** One file as a tar. POSIX.1-1988, "ustar". */
function tarOf(name: string, bytes: Uint8Array): Uint8Array {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  for (const [at, text] of [
    [100, '0000644'],
    [108, '0000000'],
    [116, '0000000'],
    [124, bytes.length.toString(8).padStart(11, '0')],
    [136, '00000000000'],
  ] as const)
    header.write(text, at);
  header.write('        0', 148);
  header.write('ustar\u000000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148);
  return Buffer.concat([header, bytes, Buffer.alloc(1024 + ((512 - (bytes.length % 512)) % 512))]);
}
