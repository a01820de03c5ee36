/** `cairn params`: what all nodes agree on, and this node's mark that it shall be otherwise; the admission policy is part of it. */

import { readFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError } from 'commander';
import type { MarkResult, ParametersStatus } from '../../operations.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { connect, type GlobalOptions } from '../context.ts';
import { formatTable, print, printJson } from '../output.ts';
import { formatWaiting, printMark } from './authorize.ts';
import { integer } from './options.ts';

interface ProposeOptions extends GlobalOptions {
  readonly set?: readonly Change[];
  readonly policy?: string;
  readonly atHeight?: number;
  readonly undo?: boolean;
}

/** One value by its path, as `timeouts.proposeMs`. */
interface Change {
  readonly path: readonly string[];
  readonly value: unknown;
}

export function addParams(program: Command): void {
  const params = program.command('params').description('the parameters of the network, its policy among them; mark others for it');
  params
    .command('show')
    .description('the parameters in force, those that wait for their height, and what waits for marks')
    .addHelpText('after', '\nExamples:\n  cairn params show --data localnet/node1\n  cairn params show --json')
    .action(async (_options: unknown, self: Command) => show(self.optsWithGlobals<GlobalOptions>()));
  params
    .command('propose')
    .description('mark other parameters; a quorum of authorities has to mark the same')
    .option('--set <key=value>', 'one of them, may be given again; the value as JSON', collect)
    .option('--policy <file>', 'a file with the whole policy, a JSON list as `cairn params show --json` has it')
    .option(
      '--at-height <height>',
      'in force from this height on; without it from the block on that decides it',
      integer(1, Number.MAX_SAFE_INTEGER),
    )
    .option('--undo', "take this node's mark back")
    .addHelpText(
      'after',
      `
Examples:
  cairn params propose --set heartbeatMs=300000 --data localnet/node1
  cairn params propose --policy policy.json
  cairn params propose --set protocolVersion=2 --at-height 12000

Give the same command on each authority: what is not named stays as it is.`,
    )
    .action(async (_options: unknown, self: Command) => propose(self.optsWithGlobals<ProposeOptions>()));
}

function collect(text: string, before: readonly Change[] = []): readonly Change[] {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('expected KEY=VALUE');
  return [...before, { path: text.slice(0, at).split('.'), value: parseJson(text.slice(at + 1), 'expected the value as JSON') }];
}

function parseJson(text: string, expected: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError(expected);
  }
}

async function show(options: GlobalOptions): Promise<void> {
  const client = await connect(options);
  const status = (await client.get('/parameters')) as ParametersStatus;
  if (options.json === true) return printJson(status);
  const rows = flat(status.parameters, '').map(([name, value]) => [name, value]);
  const pending =
    status.pending === null
      ? ''
      : `\n\nfrom height ${status.pending.atHeight} on:\n${formatTable({ head: ['parameter', 'value'], rows: newIn(status.pending.parameters, status.parameters) })}`;
  print(
    `${formatTable({ head: ['parameter', 'value'], rows })}\n\nwritten at height ${status.height}${pending}\n\n${formatWaiting(status.waiting)}`,
  );
}

async function propose(options: ProposeOptions): Promise<void> {
  const client = await connect(options);
  if (options.undo === true) {
    await client.post('/unmark', { target: 'parameters' });
    return options.json === true
      ? printJson({ target: 'parameters', unmarked: true })
      : print('parameters are no longer marked on this node');
  }
  const changes = [
    ...(options.set ?? []),
    ...(options.policy === undefined ? [] : [{ path: ['policy'], value: await policyOf(options.policy) }]),
  ];
  if (changes.length === 0) throw new CliError(EXIT.usage, 'expected --set KEY=VALUE or --policy FILE');
  const { parameters } = (await client.get('/parameters')) as ParametersStatus;
  const wanted = changes.reduce(withChange, parameters as Values);
  const result = (await client.post('/parameters', { parameters: wanted, atHeight: options.atHeight ?? null })) as MarkResult;
  printMark(result, { about: 'the proposal', inForce: (height) => options.atHeight ?? height + 1, json: options.json === true });
}

type Values = Readonly<Record<string, unknown>>;

function withChange(values: Values, { path, value }: Change): Values {
  const [key = '', ...rest] = path;
  const held = values[key];
  if (held === undefined) throw new CliError(EXIT.usage, `unknown parameter ${path.join('.')}: cairn params show lists them`);
  if (rest.length === 0) return { ...values, [key]: value };
  if (typeof held !== 'object' || held === null || Array.isArray(held)) throw new CliError(EXIT.usage, `${key} has no parts`);
  return { ...values, [key]: withChange(held as Values, { path: rest, value }) };
}

async function policyOf(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new CliError(EXIT.usage, `${file} can't be read`, cause);
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CliError(EXIT.usage, `${file} is no JSON: expected the list of rules`, cause);
  }
}

function newIn(after: unknown, before: unknown): readonly (readonly [string, string])[] {
  const known = new Map(flat(before, ''));
  return flat(after, '').filter(([name, value]) => known.get(name) !== value);
}

/** Each value by its path; a list as JSON. */
function flat(value: unknown, path: string): readonly (readonly [string, string])[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[path, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([key, one]) => flat(one, path === '' ? key : `${path}.${key}`));
}
