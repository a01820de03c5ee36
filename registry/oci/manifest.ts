/**
 * Reads a manifest or index: what it names, each by digest and size. Follows OCI image-spec 1.1 (manifest, image index, descriptor) and
 * Docker's schema 2. Total: any bytes get an answer, bounded in size, depth and count. Foreign `urls` are never looked at. A document that
 * another program could read as something else (an image and an index at once, a field's name in another case) is refused.
 */

import { type Digest, parseDigest } from '../../chain/index.ts';
import { isIndexType, isManifestType, isMediaType, OCI_INDEX, OCI_MANIFEST } from './media-types.ts';

/** OCI dist-spec 1.1: registries should take manifests of up to 4 MiB. */
export const MAX_MANIFEST_BYTES = 4_194_304;
/** Manifests of an index, layers of an image. */
const MAX_DESCRIPTORS = 1024;
const MAX_DEPTH = 32;
/** The fields that decide what is fetched. Go's JSON reader takes them in any case, and folds letters as Unicode does. */
const FIELDS: readonly string[] = [
  'schemaVersion',
  'mediaType',
  'artifactType',
  'config',
  'layers',
  'manifests',
  'subject',
  'digest',
  'size',
];

export interface Descriptor {
  readonly mediaType: string;
  readonly sha256: Digest;
  readonly sizeBytes: number;
}

/** One entry of an index. `platform` as `os/architecture[/variant]`, or null. */
export interface ManifestDescriptor extends Descriptor {
  readonly platform: string | null;
}

export type ParsedManifest =
  | {
      readonly kind: 'index';
      readonly manifests: readonly ManifestDescriptor[];
      readonly subject: Descriptor | null;
      readonly extra: Extra;
    }
  | {
      readonly kind: 'image';
      readonly config: Descriptor;
      readonly layers: readonly Descriptor[];
      readonly subject: Descriptor | null;
      readonly extra: Extra;
    };

/** What the referrers listing repeats. */
export interface Extra {
  /** `artifactType`, else of an image its config's media type; or null. */
  readonly artifactType: string | null;
  readonly annotations: Readonly<Record<string, string>> | null;
}

export type ManifestResult = { readonly ok: true; readonly manifest: ParsedManifest } | { readonly ok: false; readonly reason: string };

/** `mediaType`: as the registry said it in Content-Type; one that stands in the document must be the same. */
export function parseManifest(bytes: Uint8Array, mediaType: string): ManifestResult {
  if (!isManifestType(mediaType)) return refused(`${JSON.stringify(mediaType.slice(0, 100))} is no manifest type known here`);
  if (bytes.length > MAX_MANIFEST_BYTES) return refused(`the manifest has more than ${MAX_MANIFEST_BYTES} bytes`);
  const depth = nesting(bytes);
  if (depth > MAX_DEPTH) return refused(`the manifest nests deeper than ${MAX_DEPTH} levels`);
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return refused('the manifest is not JSON');
  }
  if (!isObject(document) || document.schemaVersion !== 2) return refused('expected a manifest with schemaVersion 2');
  if (document.mediaType !== undefined && document.mediaType !== mediaType)
    return refused('the manifest names another media type than its sender');
  try {
    checkFields(document, 'the manifest');
    return { ok: true, manifest: isIndexType(mediaType) ? readIndex(document) : readImage(document) };
  } catch (error) {
    if (!(error instanceof BadManifest)) throw error;
    return refused(error.message);
  }
}

/** The media type that the document gives itself, or that follows from its shape; null for what is no manifest. OCI image-spec, "mediaType". */
export function mediaTypeOf(document: unknown): string | null {
  if (!isObject(document)) return null;
  if (typeof document.mediaType === 'string') return isManifestType(document.mediaType) ? document.mediaType : null;
  if (Array.isArray(document.manifests)) return OCI_INDEX;
  return isObject(document.config) ? OCI_MANIFEST : null;
}

/** `os/architecture[/variant]` of an image's config, or null when it says none. */
export function platformOfConfig(bytes: Uint8Array): string | null {
  if (nesting(bytes) > MAX_DEPTH) return null;
  try {
    return platformOf(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return null;
  }
}

class BadManifest extends Error {}

const FOLDED_FIELDS: ReadonlyMap<string, string> = new Map(FIELDS.map((field) => [fold(field), field]));

function checkFields(object: Record<string, unknown>, where: string): void {
  for (const key of Object.keys(object)) {
    const field = FOLDED_FIELDS.get(fold(key));
    if (field !== undefined && field !== key) throw new BadManifest(`${where}: expected ${field}, got it in other letters`);
  }
}

/** One text for all that differ in case alone, U+017F and U+212A among them. */
function fold(text: string): string {
  return text.length > 64 ? text : text.toUpperCase().toLowerCase();
}

function readIndex(document: Record<string, unknown>): ParsedManifest {
  if (document.config !== undefined || document.layers !== undefined) throw new BadManifest('an index has neither config nor layers');
  const manifests = descriptors(document.manifests, 'manifests').map(({ raw, descriptor }) => ({
    ...descriptor,
    platform: platformOf(raw.platform),
  }));
  return { kind: 'index', manifests, subject: subjectOf(document), extra: extraOf(document, null) };
}

function readImage(document: Record<string, unknown>): ParsedManifest {
  if (document.manifests !== undefined) throw new BadManifest('an image has no manifests');
  const config = readDescriptor(document.config, 'config').descriptor;
  const layers = descriptors(document.layers ?? [], 'layers').map(({ descriptor }) => descriptor);
  return { kind: 'image', config, layers, subject: subjectOf(document), extra: extraOf(document, config.mediaType) };
}

function subjectOf(document: Record<string, unknown>): Descriptor | null {
  return document.subject === undefined || document.subject === null ? null : readDescriptor(document.subject, 'subject').descriptor;
}

function extraOf(document: Record<string, unknown>, otherwise: string | null): Extra {
  const { artifactType, annotations } = document;
  const texts = isObject(annotations)
    ? Object.entries(annotations).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
    : null;
  return {
    artifactType: typeof artifactType === 'string' && artifactType !== '' ? artifactType : otherwise,
    annotations: texts === null ? null : Object.fromEntries(texts),
  };
}

type Read = { readonly raw: Record<string, unknown>; readonly descriptor: Descriptor };

function descriptors(value: unknown, where: string): readonly Read[] {
  if (!Array.isArray(value)) throw new BadManifest(`${where}: expected a list`);
  if (value.length > MAX_DESCRIPTORS) throw new BadManifest(`${where}: expected at most ${MAX_DESCRIPTORS}, got ${value.length}`);
  return value.map((one, index) => readDescriptor(one, `${where}[${index}]`));
}

function readDescriptor(value: unknown, where: string): Read {
  if (!isObject(value)) throw new BadManifest(`${where}: expected a descriptor`);
  checkFields(value, where);
  const { mediaType, digest, size } = value;
  if (typeof mediaType !== 'string' || !isMediaType(mediaType)) throw new BadManifest(`${where}: expected a mediaType`);
  const sha256 = typeof digest === 'string' ? parseDigest(digest) : null;
  if (sha256 === null) throw new BadManifest(`${where}: expected a digest of the form sha256:<64 hex digits>`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw new BadManifest(`${where}: expected a size in bytes`);
  return { raw: value, descriptor: { mediaType, sha256, sizeBytes: size } };
}

function platformOf(value: unknown): string | null {
  if (!isObject(value)) return null;
  const { os, architecture, variant } = value;
  if (!isPlatformPart(os) || !isPlatformPart(architecture)) return null;
  return isPlatformPart(variant) ? `${os}/${architecture}/${variant}` : `${os}/${architecture}`;
}

function isPlatformPart(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(value);
}

/** How deep brackets nest, strings left out: known before anything is built. */
function nesting(bytes: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let inText = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (inText) {
      if (byte === 0x5c) at += 1;
      else if (byte === 0x22) inText = false;
    } else if (byte === 0x22) inText = true;
    else if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
      deepest = Math.max(deepest, depth);
    } else if (byte === 0x7d || byte === 0x5d) depth -= 1;
  }
  return deepest;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refused(reason: string): ManifestResult {
  return { ok: false, reason };
}
