/**
 * A whole network on one machine: some authorities and mirrors as processes of their own, made with `cairn genesis localnet`. Knows its
 * folder, its nodes and how to start, watch and stop them. Ports as in docs/operations.md. Never prints: its users do.
 */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { NodeStatus } from '../operations.ts';
import { FolderInUseError, lockFolder } from '../world/instance-lock.ts';
import { AdminClient } from './admin-client.ts';
import { LocalnetError } from './localnet-error.ts';
import { CLI, NodeProcess, nodeEnvironment } from './node-process.ts';
import { allPorts, busyPorts, type NodePorts, readPorts } from './ports.ts';

const POLL_MS = 100;
const LOG_TAIL_LINES = 15;
/** Marks a folder as a localnet's, so that `--fresh` never removes anything else. */
const MARKER = 'localnet.json';

export interface LocalnetOptions {
  readonly dir: string;
  readonly authorities: number;
  readonly mirrors: number;
  /** Null: the ports that `cairn genesis localnet` gives. */
  readonly basePort: number | null;
  /** Registry that the authorities fetch images from; null: none. */
  readonly upstream?: string | null;
}

export interface LocalnetNode {
  readonly name: string;
  readonly role: 'authority' | 'mirror';
  readonly dataDir: string;
  readonly ports: NodePorts;
  readonly process: NodeProcess;
  readonly admin: AdminClient;
}

interface Marker {
  readonly authorities: number;
  readonly mirrors: number;
}

/** True when the folder holds a finished localnet; throws when it holds anything else. */
export async function isLocalnet(dir: string): Promise<boolean> {
  if (existsSync(path.join(dir, MARKER))) return true;
  const entries = existsSync(dir) ? await readdir(dir) : [];
  if (entries.length === 0) return false;
  throw new LocalnetError('foreign-folder', `${dir} is not empty and no localnet; choose another folder with --dir`);
}

/** Removes a localnet's folder, and only such a one; throws (`running`) while one of its nodes works in it. */
export async function removeLocalnet(dir: string): Promise<void> {
  if (!(await isLocalnet(dir))) return;
  await refuseRunning(dir);
  await rm(dir, { recursive: true, force: true });
}

/** Throws (`running`) when a living process holds the data folder of one of the nodes. */
export async function refuseRunning(dir: string): Promise<void> {
  for (const name of nodeNames(await readMarker(dir))) {
    const dataDir = path.join(dir, name);
    if (!existsSync(dataDir)) continue;
    try {
      await (await lockFolder(dataDir)).release();
    } catch (error) {
      if (!(error instanceof FolderInUseError)) throw error;
      throw new LocalnetError(
        'running',
        `The network in ${dir} is running (${name} is process ${error.processId}); nothing was started or changed. Stop it with Ctrl-C where it runs, or run another one: \`npm start -- --dir OTHER --base-port N\`.`,
        error,
      );
    }
  }
}

async function readMarker(dir: string): Promise<Marker> {
  return JSON.parse(await readFile(path.join(dir, MARKER), 'utf8')) as Marker;
}

/** Writes keys, genesis and configuration of every node; the folder appears whole or not at all. */
export async function createLocalnet(options: LocalnetOptions): Promise<void> {
  const draft = `${options.dir}.new-${process.pid}`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(path.dirname(draft), { recursive: true });
  const counts = ['--authorities', String(options.authorities), '--mirrors', String(options.mirrors)];
  const ports = options.basePort === null ? [] : ['--base-port', String(options.basePort)];
  const upstream = options.upstream === undefined || options.upstream === null ? [] : ['--upstream', options.upstream];
  await runCli(['genesis', 'localnet', ...counts, ...ports, ...upstream, '--out', draft]);
  await writeFile(path.join(draft, MARKER), `${JSON.stringify({ authorities: options.authorities, mirrors: options.mirrors })}\n`);
  await rm(options.dir, { recursive: true, force: true });
  await rename(draft, options.dir);
}

/** Runs `cairn` and resolves with its standard output; its last error line becomes the error's message. */
export async function runCli(args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [CLI, ...args], { env: nodeEnvironment(process.env) });
    return stdout;
  } catch (error) {
    const detail = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    throw new LocalnetError('command-failed', `\`cairn ${args.join(' ')}\` failed: ${detail || String(error)}`, error);
  }
}

function nodeNames(counts: Marker): readonly string[] {
  const numbered = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`);
  return [...numbered('node', counts.authorities), ...numbered('mirror', counts.mirrors)];
}

export class Localnet {
  readonly dir: string;
  readonly nodes: readonly LocalnetNode[];

  constructor(dir: string, nodes: readonly LocalnetNode[]) {
    this.dir = dir;
    this.nodes = nodes;
  }

  /** Reads what a localnet's folder holds; starts nothing. */
  static async open(dir: string): Promise<Localnet> {
    const marker = await readMarker(dir);
    const nodes = nodeNames(marker).map(async (name, index): Promise<LocalnetNode> => {
      const dataDir = path.join(dir, name);
      const ports = await readPorts(dataDir);
      return {
        name,
        role: index < marker.authorities ? 'authority' : 'mirror',
        dataDir,
        ports,
        process: new NodeProcess({ name, dataDir, logFile: path.join(dir, `${name}.log`) }),
        admin: new AdminClient({ dataDir, port: ports.admin }),
      };
    });
    return new Localnet(dir, await Promise.all(nodes));
  }

  /** Ports of this localnet that are taken by something else; asked before a start. */
  async busyPorts(): Promise<readonly number[]> {
    return await busyPorts(this.nodes.flatMap((node) => allPorts(node.ports)));
  }

  start(): void {
    for (const node of this.nodes) node.process.start();
  }

  /** Waits until the node answers its admin API; throws when it dies first, the signal fires or the time is over. */
  async waitUntilReady(node: LocalnetNode, options: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<NodeStatus> {
    return await this.waitForStatus(node, () => true, options);
  }

  /** Polls the node's status until the condition holds. */
  async waitForStatus(
    node: LocalnetNode,
    holds: (status: NodeStatus) => boolean,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<NodeStatus> {
    const deadline = Date.now() + options.timeoutMs;
    let last = 'it never answered';
    while (Date.now() < deadline) {
      options.signal?.throwIfAborted();
      if (!node.process.running) throw await diedError(node);
      try {
        const status = await node.admin.status();
        if (holds(status)) return status;
        last = `last status: height ${status.chain.height}, ${status.peers} peers`;
      } catch (error) {
        last = error instanceof Error ? error.message : String(error);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw new LocalnetError('timeout', `${node.name} was not where it should be after ${options.timeoutMs} ms; ${last}`);
  }

  /** Waits until every authority is connected with all other nodes, and every mirror with all authorities. */
  async waitUntilConnected(options: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<readonly NodeStatus[]> {
    const authorities = this.nodes.filter((node) => node.role === 'authority').length;
    const wanted = (node: LocalnetNode): number => (node.role === 'authority' ? this.nodes.length - 1 : authorities);
    return await Promise.all(this.nodes.map((node) => this.waitForStatus(node, (status) => status.peers >= wanted(node), options)));
  }

  /** Resolves with the first node that ends, together with its error. */
  async firstDeath(): Promise<LocalnetError> {
    return await Promise.race(this.nodes.map(async (node) => await diedError(node)));
  }

  /** Stops all, last started first, and returns the names of those that had to be killed. */
  async stop(boundMs: number): Promise<readonly string[]> {
    const ended = await Promise.all(this.nodes.toReversed().map(async (node) => ({ node, orderly: await node.process.stop(boundMs) })));
    return ended.filter(({ orderly }) => !orderly).map(({ node }) => node.name);
  }
}

/** Once the node has ended: how, and its last log lines. */
async function diedError(node: LocalnetNode): Promise<LocalnetError> {
  const exit = await node.process.exited;
  const how = exit?.signal ? `was ended by ${exit.signal}` : `ended with exit code ${exit?.code ?? 'unknown'}`;
  const tail = node.process.logTail(LOG_TAIL_LINES).map((line) => `    ${line}`);
  return new LocalnetError('node-died', [`${node.name} ${how}. The last lines of ${node.process.logFile}:`, ...tail].join('\n'));
}
