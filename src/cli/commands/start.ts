/** `cairn start`: runs the node of a data folder until it is told to stop. */

import type { Command } from 'commander';
import { CONFIG_KEYS, flagNameOf, SETTINGS } from '../../config/index.ts';
import { dataDirOf, type GlobalOptions } from '../context.ts';

export function addStart(program: Command): void {
  const command = program.command('start').description('run the node of a data folder until Ctrl-C or SIGTERM');
  for (const key of CONFIG_KEYS.filter((name) => !SETTINGS[name].secret)) {
    const { doc, unit, default: value } = SETTINGS[key];
    const shown = Array.isArray(value) ? value.join(',') : String(value ?? '');
    command.option(`--${flagNameOf(key)} <${unit === '' ? 'value' : unit}>`, shown === '' ? doc : `${doc} [${shown}]`);
  }
  command.addHelpText(
    'after',
    `
Examples:
  cairn start --data localnet/node1
  cairn start --http-host 0.0.0.0 --http-port 8080 --log-format json

A flag goes before CAIRN_* in the environment, and that before cairn.toml in the data folder.`,
  );
  command.action(async (_options: unknown, self: Command) => {
    const given = self.opts<Record<string, string>>();
    const flags: Record<string, string> = {};
    for (const key of CONFIG_KEYS) {
      const value = given[camelCase(flagNameOf(key))];
      if (value !== undefined) flags[key] = value;
    }
    // The node's libraries take a third of a second to load, which no other command should wait for.
    const { startDaemon } = await import('../../daemon.ts');
    await startDaemon({ dataDir: dataDirOf(self.optsWithGlobals<GlobalOptions>()), flags });
  });
}

/** As commander names the option: `http-port` → `httpPort`. */
function camelCase(flag: string): string {
  return flag.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
