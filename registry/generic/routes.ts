/**
 * The generic ecosystem over HTTP: files of a version, its listing, and publishing. Follows docs/SPEC.md, "Generic": not on
 * the chain is 404, removed is 403 with the reason, on the chain and not to be had just now is 503. Serves nothing that the ledger doesn't
 * call live, and reads names from the raw target alone.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Coordinates, type FileEntry, formatDigest } from '../../chain/index.ts';
import { BufferPool } from '../byte-pump.ts';
import { sendRefusal } from '../http-errors.ts';
import { type FileAnswerDeps, sendFile } from '../http-file.ts';
import type { AnswerFront } from '../http-front.ts';
import { deferContinue, refuseUpload } from '../http-upload.ts';
import type { Library } from '../library.ts';
import type { Timers } from '../ports.ts';
import type { Ledger, LedgerEntry } from '../types.ts';
import { formatPurl, parseGenericTarget } from './coordinates.ts';
import { type GenericPublishDeps, postVersion, putFile } from './publish.ts';

export interface GenericRoutesOptions {
  /** How long a PUT or POST waits for the commit before it answers 202. Default: 30 s. */
  readonly publishWaitMs?: number;
  /** A client that takes no byte for so long is cut off. Default: 60 s. */
  readonly clientStallMs?: number;
}

export interface GenericRoutesDeps extends Omit<GenericPublishDeps, 'publishWaitMs' | 'ledger'> {
  readonly ledger: Pick<Ledger, 'lookUp' | 'isServable' | 'isFresh'>;
  readonly library: Pick<Library, 'open'>;
  readonly timers: Timers;
  readonly front?: AnswerFront | undefined;
  /** One budget for all adapters of a node. Default: one of its own. */
  readonly buffers?: BufferPool;
}

interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** Adds the routes, in a scope of their own. */
export function genericRoutes(app: FastifyInstance, deps: GenericRoutesDeps, options: GenericRoutesOptions = {}): void {
  const publishDeps: GenericPublishDeps = { ...deps, publishWaitMs: options.publishWaitMs ?? 30_000 };
  const files: FileAnswerDeps = {
    open: (one, wait) => deps.library.open(one, wait),
    timers: deps.timers,
    log: deps.log,
    buffers: deps.buffers ?? new BufferPool(),
    front: deps.front,
    clientStallMs: options.clientStallMs ?? 60_000,
  };
  deferContinue(app, '/generic/');
  app.register(async (scope) => {
    // Bodies are streams here, whatever their type says.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
    scope.route({
      method: ['GET', 'HEAD'],
      url: '/generic/*',
      exposeHeadRoute: false,
      handler: (request, reply) => getFile(deps, files, { request, reply }),
    });
    scope.put('/generic/*', (request, reply) => putFile(publishDeps, { request, reply }));
    scope.post('/generic/*', (request, reply) => postVersion(publishDeps, { request, reply }));
  });
  // The routes above take every path below /generic/, so what finds none is another method, or /generic itself.
  app.register(
    async (scope) => {
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
      scope.setNotFoundHandler(refuseMethod);
    },
    { prefix: '/generic' },
  );
}

const METHODS = ['GET', 'HEAD', 'PUT', 'POST'];

/** RFC 9110, §15.5.6: a 405 says what would be allowed. */
function refuseMethod(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  if (METHODS.includes(request.method)) {
    return refuseUpload(request, reply, { status: 404, code: 'NOT_FOUND', message: 'package paths begin with /generic/' });
  }
  reply.header('allow', METHODS.join(', '));
  return refuseUpload(request, reply, { status: 405, code: 'METHOD_NOT_ALLOWED', message: `${request.method} means nothing here` });
}

async function getFile(deps: GenericRoutesDeps, files: FileAnswerDeps, exchange: Exchange): Promise<FastifyReply> {
  const { request, reply } = exchange;
  const parsed = parseGenericTarget(request.raw.url ?? '');
  if (!parsed.ok) return sendRefusal(reply, { status: 400, code: 'BAD_NAME', message: parsed.reason });
  if (!deps.ledger.isFresh()) {
    return sendRefusal(reply, {
      status: 503,
      code: 'STALE',
      message: 'this node is cut off from the chain and might not know what was removed',
    });
  }
  const { file, version } = parsed.target;
  const ofFile = file === null ? null : deps.ledger.lookUp(file.coordinates);
  const entry = file !== null && ofFile?.kind === 'live' ? ofFile.files.find((one) => one.name === file.name) : undefined;
  if (entry !== undefined) {
    if (deps.ledger.isServable(entry.digests.sha256)) {
      return sendFile(files, exchange, entry);
    }
    deps.log.info({ sha256: formatDigest(entry.digests.sha256), step: 'refused' }, 'file request');
    return sendRefusal(reply, { status: 403, code: 'REMOVED', message: 'this file was removed from the network' });
  }
  const ofVersion = version === null ? null : deps.ledger.lookUp(version);
  if (version !== null && ofVersion?.kind === 'live') return reply.send(listing(version, ofVersion));
  const removed = [ofFile, ofVersion].find((one) => one?.kind === 'removed');
  if (removed?.kind === 'removed') {
    deps.log.info({ target: request.raw.url, step: 'refused', reason: removed.reason }, 'file request');
    return sendRefusal(reply, { status: 403, code: 'REMOVED', message: `removed at height ${removed.height}: ${removed.reason}` });
  }
  return sendRefusal(reply, { status: 404, code: 'NOT_FOUND', message: 'the chain knows no such file or version' });
}

function listing(coordinates: Coordinates, entry: Extract<LedgerEntry, { kind: 'live' }>): Record<string, unknown> {
  const folder = `/generic/${coordinates.namespace}/${coordinates.name}/${coordinates.version}`;
  return {
    purl: formatPurl(coordinates),
    height: entry.height,
    committed: new Date(entry.committedMs).toISOString(),
    files: entry.files.map((file: FileEntry) => ({
      name: file.name,
      mediaType: file.mediaType,
      sizeBytes: file.sizeBytes,
      sha256: formatDigest(file.digests.sha256),
      path: `${folder}/${file.name}`,
    })),
  };
}
