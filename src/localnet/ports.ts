/**
 * Which ports the nodes of a localnet use: read from each node's own cairn.toml, and tried before anything is started. Never guesses: what the configuration says is what is checked and shown.
 */

import { createServer } from 'node:net';
import { loadConfig } from '../config/index.ts';

export interface NodePorts {
  readonly http: number;
  readonly admin: number;
  readonly metrics: number;
  readonly p2p: number;
}

export async function readPorts(dataDir: string): Promise<NodePorts> {
  const { config } = await loadConfig({ dataDir, environment: {}, flags: {} });
  const listen = config['p2p.listen'].map((address) => /\/tcp\/(\d+)/.exec(address)?.[1]).find((port) => port !== undefined);
  return { http: config['http.port'], admin: config['admin.port'], metrics: config['metrics.port'], p2p: Number(listen ?? 0) };
}

/** Those of the ports that something already listens on, or that may not be listened on, on loopback. */
export async function busyPorts(ports: readonly number[]): Promise<readonly number[]> {
  const free = await Promise.all(ports.map(canListen));
  return ports.filter((_, index) => free[index] === false);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

export function allPorts(ports: NodePorts): readonly number[] {
  return [ports.http, ports.admin, ports.metrics, ports.p2p];
}
