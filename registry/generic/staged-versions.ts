/**
 * Which staged files wait to become which version: the notes behind `PUT …?stage` and `POST`. One small durable file a note, so that a
 * restart forgets none. Follows docs/SPEC.md §11.6; layout in blob-store.ts. Holds no bytes of any package.
 */

import { createHash } from 'node:crypto';
import {
  asDigest,
  type Coordinates,
  coordinates,
  coordinatesKey,
  decode,
  digestToHex,
  encode,
  type FileEntry,
  fileEntry,
  record,
} from '../../chain/index.ts';
import { STAGING } from '../blob-store.ts';
import { writeSynced } from '../blob-writer.ts';
import { diskError } from '../error.ts';
import type { FileSystem, Logger } from '../ports.ts';
import type { Staging } from '../staging.ts';

const FOLDER = `${STAGING}/versions`;
const MAX_NOTE_BYTES = 8192;

const note = record({ coordinates, file: fileEntry });

export interface StagedVersionsDeps {
  readonly files: FileSystem;
  readonly staging: Staging;
  readonly log: Logger;
}

export class StagedVersions {
  readonly #deps: StagedVersionsDeps;
  /** By coordinates, then by file name. */
  readonly #versions: Map<string, Map<string, FileEntry>> = new Map();

  private constructor(deps: StagedVersionsDeps) {
    this.#deps = deps;
  }

  static async open(deps: StagedVersionsDeps): Promise<StagedVersions> {
    const versions = new StagedVersions(deps);
    try {
      await deps.files.makeFolder(FOLDER);
      for (const name of await deps.files.list(FOLDER)) await versions.#load(name);
    } catch (error) {
      throw diskError(error, FOLDER);
    }
    return versions;
  }

  /** The bytes must lie committed in staging. A second file of one name takes the place of the first. */
  async add(of: Coordinates, file: FileEntry): Promise<void> {
    const path = pathOf(of, file.name);
    try {
      await writeSynced(this.#deps.files, `${path}.new`, encode(note, { coordinates: of, file }));
      await this.#deps.files.rename(`${path}.new`, path);
      await this.#deps.files.syncFolder(FOLDER);
    } catch (error) {
      throw diskError(error, FOLDER);
    }
    this.#put(of, file);
  }

  /** Files that wait for this version, sorted by name; those whose bytes expired are forgotten. */
  async list(of: Coordinates): Promise<readonly FileEntry[]> {
    const files = [...(this.#versions.get(coordinatesKey(of))?.values() ?? [])];
    const present = files.filter((file) => this.#deps.staging.get(file.digests.sha256) !== null);
    for (const file of files) if (!present.includes(file)) await this.#remove(of, file.name);
    return present.sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  /** Forgets the version: it was published, or given up. The bytes stay until promoted or expired. */
  async clear(of: Coordinates): Promise<void> {
    for (const name of this.#versions.get(coordinatesKey(of))?.keys() ?? []) await this.#remove(of, name);
  }

  async #load(name: string): Promise<void> {
    const { files, log, staging } = this.#deps;
    const path = `${FOLDER}/${name}`;
    const data = await files.readFile(path);
    const decoded = data === null ? null : decode(note, data, { maxBytes: MAX_NOTE_BYTES });
    if (decoded?.ok !== true || name.endsWith('.new') || staging.get(decoded.value.file.digests.sha256) === null) {
      log.debug({ name }, 'a note about a staged file was dropped');
      await files.remove(path);
      return;
    }
    this.#put(decoded.value.coordinates, decoded.value.file);
  }

  async #remove(of: Coordinates, name: string): Promise<void> {
    const key = coordinatesKey(of);
    const files = this.#versions.get(key);
    files?.delete(name);
    if (files?.size === 0) this.#versions.delete(key);
    try {
      await this.#deps.files.remove(pathOf(of, name));
    } catch (error) {
      throw diskError(error, FOLDER);
    }
  }

  #put(of: Coordinates, file: FileEntry): void {
    const key = coordinatesKey(of);
    const files = this.#versions.get(key) ?? new Map<string, FileEntry>();
    files.set(file.name, file);
    this.#versions.set(key, files);
  }
}

function pathOf(of: Coordinates, name: string): string {
  const hash = createHash('sha256')
    .update(`${coordinatesKey(of)}|${name}`)
    .digest();
  return `${FOLDER}/${digestToHex(asDigest(hash))}`;
}
