/** `cairn keys`: makes a node's keys and shows their public halves. Never prints a private key. */

import { join } from 'node:path';
import type { Command } from 'commander';
import { digestToHex } from '../../../chain/index.ts';
import {
  generateNodeKeys,
  KEYS_FOLDER,
  loadNodeKeys,
  type NodeKeys,
  nodeIdOfKey,
  peerIdOfKey,
  publicKeysOf,
  saveFreshKeys,
} from '../../../genesis/index.ts';
import { dataDirOf, type GlobalOptions } from '../context.ts';
import { note, print, printJson } from '../output.ts';

export function addKeys(program: Command): void {
  const keys = program.command('keys').description("make a node's three keys, or show their public halves");
  keys
    .command('show')
    .description('node id, peer id and public keys of the data folder')
    .addHelpText('after', '\nExamples:\n  cairn keys show --data localnet/node1\n  cairn keys show --json')
    .action(async (_options: unknown, self: Command) => {
      const options = self.optsWithGlobals<GlobalOptions>();
      show(await loadNodeKeys(join(dataDirOf(options), KEYS_FOLDER)), options);
    });
  keys
    .command('new')
    .description(
      'make three fresh keys in the data folder (0600), and their empty sign-state; refuses where there are keys or a node has run',
    )
    .addHelpText('after', '\nExample:\n  cairn keys new --data /var/lib/cairn')
    .action(async (_options: unknown, self: Command) => {
      const options = self.optsWithGlobals<GlobalOptions>();
      const dataDir = dataDirOf(options);
      const fresh = generateNodeKeys();
      await saveFreshKeys(dataDir, fresh);
      note(`keys are in ${join(dataDir, KEYS_FOLDER)}: keep a copy in a safe place, nobody can make them again`);
      show(fresh, options);
    });
}

function show(keys: NodeKeys, options: GlobalOptions): void {
  const { network, consensus, checkpoint } = publicKeysOf(keys);
  const hex = (key: Uint8Array): string => Buffer.from(key).toString('hex');
  const shown = {
    nodeId: digestToHex(nodeIdOfKey(network)),
    peerId: peerIdOfKey(network),
    network: hex(network),
    consensus: hex(consensus),
    checkpoint: hex(checkpoint),
  };
  if (options.json === true) printJson(shown);
  else for (const [name, value] of Object.entries(shown)) print(`${name.padEnd(11)}${value}`);
}
