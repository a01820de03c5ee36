/**
 * An authority's own check of a generic claim: it fetches every file from the author, hashes the bytes itself, and holds them in its own
 * staging before it says yes. Follows docs/SPEC.md §3.5. Policy (who may publish what, how big) is the state's question, not asked here.
 */

import { createHash } from 'node:crypto';
import {
  type AddArtifact,
  type Claim,
  checkCoordinates,
  checkFileName,
  type FileEntry,
  formatDigest,
  sameBytes,
} from '../../chain/index.ts';
import type { WrittenFile } from '../blob-writer.ts';
import { RegistryError, throwIfAborted } from '../error.ts';
import { identityOf } from '../library.ts';
import { MAX_RUN_BYTES } from '../pieces.ts';
import type { Staging } from '../staging.ts';
import { fetchFile, type TransferDeps, type TransferOptions } from '../transfer.ts';
import type { CheckVerdict, ClaimChecker } from '../types.ts';
import type { VerifiedReader } from '../verified-reader.ts';

export interface GenericCheckerOptions {
  readonly transfer: TransferOptions;
}

export interface GenericCheckerDeps extends TransferDeps {
  readonly staging: Staging;
}

type Context = { readonly authorPeerId: string; readonly signal: AbortSignal };

/**
 * `refused` is a statement about the claim and may be signed. What says nothing about it (the author is gone, the own disk is full, the
 * wait was given up) rejects with a RegistryError instead, and the claim may be checked again.
 */
export function genericChecker(options: GenericCheckerOptions, deps: GenericCheckerDeps): ClaimChecker {
  return {
    check: async (claim, context) => {
      const reason = refuseForm(claim);
      if (reason !== null || claim.kind !== 'AddArtifact') return { kind: 'refused', reason: reason ?? 'not a version' };
      for (const file of claim.files) {
        throwIfAborted(context.signal, formatDigest(file.digests.sha256));
        const verdict = await checkFile(options, deps, { file, context });
        if (verdict.kind === 'refused') return verdict;
      }
      return { kind: 'genuine' };
    },
  };
}

function refuseForm(claim: Claim): string | null {
  if (claim.kind !== 'AddArtifact' || claim.coordinates.ecosystem !== 'generic') return 'not a version of the generic ecosystem';
  const refusal = checkCoordinates(claim.coordinates);
  if (refusal !== null) return refusal;
  if (claim.verification !== 'published' || claim.source.kind !== 'publisher')
    return 'a generic version is published, never mirrored or rebuilt';
  if (claim.dependencies.length > 0) return 'a generic version has no dependencies';
  return refuseFiles(claim);
}

function refuseFiles(claim: AddArtifact): string | null {
  if (claim.files.length === 0) return 'the version has no file';
  for (const [index, file] of claim.files.entries()) {
    const refusal = checkFileName(file.name);
    if (refusal !== null) return refusal;
    const next = claim.files[index + 1];
    if (next !== undefined && next.name <= file.name) return 'the files are not sorted by name, each once';
    if (file.digests.h1 !== null) return `${file.name}: h1 belongs to Go modules`;
    if ((file.sizeBytes === 0) !== (file.piecesRoot === null)) return `${file.name}: only an empty file has no pieces root`;
  }
  return null;
}

async function checkFile(
  options: GenericCheckerOptions,
  deps: GenericCheckerDeps,
  asked: { readonly file: FileEntry; readonly context: Context },
): Promise<CheckVerdict> {
  const { file, context } = asked;
  const held = await openHeld(deps, file);
  if (held === 'other') return refusedFile(file, 'size or pieces root do not belong to these bytes');
  if (held !== null) {
    try {
      return compareExtra(file, await extraDigests(held, file));
    } finally {
      await held.close();
    }
  }
  const { sha512, sha1 } = file.digests;
  const into = await deps.staging.write({ maxBytes: file.sizeBytes, sha512: sha512 !== null, sha1: sha1 !== null });
  try {
    const request = { file: identityOf(file), kind: 'staged', providers: [context.authorPeerId], into, signal: context.signal } as const;
    await fetchFile(options.transfer, deps, request);
  } catch (error) {
    if (error instanceof RegistryError && error.code === 'BAD_RECORD') return refusedFile(file, error.message);
    throw error;
  }
  const verdict = compareExtra(file, await into.finish());
  if (verdict.kind === 'refused') await deps.staging.drop(file.digests.sha256);
  return verdict;
}

/** The bytes if they lie in staging already; `other` when this node knows that the claim describes them wrongly. */
async function openHeld(deps: GenericCheckerDeps, file: FileEntry): Promise<VerifiedReader | 'other' | null> {
  const { sha256, sizeBytes, piecesRoot } = identityOf(file);
  const staged = deps.staging.get(sha256);
  if (staged === null) return null;
  const sameRoot =
    staged.piecesRoot === null || piecesRoot === null ? staged.piecesRoot === piecesRoot : sameBytes(staged.piecesRoot, piecesRoot);
  return staged.sizeBytes === sizeBytes && sameRoot ? deps.staging.openReader(sha256) : 'other';
}

async function extraDigests(reader: VerifiedReader, file: FileEntry): Promise<Pick<WrittenFile, 'sha512' | 'sha1'>> {
  const sha512 = file.digests.sha512 === null ? null : createHash('sha512');
  const sha1 = file.digests.sha1 === null ? null : createHash('sha1');
  if (sha512 === null && sha1 === null) return { sha512: null, sha1: null };
  const buffer = new Uint8Array(Math.min(MAX_RUN_BYTES, file.sizeBytes));
  for (let position = 0; position < file.sizeBytes; ) {
    const read = await reader.read(buffer, position);
    sha512?.update(buffer.subarray(0, read));
    sha1?.update(buffer.subarray(0, read));
    position += read;
  }
  return { sha512: sha512?.digest() ?? null, sha1: sha1?.digest() ?? null };
}

function compareExtra(file: FileEntry, found: Pick<WrittenFile, 'sha512' | 'sha1'>): CheckVerdict {
  for (const name of ['sha512', 'sha1'] as const) {
    const claimed = file.digests[name];
    const computed = found[name];
    if (claimed !== null && (computed === null || !sameBytes(claimed, computed)))
      return refusedFile(file, `${name} does not belong to these bytes`);
  }
  return { kind: 'genuine' };
}

function refusedFile(file: FileEntry, reason: string): CheckVerdict {
  return { kind: 'refused', reason: `${file.name}: ${reason}`.slice(0, 512) };
}
