/** The command line as a whole: commands, common options, short forms. Follows docs/cli.md. Does nothing until parsed. */

import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addAdd } from './commands/add.ts';
import { addAuthorize } from './commands/authorize.ts';
import { addBuild } from './commands/build.ts';
import { addConfig } from './commands/config.ts';
import { addEvidence } from './commands/evidence.ts';
import { addGenesis } from './commands/genesis.ts';
import { addInspectLog } from './commands/inspect-log.ts';
import { addKeys } from './commands/keys.ts';
import { addList, listPeers } from './commands/list.ts';
import { addParams } from './commands/params.ts';
import { addPing } from './commands/ping.ts';
import { addRemove } from './commands/remove.ts';
import { addStart } from './commands/start.ts';
import { addStatus, showStatus } from './commands/status.ts';
import type { GlobalOptions } from './context.ts';

/** In the order of the help. */
const COMMANDS = [
  addStart,
  addStatus,
  addList,
  addPing,
  addAdd,
  addBuild,
  addRemove,
  addAuthorize,
  addParams,
  addEvidence,
  addInspectLog,
  addConfig,
  addKeys,
  addGenesis,
] as const;

/** `-s` and `-l`, also after `node`, are how others of this kind spell status and list. */
const SHORT_FORMS: Readonly<Record<string, string>> = { '-s': 'status', '--status': 'status', '-l': 'list', '--list': 'list' };

/** Replaces a short form at the beginning by its command. */
export function expandShortForms(args: readonly string[]): readonly string[] {
  const [first = '', second = ''] = args;
  const direct = SHORT_FORMS[first];
  if (direct !== undefined) return [direct, ...args.slice(1)];
  const afterNode = first === 'node' ? SHORT_FORMS[second] : undefined;
  return afterNode === undefined ? args : [afterNode, ...args.slice(2)];
}

/** Every command; parsing throws commander's errors in place of ending the process. */
export function createProgram(): Command {
  const program = new Command('cairn')
    .description('A permissioned package network: authorities agree which files are genuine, every node serves only those.')
    .version(versionOf(), '-V, --version', 'print the version')
    .option('--data <folder>', 'data folder of the node (default: CAIRN_DATA, else ~/.cairn)')
    .option('--json', 'print JSON, for programs')
    .option('--verbose', 'on an error print its stack too')
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError(true)
    .exitOverride()
    .addHelpText(
      'after',
      `
Short forms: cairn -s (status), cairn -l (list), also as cairn node -s, cairn node -l.

Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration, 3 no node answers, 4 refused, 5 accepted but not yet committed, 6 too old for the network.

Examples:
  cairn genesis localnet --out localnet
  cairn start --data localnet/node1
  cairn status --data localnet/node1
  cairn add hello.txt pkg:generic/demo/hello@1.0.0 --data localnet/node1`,
    );
  for (const add of COMMANDS) add(program);
  addNode(program);
  for (const command of allCommands(program)) {
    command
      .exitOverride()
      .configureHelp({ showGlobalOptions: true })
      .configureOutput({ outputError: () => {} });
  }
  return program;
}

/** Says which spellings there are. They come so far only behind another option, see `expandShortForms`. */
function addNode(program: Command): void {
  program
    .command('node', { hidden: true })
    .description('other spellings of status and list')
    .option('-s, --status', 'as cairn status')
    .option('-l, --list', 'as cairn list')
    .addHelpText('after', '\nExamples:\n  cairn node -s --data localnet/node1\n  cairn node -l --json')
    .action(async (options: { readonly status?: boolean; readonly list?: boolean }, self: Command) => {
      if (options.status === true) await showStatus(self.optsWithGlobals<GlobalOptions>());
      else if (options.list === true) await listPeers(self.optsWithGlobals<GlobalOptions>());
      else self.help({ error: true });
    });
}

function allCommands(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(allCommands)];
}

/** From the package this file was installed with. */
export function versionOf(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };
  return version;
}
