/** Real nodes whose network goes on to rules that they do not know: they say so, stop before them with an exit code of their own, and stay stopped. */

import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { PROTOCOL_VERSION } from '../../chain/index.ts';
import { cairn } from '../cli/run-cairn.ts';
import { client } from '../clients.ts';
import { startNetwork, temporaryFolder, waitFor } from './localnet-fixture.ts';

t.setTimeout(560_000);

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** The software of the day after tomorrow: this one, but that it knows one more protocol version. How it is started. */
async function newerSoftware(folder: string): Promise<readonly string[]> {
  const isTest = (file: string): boolean => file.startsWith(path.join(ROOT, 'dist/test'));
  await cp(path.join(ROOT, 'dist'), path.join(folder, 'dist'), { recursive: true, filter: (file) => !isTest(file) });
  for (const shared of ['node_modules', 'package.json']) await symlink(path.join(ROOT, shared), path.join(folder, shared));
  const file = path.join(folder, 'dist/chain/validity.js');
  const text = await readFile(file, 'utf8');
  const changed = text.replace(`PROTOCOL_VERSION = ${PROTOCOL_VERSION};`, `PROTOCOL_VERSION = ${PROTOCOL_VERSION + 1};`);
  if (changed === text) throw new Error(`expected ${file} to say which version it knows`);
  await writeFile(file, changed);
  return [process.execPath, path.join(folder, 'dist/src/cli/main.js')];
}

t.test('protocol version 2 at height 3: the old software stops at 2, exit code 6, and again at every start', async (t) => {
  const curl = client(t, 'curl');
  if (curl === null) return;
  const fixture = await startNetwork(t, { curl, authorities: 1, mirrors: 0 });
  const [node] = fixture.authorities;
  if (node === undefined) throw new Error('one authority expected');
  const propose = (...args: readonly string[]): ReturnType<typeof cairn> =>
    cairn(['params', 'propose', '--set', 'protocolVersion=2', ...args, '--data', node.dataDir]);
  t.match(await propose(), { code: 4, stderr: /a new protocol version needs a height of at least 3/ });
  t.match(await propose('--at-height', '3'), {
    code: 0,
    stdout: /decided at height 1, in force from height 3 on/,
    stderr: /warning: this node knows protocol versions up to 1: it stops before height 3/,
  });
  await fixture.waitForHeight(node, 1);
  await fixture.publish(node, '/generic/demo/last/1.0.0/file.txt', Buffer.from('the last one by the old rules\n'));
  t.match(await node.process.exited, { code: 6 });
  t.match(node.process.logText(), /this software is too old for what the network has decided/);
  t.match(await cairn(['start', '--data', node.dataDir]), {
    code: 6,
    stderr: /cairn: from height 3 on the network obeys protocol version 2, and this software knows up to 1: install a newer one/,
  });
});

t.test('of four authorities three have newer software: they go on, the fourth and the mirror stop, and come back with it', async (t) => {
  const curl = client(t, 'curl');
  if (curl === null) return;
  const newer = await newerSoftware(await temporaryFolder(t));
  const isOld = (name: string): boolean => name === 'node4' || name === 'mirror1';
  const commandOf = (name: string): readonly string[] | undefined => (isOld(name) ? undefined : newer);
  const fixture = await startNetwork(t, { curl, commandOf });
  const [first, second, third] = fixture.authorities;
  if (first === undefined || second === undefined || third === undefined) throw new Error('four authorities expected');
  const atHeight = 4;
  for (const node of [first, second, third])
    await cairn(['params', 'propose', '--set', 'protocolVersion=2', '--at-height', `${atHeight}`, '--data', node.dataDir]);
  await fixture.waitForHeight(first, 1);
  const publish = async (version: number): Promise<void> => {
    const target = `/generic/demo/upgrade/${version}.0.0/file.txt`;
    t.equal((await fixture.publish(first, target, Buffer.from(`${version}\n`))).status, 201, `version ${version}`);
  };
  for (let version = 1; (await fixture.height(first)) < atHeight - 1; version += 1) await publish(version);
  for (const node of fixture.nodes.filter(({ name }) => isOld(name))) {
    t.match(await node.process.exited, { code: 6 }, `${node.name} stops`);
    t.match(node.process.logText(), /this software is too old for what the network has decided/);
  }
  await publish(100);
  await publish(101);
  t.match(await first.admin.get('/parameters'), { parameters: { protocolVersion: 2 }, pending: null });
  for (const node of fixture.nodes.filter(({ name }) => isOld(name))) fixture.start(node, [], newer);
  const height = await fixture.height(first);
  for (const node of fixture.nodes) await fixture.waitForHeight(node, height);
  await third.process.stop(10_000);
  await publish(102);
  t.pass('with one of the first three away the fourth has voted');
  await waitFor(
    'the mirror has it too',
    30_000,
    async () => (await fixture.get(fixture.node('mirror1'), '/generic/demo/upgrade/102.0.0/file.txt')).status === 200,
  );
});
