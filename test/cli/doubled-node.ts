/** The real servers over a doubled node, and a data folder that leads the `cairn` command there. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Test } from 'tap';
import { loadConfig } from '../../src/config/index.ts';
import { type HttpServers, startHttp } from '../../src/http/index.ts';
import { createMetrics } from '../../src/metrics/metrics.ts';
import type { NodeOperations } from '../../src/operations.ts';
import { operationsDouble } from '../http/operations-double.ts';

const ADMIN_TOKEN = 'admin-token-for-tests';
export const PUBLISH_TOKEN = 'publish-token-for-tests';

export async function nodeWith(
  t: Test,
  options: { readonly operations?: Partial<NodeOperations>; readonly routes?: (app: FastifyInstance) => void } = {},
): Promise<{ readonly dataDir: string; readonly servers: HttpServers; readonly calls: readonly unknown[] }> {
  const dataDir = t.testdir();
  const operations = operationsDouble(options.operations);
  const flags = { 'http.port': '0', 'admin.port': '0', 'metrics.port': '0' };
  const { config } = await loadConfig({ dataDir, environment: {}, flags });
  const metrics = createMetrics({ nowMs: () => 0, processMetrics: false, version: '0' });
  const log = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };
  const servers = await startHttp({ config, adminToken: ADMIN_TOKEN }, { operations, routes: options.routes ?? (() => {}), metrics, log });
  t.teardown(() => servers.close());
  const port = (url: string): string => new URL(url).port;
  await writeFile(join(dataDir, 'cairn.toml'), `[http]\nport = ${port(servers.publicUrl)}\n[admin]\nport = ${port(servers.adminUrl)}\n`);
  await writeFile(join(dataDir, 'admin-token'), `${ADMIN_TOKEN}\n`, { mode: 0o600 });
  await writeFile(join(dataDir, 'publish-token'), `${PUBLISH_TOKEN}\n`, { mode: 0o600 });
  return { dataDir, servers, calls: operations.calls };
}
