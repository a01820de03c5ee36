/** What was heard on the lines of a network, in the files that tapped-node.ts writes: who signed two things in one place. */

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LocalnetNode } from '../../src/localnet/index.ts';

/** In a node's data folder, a line each: `node kind height round: what`. */
export const TAPPED_FILE = 'said-and-heard.txt';

/** `cairn` with a tap on its line. */
export const TAPPED_CAIRN: readonly string[] = [process.execPath, fileURLToPath(new URL('tapped-node.js', import.meta.url))];

export interface Heard {
  /** Places in which something was signed. */
  readonly places: number;
  /** Those in which one node signed two different things, with what. */
  readonly doubles: readonly string[];
}

/** Nobody in such a network forges: signatures are not looked at. */
export async function heardOn(nodes: readonly Pick<LocalnetNode, 'dataDir'>[]): Promise<Heard> {
  const signed = new Map<string, Set<string>>();
  for (const node of nodes) {
    for (const line of (await readFile(path.join(node.dataDir, TAPPED_FILE), 'utf8')).split('\n')) {
      const [place = '', what] = line.split(': ');
      // A line that a kill has cut short says nothing.
      if (what === undefined || !/^(nil|[0-9a-f]{64}( of .+)?)$/.test(what)) continue;
      signed.set(place, (signed.get(place) ?? new Set()).add(what));
    }
  }
  const doubles = [...signed].filter(([, said]) => said.size > 1).map(([place, said]) => `${place}: ${[...said].join(' and ')}`);
  return { places: signed.size, doubles };
}
