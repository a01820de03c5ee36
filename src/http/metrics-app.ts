/** The server that Prometheus scrapes: GET /metrics and nothing else. */

import type { FastifyInstance } from 'fastify';
import type { MetricsService } from '../metrics/metrics.ts';
import { type AppDeps, createApp } from './app.ts';

export function metricsApp(service: MetricsService, deps: AppDeps): FastifyInstance {
  const app = createApp({ maxConnections: 32, bodyLimitBytes: 1024, requestTimeoutMs: 10_000, idleTimeoutMs: 120_000 }, deps);
  app.get('/metrics', async (_request, reply) => {
    const { contentType, body } = await service.expose();
    return reply.header('content-type', contentType).send(body);
  });
  return app;
}
