/** The part of the admin API that is about the network as a whole: members, parameters, evidence. Follows docs/admin-api.md. */

import type { FastifyInstance } from 'fastify';
import type { MembershipOrder, NodeOperations } from '../operations.ts';
import type { AppDeps } from './app.ts';

const MAX_LIMIT = 1000;
/** A lone surrogate is no text: it has no encoding. */
const TEXT = '^[^\\ud800-\\udfff]*$';
/** Parameters as JSON, a policy of many rules among them. */
const PARAMETERS_BYTES = 2 * 1024 * 1024;

const authorizeBody = {
  type: 'object',
  additionalProperties: false,
  required: ['order', 'target'],
  properties: {
    order: { type: 'string', enum: ['add', 'rotate', 'remove'] },
    // A consent is up to 4 KiB in base64url.
    target: { type: 'string', minLength: 1, maxLength: 6000, pattern: TEXT },
    reason: { type: 'string', minLength: 1, maxLength: 256, pattern: TEXT, nullable: true },
  },
};
const parametersBody = {
  type: 'object',
  additionalProperties: false,
  required: ['parameters'],
  properties: {
    parameters: { type: 'object' },
    atHeight: { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER, nullable: true },
  },
};
const evidenceQuery = {
  type: 'object',
  additionalProperties: false,
  properties: {
    after: { type: 'string', minLength: 1, maxLength: 1024 },
    limit: { type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: 100 },
  },
};

export function networkOrders(app: FastifyInstance, { operations, log }: AppDeps & { readonly operations: NodeOperations }): void {
  app.get('/members', () => operations.members());
  app.post<{ Body: Omit<MembershipOrder, 'reason'> & { readonly reason?: string | null } }>(
    '/authorize',
    { schema: { body: authorizeBody } },
    async ({ body }, reply) => {
      const result = await operations.authorize({ ...body, reason: body.reason ?? null });
      log.info({ order: body.order, target: body.target.slice(0, 80), result: result.kind }, 'membership asked for');
      return reply.code(result.kind === 'refused' ? 409 : 200).send(result);
    },
  );
  app.get('/parameters', () => operations.parameters());
  app.post<{ Body: { readonly parameters: unknown; readonly atHeight?: number | null } }>(
    '/parameters',
    { schema: { body: parametersBody }, bodyLimit: PARAMETERS_BYTES },
    async ({ body }, reply) => {
      const result = await operations.propose(body.parameters, body.atHeight ?? null);
      log.info({ atHeight: body.atHeight ?? null, result: result.kind }, 'parameters asked for');
      return reply.code(result.kind === 'refused' ? 409 : 200).send(result);
    },
  );
  app.get<{ Querystring: { after?: string; limit: number } }>(
    '/evidence',
    { schema: { querystring: evidenceQuery } },
    async ({ query }) => ({ evidence: await operations.evidence({ after: query.after ?? null, limit: query.limit }) }),
  );
}
