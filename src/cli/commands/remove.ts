/** `cairn remove`: this node's mark that a version or file shall go; the marks of a quorum seal it. */

import type { Command } from 'commander';
import type { Mark, MarkResult } from '../../operations.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { connect, type GlobalOptions } from '../context.ts';
import { formatTable, print, printJson } from '../output.ts';
import { stateKeyOf } from './options.ts';

interface RemoveOptions extends GlobalOptions {
  readonly reason?: string;
  readonly undo?: boolean;
  readonly marks?: boolean;
}

export function addRemove(program: Command): void {
  program
    .command('remove')
    .description('mark a package version, or one file by its digest, for removal; a quorum of authorities has to mark it')
    .argument('[target]', 'package URL, or sha256:…')
    .option('--reason <text>', 'why, as it will stand on the chain')
    .option('--undo', "take this node's mark back")
    .option('--marks', "list this node's marks")
    .addHelpText(
      'after',
      `
Examples:
  cairn remove pkg:generic/demo/hello@1.0.0 --reason 'wrong licence' --data localnet/node1
  cairn remove sha256:9f86d0… --reason malware
  cairn remove pkg:generic/demo/hello@1.0.0 --undo
  cairn remove --marks

Give the same command on each authority: every admin says so by hand, and more than two thirds have to.`,
    )
    .action(async (target: string | undefined, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<RemoveOptions>();
      if (options.marks === true) return showMarks(options);
      if (target === undefined) throw new CliError(EXIT.usage, 'expected a package URL or sha256:… to remove');
      stateKeyOf(target);
      return options.undo === true ? undo(target, options) : mark(target, options);
    });
}

async function mark(target: string, options: RemoveOptions): Promise<void> {
  const client = await connect(options);
  const result = (await client.post('/remove', { target, reason: options.reason ?? null })) as MarkResult;
  if (options.json === true) return printJson(result);
  switch (result.kind) {
    case 'marked':
      return print(`${target} is marked on this node; ${result.waitingFor}`);
    case 'committed':
      return print(`${target} was removed at height ${result.height}`);
    case 'refused':
      throw new CliError(EXIT.refused, result.reason);
  }
}

async function undo(target: string, options: RemoveOptions): Promise<void> {
  const client = await connect(options);
  await client.post('/unmark', { target });
  if (options.json === true) return printJson({ target, unmarked: true });
  return print(`${target} is no longer marked on this node`);
}

async function showMarks(options: RemoveOptions): Promise<void> {
  const client = await connect(options);
  const { marks } = (await client.get('/marks')) as { marks: readonly Mark[] };
  if (options.json === true) return printJson(marks);
  if (marks.length === 0) return print('nothing is marked on this node');
  const rows = marks.map(({ target, reason, markedMs }) => [target, reason ?? '-', new Date(markedMs).toISOString()]);
  return print(formatTable({ head: ['package or file', 'reason', 'marked'], rows }));
}
