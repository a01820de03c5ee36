/** `npm start` as a newcomer meets it: five processes, one published file, Ctrl-C, a second start on the same chain, a port that is taken. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import t, { type Test } from 'tap';
import { busyPorts, nodeEnvironment } from '../../src/localnet/index.ts';
import { reservePorts, temporaryFolder, waitFor } from './localnet-fixture.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..', '..');
const BEGUN_MS = 120_000;
const LAST_WORDS = 'Ctrl-C stops all 5 nodes';

interface Started {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly exitCode: Promise<number | null>;
}

function npmStart(t: Test, args: readonly string[]): Started {
  // Without tap's own loader in it, which the compiler's launcher does not bear.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, path.join(ROOT, 'deploy', 'bootstrap.mjs'), 'start', ...args];
  const child = spawn('env', command, {
    cwd: ROOT,
    env: nodeEnvironment(process.env),
  });
  let output = '';
  child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString('utf8')));
  child.stderr.on('data', (bytes: Buffer) => (output += bytes.toString('utf8')));
  const exitCode = once(child, 'close').then(([code]) => code as number | null);
  t.teardown(async () => {
    child.kill('SIGTERM');
    await exitCode;
    if (!t.passing()) t.comment(output);
  });
  return { child, output: () => output, exitCode };
}

async function begun(started: Started): Promise<string> {
  const { child, output } = started;
  await waitFor('the last line of the start', BEGUN_MS, async () => output().includes(LAST_WORDS) || child.exitCode !== null);
  if (!output().includes(LAST_WORDS)) throw new Error(`ended with exit code ${child.exitCode}: ${output()}`);
  return output();
}

t.test('a first start, Ctrl-C, and a second start on the same chain', async (t) => {
  const [folder, base] = [await temporaryFolder(t), await reservePorts(t)];
  const args = ['--dir', path.join(folder, 'network'), '--base-port', String(base)];
  const ports = Array.from({ length: 5 }, (_, index) => [0, 1, 2, 3].map((offset) => base + index * 10 + offset)).flat();

  const first = npmStart(t, args);
  const said = await begun(first);
  t.match(said, /node1 published pkg:generic\/demo\/cairn@/);
  t.match(said, /mirror1 served it; SHA-256 [0-9a-f]{64} is the one on the chain/);
  t.match(said, `http://127.0.0.1:${base + 40}/generic/demo/cairn/`);
  t.same(await busyPorts(ports), ports);

  const rival = npmStart(t, [...args, '--fresh']);
  t.equal(await rival.exitCode, 1);
  t.match(rival.output(), /is running \(node1 is process \d+\); nothing was started or changed/);

  first.child.kill('SIGINT');
  t.equal(await first.exitCode, 0, 'Ctrl-C is no failure');
  t.match(first.output(), /All nodes have stopped/);
  t.same(await busyPorts(ports), [], 'nothing is left running');

  const second = npmStart(t, args);
  t.match(await begun(second), /is already on this chain/);
  const pid = Number(/node2 \(authority\) runs as process (\d+)/.exec(second.output())?.[1]);
  process.kill(pid, 'SIGKILL');
  t.equal(await second.exitCode, 1, 'a node that dies ends the network');
  t.match(second.output(), /node2 was ended by SIGKILL\. The last lines of /);
  t.same(await busyPorts(ports), [], 'and all others are stopped');
});

t.test('a taken port is named before anything is started', async (t) => {
  const [folder, base] = [await temporaryFolder(t), await reservePorts(t)];
  const server = createServer();
  server.listen(base + 11, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const started = npmStart(t, ['--dir', path.join(folder, 'network'), '--base-port', String(base)]);
  t.equal(await started.exitCode, 1);
  t.match(started.output(), `Port ${base + 11} is in use`);
  t.notMatch(started.output(), /runs as process/);
  t.notOk(existsSync(path.join(folder, 'network')), 'and no network with useless ports stays behind');
});

t.test('an argument that is not known is named', async (t) => {
  const started = npmStart(t, ['--frehs']);
  t.equal(await started.exitCode, 2);
  t.match(started.output(), /--frehs/);
  t.notMatch(started.output(), /Compiling/, 'what is compiled is not compiled again, nor said to be');
});
