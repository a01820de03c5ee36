/**
 * `docker pull` through the network, as the people we build for type it: real Engines with mirrors of this network as `registry-mirrors`, a
 * real registry as upstream. Absent, requested, endorsed, committed, served; at the next mirror from the network; and then local.
 */

import { execFile } from 'node:child_process';
import { mkdir, open, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { type LocalnetNode, runCli } from '../../src/localnet/index.ts';
import { client } from '../clients.ts';
import { DockerEngine } from './docker-engine.ts';
import { type Fixture, reservePorts, startNetwork, temporaryFolder, waitFor } from './localnet-fixture.ts';
import { UpstreamRegistry } from './upstream-registry.ts';

const WAIT_MS = 60_000;
const IMAGE_BYTES = 5_000_000;

interface Scene {
  readonly fixture: Fixture;
  readonly upstream: UpstreamRegistry;
  readonly engines: readonly [DockerEngine, DockerEngine];
  readonly mirrors: readonly [LocalnetNode, LocalnetNode];
  readonly busybox: string;
  readonly folder: string;
}

t.test('docker pull', { timeout: 400_000 }, async (t) => {
  const scene = await openScene(t);
  if (scene === null) return;
  await t.test(
    'the first pull has the image vetted, the second takes it from the network, the third is local',
    async (t) => await demo(t, scene),
  );
  await t.test('by the direct name nothing goes elsewhere', async (t) => await directName(t, scene));
  await t.test("containerd with the node as 'server'", async (t) => await containerd(t, scene));
  await t.test('a flipped bit in peers’ stores reaches no client', async (t) => await flippedBit(t, scene));
  await t.test('what was removed is refused, by tag and digest', async (t) => await removed(t, scene));
});

async function openScene(t: Test): Promise<Scene | null> {
  const programs = ['curl', 'docker', 'dockerd', 'docker-registry', 'busybox'] as const;
  const [curl, docker, dockerd, registry, busybox] = programs.map((name) => client(t, name));
  if (curl == null || docker == null || dockerd == null || registry == null || busybox == null) return null;
  if (os.userInfo().uid !== 0) {
    if (process.env.CI === 'true') t.fail('the Docker Engine needs root, and CI=true allows no skip');
    else t.pass('needs root', { skip: 'the Docker Engine runs as root only' });
    return null;
  }
  const folder = await temporaryFolder(t);
  const upstream = await UpstreamRegistry.start(t, registry, { folder: path.join(folder, 'upstream'), port: await reservePorts(t) });
  const fixture = await startNetwork(t, { curl, mirrors: 2, upstream: upstream.url });
  const mirrors = [fixture.node('mirror1'), fixture.node('mirror2')] as const;
  const engine = (index: 0 | 1): Promise<DockerEngine> =>
    DockerEngine.start(t, { docker, dockerd }, { folder: path.join(folder, `e${index}`), mirror: fixture.url(mirrors[index], '') });
  const engines = [await engine(0), await engine(1)] as const;
  return { fixture, upstream, engines, mirrors, busybox, folder };
}

async function push({ upstream, engines, busybox, folder }: Scene, name: string): Promise<void> {
  await engines[0].pushNew(busybox, { folder, to: `${upstream.url.slice('http://'.length)}/${name}`, sizeBytes: IMAGE_BYTES });
}

/** The steps that a node's log names for an image and its files, in order. */
function stepsOf(node: LocalnetNode, message: 'image request' | 'file request'): readonly string[] {
  return node.process
    .logText()
    .split('\n')
    .filter((line) => line.includes(`"message":"${message}"`))
    .map((line) => String((JSON.parse(line) as { step: string }).step));
}

async function demo(t: Test, scene: Scene): Promise<void> {
  const { upstream, engines, mirrors, fixture } = scene;
  await push(scene, 'library/tool:1');
  const before = (await upstream.asked('library/tool')).length;
  t.match(await engines[0].run(['pull', 'tool:1']), /Downloaded newer image/);
  t.equal(await engines[0].run(['run', '--rm', '--network', 'host', 'tool:1', '/bin/echo', 'it runs']), 'it runs\n');
  t.same(stepsOf(mirrors[0], 'image request'), ['requested', 'committed'], 'absent, requested, committed');
  t.same([...new Set(stepsOf(mirrors[0], 'file request'))], ['network'], 'and then served from those who endorsed it');
  await endorsedByQuorum(t, mirrors[0]);

  const asked = (await upstream.asked('library/tool')).slice(before);
  t.equal(asked.length, 4 * 3, 'manifest, config and layer, once by each authority, and never by a mirror');
  await upstream.stop();
  t.match(
    await engines[1].run(['pull', 'tool:1']),
    /Downloaded newer image/,
    'the second mirror has it from the network, with the upstream gone',
  );
  t.same([...new Set(stepsOf(mirrors[1], 'file request'))], ['network']);
  t.same(stepsOf(mirrors[1], 'image request'), [], 'and asked nobody for it');
  await engines[1].run(['rmi', 'tool:1']);
  await engines[1].run(['pull', 'tool:1']);
  t.same([...new Set(stepsOf(mirrors[1], 'file request'))], ['network', 'local'], 'the third time it is local');
  t.equal(await engines[1].run(['run', '--rm', '--network', 'host', 'tool:1', '/bin/echo', 'it runs']), 'it runs\n');
  for (const mirror of mirrors) await statusIsCounted(t, mirror);
  await upstream.run();
  t.equal((await fixture.get(mirrors[0], '/v2/library/tool/manifests/none')).status, 404, 'what the upstream has not is not found');
}

async function endorsedByQuorum(t: Test, node: LocalnetNode): Promise<void> {
  const args = ['inspect-log', 'docker', 'tool', '--format', 'json', '--data', node.dataDir];
  const entries = JSON.parse(await runCli(args)) as readonly { kind: string; endorsers: readonly string[] }[];
  t.same(
    entries.map(({ kind }) => kind),
    ['AddArtifact', 'SetName'],
  );
  for (const { kind, endorsers } of entries) t.ok(endorsers.length >= 3, `${kind} is endorsed by ${endorsers.length} of 4`);
  const table = await runCli([
    'inspect-log',
    'docker',
    'tool:1',
    '--format',
    'csv',
    '--latest',
    '--fields',
    'height,kind',
    '--data',
    node.dataDir,
  ]);
  t.match(table, /SetName/);
}

/** What the node says of its disk is what lies there. */
async function statusIsCounted(t: Test, node: LocalnetNode): Promise<void> {
  const { disk } = await node.admin.status();
  let [files, usedBytes] = [0, 0];
  for (const entry of await readdir(path.join(node.dataDir, 'files', 'blobs'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    usedBytes += (await stat(path.join(entry.parentPath, entry.name))).size;
    if (/^[0-9a-f]{64}$/.test(entry.name)) files += 1;
  }
  t.same([disk.files, disk.usedBytes], [files, usedBytes], `${node.name} counts what lies on its disk`);
  t.equal(files, 3, 'manifest, config and layer');
}

async function directName(t: Test, { fixture, mirrors, engines }: Scene): Promise<void> {
  const name = `127.0.0.1:${mirrors[0].ports.http}/docker.io/library/tool`;
  t.match(await engines[1].run(['pull', `${name}:1`]), /Digest: sha256:/);
  const digest = /sha256:[0-9a-f]{64}/.exec(await engines[1].run(['pull', `${name}:1`]))?.[0] ?? '';
  t.match(await engines[1].run(['pull', `${name}@${digest}`]), digest);
  await t.rejects(engines[1].run(['pull', `${name}:none`]), 'a tag that is nowhere fails');
  t.match((await fixture.get(mirrors[0], '/v2/docker.io/library/tool/tags/list')).body.toString(), /"tags":\["1"\]/);
}

async function containerd(t: Test, scene: Scene): Promise<void> {
  const ctr = client(t, 'ctr');
  if (ctr === null) return;
  const { engines, fixture, mirrors, folder } = scene;
  const hosts = path.join(folder, 'hosts', 'docker.io');
  await mkdir(hosts, { recursive: true });
  const url = JSON.stringify(fixture.url(mirrors[1], ''));
  await writeFile(path.join(hosts, 'hosts.toml'), `server = ${url}\n\n[host.${url}]\n  capabilities = ["pull", "resolve"]\n`);
  const pull = (image: string): Promise<unknown> =>
    promisify(execFile)(ctr, ['-a', engines[0].containerd, 'images', 'pull', '--hosts-dir', path.dirname(hosts), image]);
  await t.resolves(pull('docker.io/library/tool:1'));
  await t.rejects(pull('docker.io/library/tool:none'), 'and asks nobody else');
}

/** Flips a bit of the layer in three of the four authorities' stores and in the mirror's own. */
async function flippedBit(t: Test, scene: Scene): Promise<void> {
  const { fixture, engines, mirrors } = scene;
  await push(scene, 'library/fragile:1');
  await engines[0].run(['pull', 'fragile:1']);
  const digest = await layerOf(fixture, mirrors[0], 'library/fragile');
  for (const node of [...fixture.authorities.slice(0, 3), mirrors[0]]) await flip(node, digest);
  await engines[0].run(['rmi', 'fragile:1']);
  t.match(await engines[0].run(['pull', 'fragile:1']), /Downloaded newer image/, 'the Engine, which checks by itself, is content');
  t.match(await engines[1].run(['pull', 'fragile:1']), /Downloaded newer image/, 'so is the one at the mirror that never had it');
  t.equal(await engines[1].run(['run', '--rm', '--network', 'host', 'fragile:1', '/bin/echo', 'whole']), 'whole\n');
  t.match(mirrors[0].process.logText(), /rotted/, 'the mirror named its own rot');
}

async function layerOf(fixture: Fixture, node: LocalnetNode, repository: string): Promise<string> {
  const manifest = JSON.parse((await fixture.get(node, `/v2/${repository}/manifests/1`)).body.toString()) as {
    layers: [{ digest: string }];
  };
  return manifest.layers[0].digest;
}

async function flip(node: LocalnetNode, digest: string): Promise<void> {
  const hex = digest.slice('sha256:'.length);
  const file = path.join(node.dataDir, 'files', 'blobs', 'sha256', hex.slice(0, 2), hex);
  const { atime, mtime, size } = await stat(file);
  const handle = await open(file, 'r+');
  const [at, byte] = [Math.floor(size / 2), new Uint8Array(1)];
  await handle.read(byte, 0, 1, at);
  await handle.write(Uint8Array.of((byte[0] ?? 0) ^ 1), 0, 1, at);
  await handle.close();
  await utimes(file, atime, mtime);
}

async function removed(t: Test, { fixture, mirrors }: Scene): Promise<void> {
  const head = await fixture.get(mirrors[0], '/v2/library/fragile/manifests/1', ['-I']);
  const digest = /docker-content-digest: (sha256:[0-9a-f]{64})/i.exec(head.headers)?.[1] ?? '';
  const purl = `pkg:docker/library/fragile@${digest}?repository_url=docker.io`;
  for (const node of fixture.authorities.slice(0, 3))
    await runCli(['remove', purl, '--reason', 'found to be malicious', '--data', node.dataDir]);
  for (const reference of ['1', digest]) {
    const answer = await waitFor(`${reference} is refused`, WAIT_MS, async () => {
      const found = await fixture.get(mirrors[0], `/v2/library/fragile/manifests/${reference}`);
      return found.status === 403 ? found : null;
    });
    t.match(answer.body.toString(), /DENIED.*found to be malicious/s);
  }
}
