/**
 * Which ports the nodes of a localnet use: read from each node's own cairn.toml, moved together by `--base-port`, and tried before anything
 * is started. Never guesses: what the configuration says is what is checked and shown.
 */

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { CONFIG_FILE_NAME, loadConfig, saveConfigText, setConfigText } from '../config/index.ts';

export interface NodePorts {
  readonly http: number;
  readonly admin: number;
  readonly metrics: number;
  readonly p2p: number;
}

/** With a base port, node i (from 0) takes the four from base + 10 i on. */
const PORTS_APART = 10;

export async function readPorts(dataDir: string): Promise<NodePorts> {
  const { config } = await loadConfig({ dataDir, environment: {}, flags: {} });
  const listen = config['p2p.listen'].map((address) => /\/tcp\/(\d+)/.exec(address)?.[1]).find((port) => port !== undefined);
  return { http: config['http.port'], admin: config['admin.port'], metrics: config['metrics.port'], p2p: Number(listen ?? 0) };
}

/** Rewrites every node's ports, and the addresses under which the nodes know each other. */
export async function assignPorts(dataDirs: readonly string[], basePort: number): Promise<void> {
  const old = await Promise.all(dataDirs.map(readPorts));
  const moved = new Map(old.map((ports, index) => [ports.p2p, basePort + index * PORTS_APART + 3]));
  const move = (address: string): string =>
    address.replace(/\/tcp\/(\d+)/, (whole, port) => `/tcp/${moved.get(Number(port)) ?? whole.slice(5)}`);
  for (const [index, dataDir] of dataDirs.entries()) {
    const file = path.join(dataDir, CONFIG_FILE_NAME);
    const { config } = await loadConfig({ dataDir, environment: {}, flags: {} });
    const first = basePort + index * PORTS_APART;
    let text = await readFile(file, 'utf8');
    text = setConfigText(text, 'http.port', String(first), file);
    text = setConfigText(text, 'admin.port', String(first + 1), file);
    text = setConfigText(text, 'metrics.port', String(first + 2), file);
    text = setConfigText(text, 'p2p.listen', config['p2p.listen'].map(move).join(','), file);
    text = setConfigText(text, 'p2p.peers', config['p2p.peers'].map(move).join(','), file);
    text = setConfigText(text, 'p2p.bootstrap', config['p2p.bootstrap'].map(move).join(','), file);
    await saveConfigText(file, text);
  }
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
