/** `cairn config`: shows and changes a data folder's cairn.toml; a text that the node would refuse is never written. */

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import {
  CONFIG_FILE_NAME,
  CONFIG_KEYS,
  type ConfigKey,
  knownKey,
  type LoadedConfig,
  readConfigFile,
  removeConfigText,
  SETTINGS,
  saveConfigText,
  setConfigText,
} from '../../config/index.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { configOf, dataDirOf, type GlobalOptions } from '../context.ts';
import { formatTable, note, print, printJson } from '../output.ts';

export function addConfig(program: Command): void {
  const config = program.command('config').description("show or change the node's configuration (cairn.toml in the data folder)");
  config
    .command('show')
    .description('every key with its value, where that comes from, and what it means; secrets are not shown')
    .addHelpText('after', '\nExamples:\n  cairn config show --data localnet/node1\n  cairn config show --json')
    .action(async (_options: unknown, self: Command) => show(self.optsWithGlobals<GlobalOptions>()));
  config
    .command('set')
    .description('set KEY to VALUE in cairn.toml, keeping its comments; lists are comma-separated')
    .argument('<key>', 'as in cairn config show')
    .argument('<value>')
    .addHelpText('after', '\nExamples:\n  cairn config set http.port 8080 --data localnet/node1\n  cairn config set log.level debug')
    .action(async (key: string, value: string, _options: unknown, self: Command) => {
      await change(self.optsWithGlobals<GlobalOptions>(), key, (text, known, path) => setConfigText(text, known, value, path));
    });
  config
    .command('remove')
    .description('remove KEY from cairn.toml, so that its default holds')
    .argument('<key>', 'as in cairn config show')
    .addHelpText('after', '\nExample:\n  cairn config remove log.level --data localnet/node1')
    .action(async (key: string, _options: unknown, self: Command) => {
      await change(self.optsWithGlobals<GlobalOptions>(), key, removeConfigText);
    });
  config
    .command('edit')
    .description('open cairn.toml in $VISUAL or $EDITOR and take it over when it is valid')
    .addHelpText('after', '\nExample:\n  EDITOR=nano cairn config edit --data localnet/node1')
    .action(async (_options: unknown, self: Command) => edit(self.optsWithGlobals<GlobalOptions>()));
}

async function show(options: GlobalOptions): Promise<void> {
  const loaded = await configOf(options);
  if (options.json === true) {
    const entries = CONFIG_KEYS.map((key) => [key, { value: shown(loaded, key), origin: loaded.origins[key], unit: SETTINGS[key].unit }]);
    return printJson(Object.fromEntries(entries));
  }
  const rows = CONFIG_KEYS.map((key) => {
    const value = shown(loaded, key);
    return [key, typeof value === 'string' ? value : JSON.stringify(value), SETTINGS[key].unit, loaded.origins[key], SETTINGS[key].doc];
  });
  return print(formatTable({ head: ['key', 'value', 'unit', 'from', 'meaning'], rows }));
}

function shown(loaded: LoadedConfig, key: ConfigKey): unknown {
  const value = loaded.config[key];
  return SETTINGS[key].secret ? (value === '' ? '' : '(set)') : value;
}

async function change(options: GlobalOptions, key: string, edited: (text: string, key: ConfigKey, path: string) => string): Promise<void> {
  const path = join(dataDirOf(options), CONFIG_FILE_NAME);
  const known = knownKey(key, null);
  const text = (await readConfigFile(path)) ?? '';
  await saveConfigText(path, edited(text, known, path));
  const loaded = await configOf(options);
  if (options.json === true) return printJson({ key: known, value: shown(loaded, known), origin: loaded.origins[known] });
  note(`${path} is changed; a running node takes it over when it starts anew`);
  return print(`${known} = ${JSON.stringify(shown(loaded, known))} (${loaded.origins[known]})`);
}

async function edit(options: GlobalOptions): Promise<void> {
  const path = join(dataDirOf(options), CONFIG_FILE_NAME);
  const before = (await readConfigFile(path)) ?? '';
  const draft = join(dataDirOf(options), `cairn.${randomUUID().slice(0, 8)}.toml`);
  await writeFile(draft, before, { mode: 0o600 });
  await runEditor(draft);
  const after = await readFile(draft, 'utf8');
  try {
    if (after !== before) await saveConfigText(path, after);
  } catch (error) {
    note(`your text is kept in ${draft}`);
    throw error;
  }
  await rm(draft);
  note(after === before ? 'nothing was changed' : `${path} is changed; a running node takes it over when it starts anew`);
}

async function runEditor(path: string): Promise<void> {
  const [command = 'vi', ...args] = (process.env.VISUAL || process.env.EDITOR || 'vi').split(/\s+/).filter((word) => word !== '');
  const code = await new Promise<number | null>((resolve, reject) => {
    const child = spawn(command, [...args, path], { stdio: 'inherit' });
    child.once('error', (cause) => reject(new CliError(EXIT.failed, `cannot run the editor ${command}: set EDITOR`, cause)));
    child.once('exit', resolve);
  });
  if (code !== 0) throw new CliError(EXIT.failed, `the editor ${command} ended with ${code ?? 'a signal'}; your text is kept in ${path}`);
}
