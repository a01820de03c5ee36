/**
 * The server for clients: the ecosystems' routes, a page that says what this is, and a health check. Never speaks of other nodes' addresses
 * and never takes an operator's order.
 */

import type { FastifyInstance } from 'fastify';
import type { NodeOperations } from '../operations.ts';
import { type AppDeps, createApp } from './app.ts';

const MINUTE_MS = 60_000;

export interface PublicAppOptions {
  readonly maxConnections: number;
  readonly publishWaitMs: number;
}

/** Longer than any answer is silent. */
export function idleTimeoutMsOf({ publishWaitMs }: Pick<PublicAppOptions, 'publishWaitMs'>): number {
  return publishWaitMs + 2 * MINUTE_MS;
}

/** `routes` adds the ecosystems' own. */
export function publicApp(
  options: PublicAppOptions,
  deps: AppDeps & { readonly operations: NodeOperations; readonly routes: (app: FastifyInstance) => void },
): FastifyInstance {
  const app = createApp(
    {
      maxConnections: options.maxConnections,
      bodyLimitBytes: 1_048_576,
      requestTimeoutMs: 0,
      idleTimeoutMs: idleTimeoutMsOf(options),
    },
    deps,
  );
  app.get('/', async (_request, reply) => reply.type('text/plain; charset=utf-8').send(await describe(deps.operations)));
  app.get('/healthz', async (_request, reply) => {
    const { chain } = await deps.operations.status();
    const status = chain.syncing ? 'syncing' : chain.fresh ? 'ok' : 'stale';
    if (status !== 'ok') reply.code(503).header('retry-after', '5');
    return reply.header('cache-control', 'no-store').send({ status, height: chain.height, targetHeight: chain.targetHeight });
  });
  deps.routes(app);
  return app;
}

async function describe(operations: NodeOperations): Promise<string> {
  const { name, version, role, chain } = await operations.status();
  return `${name}: a Cairn ${role}, version ${version}

chain   sha256:${chain.chainId}
height  ${chain.height}

Every file served here was vetted by a quorum of independent authorities and is checked against their chain before it is sent.

  docker pull HOST/docker.io/library/IMAGE
  curl -O    http://HOST/generic/NAMESPACE/NAME/VERSION/FILE
${role === 'authority' ? "  curl -T FILE -H 'Authorization: Bearer TOKEN' http://HOST/generic/NAMESPACE/NAME/VERSION/\n" : ''}  curl       http://HOST/healthz
`;
}
