/** `cairn inspect-log`: the operations of the chain as this node holds them: what was decided, when, by whom. */

import { type Command, Option } from 'commander';
import { packageKey } from '../../../chain/index.ts';
import { parseImageReference, subjectOf } from '../../../registry/index.ts';
import type { LogEntry } from '../../operations.ts';
import { keyOfSubject } from '../../requests/subject.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { connect, type GlobalOptions } from '../context.ts';
import { formatCsv, formatTable, print, printJson, type Table } from '../output.ts';
import { integer, limitOption, stateKeyOf } from './options.ts';

const FIELDS = ['height', 'time', 'index', 'kind', 'key', 'transactionId', 'endorsers', 'claim'] as const;
type Field = (typeof FIELDS)[number];
const DEFAULT_FIELDS: readonly Field[] = ['height', 'time', 'kind', 'key', 'endorsers'];

interface LogOptions extends GlobalOptions {
  readonly format?: 'json' | 'csv' | 'table';
  readonly fields?: readonly Field[];
  readonly key?: string;
  readonly fromHeight: number;
  readonly latest?: boolean;
  readonly limit: number;
}

export function addInspectLog(program: Command): void {
  program
    .command('inspect-log')
    .description('show the operations on the chain, oldest first, or those about one package version, file or image')
    .argument('[target...]', 'package URL or sha256:…; an ecosystem name may stand before it; or `docker` and an image')
    .addOption(new Option('--format <format>', 'how to print').choices(['json', 'csv', 'table']))
    .option('--fields <names>', `comma-separated, out of ${FIELDS.join(',')}`, parseFields)
    .option('--key <key>', 'a state key as it stands in the log, such as node/…')
    .option('--from-height <height>', 'begin here', integer(0, Number.MAX_SAFE_INTEGER), 0)
    .option('--latest', 'newest first')
    .addOption(limitOption('at most this many'))
    .addHelpText(
      'after',
      `
Examples:
  cairn inspect-log --latest --limit 10 --data localnet/node1
  cairn inspect-log pkg:generic/demo/hello@1.0.0 --format json
  cairn inspect-log docker alpine:3.20 --format csv --latest
  cairn inspect-log docker registry.example/team/app
  cairn inspect-log --format csv --fields height,kind,key > log.csv`,
    )
    .action(async (target: readonly string[], _options: unknown, self: Command) => showLog(target, self.optsWithGlobals<LogOptions>()));
}

async function showLog(target: readonly string[], options: LogOptions): Promise<void> {
  const wanted = keysOf(target, options);
  const client = await connect(options);
  const answer = await client.get('/log', {
    ...wanted,
    fromHeight: options.fromHeight,
    limit: options.limit,
    latest: options.latest === true,
  });
  const { entries } = answer as { entries: readonly LogEntry[] };
  const format = options.format ?? (options.json === true ? 'json' : 'table');
  const fields = options.fields ?? (format === 'json' ? FIELDS : DEFAULT_FIELDS);
  if (format === 'json')
    return printJson(entries.map((entry) => Object.fromEntries(fields.map((field) => [field, fieldOf(entry, field)]))));
  const table: Table = { head: fields, rows: entries.map((entry) => fields.map((field) => cellOf(entry, field))) };
  const short = { ...table, rows: table.rows.map((row) => row.map(shortened)) };
  if (format === 'table' && entries.length === 0) return print('no operations');
  return print(format === 'csv' ? formatCsv(table) : formatTable(short));
}

/** What the log is asked for: all of it, one key, or one package. */
interface Wanted {
  readonly key: string | null;
  readonly package: string | null;
}

/** One target, with its ecosystem before it or not, or --key. */
function keysOf(target: readonly string[], options: LogOptions): Wanted {
  const [first, second] = target;
  if (first !== undefined && options.key !== undefined) throw new CliError(EXIT.usage, 'expected a target or --key, got both');
  if (first === undefined) return { key: options.key ?? null, package: null };
  if (first === 'docker' && second !== undefined && target.length === 2 && !/^(?:pkg:|sha256:)/.test(second)) return keysOfImage(second);
  const named = target.length === 2 && (second?.startsWith(`pkg:${first}/`) === true || first === 'docker') ? target.slice(1) : target;
  if (named.length > 1) throw new CliError(EXIT.usage, `expected one package URL, sha256:… or image, got ${named.join(' ')}`);
  return { key: stateKeyOf(named[0] ?? first), package: null };
}

/** A tag, a digest, or everything about the repository. */
function keysOfImage(image: string): Wanted {
  const parsed = parseImageReference(image);
  if (!parsed.ok) throw new CliError(EXIT.usage, parsed.reason);
  return parsed.reference === null
    ? { key: null, package: packageKey(parsed.repository) }
    : { key: keyOfSubject(subjectOf(parsed)), package: null };
}

function parseFields(text: string): readonly Field[] {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !FIELDS.some((field) => field === name));
  if (unknown !== undefined) throw new CliError(EXIT.usage, `unknown field ${unknown}: expected some of ${FIELDS.join(', ')}`);
  return names as Field[];
}

function fieldOf(entry: LogEntry, field: Field): unknown {
  return field === 'time' ? new Date(entry.timeMs).toISOString() : entry[field];
}

function cellOf(entry: LogEntry, field: Field): string {
  const value = fieldOf(entry, field);
  if (Array.isArray(value)) return value.join(' ');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Ids in a table by their first eight digits; JSON and CSV have them whole. */
function shortened(cell: string): string {
  return cell.replace(/\b([0-9a-f]{8})[0-9a-f]{56}\b/g, '$1');
}
