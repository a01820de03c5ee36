/** `cairn build`: asks the authorities to fetch, check and commit an image, and shows what each of them says of it. */

import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import type { BuildResult, BuildStatus } from '../../operations.ts';
import type { AdminClient } from '../admin-client.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { connect, type GlobalOptions } from '../context.ts';
import { formatBytes, formatDuration, formatTable, note, print, printJson } from '../output.ts';
import { integer } from './options.ts';

interface BuildOptions extends GlobalOptions {
  readonly image?: string;
  readonly id?: string;
  readonly wait?: boolean;
  readonly timeout: number;
}

const POLL_MS = 500;

export function addBuild(program: Command): void {
  const build = program.command('build').description('have the authorities fetch, check and commit what the chain does not have');
  build
    .command('docker')
    .description('of an image, as Docker names it; prints the id of the build')
    .argument('[image]', 'such as alpine:3.20, registry.example/team/app@sha256:…')
    .option('--image <image>', 'the same')
    .option('--wait', 'wait for the outcome, and show the verdicts')
    .option('--timeout <seconds>', 'how long to wait', integer(1, 86_400), 600)
    .addHelpText(
      'after',
      `
Examples:
  cairn build docker alpine:3.20 --data localnet/mirror1
  cairn build docker alpine:3.20 --wait
  cairn build status ID`,
    )
    .action(async (image: string | undefined, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<BuildOptions>();
      return buildImage(oneOf('an image', image, options.image), options);
    });
  build
    .command('status')
    .description("a build's state, and what each authority says of it")
    .argument('[id]', 'as `cairn build` printed it')
    .option('--id <id>', 'the same')
    .action(async (id: string | undefined, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<BuildOptions>();
      const wanted = oneOf('the id of a build', id, options.id);
      if (!/^[0-9a-f]{64}$/.test(wanted)) throw new CliError(EXIT.usage, `expected an id of 64 hex digits, got ${wanted}`);
      return show(await statusOf(await connect(options), wanted), options);
    });
}

function oneOf(what: string, argument: string | undefined, option: string | undefined): string {
  const wanted = argument ?? option;
  if (wanted === undefined) throw new CliError(EXIT.usage, `expected ${what}`);
  if (argument !== undefined && option !== undefined && argument !== option)
    throw new CliError(EXIT.usage, `expected ${what} once, got two`);
  return wanted;
}

async function buildImage(image: string, options: BuildOptions): Promise<void> {
  const client = await connect(options);
  const result = (await client.post('/build', { image })) as BuildResult;
  if (result.kind === 'refused') throw new CliError(EXIT.refused, result.reason);
  if (options.wait === true && result.kind !== 'exists') {
    note(`${result.image}: build ${result.id} ${result.kind === 'started' ? 'has begun' : 'is under way'}`);
    return show(await settled(client, result.id, options.timeout * 1000), options);
  }
  if (options.json === true) return printJson(result);
  print(result.id);
  if (result.kind === 'exists') note(`${result.image} exists: ${result.version}, committed at height ${result.height}`);
  else
    note(
      `${result.image}: the build ${result.kind === 'started' ? 'has begun' : 'is under way'}; follow it with \`cairn build status ${result.id}\``,
    );
}

async function statusOf(client: AdminClient, id: string): Promise<BuildStatus> {
  return (await client.get('/build', { id })) as BuildStatus;
}

/** Polls until the build has ended; says how many bytes have come. */
async function settled(client: AdminClient, id: string, timeoutMs: number): Promise<BuildStatus> {
  const deadlineMs = Date.now() + timeoutMs;
  let saidBytes = 0;
  for (;;) {
    const status = await statusOf(client, id);
    if (status.state === 'success' || status.state === 'failure') return status;
    if (Date.now() >= deadlineMs) return status;
    if (status.fetchedBytes > saidBytes) {
      saidBytes = status.fetchedBytes;
      note(`${formatBytes(saidBytes)} fetched from the upstream`);
    }
    await pause(POLL_MS);
  }
}

function show(status: BuildStatus, options: GlobalOptions): void {
  if (options.json === true) printJson(status);
  else print(describe(status));
  const reason = status.detail === '' ? '' : `: ${status.detail}`;
  if (status.state === 'failure') throw new CliError(EXIT.refused, `the build failed${reason}`);
  if (status.state === 'running') throw new CliError(EXIT.pending, `the build is not done yet${reason}`);
  if (status.state === 'unknown') throw new CliError(EXIT.failed, `the build is not known${reason}`);
}

function describe(status: BuildStatus): string {
  const since = status.startedMs === null ? '' : `, begun ${formatDuration(Date.now() - status.startedMs)} ago`;
  const lines = [
    `image    ${status.image ?? 'not known here'}`,
    `state    ${status.state}${status.state === 'running' ? since : ''}`,
    ...(status.detail === '' ? [] : [`reason   ${status.detail}`]),
    ...(status.version === null ? [] : [`version  ${status.version}, at height ${status.height}`]),
    ...(status.fetchedBytes === 0 ? [] : [`fetched  ${formatBytes(status.fetchedBytes)} by each authority`]),
  ];
  if (status.verdicts.length === 0) return lines.join('\n');
  const rows = status.verdicts.map(({ authority, candidate, verdict, detail }) => [
    authority,
    verdict,
    candidate.slice(0, 8),
    detail || '-',
  ]);
  return [...lines, '', formatTable({ head: ['authority', 'verdict', 'candidate', 'what it saw'], rows })].join('\n');
}
