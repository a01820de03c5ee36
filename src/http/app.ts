/**
 * What the node's three HTTP servers have in common: limits against slow and greedy clients, plain JSON errors, counted answers.
 * Never logs a request line by line; never shows a stack.
 */

import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { sendOciRefusal } from '../../registry/index.ts';
import type { Metrics, RouteClass } from '../metrics/types.ts';
import type { Logger } from '../ports.ts';
import { FILE_HEADER, MODE_HEADER } from './front-protocol.ts';
import { CHECK_INTERVAL_MS, HEADERS_TIMEOUT_MS, KEEP_ALIVE_MS, MAX_HEADER_BYTES } from './limits.ts';

/** Longest path component that a route takes: names of 300 characters are refused by the adapter, not by the router. */
const MAX_PARAMETER_LENGTH = 1024;

export interface AppOptions {
  readonly maxConnections: number;
  /** Largest body that isn't streamed. */
  readonly bodyLimitBytes: number;
  /** A whole request must have come in this time; 0 for servers that take long uploads. */
  readonly requestTimeoutMs: number;
  /** A connection on which nothing moves for this long is closed. */
  readonly idleTimeoutMs: number;
}

export interface AppDeps {
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** An empty app with limits, error answers and counters. */
export function createApp(options: AppOptions, deps: AppDeps): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: options.bodyLimitBytes,
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: options.requestTimeoutMs,
    connectionTimeout: options.idleTimeoutMs,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: MAX_PARAMETER_LENGTH },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, allErrors: false } },
    // Only a path that is no URL comes here; the routes of the ecosystems never see it, so it gets their form of an error here.
    frameworkErrors: (_error, request, reply) => refuseBadPath(routeClassOf(request as FastifyRequest), reply as FastifyReply),
    http: { headersTimeout: HEADERS_TIMEOUT_MS, maxHeaderSize: MAX_HEADER_BYTES, connectionsCheckingInterval: CHECK_INTERVAL_MS },
  });
  app.server.maxConnections = options.maxConnections;
  app.setErrorHandler((error: FastifyError, request, reply) => answerError(error, { request, reply, log: deps.log }));
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'not found' }));
  app.addHook('onResponse', (request, reply, done) => {
    // An answer that the front sends, or has begun, is counted at its real end, by the front.
    const isCounted = reply.hasHeader(FILE_HEADER) || request.headers[MODE_HEADER] === 'rest';
    if (!isCounted) deps.metrics.httpRequest(routeClassOf(request), reply.statusCode, reply.elapsedTime);
    done();
  });
  return app;
}

function refuseBadPath(route: RouteClass, reply: FastifyReply): void {
  const message = 'the path holds a character that is not allowed';
  if (route === 'oci') void sendOciRefusal(reply, { code: 'NAME_INVALID', message });
  else void reply.code(400).send({ error: route === 'generic' ? { code: 'BAD_NAME', message } : message });
}

/** A refusal as `{error}`; what the client can't help is logged and told in general terms. */
function answerError(
  error: FastifyError,
  { request, reply, log }: { readonly request: FastifyRequest; readonly reply: FastifyReply; readonly log: Logger },
): FastifyReply {
  const status = error.statusCode ?? 500;
  if (status < 500) return reply.code(status).send({ error: error.message });
  log.error({ error, method: request.method, route: request.routeOptions.url ?? 'none' }, 'http request failed');
  return reply.code(status).send({ error: 'the node failed to answer; its log says why' });
}

/** For the metrics. */
export function routeClassOf(request: FastifyRequest): RouteClass {
  const route = request.routeOptions.url ?? '';
  if (request.url.startsWith('/generic/')) return 'generic';
  if (/^\/v2(?:[/?]|$)/.test(request.url)) return 'oci';
  return route === '/' || route === '/healthz' || route === '/metrics' || route === '' ? 'other' : 'admin';
}
