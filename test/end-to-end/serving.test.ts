/**
 * What four authorities and a mirror serve, seen with curl, promtool and a real Prometheus: published here, fetched there, a rotten disk
 * found, a removed file refused everywhere, metrics that real tools accept.
 */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t, { type Test } from 'tap';
import { runCli } from '../../src/localnet/index.ts';
import { client } from '../clients.ts';
import { type Fixture, reservePorts, sha256, startNetwork, temporaryFolder, waitFor } from './localnet-fixture.ts';

const COMMIT_MS = 60_000;
const TARGET = '/generic/demo/tool/1.0.0/tool.bin';
const PURL = 'pkg:generic/demo/tool@1.0.0';
/** Some pieces of 16 KiB, and a last one that is not full. */
const BYTES = Buffer.from(Uint8Array.from({ length: 5 * 16_384 + 1234 }, (_, index) => (index * 7 + (index >> 8)) & 0xff));

t.test('one network', async (t) => {
  const curl = client(t, 'curl');
  if (curl === null) return;
  const fixture = await startNetwork(t, { curl });
  await t.test('published at one authority, fetched at the mirror', async (t) => await publishedAndFetched(t, fixture));
  await t.test('refusals are the protocol’s own', async (t) => await refusals(t, fixture));
  await t.test('a flipped bit is found, logged, quarantined and never served', async (t) => await rottenDisk(t, fixture));
  await t.test('every node’s metrics pass promtool', async (t) => await promtoolAccepts(t, fixture));
  await t.test('Prometheus scrapes all five', async (t) => await prometheusScrapes(t, fixture));
  await t.test('a removed file is refused on every node', async (t) => await removed(t, fixture));
});

async function publishedAndFetched(t: Test, fixture: Fixture): Promise<void> {
  const [node1, mirror] = [fixture.node('node1'), fixture.node('mirror1')];
  const published = await fixture.publish(node1, TARGET, BYTES);
  t.equal(published.status, 201, published.body.toString('utf8'));
  await waitFor('the mirror hears of the commit', COMMIT_MS, async () => (await fixture.get(mirror, TARGET, ['-I'])).status === 200);

  const whole = await fixture.get(mirror, TARGET);
  t.equal(whole.status, 200);
  t.equal(sha256(whole.body), sha256(BYTES));
  t.match(whole.headers.toLowerCase(), /etag: "[^"]*"/);
  const etag = /^etag: (.*)$/im.exec(whole.headers)?.[1]?.trim() ?? '';
  t.equal((await fixture.get(mirror, TARGET, ['-H', `If-None-Match: ${etag}`])).status, 304);

  const head = await fixture.get(mirror, TARGET, ['-I']);
  t.match(head.headers.toLowerCase(), new RegExp(`content-length: ${BYTES.length}\\r`));

  const part = await fixture.get(mirror, TARGET, ['-r', '16000-17000']);
  t.equal(part.status, 206);
  t.same(part.body, BYTES.subarray(16_000, 17_001));
  t.equal((await fixture.get(mirror, TARGET, ['-r', '999999999-'])).status, 416);
  for (const node of fixture.nodes) t.equal(sha256((await fixture.get(node, TARGET)).body), sha256(BYTES), `${node.name} serves it`);
}

async function refusals(t: Test, fixture: Fixture): Promise<void> {
  const [node1, node2, mirror] = [fixture.node('node1'), fixture.node('node2'), fixture.node('mirror1')];
  t.equal((await fixture.publish(node1, TARGET, Buffer.from('other bytes'))).status, 409, 'a committed version can not be replaced');
  t.equal((await fixture.publish(node2, TARGET, Buffer.from('other bytes'))).status, 409, 'neither at another node');
  const anonymous = await fixture.curl(['-X', 'PUT', '--data-binary', 'x', fixture.url(node1, '/generic/demo/anonymous/1.0.0/x')]);
  t.equal(anonymous.status, 401);
  t.equal((await fixture.publish(node1, '/generic/elsewhere/x/1.0.0/x', Buffer.from('x'))).status, 403, 'the policy grants demo/* alone');
  t.equal((await fixture.get(mirror, '/generic/demo/unknown/1.0.0/x')).status, 404);
  const hostile = [
    '/generic/demo/../tool/1.0.0/x',
    '/generic/demo/%2e%2e/1.0.0/x',
    '/generic/demo%2ftool/1.0.0/x',
    '/generic/demo/a%00b/1.0.0/x',
  ];
  for (const target of [...hostile, `/generic/demo/${'a'.repeat(300)}/1.0.0/x`]) {
    const answer = await fixture.get(node1, target, ['--path-as-is']);
    t.ok(answer.status === 400 || answer.status === 404, `${target.slice(0, 40)} is answered ${answer.status}`);
    const upload = await fixture.publish(node1, target, Buffer.from('x'));
    t.not(upload.status, 201, `${target.slice(0, 40)} can not be published`);
  }
  for (const node of fixture.nodes) t.ok(node.process.running, `${node.name} still runs`);
}

/** Flips one bit on the mirror's disk; peers still have the file. */
async function rottenDisk(t: Test, fixture: Fixture): Promise<void> {
  const mirror = fixture.node('mirror1');
  const before = await mirror.admin.status();
  const copies = await fixture.filesWith(path.join(mirror.dataDir, 'files'), BYTES);
  const [copy] = copies;
  if (copy === undefined) return void t.fail('the mirror keeps what it fetched');
  t.equal(copies.length, 1);
  const { atime, mtime } = await stat(copy);
  const offset = 3 * 16_384 + 99;
  const file = await open(copy, 'r+');
  await file.write(Uint8Array.of((BYTES[offset] ?? 0) ^ 1), 0, 1, offset);
  await file.close();
  await utimes(copy, atime, mtime);

  const served = await waitFor('the mirror serves the true bytes again', COMMIT_MS, async () => {
    const answer = await fixture.get(mirror, TARGET);
    const prefix = BYTES.subarray(0, answer.body.length);
    if (answer.status === 200 || answer.status === 0) t.ok(prefix.equals(answer.body), 'no byte is wrong, whether or not all came');
    return answer.status === 200 && answer.body.length === BYTES.length ? answer : null;
  });
  t.equal(sha256(served.body), sha256(BYTES));
  t.match(mirror.process.logText(), /quarantin/i, 'the log says so');
  const after = await mirror.admin.status();
  t.equal(after.disk.quarantined, before.disk.quarantined + 1);
}

async function promtoolAccepts(t: Test, fixture: Fixture): Promise<void> {
  const promtool = client(t, 'promtool');
  if (promtool === null) return;
  for (const node of fixture.nodes) {
    const exposed = await fixture.curl([`http://127.0.0.1:${node.ports.metrics}/metrics`]);
    t.equal(exposed.status, 200);
    t.match(exposed.body.toString('utf8'), /^cairn_/m);
    const child = execFile(promtool, ['check', 'metrics']);
    let said = '';
    child.stderr?.on('data', (text: string) => (said += text));
    child.stdout?.on('data', (text: string) => (said += text));
    child.stdin?.end(exposed.body);
    const [code] = (await once(child, 'close')) as [number];
    t.equal(code, 0, `promtool is content with ${node.name}`);
    t.equal(said, '', 'and has no remark');
  }
}

interface TargetsAnswer {
  readonly data: { readonly activeTargets: readonly { readonly health: string; readonly lastError: string }[] };
}

async function prometheusScrapes(t: Test, fixture: Fixture): Promise<void> {
  const prometheus = client(t, 'prometheus');
  if (prometheus === null) return;
  const [folder, port] = [await temporaryFolder(t), await reservePorts(t)];
  const targets = fixture.nodes.map((node) => `127.0.0.1:${node.ports.metrics}`);
  const config = { global: { scrape_interval: '1s' }, scrape_configs: [{ job_name: 'cairn', static_configs: [{ targets }] }] };
  const configFile = path.join(folder, 'prometheus.yml');
  await writeFile(configFile, JSON.stringify(config));
  const listen = `127.0.0.1:${port}`;
  const args = [`--config.file=${configFile}`, `--storage.tsdb.path=${path.join(folder, 'tsdb')}`, `--web.listen-address=${listen}`];
  const child = spawn(prometheus, args, { stdio: 'ignore' });
  t.teardown(async () => {
    child.kill('SIGTERM');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  const up = await waitFor('five targets are up', COMMIT_MS, async () => {
    const { data } = JSON.parse((await fixture.curl([`http://${listen}/api/v1/targets`])).body.toString('utf8')) as TargetsAnswer;
    return data.activeTargets.length === 5 && data.activeTargets.every((target) => target.health === 'up') ? data.activeTargets : null;
  });
  t.same(
    up.map((target) => target.lastError),
    ['', '', '', '', ''],
  );
}

async function removed(t: Test, fixture: Fixture): Promise<void> {
  for (const node of fixture.authorities.slice(0, 3)) {
    await runCli(['remove', PURL, '--reason', 'found to be malicious', '--data', node.dataDir]);
  }
  for (const node of fixture.nodes) {
    const answer = await waitFor(`${node.name} refuses the removed file`, COMMIT_MS, async () => {
      const found = await fixture.get(node, TARGET);
      return found.status === 403 ? found : null;
    });
    t.not(sha256(answer.body), sha256(BYTES), `${node.name} refuses the removed file`);
    t.equal((await fixture.get(node, TARGET, ['-r', '0-10'])).status, 403);
    t.equal((await fixture.get(node, TARGET, ['-I'])).status, 403);
  }
  t.equal((await fixture.publish(fixture.node('node1'), TARGET, BYTES)).status, 409, 'nor can it be published again');
}
