/**
 * Each node in a network namespace of its own, joined by a switch that is a namespace too: one bridge a group, and to part nodes is to plug
 * their cables into other bridges. Established connections then go silent, as when a line breaks; nothing is reset. Needs root and `ip`.
 */

import { type ChildProcess, execFile, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { LocalnetNode } from '../../src/localnet/index.ts';
import { TAPPED_CAIRN } from './tapped.ts';
import { type Groups, loopbackAddress, reconfigure, type Terrain } from './terrain.ts';

const DOOR = fileURLToPath(new URL('door.js', import.meta.url));
const PREFIX = 'cairn-chaos-';
const MAX_GROUPS = 4;

/** Whether this process may make namespaces. */
export async function hasNamespaces(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  const trial = `${PREFIX}${process.pid}-trial`;
  try {
    await ip('netns', 'add', trial);
    await ip('netns', 'del', trial);
    return true;
  } catch {
    return false;
  }
}

export async function openNamespaces(nodes: readonly LocalnetNode[]): Promise<Terrain> {
  await sweep();
  const spaceOf = (name: string): string => `${PREFIX}${process.pid}-${name}`;
  const hub = spaceOf('switch');
  const doors: Door[] = [];
  const close = async (): Promise<void> => {
    for (const door of doors) door.close();
    for (const space of [...nodes.map((node) => spaceOf(node.name)), hub]) await ip('netns', 'del', space).catch(() => {});
  };
  const part = async (groups: Groups | null): Promise<void> => {
    for (const [index, node] of nodes.entries()) {
      const group = groups === null ? 0 : groups.findIndex((names) => names.includes(node.name));
      const place = group < 0 ? ['down'] : ['master', `group${group}`, 'up'];
      await ip('-n', hub, 'link', 'set', `port${index}`, ...place);
    }
  };
  try {
    await addSwitch(hub);
    for (const [index, node] of nodes.entries()) {
      await addNode({ hub, space: spaceOf(node.name), index });
      await reconfigure(node, (text) =>
        nodes.reduce((done, other, at) => done.replaceAll(loopbackAddress(other), addressOf(other, at)), text),
      );
      doors.push(await openDoor(node, spaceOf(node.name)));
    }
    await part(null);
  } catch (error) {
    await close();
    throw error;
  }
  return { kind: 'namespaces', commandOf: (name) => ['ip', 'netns', 'exec', spaceOf(name), ...TAPPED_CAIRN], part, close };
}

async function ip(...args: readonly string[]): Promise<string> {
  return (await promisify(execFile)('ip', args)).stdout;
}

/** Removes what a run left behind that was killed. */
async function sweep(): Promise<void> {
  for (const line of (await ip('netns', 'list')).split('\n')) {
    const found = new RegExp(`^${PREFIX}(\\d+)-\\S+`).exec(line);
    if (found !== null && !existsSync(`/proc/${found[1]}`)) await ip('netns', 'del', found[0]).catch(() => {});
  }
}

async function addSwitch(hub: string): Promise<void> {
  await ip('netns', 'add', hub);
  for (let group = 0; group < MAX_GROUPS; group += 1) {
    await ip('-n', hub, 'link', 'add', `group${group}`, 'type', 'bridge', 'forward_delay', '0');
    await ip('-n', hub, 'link', 'set', `group${group}`, 'up');
  }
}

async function addNode(of: { readonly hub: string; readonly space: string; readonly index: number }): Promise<void> {
  const { hub, space, index } = of;
  await ip('netns', 'add', space);
  await ip('link', 'add', 'cable', 'netns', space, 'type', 'veth', 'peer', 'name', `port${index}`, 'netns', hub);
  await ip('-n', space, 'addr', 'add', `${hostOf(index)}/24`, 'dev', 'cable');
  for (const device of ['lo', 'cable']) await ip('-n', space, 'link', 'set', device, 'up');
}

function hostOf(index: number): string {
  return `10.77.0.${index + 1}`;
}

function addressOf(node: LocalnetNode, index: number): string {
  return `/ip4/${hostOf(index)}/tcp/${node.ports.p2p}`;
}

interface Door {
  readonly close: () => void;
}

/** What listens here on the node's ports of HTTP leads into its namespace, whether or not the node runs. */
async function openDoor(node: LocalnetNode, space: string): Promise<Door> {
  const child = fork(DOOR, {
    execPath: 'ip',
    execArgv: ['netns', 'exec', space, process.execPath],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  for (const port of [node.ports.http, node.ports.admin, node.ports.metrics]) await handOver(child, port);
  return { close: () => child.disconnect() };
}

async function handOver(child: ChildProcess, port: number): Promise<void> {
  const server = await new Promise<Server>((resolve, reject) => {
    const made = createServer().once('error', reject);
    made.listen({ port, host: '127.0.0.1' }, () => resolve(made));
  });
  const taken = new Promise<void>((resolve) => child.once('message', () => resolve()));
  child.send(port, server);
  await taken;
  // Only the other side's copy may take connections.
  server.close();
}
