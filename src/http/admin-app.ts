/**
 * The operator's API over `NodeOperations`, as JSON, on 127.0.0.1 alone. Every request needs the bearer token and a Host header that names
 * this machine, so that no web page can reach it by DNS rebinding. Follows docs/admin-api.md. Never sends a CORS header.
 */

import type { FastifyInstance } from 'fastify';
import { MAX_SEALED_BYTES } from '../../chain/index.ts';
import type { NodeOperations } from '../operations.ts';
import { parsePurl } from '../purl.ts';
import { type AppDeps, createApp } from './app.ts';
import { networkOrders } from './network-orders.ts';
import { isAuthorized } from './tokens.ts';

const LOCAL_HOST = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?$/i;
const MAX_LIMIT = 1000;

const limit = { type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: 100 };
/** A lone surrogate is no text: it has no encoding. */
const TEXT = '^[^\\ud800-\\udfff]*$';
const target = { type: 'string', minLength: 1, maxLength: 1024, pattern: TEXT };

const artifactsQuery = {
  type: 'object',
  additionalProperties: false,
  properties: { after: { type: 'string', maxLength: 1024 }, limit },
};
const logQuery = {
  type: 'object',
  additionalProperties: false,
  properties: {
    key: { type: 'string', minLength: 1, maxLength: 1024 },
    package: { type: 'string', minLength: 1, maxLength: 1024 },
    fromHeight: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 0 },
    latest: { type: 'boolean', default: false },
    limit,
  },
};
const blockQuery = {
  type: 'object',
  additionalProperties: false,
  required: ['height'],
  properties: { height: { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER } },
};
const pingBody = {
  type: 'object',
  additionalProperties: false,
  required: ['peerId'],
  properties: { peerId: { type: 'string', pattern: '^[1-9A-HJ-NP-Za-km-z]{32,128}$' } },
};
const removeBody = {
  type: 'object',
  additionalProperties: false,
  required: ['target'],
  properties: { target, reason: { type: 'string', maxLength: 256, pattern: TEXT, nullable: true } },
};
const buildBody = {
  type: 'object',
  additionalProperties: false,
  required: ['image'],
  properties: { image: { type: 'string', minLength: 1, maxLength: 512, pattern: TEXT } },
};
const buildQuery = {
  type: 'object',
  additionalProperties: false,
  required: ['id'],
  properties: { id: { type: 'string', pattern: '^[0-9a-f]{64}$' } },
};
const unmarkBody = { type: 'object', additionalProperties: false, required: ['target'], properties: { target } };

export function adminApp(options: { readonly token: string }, deps: AppDeps & { readonly operations: NodeOperations }): FastifyInstance {
  const app = createApp({ maxConnections: 64, bodyLimitBytes: 65_536, requestTimeoutMs: 30_000, idleTimeoutMs: 120_000 }, deps);
  app.removeContentTypeParser('text/plain');
  const binary = ['application/cbor', 'application/octet-stream'];
  app.addContentTypeParser(binary, { parseAs: 'buffer', bodyLimit: MAX_SEALED_BYTES }, (_request, body, done) => done(null, body));
  app.addHook('onRequest', async (request, reply) => {
    reply.header('cache-control', 'no-store');
    if (!LOCAL_HOST.test(request.headers.host ?? ''))
      return reply.code(421).send({ error: 'expected a Host header that names this machine' });
    if (!isAuthorized(request.headers.authorization, options.token)) {
      return reply.code(401).header('www-authenticate', 'Bearer').send({ error: 'expected the admin token as a bearer token' });
    }
    return undefined;
  });
  reads(app, deps.operations);
  blocks(app, deps.operations);
  orders(app, deps);
  builds(app, deps);
  networkOrders(app, deps);
  return app;
}

function reads(app: FastifyInstance, operations: NodeOperations): void {
  app.get('/status', () => operations.status());
  app.get('/peers', () => ({ peers: operations.peers() }));
  app.get('/marks', async () => ({ marks: await operations.marks() }));
  app.get<{ Querystring: { after?: string; limit: number } }>(
    '/artifacts',
    { schema: { querystring: artifactsQuery } },
    async ({ query }, reply) => {
      const after = query.after === undefined ? null : parsePurl(query.after);
      if (after?.ok === false) return reply.code(400).send({ error: `after: ${after.reason}` });
      return { artifacts: await operations.artifacts({ after: query.after ?? null, limit: query.limit }) };
    },
  );
  app.get<{ Querystring: { key?: string; package?: string; fromHeight: number; latest: boolean; limit: number } }>(
    '/log',
    { schema: { querystring: logQuery } },
    async ({ query }) => ({
      entries: await operations.log({
        key: query.key ?? null,
        package: query.package ?? null,
        fromHeight: query.fromHeight,
        limit: query.limit,
        latest: query.latest,
      }),
    }),
  );
}

function blocks(app: FastifyInstance, operations: NodeOperations): void {
  app.get<{ Querystring: { height: number } }>('/block', { schema: { querystring: blockQuery } }, async ({ query }, reply) => {
    const block = operations.block(query.height);
    return block ?? reply.code(404).send({ error: `no block at height ${query.height} on this node` });
  });
  app.post<{ Body: unknown }>('/submit', { bodyLimit: MAX_SEALED_BYTES }, async ({ body }, reply) => {
    if (!(body instanceof Uint8Array)) return reply.code(415).send({ error: 'expected a sealed transaction as application/cbor' });
    const result = await operations.submit(new Uint8Array(body));
    return reply.code(result.kind === 'refused' ? 409 : 200).send(result);
  });
}

function builds(app: FastifyInstance, { operations, log }: AppDeps & { readonly operations: NodeOperations }): void {
  app.post<{ Body: { image: string } }>('/build', { schema: { body: buildBody } }, async ({ body }, reply) => {
    const result = operations.build(body.image);
    log.info({ image: body.image, result: result.kind }, 'build asked for');
    return reply.code(result.kind === 'refused' ? 409 : 200).send(result);
  });
  app.get<{ Querystring: { id: string } }>('/build', { schema: { querystring: buildQuery } }, async ({ query }, reply) => {
    const status = await operations.buildStatus(query.id);
    return status ?? reply.code(404).send({ error: `${query.id} is no id of a build` });
  });
}

function orders(app: FastifyInstance, { operations, log }: AppDeps & { readonly operations: NodeOperations }): void {
  app.post<{ Body: { peerId: string } }>('/ping', { schema: { body: pingBody } }, async ({ body }, reply) => {
    try {
      return { rttMs: await operations.ping(body.peerId) };
    } catch (error) {
      return reply.code(502).send({ error: `no answer from ${body.peerId}: ${error instanceof Error ? error.message : 'unknown'}` });
    }
  });
  app.post<{ Body: { target: string; reason?: string | null } }>('/remove', { schema: { body: removeBody } }, async ({ body }, reply) => {
    const result = await operations.markRemoval(body.target, body.reason ?? null);
    log.info({ target: body.target, result: result.kind }, 'removal asked for');
    return reply.code(result.kind === 'refused' ? 409 : 200).send(result);
  });
  app.post<{ Body: { target: string } }>('/unmark', { schema: { body: unmarkBody } }, async ({ body }, reply) => {
    const unmarked = await operations.unmark(body.target);
    return reply.code(unmarked ? 200 : 404).send(unmarked ? { unmarked } : { error: `${body.target} is not marked on this node` });
  });
}
