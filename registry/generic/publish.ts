/**
 * Publishing in the generic ecosystem: PUT takes one file, POST makes a version of all that was staged. Follows docs/SPEC.md, "Generic".
 * A token opens the door, policy decides, and the answer waits for the commit. Never publishes a byte that isn't synced in staging.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Coordinates, type FileEntry, formatDigest } from '../../chain/index.ts';
import { type HttpRefusal, refusalOfError, sendRefusal } from '../http-errors.ts';
import { bearerToken, refuseUpload, refuseUploadHeaders, stageBody } from '../http-upload.ts';
import type { Logger } from '../ports.ts';
import type { Staging } from '../staging.ts';
import type { Ledger, Publishing, PublishResult } from '../types.ts';
import { fileEntryOf } from './claim.ts';
import { formatPurl, parseGenericTarget } from './coordinates.ts';
import type { StagedVersions } from './staged-versions.ts';

export interface GenericPublishDeps {
  readonly ledger: Pick<Ledger, 'lookUp'>;
  readonly publishing: Publishing;
  readonly staging: Staging;
  readonly versions: StagedVersions;
  /** True for a token that may publish; compares in constant time (`tokenCheck`). */
  readonly mayWrite: (token: string) => boolean;
  readonly log: Logger;
  readonly publishWaitMs: number;
}

interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** `PUT /generic/NAMESPACE/NAME/VERSION/FILE`, with `?stage` or not. */
export async function putFile(deps: GenericPublishDeps, exchange: Exchange): Promise<FastifyReply> {
  const { request, reply } = exchange;
  const wanted = wantedFile(deps, request);
  if ('status' in wanted) return refuseUpload(request, reply, wanted);
  let file: FileEntry;
  try {
    file = fileEntryOf(wanted.name, await stageBody(deps.staging, exchange, wanted.maxBytes));
    if (wanted.stageOnly) await deps.versions.add(wanted.coordinates, file);
  } catch (error) {
    reply.header('connection', 'close');
    return sendRefusal(reply, refusalOfError(error, deps.log));
  }
  if (!wanted.stageOnly) return publish(deps, exchange, { coordinates: wanted.coordinates, files: [file] });
  const staged = { name: file.name, sizeBytes: file.sizeBytes, sha256: formatDigest(file.digests.sha256) };
  return reply.code(202).send({ purl: formatPurl(wanted.coordinates), staged });
}

/** `POST /generic/NAMESPACE/NAME/VERSION`. */
export async function postVersion(deps: GenericPublishDeps, exchange: Exchange): Promise<FastifyReply> {
  const { request, reply } = exchange;
  const parsed = parseGenericTarget(request.raw.url ?? '');
  const unauthorized = refuseToken(deps, request);
  if (unauthorized !== null) return refuseUpload(request, reply, unauthorized);
  const coordinates = parsed.ok ? parsed.target.version : null;
  if (!parsed.ok || coordinates === null || parsed.target.query !== '') {
    return refuseUpload(request, reply, badName(parsed.ok ? 'expected /generic/NAMESPACE/NAME/VERSION' : parsed.reason));
  }
  const refusal = refusePublication(deps, coordinates);
  if (refusal !== null) return refuseUpload(request, reply, refusal);
  request.raw.resume();
  const files = await deps.versions.list(coordinates);
  if (files.length === 0) {
    return sendRefusal(reply, { status: 400, code: 'NOTHING_STAGED', message: 'no file is staged for this version: PUT …?stage first' });
  }
  return publish(deps, exchange, { coordinates, files });
}

interface WantedFile {
  readonly coordinates: Coordinates;
  readonly name: string;
  readonly stageOnly: boolean;
  readonly maxBytes: number;
}

/** Everything that can be refused before the body is read. */
function wantedFile(deps: GenericPublishDeps, request: FastifyRequest): WantedFile | HttpRefusal {
  const parsed = parseGenericTarget(request.raw.url ?? '');
  const unauthorized = refuseToken(deps, request);
  if (unauthorized !== null) return unauthorized;
  if (!parsed.ok) return badName(parsed.reason);
  const { file, query } = parsed.target;
  if (file === null) return badName('expected /generic/NAMESPACE/NAME/VERSION/FILE');
  if (query !== '' && query !== 'stage') return badName('the one query known here is ?stage');
  const { coordinates, name } = file;
  const maxBytes = deps.publishing.maxFileBytes(coordinates);
  return (
    refusePublication(deps, coordinates) ??
    refuseUploadHeaders(request, maxBytes) ?? { coordinates, name, stageOnly: query === 'stage', maxBytes }
  );
}

function refuseToken(deps: GenericPublishDeps, request: FastifyRequest): HttpRefusal | null {
  const token = bearerToken(request);
  if (token !== null && deps.mayWrite(token)) return null;
  return { status: 401, code: 'UNAUTHORIZED', message: 'publishing needs Authorization: Bearer with a token of this node' };
}

function refusePublication(deps: GenericPublishDeps, coordinates: Coordinates): HttpRefusal | null {
  const entry = deps.ledger.lookUp(coordinates);
  if (entry?.kind === 'live') return refusalOf({ kind: 'exists', height: entry.height });
  if (entry?.kind === 'removed') return refusalOf({ kind: 'removed', height: entry.height });
  const result = deps.publishing.mayPublish(coordinates);
  return result === null ? null : refusalOf(result);
}

async function publish(
  deps: GenericPublishDeps,
  exchange: Exchange,
  version: { readonly coordinates: Coordinates; readonly files: readonly FileEntry[] },
): Promise<FastifyReply> {
  const { reply } = exchange;
  const { coordinates, files } = version;
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  const purl = formatPurl(coordinates);
  const result = await deps.publishing.publish(coordinates, files, { waitMs: deps.publishWaitMs, signal: gone.signal });
  deps.log.info({ purl, files: files.length, outcome: result.kind }, 'publication');
  const refusal = refusalOf(result);
  if (refusal !== null) return sendRefusal(reply, refusal);
  const named = files.map((file) => ({ name: file.name, sizeBytes: file.sizeBytes, sha256: formatDigest(file.digests.sha256) }));
  const single = named.length === 1 ? { sha256: named[0]?.sha256 } : {};
  if (result.kind !== 'committed') return reply.code(202).send({ purl, ...single, files: named, pending: true });
  await deps.versions.clear(coordinates);
  return reply.code(201).send({ purl, ...single, height: result.height, files: named });
}

/** Null for an outcome that isn't a refusal. */
function refusalOf(result: PublishResult): HttpRefusal | null {
  switch (result.kind) {
    case 'committed':
    case 'pending':
      return null;
    case 'exists':
      return { status: 409, code: 'EXISTS', message: `this version was committed at height ${result.height} and stays as it is` };
    case 'removed':
      return { status: 409, code: 'REMOVED', message: `this version was removed at height ${result.height}` };
    case 'refused':
      return { status: 403, code: 'REFUSED', message: result.reason };
    default:
      return assertNever(result);
  }
}

function badName(reason: string): HttpRefusal {
  return { status: 400, code: 'BAD_NAME', message: reason };
}

function assertNever(result: never): never {
  throw new TypeError(`unknown outcome ${JSON.stringify(result)}`);
}
