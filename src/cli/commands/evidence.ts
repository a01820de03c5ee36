/** `cairn evidence`: who was caught saying two things in one place, as the chain has it for ever. */

import type { Command } from 'commander';
import type { EvidenceEntry } from '../../operations.ts';
import { connect, type GlobalOptions } from '../context.ts';
import { formatTable, print, printJson } from '../output.ts';
import { limitOption } from './options.ts';

interface EvidenceOptions extends GlobalOptions {
  readonly limit: number;
  readonly after?: string;
}

export function addEvidence(program: Command): void {
  program
    .command('evidence')
    .description('list the evidence on the chain: nodes that signed two different things in one place')
    .addOption(limitOption('at most this many'))
    .option('--after <key>', 'go on after this entry, by its key from --json')
    .addHelpText('after', '\nExamples:\n  cairn evidence --data localnet/node1\n  cairn evidence --json')
    .action(async (_options: unknown, self: Command) => showEvidence(self.optsWithGlobals<EvidenceOptions>()));
}

async function showEvidence(options: EvidenceOptions): Promise<void> {
  const client = await connect(options);
  const { evidence } = (await client.get('/evidence', { limit: options.limit, after: options.after ?? null })) as {
    evidence: readonly EvidenceEntry[];
  };
  if (options.json === true) return printJson(evidence);
  if (evidence.length === 0) return print('no evidence is on the chain');
  const rows = evidence.map(({ name, nodeId, type, height, round, recordedAt, active }) => [
    name ?? '-',
    type,
    String(height),
    String(round),
    String(recordedAt),
    active ? 'authority' : 'removed',
    nodeId,
  ]);
  return print(formatTable({ head: ['node', 'two of', 'height', 'round', 'in block', 'now', 'node id'], rows }));
}
