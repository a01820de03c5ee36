#!/usr/bin/env node
/** The `cairn` command: parses, runs, and turns every error into one line and an exit code. Follows docs/cli.md. */

import '../polyfill.ts';
import { CommanderError } from 'commander';
import { GenesisError } from '../../genesis/index.ts';
import { ConfigError } from '../config/index.ts';
import { CliError, EXIT, type ExitCode } from './cli-error.ts';
import { printable } from './output.ts';
import { createProgram, expandShortForms } from './program.ts';

const LINGER_MS = 300;
/** Code of the NodeError; its module would bring the whole node along. */
const OUTDATED = 'OUTDATED';

async function main(args: readonly string[]): Promise<ExitCode> {
  const isVerbose = args.includes('--verbose');
  if (args.length === 0) {
    createProgram().outputHelp({ error: true });
    return EXIT.usage;
  }
  try {
    await createProgram().parseAsync(expandShortForms(args), { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    return report(error, isVerbose);
  }
}

/** One line on standard error; the stack only where it was asked for. */
function report(error: unknown, isVerbose: boolean): ExitCode {
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
  if (error instanceof CommanderError && error.code === 'commander.help') return EXIT.usage;
  const message = error instanceof Error ? error.message.replace(/^error: /, '') : String(error);
  process.stderr.write(`cairn: ${printable(message.split('\n').join(' '))}\n`);
  if (isVerbose && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  if (error instanceof CliError) return error.exitCode;
  if (error instanceof Error && 'code' in error && error.code === OUTDATED) return EXIT.outdated;
  const isUsage =
    error instanceof CommanderError || error instanceof ConfigError || (error instanceof GenesisError && error.code === 'bad-option');
  return isUsage ? EXIT.usage : EXIT.failed;
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(EXIT.ok);
});
process.exitCode = await main(process.argv.slice(2));
// All is closed and said by now; what a library has left running must not hold the process back.
setTimeout(() => process.exit(), LINGER_MS).unref();
