/** `cairn add`: publishes a file as one package version through the node's own HTTP server. */

import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { type Coordinates, checkFileName } from '../../../chain/index.ts';
import { loadPublishToken } from '../../http/tokens.ts';
import { parsePurl } from '../../purl.ts';
import { reasonOf } from '../admin-client.ts';
import { CliError, EXIT, type ExitCode } from '../cli-error.ts';
import { configOf, dataDirOf, type GlobalOptions } from '../context.ts';
import { formatBytes, note, print, printJson } from '../output.ts';
import { type UploadAnswer, uploadFile } from '../upload.ts';

interface AddOptions extends GlobalOptions {
  readonly name?: string;
  readonly url?: string;
}

export function addAdd(program: Command): void {
  program
    .command('add')
    .description('publish FILE as the package version PURL, with the publish token of the data folder, and wait for its commit')
    .argument('<file>', 'the file to publish')
    .argument('<purl>', 'package URL of the version, such as pkg:generic/demo/hello@1.0.0')
    .option('--name <name>', 'name of the file within the version, where it is not its own')
    .option('--url <url>', "the node's address, where it is not http.host and http.port of the data folder")
    .addHelpText(
      'after',
      `
Examples:
  cairn add hello.tar.gz pkg:generic/demo/hello@1.0.0 --data localnet/node1
  cairn add build/out.bin pkg:generic/demo/tool@2.1.0 --name tool.bin --json

Ends with 0 once committed, 4 when refused (or there already), 5 when accepted but not yet committed.`,
    )
    .action(async (file: string, purl: string, _options: unknown, self: Command) => {
      const options = self.optsWithGlobals<AddOptions>();
      const parsed = parsePurl(purl);
      if (!parsed.ok) throw new CliError(EXIT.usage, `${purl}: ${parsed.reason}`);
      if (parsed.coordinates.ecosystem !== 'generic')
        throw new CliError(EXIT.usage, `${purl}: only pkg:generic is published with 'cairn add'`);
      const name = options.name ?? basename(file);
      const refusal = checkFileName(name);
      if (refusal !== null) throw new CliError(EXIT.usage, `${refusal}: give another with --name`);
      await publish({ file, name, purl, coordinates: parsed.coordinates }, options);
    });
}

interface Publication {
  readonly file: string;
  readonly name: string;
  readonly purl: string;
  readonly coordinates: Coordinates;
}

async function publish(publication: Publication, options: AddOptions): Promise<void> {
  const { file, name, purl } = publication;
  const { config } = await configOf(options);
  const dataDir = dataDirOf(options);
  const token = await loadPublishToken(config, dataDir);
  if (token === null) throw new CliError(EXIT.refused, `${dataDir} has no publish token: name a data folder that has one with --data`);
  const sizeBytes = await sizeOf(file);
  const origin = options.url ?? `http://${clientHost(config['http.host'])}:${config['http.port']}`;
  const url = urlOf(origin, publication);
  const progress = progressLine(name, sizeBytes, options.json === true);
  let answer: UploadAnswer;
  try {
    answer = await uploadFile({ url, path: file, sizeBytes, token, onProgress: progress.show });
  } catch (cause) {
    progress.end();
    throw new CliError(EXIT.unreachable, `no node took the file at ${url.origin}: ${(cause as Error).message}`, cause);
  }
  progress.end();
  const exitCode = exitCodeOf(answer.status);
  const body = parse(answer.text);
  if (options.json === true) printJson({ purl, file: name, url: url.href, status: answer.status, answer: body });
  if (exitCode === EXIT.ok && options.json !== true) print(`${purl} is committed: ${url.href}`);
  else if (exitCode !== EXIT.ok) throw new CliError(exitCode, describe(purl, answer.status, body));
}

function exitCodeOf(status: number): ExitCode {
  if (status === 202) return EXIT.pending;
  if (status >= 200 && status < 300) return EXIT.ok;
  return status >= 400 && status < 500 ? EXIT.refused : EXIT.failed;
}

function describe(purl: string, status: number, body: unknown): string {
  const reason = reasonOf(body) ?? (typeof body === 'string' && body !== '' ? body.trim().slice(0, 400) : `the node answered ${status}`);
  return status === 202 ? `${purl} was accepted and waits for its commit: ask again with 'cairn inspect-log ${purl}'` : reason;
}

async function sizeOf(file: string): Promise<number> {
  const found = await stat(file).catch((cause: Error) => {
    throw new CliError(EXIT.failed, `cannot read ${file}: ${cause.message}`, cause);
  });
  if (!found.isFile()) throw new CliError(EXIT.failed, `${file} is no regular file`);
  return found.size;
}

/** An address to connect to, for one to listen on. */
function clientHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

function urlOf(origin: string, { coordinates: { namespace, name, version }, name: fileName }: Publication): URL {
  const segments = [...namespace.split('/'), name, version, fileName].map(encodeURIComponent);
  try {
    return new URL(`/generic/${segments.join('/')}`, origin);
  } catch (cause) {
    throw new CliError(EXIT.usage, `${origin} is no URL: expected one such as http://127.0.0.1:7888`, cause);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** On a terminal one line that changes; elsewhere two plain ones. */
function progressLine(
  name: string,
  sizeBytes: number,
  isQuiet: boolean,
): { readonly show: (sentBytes: number) => void; readonly end: () => void } {
  if (isQuiet) return { show: () => {}, end: () => {} };
  if (!process.stderr.isTTY) {
    note(`sending ${name}, ${formatBytes(sizeBytes)}, then waiting for the authorities`);
    return { show: () => {}, end: () => {} };
  }
  let shown = '';
  return {
    show: (sentBytes) => {
      const percent = sizeBytes === 0 ? 100 : Math.floor((100 * sentBytes) / sizeBytes);
      const line =
        percent === 100 ? `${name}: sent, the authorities check and vote …` : `${name}: ${percent} % of ${formatBytes(sizeBytes)}`;
      if (line !== shown) process.stderr.write(`\r\u001b[K${line}`);
      shown = line;
    },
    end: () => process.stderr.write('\r\u001b[K'),
  };
}
