/**
 * Manifests in memory, for the one kind of file that every pull asks for: small, and asked by all. Bounded by bytes, the least recently
 * used leaves first. Bytes are hashed before they enter, and one file is read once however many wait. Never asked whether a manifest may be
 * served: that is the ledger's word, at every request.
 */

import { createHash } from 'node:crypto';
import { type Digest, digestToHex, type FileEntry, formatDigest } from '../../chain/index.ts';
import { RegistryError } from '../error.ts';
import type { Library } from '../library.ts';
import { MAX_MANIFEST_BYTES } from './manifest.ts';

export interface ManifestCacheOptions {
  /** Held at most, and read at once at most. Default: 64 MiB. */
  readonly maxBytes?: number;
}

export class ManifestCache {
  readonly #maxBytes: number;
  readonly #library: Pick<Library, 'open'>;
  /** By digest in hex; least recently used first. */
  readonly #held: Map<string, Buffer> = new Map();
  readonly #reading: Map<string, Promise<Buffer>> = new Map();
  #heldBytes = 0;
  #readingBytes = 0;

  constructor(options: ManifestCacheOptions, deps: { readonly library: Pick<Library, 'open'> }) {
    this.#maxBytes = options.maxBytes ?? 67_108_864;
    this.#library = deps.library;
  }

  /** Null when it would have to be read first. */
  held(hex: string): Buffer | null {
    const bytes = this.#held.get(hex);
    if (bytes === undefined) return null;
    this.#held.delete(hex);
    this.#held.set(hex, bytes);
    return bytes;
  }

  /** Throws as `Library.open` does, and UNAVAILABLE when too much is being read already. */
  async load(file: FileEntry): Promise<Buffer> {
    const hex = digestToHex(file.digests.sha256);
    const known = this.held(hex) ?? this.#reading.get(hex);
    if (known !== undefined) return await known;
    const subject = formatDigest(file.digests.sha256);
    if (file.sizeBytes > MAX_MANIFEST_BYTES)
      throw new RegistryError('BAD_RECORD', subject, { message: `the committed manifest has more than ${MAX_MANIFEST_BYTES} bytes` });
    if (this.#readingBytes + file.sizeBytes > this.#maxBytes)
      throw new RegistryError('UNAVAILABLE', subject, { message: 'too many manifests are being read already: come again' });
    const reading = this.#read(file, hex);
    this.#reading.set(hex, reading);
    return await reading;
  }

  async #read(file: FileEntry, hex: string): Promise<Buffer> {
    this.#readingBytes += file.sizeBytes;
    try {
      const bytes = await readWhole(this.#library, file);
      this.#keep(hex, bytes);
      return bytes;
    } finally {
      this.#readingBytes -= file.sizeBytes;
      this.#reading.delete(hex);
    }
  }

  #keep(hex: string, bytes: Buffer): void {
    this.#held.set(hex, bytes);
    this.#heldBytes += bytes.length;
    for (const [oldest, { length }] of this.#held) {
      if (this.#heldBytes <= this.#maxBytes) break;
      this.#held.delete(oldest);
      this.#heldBytes -= length;
    }
  }
}

async function readWhole(library: Pick<Library, 'open'>, file: FileEntry): Promise<Buffer> {
  const source = await library.open(file);
  // Not of the shared pool: what is kept must keep no neighbour alive.
  const bytes = Buffer.alloc(file.sizeBytes);
  try {
    for (let position = 0; position < bytes.length; ) {
      const read = await source.read(bytes.subarray(position), position);
      if (read === 0) throw mismatch(file.digests.sha256);
      position += read;
    }
  } finally {
    await source.close();
  }
  if (!createHash('sha256').update(bytes).digest().equals(file.digests.sha256)) throw mismatch(file.digests.sha256);
  return bytes;
}

function mismatch(sha256: Digest): RegistryError {
  const subject = formatDigest(sha256);
  return new RegistryError('BAD_RECORD', subject, { message: `the bytes of ${subject} do not have its digest` });
}
