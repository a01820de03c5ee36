/**
 * Real clients pull from the OCI adapter: skopeo by tag, by digest and whole indexes, podman into its own storage. What they wrote to the disk
 * is compared with what was put on the chain.
 */

import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { client } from '../clients.ts';
import { commitImage, digestOf, image, type MadeImage, makeImage, makeIndex } from './oci-images.ts';
import { type OciService, ociService, run, steps, until } from './oci-service.ts';

const AMD64 = makeImage('hello');
const ARM64 = makeImage('hello, arm', { architecture: 'arm64' });
const INDEX = makeIndex([
  ['amd64', AMD64],
  ['arm64', ARM64],
]);
const DOCKER = makeImage('hello, docker', { docker: true });
const NOT_SECURE = '--src-tls-verify=false';

async function filled(t: Test): Promise<OciService> {
  const service = await ociService(t);
  for (const made of [AMD64, ARM64]) await commitImage(service, made, { coordinates: image('x', made.digest) });
  await commitImage(service, INDEX, { coordinates: image('x', INDEX.digest), tag: '1' });
  await commitImage(service, DOCKER, { coordinates: image('y', DOCKER.digest), tag: 'latest' });
  return service;
}

/** Digests in an OCI layout, each proven by its bytes. */
async function blobsIn(folder: string): Promise<readonly string[]> {
  const names = await readdir(join(folder, 'blobs/sha256'));
  for (const name of names) {
    const hex = createHash('sha256')
      .update(await readFile(join(folder, 'blobs/sha256', name)))
      .digest('hex');
    if (hex !== name) throw new Error(`${name} has other bytes`);
  }
  return names.map((name) => `sha256:${name}`).sort();
}

function digestsOf(...images: readonly MadeImage[]): readonly string[] {
  return [...new Set(images.flatMap(({ parts }) => parts.map(({ bytes }) => digestOf(bytes))))].sort();
}

t.test('skopeo copies by tag, by digest and all of an index, and inspects', async (t) => {
  const skopeo = client(t, 'skopeo');
  if (skopeo === null) return;
  const { origin } = await filled(t);
  const repository = `docker://${origin}/docker.io/library/x`;
  const folder = t.testdir({});
  const copy = async (name: string, args: readonly string[]): Promise<readonly string[]> => {
    await run(skopeo, [
      ...args.slice(0, -1),
      'copy',
      '-q',
      NOT_SECURE,
      ...(name === 'all' ? ['--all'] : []),
      args.at(-1) ?? '',
      `oci:${folder}/${name}`,
    ]);
    return await blobsIn(join(folder, name));
  };
  const platform = ['--override-os', 'linux', '--override-arch', 'amd64'];
  t.same(await copy('tag', [...platform, `${repository}:1`]), digestsOf(AMD64));
  t.same(await copy('digest', [`${repository}@${ARM64.digest}`]), digestsOf(ARM64));
  t.same(await copy('all', [`${repository}:1`]), digestsOf(AMD64, ARM64, INDEX));
  const raw = await run(skopeo, ['inspect', '--tls-verify=false', '--raw', `${repository}:1`]);
  t.equal(raw.trimEnd(), Buffer.from(INDEX.bytes).toString('latin1'));
  const inspected = JSON.parse(await run(skopeo, [...platform, 'inspect', '--tls-verify=false', `${repository}:1`]));
  t.match(inspected, { Digest: INDEX.digest, RepoTags: ['1'], Architecture: 'amd64', Os: 'linux' });
  const docker = JSON.parse(await run(skopeo, ['inspect', '--tls-verify=false', `docker://${origin}/docker.io/y:latest`]));
  t.match(docker, { Digest: DOCKER.digest }, 'the short name of docker.io');
  t.same(JSON.parse(await run(skopeo, ['list-tags', '--tls-verify=false', repository])).Tags, ['1']);
});

t.test('skopeo waits for an image that the authorities have yet to commit', async (t) => {
  const skopeo = client(t, 'skopeo');
  if (skopeo === null) return;
  const service = await ociService(t);
  service.mayNot = null;
  const folder = t.testdir({});
  const copied = run(skopeo, ['copy', '-q', NOT_SECURE, `docker://${service.origin}/docker.io/library/z:1`, `oci:${folder}/z`]);
  await until(() => service.asked.length === 1);
  await commitImage(service, DOCKER, { coordinates: image('z', DOCKER.digest), tag: '1' });
  service.asked[0]?.answer({ kind: 'committed' });
  await copied;
  t.same(steps(service.node.lines), ['requested', 'committed']);
  t.equal((await blobsIn(join(folder, 'z'))).length, 3);
});

t.test('skopeo says what the node said', async (t) => {
  const skopeo = client(t, 'skopeo');
  if (skopeo === null) return;
  const { origin, ledger } = await filled(t);
  ledger.remove(image('y', DOCKER.digest), 'it phoned home');
  const inspect = (name: string): Promise<string> =>
    run(skopeo, ['inspect', '--tls-verify=false', `docker://${origin}/docker.io/library/${name}`]);
  await t.rejects(inspect('y:latest'), /removed at height 9: it phoned home/);
  await t.rejects(inspect('nothing:1'), /manifest unknown|no such manifest/);
});

t.test('podman pulls into its own storage', async (t) => {
  const podman = client(t, 'podman');
  if (podman === null) return;
  const { origin } = await filled(t);
  // podman takes no longer path than 50 characters.
  const folder = await mkdtemp(join(tmpdir(), 'cairn-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const own = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run'), '--storage-driver', 'vfs'];
  const id = await run(podman, [...own, 'pull', '-q', '--tls-verify=false', `${origin}/docker.io/library/y:latest`]);
  const [, config] = DOCKER.parts;
  t.equal(`sha256:${id.trim()}`, digestOf(config?.bytes ?? new Uint8Array()));
});
