/**
 * The ground between the nodes of a real network, which can be torn: where each node is started, who reaches whom. Network namespaces where
 * the machine allows it (namespaces.ts), else loopback behind a proxy (proxies.ts). Never touches anything that it didn't make.
 */

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { LocalnetNode } from '../../src/localnet/index.ts';

/** Names of nodes; those in different groups don't reach each other, those in none reach nobody. */
export type Groups = readonly (readonly string[])[];

export interface Terrain {
  readonly kind: 'namespaces' | 'proxies';
  /** What a node of that name is started with, in place of `cairn` alone; its line is tapped. */
  readonly commandOf: (name: string) => readonly string[];
  /** Null heals. */
  readonly part: (groups: Groups | null) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Rewrites a node's configuration, which `cairn genesis localnet` has made for loopback. */
export async function reconfigure(node: LocalnetNode, change: (text: string) => string): Promise<void> {
  const file = path.join(node.dataDir, 'cairn.toml');
  await writeFile(file, change(await readFile(file, 'utf8')));
}

/** The address under which `cairn genesis localnet` has a node listen. */
export function loopbackAddress(node: LocalnetNode): string {
  return `/ip4/127.0.0.1/tcp/${node.ports.p2p}`;
}
