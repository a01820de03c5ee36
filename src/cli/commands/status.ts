/** `cairn status` (`-s`, `node -s`): how the node is. */

import type { Command } from 'commander';
import type { NodeStatus } from '../../operations.ts';
import { connect, type GlobalOptions } from '../context.ts';
import { formatBytes, formatDuration, formatTable, print, printable, printJson } from '../output.ts';

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('show height, peers, authorities, artifacts and disk of the running node (short: cairn -s)')
    .addHelpText('after', '\nExamples:\n  cairn status --data localnet/node1\n  cairn -s --json')
    .action(async (_options: unknown, self: Command) => showStatus(self.optsWithGlobals<GlobalOptions>()));
}

export async function showStatus(options: GlobalOptions): Promise<void> {
  const client = await connect(options);
  const status = (await client.get('/status')) as NodeStatus;
  if (options.json === true) printJson(status);
  else print(formatStatus(status, Date.now()));
}

/** The status as a person reads it. */
export function formatStatus(status: NodeStatus, nowMs: number): string {
  const { chain, consensus, disk } = status;
  const age = `${formatDuration(nowMs - chain.timeMs)} old`;
  const sync = chain.syncing ? `, catching up to ${chain.targetHeight}` : chain.fresh ? '' : ', too old to serve from';
  const lines: readonly (readonly [string, string])[] = [
    ['node', `${status.name} (${status.role}), version ${status.version}, up ${formatDuration(nowMs - status.startedMs)}`],
    ['node id', status.nodeId],
    ['peer id', status.peerId],
    ['addresses', status.addresses.join('\n           ')],
    ['chain', `sha256:${chain.chainId}`],
    ['height', `${chain.height} (${age}${sync})`],
    ['block', chain.blockId],
    ['consensus', consensus === null ? 'none: a mirror does not vote' : formatConsensus(consensus)],
    ['peers', String(status.peers)],
    ['artifacts', String(status.artifacts)],
    ['waiting', `${status.mempool} sealed transactions, ${status.candidates} candidates`],
    ['asked for', `${status.requests} images by this node, ${status.builds} builds under way on it`],
    ['disk', `${formatBytes(disk.usedBytes)} used of ${formatBytes(disk.allocatedBytes)} allocated, ${disk.files} files`],
    ...(disk.quarantined > 0 ? [['', `${disk.quarantined} files in quarantine: see the log`] as const] : []),
  ];
  const set = formatTable({
    head: ['authority', 'power', 'connected', 'node id'],
    rows: status.set.map((one) => [one.name, String(one.power), one.connected ? 'yes' : 'no', one.nodeId]),
  });
  return `${lines.map(([label, text]) => `${label.padEnd(11)}${text.split('\n').map(printable).join('\n')}`).join('\n')}\n\n${set}`;
}

function formatConsensus(consensus: NonNullable<NodeStatus['consensus']>): string {
  const silent = consensus.silentBelow === null ? '' : `; silent below height ${consensus.silentBelow}`;
  return `height ${consensus.height}, round ${consensus.round}, ${consensus.step}${silent}`;
}
