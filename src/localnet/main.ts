/**
 * `npm start`: four authorities and one mirror as five processes on loopback. Makes the network at the first start and goes on with the same
 * chain at the next; publishes one real file, fetches it through the mirror, checks it, says what can be done next, and stops all five on
 * Ctrl-C. Started by deploy/bootstrap.mjs. Never leaves a node running behind it, short of being killed itself.
 */

import path from 'node:path';
import { parseArgs } from 'node:util';
import { createLocalnet, isLocalnet, Localnet, type LocalnetNode, refuseRunning, removeLocalnet } from './localnet.ts';
import { LocalnetError } from './localnet-error.ts';
import { digestOnChain, fetchDigest, fileDigest, packProject, publish, type Tarball } from './publication.ts';

const READY_MS = 60_000;
const CONNECTED_MS = 60_000;
const COMMITTED_MS = 60_000;
const STOP_MS = 10_000;
const POLL_MS = 200;
const SHOWN_PORTS = 4;

const USAGE = `usage: npm start -- [--dir DIR] [--base-port N] [--upstream URL] [--fresh]

Runs four authorities and one mirror on this machine's loopback until Ctrl-C.

  --dir DIR       where the network lies (default: .cairn/localnet)
  --base-port N   node i uses the ports N+10i to N+10i+3, from i = 0; decided when the network is made
  --upstream URL  registry that the authorities fetch images from, for docker pull; decided when the network is made
  --fresh         remove the network in DIR and begin a new one
`;

interface Options {
  readonly dir: string;
  readonly basePort: number | null;
  readonly upstream: string | null;
  readonly fresh: boolean;
  readonly help: boolean;
}

/** Resolves with the exit code once all nodes have stopped: 0 after a signal, 1 after a failure, 2 for bad arguments. */
export async function main(args: readonly string[], { root }: { readonly root: string }): Promise<number> {
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  let localnet: Localnet | null = null;
  let code = 0;
  try {
    const options = parseOptions(args, root);
    if (options.help) {
      process.stdout.write(USAGE);
      return 0;
    }
    localnet = await prepare(options);
    await run(localnet, { root, signal: stop.signal });
  } catch (error) {
    code = report(error, stop.signal);
  }
  if (localnet !== null) code = Math.max(code, await stopAll(localnet));
  return code;
}

/** A stop by signal is no failure. */
function report(error: unknown, signal: AbortSignal): number {
  if (signal.aborted) return 0;
  if (!(error instanceof LocalnetError)) throw error;
  process.stderr.write(`\n${error.message}\n`);
  return error.code === 'usage' ? 2 : 1;
}

function parseOptions(args: readonly string[], root: string): Options {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        dir: { type: 'string', default: path.join(root, '.cairn', 'localnet') },
        'base-port': { type: 'string' },
        upstream: { type: 'string' },
        fresh: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    return {
      dir: path.resolve(values.dir),
      basePort: parsePort(values['base-port']),
      upstream: values.upstream ?? null,
      fresh: values.fresh,
      help: values.help,
    };
  } catch (error) {
    throw new LocalnetError('usage', `${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
  }
}

function parsePort(text: string | undefined): number | null {
  if (text === undefined) return null;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1024 || port > 65_000) throw new Error(`--base-port: expected 1024 to 65000, got ${text}`);
  return port;
}

async function prepare(options: Options): Promise<Localnet> {
  if (options.fresh) await removeLocalnet(options.dir);
  const isNew = !(await isLocalnet(options.dir));
  if (isNew) {
    say(`Making a network of four authorities and one mirror in ${options.dir}`);
    await createLocalnet({ ...options, authorities: 4, mirrors: 1 });
  } else {
    await refuseRunning(options.dir);
    if (options.upstream !== null) {
      throw new LocalnetError(
        'usage',
        `The network in ${options.dir} is made already: set upstream.urls in the cairn.toml of its authorities, or begin a new one with --fresh.`,
      );
    }
    say(`Going on with the network in ${options.dir}`);
  }
  const localnet = await Localnet.open(options.dir);
  const basePort = localnet.nodes[0]?.ports.http;
  if (options.basePort !== null && basePort !== options.basePort) {
    throw new LocalnetError(
      'usage',
      `The network in ${options.dir} was made with other ports (from ${basePort}); begin a new one with --fresh, or use another --dir.`,
    );
  }
  const busy = await localnet.busyPorts();
  if (busy.length === 0) return localnet;
  // A network whose ports have never been free is of no use, and would stand in the way of one with other ports.
  if (isNew) await removeLocalnet(options.dir);
  throw portsBusy(busy, isNew);
}

function portsBusy(busy: readonly number[], isNew: boolean): LocalnetError {
  const more = busy.length > SHOWN_PORTS ? ` and ${busy.length - SHOWN_PORTS} more` : '';
  const named = `Port${busy.length > 1 ? 's' : ''} ${busy.slice(0, SHOWN_PORTS).join(', ')}${more} ${busy.length > 1 ? 'are' : 'is'} in use`;
  const other = isNew ? 'npm start -- --base-port 30000' : 'npm start -- --dir OTHER --base-port 30000';
  return new LocalnetError(
    'ports-busy',
    `${named}, maybe by another localnet; nothing was started. Stop what uses them, or choose other ports: \`${other}\`.`,
  );
}

async function run(localnet: Localnet, { root, signal }: { readonly root: string; readonly signal: AbortSignal }): Promise<void> {
  localnet.start();
  const death = localnet.firstDeath().then((error) => {
    throw error;
  });
  death.catch(() => {});
  const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  await Promise.race([death, stopped, bringUp(localnet, { root, signal })]);
  if (!signal.aborted) await Promise.race([death, stopped]);
}

async function bringUp(localnet: Localnet, { root, signal }: { readonly root: string; readonly signal: AbortSignal }): Promise<void> {
  for (const node of localnet.nodes) {
    await localnet.waitUntilReady(node, { timeoutMs: READY_MS, signal });
    say(`${node.name} (${node.role}) runs as process ${node.process.pid}, http://127.0.0.1:${node.ports.http}`);
  }
  const [first] = await localnet.waitUntilConnected({ timeoutMs: CONNECTED_MS, signal });
  say(`All ${localnet.nodes.length} nodes are connected; the chain is at height ${first?.chain.height ?? 0}`);
  const { publisher, mirror } = roles(localnet);
  const tarball = await packProject(root, localnet.dir);
  const publication = await publish(publisher, tarball);
  if (publication.kind === 'committed')
    say(`${publisher.name} published ${tarball.purl}; the authorities fetched, checked, endorsed and committed it`);
  else say(`${tarball.purl} is already on this chain`);
  const digest = await checkThroughMirror({ mirror, tarball, signal });
  say(`${mirror.name} served it; SHA-256 ${digest} is the one on the chain and of the local file`);
  process.stdout.write(nextSteps(localnet, tarball));
}

function roles(localnet: Localnet): { readonly publisher: LocalnetNode; readonly mirror: LocalnetNode } {
  const publisher = localnet.nodes[0];
  const mirror = localnet.nodes.find((node) => node.role === 'mirror');
  if (publisher === undefined || mirror === undefined) throw new LocalnetError('foreign-folder', `${localnet.dir} holds no mirror`);
  return { publisher, mirror };
}

/** The mirror hears of the commit a moment after the authorities; then its bytes, the chain and the local file must agree. */
async function checkThroughMirror(of: { mirror: LocalnetNode; tarball: Tarball; signal: AbortSignal }): Promise<string> {
  const deadline = Date.now() + COMMITTED_MS;
  let onChain = await digestOnChain(of.mirror, of.tarball);
  while (onChain === null && Date.now() < deadline) {
    of.signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    onChain = await digestOnChain(of.mirror, of.tarball);
  }
  const [served, local] = [await fetchDigest(of.mirror, of.tarball), await fileDigest(of.tarball.file)];
  if (served === onChain && local === onChain) return served;
  throw new LocalnetError('publication', `SHA-256 differs: chain ${onChain ?? 'knows none'}, mirror ${served}, local file ${local}`);
}

function nextSteps(localnet: Localnet, tarball: Tarball): string {
  const { publisher, mirror } = roles(localnet);
  const shown = (file: string): string => {
    const relative = path.relative(process.cwd(), file);
    return relative.startsWith('..') ? file : relative || '.';
  };
  const cairn = shown(path.join(import.meta.dirname, '..', 'cli', 'main.js'));
  return `
What you can do now (in another terminal, in ${process.cwd()}):

  fetch through the mirror   curl -O http://127.0.0.1:${mirror.ports.http}${tarball.target}
  pull an image through it   docker pull 127.0.0.1:${mirror.ports.http}/docker.io/library/alpine   (needs a registry: --upstream)
  publish a file of yours    curl -T FILE -H "Authorization: Bearer $(cat ${shown(path.join(publisher.dataDir, 'publish-token'))})" \\
                               http://127.0.0.1:${publisher.ports.http}/generic/demo/NAME/VERSION/FILE
  see a node's status        node ${cairn} status --data ${shown(publisher.dataDir)}
  read the log of the chain  node ${cairn} inspect-log --data ${shown(mirror.dataDir)}
  read the metrics           curl http://127.0.0.1:${publisher.ports.metrics}/metrics
  follow a node's log        tail -f ${shown(publisher.process.logFile)}

The data lies in ${shown(localnet.dir)}. Ctrl-C stops all ${localnet.nodes.length} nodes; the next \`npm start\` goes on with the same chain.
`;
}

async function stopAll(localnet: Localnet): Promise<number> {
  const running = localnet.nodes.filter((node) => node.process.running).length;
  if (running === 0) return 0;
  say(`Stopping ${running} nodes …`);
  const killed = await localnet.stop(STOP_MS);
  if (killed.length === 0) say('All nodes have stopped');
  else process.stderr.write(`${killed.join(', ')} did not stop within ${STOP_MS / 1000} s and had to be killed\n`);
  return killed.length === 0 ? 0 : 1;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
