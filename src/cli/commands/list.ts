/** `cairn list` (`-l`, `node -l`): the peers of the node, or the package versions it knows. */

import type { Command } from 'commander';
import type { ArtifactSummary, PeerStatus } from '../../operations.ts';
import { connect, type GlobalOptions } from '../context.ts';
import { formatBytes, formatRoundTrip, formatTable, print, printJson } from '../output.ts';
import { limitOption } from './options.ts';

interface ListOptions extends GlobalOptions {
  readonly artifacts?: boolean;
  readonly after?: string;
  readonly limit?: number;
}

export function addList(program: Command): void {
  program
    .command('list')
    .alias('peers')
    .description('list connected peers, or with --artifacts the package versions on the chain (short: cairn -l)')
    .option('--artifacts', 'package versions in place of peers')
    .option('--after <purl>', 'with --artifacts: go on after this package URL')
    .addOption(limitOption('with --artifacts: at most this many'))
    .addHelpText('after', '\nExamples:\n  cairn list --data localnet/node1\n  cairn list --artifacts --limit 20\n  cairn -l --json')
    .action(async (_options: unknown, self: Command) => {
      const options = self.optsWithGlobals<ListOptions>();
      await (options.artifacts === true ? listArtifacts(options) : listPeers(options));
    });
}

export async function listPeers(options: GlobalOptions): Promise<void> {
  const client = await connect(options);
  const { peers } = (await client.get('/peers')) as { peers: readonly PeerStatus[] };
  if (options.json === true) return printJson(peers);
  if (peers.length === 0) return print('no peers are connected');
  const rows = peers.map((peer) => [
    peer.name ?? '-',
    peer.role,
    peer.height === null ? '-' : String(peer.height),
    peer.rttMs === null ? '-' : formatRoundTrip(peer.rttMs),
    peer.peerId,
    peer.addresses[0] ?? '-',
  ]);
  return print(formatTable({ head: ['name', 'role', 'height', 'rtt', 'peer id', 'address'], rows }));
}

async function listArtifacts(options: ListOptions): Promise<void> {
  const client = await connect(options);
  const answer = await client.get('/artifacts', { after: options.after ?? null, limit: options.limit ?? null });
  const { artifacts } = answer as { artifacts: readonly ArtifactSummary[] };
  if (options.json === true) return printJson(artifacts);
  if (artifacts.length === 0) return print('no package versions on the chain');
  const rows = artifacts.flatMap(({ purl, files }) => files.map((file) => [purl, file.name, formatBytes(file.sizeBytes), file.sha256]));
  return print(formatTable({ head: ['package', 'file', 'size', 'sha256'], rows }));
}
