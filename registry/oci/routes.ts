/**
 * The OCI distribution protocol, its reading half, over what the chain holds. Follows OCI distribution-spec 1.1 and docs/SPEC.md, "OCI".
 * Reads names from the raw target alone, compresses nothing, takes no upload.
 */

import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { BufferPool } from '../byte-pump.ts';
import type { AnswerFront } from '../http-front.ts';
import { leaveBody } from '../http-upload.ts';
import type { Library } from '../library.ts';
import type { Logger, Timers } from '../ports.ts';
import type { Ledger, Requesting } from '../types.ts';
import { type BlobDeps, getBlob } from './blobs.ts';
import { API_VERSION, API_VERSION_HEADER, sendOciRefusal } from './errors.ts';
import { ManifestCache } from './manifest-cache.ts';
import { Manifests, sendStale } from './manifests.ts';
import { Misses } from './miss.ts';
import { parseOciTarget } from './names.ts';
import { getReferrers } from './referrers.ts';
import { getTags } from './tags.ts';

export interface OciRoutesOptions {
  /** The registry meant when a client names none. Default: `docker.io`. */
  readonly defaultRegistry?: string;
  /** Manifests held in memory. Default: 64 MiB. */
  readonly manifestCacheBytes?: number;
  /** A client that takes no byte for so long is cut off. Default: 60 s. */
  readonly clientStallMs?: number;
}

export interface OciRoutesDeps {
  readonly ledger: Pick<Ledger, 'epoch' | 'lookUp' | 'file' | 'isBanned' | 'name' | 'labels' | 'versions' | 'isFresh'>;
  readonly library: Pick<Library, 'open'>;
  readonly requesting: Requesting;
  readonly timers: Timers;
  readonly log: Logger;
  readonly front?: AnswerFront | undefined;
  /** One budget for all adapters of a node. Default: one of its own. */
  readonly buffers?: BufferPool;
  /** Told of manifests that are sent from memory; of all other bytes the library tells. */
  readonly onRead?: (from: 'local', sizeBytes: number) => void;
}

interface Parts {
  readonly deps: OciRoutesDeps;
  readonly defaultRegistry: string;
  readonly cache: ManifestCache;
  readonly manifests: Manifests;
  readonly blobs: BlobDeps;
}

const ALLOWED = 'GET, HEAD';

/** Adds the routes, in a scope of their own. */
export function ociRoutes(app: FastifyInstance, deps: OciRoutesDeps, options: OciRoutesOptions = {}): void {
  const { ledger, library, timers, log } = deps;
  const cache = new ManifestCache(options.manifestCacheBytes === undefined ? {} : { maxBytes: options.manifestCacheBytes }, { library });
  const parts: Parts = {
    deps,
    defaultRegistry: options.defaultRegistry ?? 'docker.io',
    cache,
    manifests: new Manifests({ ...deps, cache, misses: new Misses(deps) }),
    blobs: {
      ledger,
      timers,
      log,
      front: deps.front,
      buffers: deps.buffers ?? new BufferPool(),
      clientStallMs: options.clientStallMs ?? 60_000,
      open: (file, wait) => library.open(file, wait),
    },
  };
  app.register(
    async (scope) => {
      // Whatever is sent is refused unread, whatever its type.
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
      scope.setErrorHandler((error: FastifyError, request, reply) => answerError(error, { request, reply, log }));
      scope.setNotFoundHandler((request, reply) => refuseMethod(request, reply));
      for (const url of ['/', '/*']) {
        scope.route({ method: ['GET', 'HEAD'], url, exposeHeadRoute: false, handler: (request, reply) => read(parts, request, reply) });
      }
    },
    { prefix: '/v2' },
  );
}

/** Nothing but the reply's end is waited for when the answer lies ready: no promise is made on that path. */
function read(parts: Parts, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> | undefined {
  const isFresh = parts.deps.ledger.isFresh();
  if (isFresh && parts.manifests.answerKnown(request, reply)) return undefined;
  return readTarget(parts, { request, reply }, isFresh);
}

async function readTarget(
  { deps, defaultRegistry, cache, manifests, blobs }: Parts,
  exchange: { readonly request: FastifyRequest; readonly reply: FastifyReply },
  isFresh: boolean,
): Promise<FastifyReply> {
  const { request, reply } = exchange;
  const parsed = parseOciTarget(request.raw.url ?? '', { defaultRegistry });
  if (!parsed.ok) return sendOciRefusal(reply, parsed.refusal);
  const { target } = parsed;
  if (target.kind === 'base') return reply.header(API_VERSION_HEADER, API_VERSION).send({});
  if (target.kind === 'write') return sendOciRefusal(reply, { code: 'BLOB_UPLOAD_UNKNOWN', message: 'this node takes no uploads' });
  if (!isFresh) return sendStale(reply);
  switch (target.kind) {
    case 'manifest':
      return await manifests.get(request, reply, target);
    case 'blob':
      return await getBlob(blobs, exchange, target);
    case 'tags':
      return await getTags(deps.ledger, reply, target);
    case 'referrers':
      return await getReferrers({ ledger: deps.ledger, cache, log: deps.log }, reply, target);
  }
}

/** RFC 9110, §15.5.6: a 405 says what would be allowed. */
async function refuseMethod(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  leaveBody(request, reply);
  if (request.method === 'GET' || request.method === 'HEAD')
    return sendOciRefusal(reply, { code: 'UNSUPPORTED', message: 'there is no such endpoint', status: 404 });
  reply.header('allow', ALLOWED);
  return sendOciRefusal(reply, {
    code: 'UNSUPPORTED',
    message: `this node serves images and takes none: ${request.method} is not allowed`,
  });
}

/** A bug, or a request that the framework refused: in this protocol's form, and without details. */
function answerError(
  error: FastifyError,
  { request, reply, log }: { readonly request: FastifyRequest; readonly reply: FastifyReply; readonly log: Logger },
): FastifyReply {
  const status = error.statusCode ?? 500;
  if (status < 500) return sendOciRefusal(reply, { code: 'UNSUPPORTED', message: error.message, status });
  log.error({ error, method: request.method, route: request.routeOptions.url ?? 'none' }, 'http request failed');
  return sendOciRefusal(reply, { code: 'UNKNOWN', message: 'the node failed to answer; its log says why', status });
}
