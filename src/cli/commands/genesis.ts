/** `cairn genesis`: makes a localnet, and shows and checks genesis documents. */

import { type Command, InvalidArgumentError } from 'commander';
import { formatDigest } from '../../../chain/index.ts';
import {
  describeGenesis,
  LOCALNET_UPSTREAM,
  type Localnet,
  loadGenesis,
  packedPorts,
  standardPorts,
  writeLocalnet,
} from '../../../genesis/index.ts';
import { isSettingValue, SETTINGS } from '../../config/settings.ts';
import type { GlobalOptions } from '../context.ts';
import { formatTable, print, printJson } from '../output.ts';
import { integer } from './options.ts';

interface LocalnetCommandOptions extends GlobalOptions {
  readonly authorities: number;
  readonly mirrors: number;
  readonly out: string;
  readonly basePort?: number;
  readonly upstream?: string;
}

export function addGenesis(program: Command): void {
  const genesis = program.command('genesis').description('begin a network: make a localnet, show and check a genesis document');
  addLocalnet(genesis);
  addReaders(genesis);
}

function addLocalnet(genesis: Command): void {
  genesis
    .command('localnet')
    .description('write ready data folders for a network on this machine: keys, tokens, configuration, genesis document')
    .option('--authorities <count>', 'nodes that vote', integer(1, 64), 4)
    .option('--mirrors <count>', 'nodes that only serve', integer(0, 64), 1)
    .option('--out <folder>', 'where to write them; must be empty or absent', 'localnet')
    .option(
      '--base-port <port>',
      'node i (from 0) takes the four ports from this + 10 i on; without it 7888 + 10 i and so on',
      integer(1024, 65_535),
    )
    .option('--upstream <url>', 'registry that the authorities fetch images of docker.io from', upstreamUrl)
    .addHelpText(
      'after',
      `
Examples:
  cairn genesis localnet --upstream https://registry.example
  cairn genesis localnet --authorities 4 --mirrors 1 --out localnet
  cairn genesis localnet --out /tmp/net --base-port 20000 --json
  cairn start --data localnet/node1`,
    )
    .action(async (_options: unknown, self: Command) => makeLocalnet(self.optsWithGlobals<LocalnetCommandOptions>()));
}

function addReaders(genesis: Command): void {
  genesis
    .command('show')
    .description('print a genesis document as JSON, with its chain id')
    .argument('<file>', 'genesis.cbor')
    .addHelpText('after', '\nExample:\n  cairn genesis show localnet/node1/genesis.cbor')
    .action(async (file: string) => printJson(describeGenesis(await loadGenesis(file))));
  genesis
    .command('check')
    .description('check a genesis document and print its chain id')
    .argument('<file>', 'genesis.cbor')
    .addHelpText('after', '\nExample:\n  cairn genesis check localnet/node1/genesis.cbor')
    .action(async (file: string, _options: unknown, self: Command) => {
      const document = await loadGenesis(file);
      const { chainId } = describeGenesis(document);
      if (self.optsWithGlobals<GlobalOptions>().json === true) printJson({ chainId, name: document.name, nodes: document.nodes.length });
      else print(`${String(chainId)}  ${document.name}, ${document.nodes.length} authorities`);
    });
}

function upstreamUrl(text: string): string {
  const { type } = SETTINGS['upstream.urls'];
  if (!isSettingValue(type, [`${LOCALNET_UPSTREAM}=${text}`]))
    throw new InvalidArgumentError('expected an http(s) URL without user, query and fragment');
  return text;
}

async function makeLocalnet(options: LocalnetCommandOptions): Promise<void> {
  const localnet = await writeLocalnet({
    outDir: options.out,
    authorities: options.authorities,
    mirrors: options.mirrors,
    portsOf: options.basePort === undefined ? standardPorts : packedPorts(options.basePort),
    timeMs: Date.now(),
    upstreamUrl: options.upstream,
  });
  if (options.json === true) printJson({ chainId: formatDigest(localnet.chainId), nodes: localnet.nodes });
  else print(describe(localnet));
}

function describe(localnet: Localnet): string {
  const rows = localnet.nodes.map(({ name, role, ports, dataDir }) => [
    name,
    role,
    `http://127.0.0.1:${ports.http}`,
    String(ports.admin),
    String(ports.p2p),
    String(ports.metrics),
    dataDir,
  ]);
  const table = formatTable({ head: ['node', 'role', 'packages', 'admin', 'p2p', 'metrics', 'data folder'], rows });
  return `chain ${formatDigest(localnet.chainId)}\n\n${table}\n\nStart each with: cairn start --data FOLDER`;
}
