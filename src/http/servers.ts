/**
 * Starts the node's three HTTP servers (packages, admin, metrics) and closes them in order. A busy port is one clear error, and then no
 * server stays behind.
 */

import type { FastifyInstance } from 'fastify';
import type { Config } from '../config/index.ts';
import type { MetricsService } from '../metrics/metrics.ts';
import type { NodeOperations } from '../operations.ts';
import type { Logger } from '../ports.ts';
import { adminApp } from './admin-app.ts';
import { describeListenError } from './http-error.ts';
import { metricsApp } from './metrics-app.ts';
import { publicApp } from './public-app.ts';

/** Answers under way get this long at the end. */
const CLOSE_GRACE_MS = 5000;

export interface HttpDeps {
  readonly operations: NodeOperations;
  /** Adds the ecosystems' routes to the public server. */
  readonly routes: (app: FastifyInstance) => void;
  readonly metrics: MetricsService;
  readonly log: Logger;
}

export interface HttpServers {
  /** The address as configured and the port as bound: `http://127.0.0.1:7888`, `http://0.0.0.0:7888`, `http://[::]:7888`. */
  readonly publicUrl: string;
  readonly adminUrl: string;
  readonly metricsUrl: string;
  /** Ends idle connections at once and the others after a grace; resolves when all are closed. */
  readonly close: () => Promise<void>;
}

interface Server {
  readonly app: FastifyInstance;
  readonly host: string;
  readonly port: number;
  readonly key: string;
}

/** Listens on all three or on none; throws an HttpStartError. */
export async function startHttp(options: { readonly config: Config; readonly adminToken: string }, deps: HttpDeps): Promise<HttpServers> {
  const { config } = options;
  const appDeps = { metrics: deps.metrics.metrics, log: deps.log, operations: deps.operations };
  const servers: readonly Server[] = [
    {
      app: publicApp(
        { maxConnections: config['http.maxConnections'], publishWaitMs: config['publish.waitMs'] },
        { ...appDeps, routes: deps.routes },
      ),
      host: config['http.host'],
      port: config['http.port'],
      key: 'http.port',
    },
    { app: adminApp({ token: options.adminToken }, appDeps), host: '127.0.0.1', port: config['admin.port'], key: 'admin.port' },
    { app: metricsApp(deps.metrics, appDeps), host: config['metrics.host'], port: config['metrics.port'], key: 'metrics.port' },
  ];
  const close = async (): Promise<void> => {
    await Promise.all(servers.map(({ app }) => closeApp(app)));
  };
  const urls: string[] = [];
  try {
    for (const server of servers) urls.push(await listen(server));
  } catch (error) {
    await close();
    throw error;
  }
  const [publicUrl = '', adminUrl = '', metricsUrl = ''] = urls;
  return { publicUrl, adminUrl, metricsUrl, close };
}

async function listen(server: Server): Promise<string> {
  const { app, host } = server;
  try {
    await app.listen({ host, port: server.port });
  } catch (cause) {
    throw describeListenError(cause, server);
  }
  // Not what `listen` resolves with: for all addresses of the machine that is one of them.
  const bound = app.server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : server.port;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

async function closeApp(app: FastifyInstance): Promise<void> {
  const timer = setTimeout(() => app.server.closeAllConnections(), CLOSE_GRACE_MS);
  try {
    await app.close();
  } finally {
    clearTimeout(timer);
  }
}
