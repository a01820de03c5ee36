/**
 * Images through the network with skopeo, podman and curl: whole indexes at one mirror and, with the upstream gone, at the next; a crowd that
 * asks for one cold image; authorities whose upstream shows them something else; an upstream that is down; and the closed set-up of podman.
 */

import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { type LocalnetNode, runCli } from '../../src/localnet/index.ts';
import type { BuildStatus } from '../../src/operations.ts';
import { client } from '../clients.ts';
import { makeImage, makeIndex } from '../registry/oci-images.ts';
import { type Fixture, reservePorts, startNetwork, temporaryFolder, waitFor } from './localnet-fixture.ts';
import { UpstreamRegistry } from './upstream-registry.ts';

const WAIT_MS = 60_000;
const NOT_SECURE = ['--src-tls-verify=false'];

interface Scene {
  readonly fixture: Fixture;
  readonly upstream: UpstreamRegistry;
  /** Shows other images under the same names. */
  readonly other: UpstreamRegistry;
  readonly mirrors: readonly [LocalnetNode, LocalnetNode];
  readonly folder: string;
}

t.test('images', async (t) => {
  const scene = await openScene(t);
  if (scene === null) return;
  await t.test('skopeo: tag, digest and --all, then at the next mirror with the upstream gone', async (t) => await skopeo(t, scene));
  await t.test('podman with location: nothing goes elsewhere', async (t) => await podman(t, scene));
  await t.test('200 clients want one cold image: one request, one fetch by each authority', async (t) => await crowd(t, scene));
  await t.test('an upstream that is down: 503, and the image once it is back', async (t) => await down(t, scene));
  await t.test('one of four sees another image: committed', async (t) => await oneDiffers(t, scene));
  await t.test('two of four see another image: refused, and the verdicts are shown', async (t) => await twoDiffer(t, scene));
});

async function openScene(t: Test): Promise<Scene | null> {
  const [curl, registry] = [client(t, 'curl'), client(t, 'docker-registry')];
  if (curl === null || registry === null) return null;
  const folder = await temporaryFolder(t);
  const start = async (name: string): Promise<UpstreamRegistry> =>
    await UpstreamRegistry.start(t, registry, { folder: path.join(folder, name), port: await reservePorts(t) });
  const [upstream, other] = [await start('upstream'), await start('other')];
  const fixture = await startNetwork(t, { curl, mirrors: 2, upstream: upstream.url });
  return { fixture, upstream, other, mirrors: [fixture.node('mirror1'), fixture.node('mirror2')], folder };
}

async function skopeo(t: Test, { fixture, upstream, mirrors, folder }: Scene): Promise<void> {
  const program = client(t, 'skopeo');
  if (program === null) return;
  const [amd64, arm64] = [makeImage('for amd64'), makeImage('for arm64', { architecture: 'arm64' })];
  const index = makeIndex([
    ['amd64', amd64],
    ['arm64', arm64],
  ]);
  await upstream.push('team/app', '2.0', [amd64, arm64, index]);
  const copy = async (mirror: LocalnetNode, args: readonly string[], reference: string, to: string): Promise<unknown> => {
    const from = `docker://${fixture.url(mirror, '').slice('http://'.length)}/docker.io/team/app${reference}`;
    return await promisify(execFile)(program, [
      '--override-arch',
      'amd64',
      'copy',
      '-q',
      ...NOT_SECURE,
      ...args,
      from,
      `oci:${folder}/${to}`,
    ]);
  };
  await t.resolves(copy(mirrors[0], [], ':2.0', 'tag'), 'by a tag that nobody has asked for before');
  await t.resolves(copy(mirrors[0], [], `@${arm64.digest}`, 'digest'));
  await t.resolves(copy(mirrors[0], ['--all'], ':2.0', 'all'));
  await upstream.stop();
  await t.resolves(copy(mirrors[1], ['--all'], ':2.0', 'again'), 'all of it, with the upstream gone');
  await t.resolves(copy(mirrors[1], [], `@${amd64.digest}`, 'again-digest'));
  await upstream.run();
  const listed = await promisify(execFile)(program, [
    'list-tags',
    '--tls-verify=false',
    `docker://${fixture.url(mirrors[1], '').slice('http://'.length)}/docker.io/team/app`,
  ]);
  t.same((JSON.parse(listed.stdout) as { Tags: unknown }).Tags, ['2.0']);
  const asked = await upstream.asked('team/app');
  t.equal(asked.length, 4 * 7, 'index, two manifests, two configs, two layers: once by each authority');
}

/** The closed set-up: `location` puts the node in the registry's place. */
async function podman(t: Test, { fixture, upstream, mirrors, folder }: Scene): Promise<void> {
  const program = client(t, 'podman');
  if (program === null) return;
  await upstream.push('library/pod', '1', [makeImage('for podman')]);
  const home = path.join(folder, 'podman');
  await mkdir(home, { recursive: true });
  const location = `${fixture.url(mirrors[0], '').slice('http://'.length)}/docker.io`;
  await writeFile(path.join(home, 'registries.conf'), `[[registry]]\nprefix = "docker.io"\nlocation = "${location}"\ninsecure = true\n`);
  await writeFile(path.join(home, 'policy.json'), JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }));
  const storage = ['--root', `${home}/root`, '--runroot', `${home}/run`, '--storage-driver', 'vfs'];
  const pull = (image: string): Promise<unknown> =>
    promisify(execFile)(program, [...storage, 'pull', '-q', '--signature-policy', `${home}/policy.json`, image], {
      env: { ...process.env, CONTAINERS_REGISTRIES_CONF: `${home}/registries.conf` },
    });
  await t.resolves(pull('docker.io/library/pod:1'));
  const error = await pull('docker.io/library/pod:none').then(
    () => 'it was pulled',
    (failed: { stderr: string }) => failed.stderr,
  );
  t.match(error, /manifest unknown|no .*none/i, 'the node’s own answer ends it');
}

async function crowd(t: Test, { fixture, upstream, mirrors }: Scene): Promise<void> {
  const image = makeImage('for a crowd');
  await upstream.push('library/crowd', '1', [image]);
  const url = fixture.url(mirrors[0], '/v2/library/crowd/manifests/1');
  const answers = await Promise.all(Array.from({ length: 200 }, async () => await fetch(url)));
  const found = new Map<string, number>();
  for (const answer of answers) {
    const key = `${answer.status} ${answer.headers.get('docker-content-digest')}`;
    found.set(key, (found.get(key) ?? 0) + 1);
    await answer.arrayBuffer();
  }
  t.same([...found], [[`200 ${image.digest}`, 200]]);
  t.equal((await upstream.asked('library/crowd')).length, 4 * 3);
  const begun = mirrors[0].process
    .logText()
    .split('\n')
    .filter((line) => line.includes('library/crowd:1') && line.includes('request begun'));
  t.equal(begun.length, 1, 'one request, however many wait');
}

async function down(t: Test, { fixture, upstream, mirrors }: Scene): Promise<void> {
  await upstream.push('library/late', '1', [makeImage('late')]);
  await upstream.stop();
  const target = '/v2/library/late/manifests/1';
  const answer = await fixture.get(mirrors[0], target);
  t.equal(answer.status, 503);
  t.match(answer.headers, /retry-after: \d+/i);
  t.match(answer.body.toString(), /UNAVAILABLE/);
  await upstream.run();
  await waitFor('the image comes', WAIT_MS, async () => (await fixture.get(mirrors[0], target)).status === 200);
}

/** node4 sees the other registry from here on. */
async function oneDiffers(t: Test, scene: Scene): Promise<void> {
  const { fixture, upstream, other, mirrors } = scene;
  const [truth, lie] = [makeImage('the truth'), makeImage('a lie')];
  await upstream.push('library/odd', '1', [truth]);
  await other.push('library/odd', '1', [lie]);
  await lookElsewhere(scene, ['node4']);
  const answer = await fixture.get(mirrors[0], '/v2/library/odd/manifests/1');
  t.equal(answer.status, 200);
  t.match(answer.headers, new RegExp(`docker-content-digest: ${truth.digest}`, 'i'));
}

async function twoDiffer(t: Test, scene: Scene): Promise<void> {
  const { fixture, upstream, other, mirrors } = scene;
  const [truth, lie] = [makeImage('one truth'), makeImage('another')];
  await upstream.push('library/split', '1', [truth]);
  await other.push('library/split', '1', [lie]);
  await lookElsewhere(scene, ['node3']);
  const answer = await fixture.get(mirrors[0], '/v2/library/split/manifests/1');
  t.equal(answer.status, 403, answer.body.toString());
  t.match(answer.body.toString(), /DENIED/);
  const build = await runCli(['build', 'docker', 'split:1', '--data', mirrors[0].dataDir]);
  const id = build.trim();
  const status = JSON.parse(
    await runCli(['build', 'status', id, '--json', '--data', mirrors[0].dataDir]).catch((error: Error & { cause?: { stdout?: string } }) =>
      String(error.cause?.stdout),
    ),
  ) as BuildStatus;
  const seen = (digest: string): readonly string[] =>
    [
      ...new Set(
        status.verdicts
          .filter(({ verdict, detail }) => verdict === 'endorsed' && detail.includes(digest))
          .map(({ authority }) => authority),
      ),
    ].sort();
  t.same(seen(truth.digest), ['node1', 'node2'], 'who saw the one');
  t.same(seen(lie.digest), ['node3', 'node4'], 'who saw the other');
  t.equal(status.height, null);
}

async function lookElsewhere({ fixture, other }: Scene, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const node = fixture.node(name);
    await node.process.stop(10_000);
    await fixture.restart(node, ['--upstream-urls', `docker-hub=${other.url}`]);
  }
  await fixture.localnet.waitUntilConnected({ timeoutMs: WAIT_MS });
}
