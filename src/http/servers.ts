/**
 * Starts the node's three HTTP servers (packages, admin, metrics) and closes them in order. That for packages listens in a thread of its own,
 * the front. A busy port is one clear error, and then no server stays behind.
 */

import type { FastifyInstance } from 'fastify';
import type { AnswerFront } from '../../registry/index.ts';
import type { Config } from '../config/index.ts';
import type { MetricsService } from '../metrics/metrics.ts';
import type { NodeOperations } from '../operations.ts';
import type { Logger } from '../ports.ts';
import { adminApp } from './admin-app.ts';
import { answerFront, Front, type FrontFiles } from './front.ts';
import { describeListenError } from './http-error.ts';
import { metricsApp } from './metrics-app.ts';
import { idleTimeoutMsOf, publicApp } from './public-app.ts';

/** Answers under way get this long at the end. */
const CLOSE_GRACE_MS = 5000;
/** A client that takes nothing of a file for so long is cut off. */
const CLIENT_STALL_MS = 60_000;

export interface HttpDeps {
  readonly operations: NodeOperations;
  /** Adds the ecosystems' routes to the public server; `front` is what their adapters may leave to the front. */
  readonly routes: (app: FastifyInstance, front: AnswerFront | undefined) => void;
  /** What the front serves by itself; nothing when left out. */
  readonly files?: FrontFiles;
  /** Called when a server has died; the log gets it when left out. */
  readonly fatal?: (error: unknown) => void;
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

interface Address {
  readonly host: string;
  readonly port: number;
  readonly key: string;
}

/** Listens and says on which port; closes what listens. */
interface Server extends Address {
  readonly listen: () => Promise<number>;
  readonly close: () => Promise<void>;
}

/** Listens on all three or on none; throws an HttpStartError. */
export async function startHttp(options: { readonly config: Config; readonly adminToken: string }, deps: HttpDeps): Promise<HttpServers> {
  const { config } = options;
  const appDeps = { metrics: deps.metrics.metrics, log: deps.log, operations: deps.operations };
  const servers: readonly Server[] = [
    packageServer(config, deps),
    server(adminApp({ token: options.adminToken }, appDeps), { host: '127.0.0.1', port: config['admin.port'], key: 'admin.port' }),
    server(metricsApp(deps.metrics, appDeps), { host: config['metrics.host'], port: config['metrics.port'], key: 'metrics.port' }),
  ];
  const close = async (): Promise<void> => {
    await Promise.all(servers.map((one) => one.close()));
  };
  const urls: string[] = [];
  try {
    for (const one of servers) urls.push(await listen(one));
  } catch (error) {
    await close();
    throw error;
  }
  const [publicUrl = '', adminUrl = '', metricsUrl = ''] = urls;
  return { publicUrl, adminUrl, metricsUrl, close };
}

/** The public app behind its front. */
function packageServer(config: Config, deps: HttpDeps): Server {
  const { log, operations, files = null } = deps;
  const { metrics } = deps.metrics;
  const fatal = deps.fatal ?? ((error: unknown) => log.error({ error }, 'the server for packages has died'));
  const limits = { maxConnections: config['http.maxConnections'], publishWaitMs: config['publish.waitMs'] };
  const front = files === null ? undefined : answerFront(files);
  const app = publicApp(limits, { metrics, log, operations, routes: (routed) => deps.routes(routed, front) });
  const at = { host: config['http.host'], port: config['http.port'], key: 'http.port' };
  let opened: Front | null = null;
  return {
    ...at,
    listen: async () => {
      const options = { ...at, ...limits, idleTimeoutMs: idleTimeoutMsOf(limits), clientStallMs: CLIENT_STALL_MS };
      const { front: listening, port } = await Front.open(options, { app, files, metrics, log, fatal });
      opened = listening;
      return port;
    },
    // The front first: its answers under way need the app.
    close: async () => {
      await opened?.close(CLOSE_GRACE_MS);
      await closeApp(app);
    },
  };
}

function server(app: FastifyInstance, at: Address): Server {
  return {
    ...at,
    listen: async () => {
      await app.listen({ host: at.host, port: at.port });
      // Not what `listen` resolves with: for all addresses of the machine that is one of them.
      const bound = app.server.address();
      return typeof bound === 'object' && bound !== null ? bound.port : at.port;
    },
    close: () => closeApp(app),
  };
}

async function listen(one: Server): Promise<string> {
  const { host } = one;
  try {
    return `http://${host.includes(':') ? `[${host}]` : host}:${await one.listen()}`;
  } catch (cause) {
    throw describeListenError(cause, one);
  }
}

async function closeApp(app: FastifyInstance): Promise<void> {
  const timer = setTimeout(() => app.server.closeAllConnections(), CLOSE_GRACE_MS);
  try {
    await app.close();
  } finally {
    clearTimeout(timer);
  }
}
