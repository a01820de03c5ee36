/**
 * A network of real processes for the end-to-end tests: authorities and mirrors on free ports in a folder of their own, driven from outside
 * as an operator would: `cairn`, curl, signals, log files. Everything it starts it ends by process id. Never reaches into a node.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import { createLocalnet, Localnet, type LocalnetNode } from '../../src/localnet/index.ts';

/** Below the range from which the system takes ports for outgoing connections. */
const PORT_RANGE = { first: 15_000, last: 31_000, block: 100 };
const READY_MS = 60_000;
const POLL_MS = 50;

export interface CurlAnswer {
  /** 0: curl saw no whole answer (connection cut or refused). */
  readonly status: number;
  readonly exitCode: number;
  readonly headers: string;
  readonly body: Buffer;
}

/** Polls until the condition gives something other than null, false or undefined; the test fails by this error when it never does. */
export async function waitFor<T>(what: string, timeoutMs: number, condition: () => Promise<T | null | false | undefined>): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last = '';
  while (Date.now() < deadline) {
    try {
      const found = await condition();
      if (found !== null && found !== false && found !== undefined) return found;
      last = `it gave ${String(found)}`;
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    await pause(POLL_MS);
  }
  throw new Error(`waited ${timeoutMs} ms for: ${what}; ${last}`);
}

/** Reserves a block of ports that nothing listens on, for as long as the test runs, also against test files that run beside it. */
export async function reservePorts(t: Test): Promise<number> {
  const blocks = Math.floor((PORT_RANGE.last - PORT_RANGE.first) / PORT_RANGE.block);
  for (let attempt = 0; attempt < blocks; attempt += 1) {
    const base = PORT_RANGE.first + Math.floor(Math.random() * blocks) * PORT_RANGE.block;
    const reservation = path.join(os.tmpdir(), `cairn-test-ports-${base}`);
    try {
      await mkdir(reservation);
    } catch {
      if (await isAbandoned(reservation)) await rmdir(reservation).catch(() => {});
      continue;
    }
    t.teardown(async () => await rmdir(reservation));
    return base;
  }
  throw new Error('found no free block of ports');
}

/** Left behind by a test run that was killed. */
async function isAbandoned(folder: string): Promise<boolean> {
  const found = await stat(folder).catch(() => null);
  return found !== null && Date.now() - found.mtimeMs > 3_600_000;
}

export async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'cairn-test-'));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  return folder;
}

export interface FixtureOptions {
  readonly authorities?: number;
  readonly mirrors?: number;
  /** Further arguments of every `cairn start`. */
  readonly startArgs?: readonly string[];
  /** What the node of that name is first started with, in place of `cairn`; undefined: with that. */
  readonly commandOf?: (name: string) => readonly string[] | undefined;
  /** Registry that the authorities fetch images from. */
  readonly upstream?: string;
  readonly curl: string;
}

/** A running, fully connected network; stopped and removed when the test ends. */
export async function startNetwork(t: Test, options: FixtureOptions): Promise<Fixture> {
  const folder = await temporaryFolder(t);
  const dir = path.join(folder, 'network');
  const { authorities = 4, mirrors = 1, upstream = null } = options;
  await createLocalnet({ dir, authorities, mirrors, basePort: await reservePorts(t), upstream });
  const localnet = await Localnet.open(dir);
  const fixture = new Fixture(localnet, { folder, curl: options.curl, startArgs: options.startArgs ?? [] });
  t.teardown(async () => {
    if (!t.passing()) for (const node of localnet.nodes) t.comment(`${node.name}:\n${node.process.logTail(30).join('\n')}`);
    await Promise.all(localnet.nodes.map((node) => node.process.stop(10_000)));
  });
  for (const node of localnet.nodes) fixture.start(node, [], options.commandOf?.(node.name));
  await localnet.waitUntilConnected({ timeoutMs: READY_MS });
  return fixture;
}

export class Fixture {
  readonly localnet: Localnet;
  readonly folder: string;
  readonly #curl: string;
  readonly #startArgs: readonly string[];
  #files = 0;

  constructor(localnet: Localnet, options: { readonly folder: string; readonly curl: string; readonly startArgs: readonly string[] }) {
    this.localnet = localnet;
    this.folder = options.folder;
    this.#curl = options.curl;
    this.#startArgs = options.startArgs;
  }

  get nodes(): readonly LocalnetNode[] {
    return this.localnet.nodes;
  }

  get authorities(): readonly LocalnetNode[] {
    return this.nodes.filter((node) => node.role === 'authority');
  }

  node(name: string): LocalnetNode {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name} in this network`);
    return found;
  }

  start(node: LocalnetNode, args: readonly string[] = [], command?: readonly string[]): void {
    node.process.start([...this.#startArgs, ...args], command);
  }

  /** Starts a node that was killed, and waits until it answers. */
  async restart(node: LocalnetNode, args: readonly string[] = []): Promise<void> {
    this.start(node, args);
    await this.localnet.waitUntilReady(node, { timeoutMs: READY_MS });
  }

  async height(node: LocalnetNode): Promise<number> {
    return (await node.admin.status()).chain.height;
  }

  async waitForHeight(node: LocalnetNode, height: number, timeoutMs: number = 60_000): Promise<void> {
    await waitFor(`${node.name} reaches height ${height}`, timeoutMs, async () => (await this.height(node)) >= height);
  }

  url(node: LocalnetNode, target: string): string {
    return `http://127.0.0.1:${node.ports.http}${target}`;
  }

  /** Runs the real curl; a refused or cut connection is an answer too. */
  async curl(args: readonly string[]): Promise<CurlAnswer> {
    this.#files += 1;
    const headerFile = path.join(this.folder, `headers-${this.#files}`);
    const bodyFile = path.join(this.folder, `body-${this.#files}`);
    const all = ['-sS', '--max-time', '100', '-D', headerFile, '-o', bodyFile, '-w', '%{http_code}', ...args];
    const { exitCode, stdout } = await promisify(execFile)(this.#curl, all).then(
      (done) => ({ exitCode: 0, stdout: done.stdout }),
      (error: { code?: number; stdout?: string }) => ({ exitCode: error.code ?? -1, stdout: error.stdout ?? '' }),
    );
    const read = async (file: string): Promise<Buffer> => await readFile(file).catch(() => Buffer.alloc(0));
    return {
      status: exitCode === 0 ? Number(stdout) : 0,
      exitCode,
      headers: (await read(headerFile)).toString('latin1'),
      body: await read(bodyFile),
    };
  }

  async get(node: LocalnetNode, target: string, args: readonly string[] = []): Promise<CurlAnswer> {
    return await this.curl([...args, this.url(node, target)]);
  }

  /** `curl -T` of the bytes, with the node's own publish token. */
  async publish(node: LocalnetNode, target: string, bytes: Uint8Array): Promise<CurlAnswer> {
    this.#files += 1;
    const file = path.join(this.folder, `upload-${this.#files}`);
    await writeFile(file, bytes);
    const token = (await readFile(path.join(node.dataDir, 'publish-token'), 'utf8')).trim();
    return await this.curl(['-T', file, '-H', `Authorization: Bearer ${token}`, this.url(node, target)]);
  }

  /** Every file below the folder whose bytes are these. */
  async filesWith(folder: string, bytes: Uint8Array): Promise<readonly string[]> {
    const digest = sha256(bytes);
    const found: string[] = [];
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      const file = path.join(entry.parentPath, entry.name);
      if (!entry.isFile() || (await stat(file)).size !== bytes.length) continue;
      if (sha256(await readFile(file)) === digest) found.push(file);
    }
    return found;
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** So that what is tested has most of the machine. */
const PACE_MS = 300;

/** Publishes one small file after the other at the given nodes, each once the last is committed, until it is stopped. */
export class Load {
  readonly committed: string[] = [];
  readonly failures: string[] = [];
  readonly #fixture: Fixture;
  readonly #name: string;
  readonly #done: Promise<void>[];
  #stopped = false;

  constructor(fixture: Fixture, options: { readonly name: string; readonly at: readonly LocalnetNode[] }) {
    this.#fixture = fixture;
    this.#name = options.name;
    this.#done = options.at.map(async (node) => await this.#run(node));
  }

  async #run(node: LocalnetNode): Promise<void> {
    for (let count = 1; !this.#stopped; count += 1) {
      const target = `/generic/demo/${this.#name}-${node.name}/1.0.${count}/file.txt`;
      const answer = await this.#fixture.publish(node, target, Buffer.from(`${target}\n`.repeat(20)));
      if (answer.status === 201) this.committed.push(target);
      else this.failures.push(`${target}: ${answer.status} ${answer.body.toString('utf8').slice(0, 200)}`);
      await pause(PACE_MS);
    }
  }

  /** Waits until this many more files are committed. */
  async waitForMore(count: number, timeoutMs: number): Promise<void> {
    const wanted = this.committed.length + count;
    await waitFor(`${count} more commits of ${this.#name}`, timeoutMs, async () => this.committed.length >= wanted);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#done);
  }
}
