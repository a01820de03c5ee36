/** The upstream client against a real registry, filled by a real client: the bytes are those that lie in its image layout. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { formatDigest } from '../../chain/index.ts';
import { parseManifest } from '../../registry/oci/manifest.ts';
import { OCI_MANIFEST } from '../../registry/oci/media-types.ts';
import { client } from '../clients.ts';
import { identify, someBytes } from './fixture.ts';
import { closedOrigin, patient, readStream, until, upstreamFor } from './upstream-fixture.ts';

const run = promisify(execFile);

interface Described {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** Writes an image of one layer as an OCI image layout. */
async function writeLayout(folder: string, layer: Uint8Array): Promise<{ readonly manifest: Described }> {
  await mkdir(join(folder, 'blobs', 'sha256'), { recursive: true });
  const put = async (mediaType: string, bytes: Uint8Array): Promise<Described> => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    await writeFile(join(folder, 'blobs', 'sha256', hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  const layers = [await put('application/vnd.oci.image.layer.v1.tar+gzip', layer)];
  const rootfs = { type: 'layers', diff_ids: layers.map(({ digest }) => digest) };
  const config = await put('application/vnd.oci.image.config.v1+json', json({ os: 'linux', architecture: 'amd64', rootfs }));
  const manifest = await put(OCI_MANIFEST, json({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers }));
  const tagged = { ...manifest, annotations: { 'org.opencontainers.image.ref.name': 'latest' } };
  await writeFile(join(folder, 'index.json'), json({ schemaVersion: 2, manifests: [tagged] }));
  await writeFile(join(folder, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  return { manifest };
}

/** A registry on a port that was free a moment ago. */
async function startRegistry(t: Test, program: string, folder: string): Promise<string> {
  const origin = await closedOrigin();
  const config = {
    version: '0.1',
    log: { level: 'info' },
    storage: { filesystem: { rootdirectory: join(folder, 'storage') } },
    http: { addr: new URL(origin).host },
  };
  await writeFile(join(folder, 'registry.yml'), JSON.stringify(config));
  const child = spawn(program, ['serve', join(folder, 'registry.yml')], { stdio: ['ignore', 'ignore', 'pipe'] });
  t.teardown(() => stop(child));
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  await until(() => output.includes('listening on') || child.exitCode !== null);
  if (child.exitCode !== null) throw new Error(`the registry did not start: ${output}`);
  return origin;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

t.test('what skopeo pushed to a real registry comes back byte for byte', async (t) => {
  const [registry, skopeo] = [client(t, 'docker-registry'), client(t, 'skopeo')];
  if (registry === null || skopeo === null) return;
  const folder = t.testdir();
  // Skopeo compresses what is no gzip, and so changes its digest.
  const layer = gzipSync(someBytes(3_000_000), { level: 0 });
  const { manifest } = await writeLayout(join(folder, 'layout'), layer);
  const origin = await startRegistry(t, registry, folder);
  const target = `docker://${new URL(origin).host}/library/sample:1.0`;
  await run(skopeo, ['--insecure-policy', 'copy', '--dest-tls-verify=false', `oci:${join(folder, 'layout')}:latest`, target]);

  const upstream = upstreamFor(t, { url: origin });
  t.equal(formatDigest(await upstream.resolve('library/sample', '1.0', patient())), manifest.digest);
  for (const reference of ['1.0', manifest.digest]) {
    const fetched = await upstream.manifest('library/sample', reference, patient());
    t.equal(fetched.mediaType, OCI_MANIFEST);
    t.equal(formatDigest(fetched.sha256), manifest.digest);
    t.equal(fetched.bytes.length, manifest.size);
    const parsed = parseManifest(fetched.bytes, fetched.mediaType);
    if (!parsed.ok || parsed.manifest.kind !== 'image') throw new Error('expected an image');
    const [first] = parsed.manifest.layers;
    if (first === undefined) throw new Error('expected a layer');
    t.same(await readStream(upstream.blob('library/sample', first, patient())), layer);
    const wrong = { ...first, sizeBytes: first.sizeBytes - 1 };
    await t.rejects(readStream(upstream.blob('library/sample', wrong, patient())), { code: 'UPSTREAM_FAILED' });
  }
  await t.rejects(upstream.manifest('library/sample', 'absent', patient()), { code: 'UPSTREAM_ABSENT' });
  await t.rejects(upstream.resolve('library/absent', '1.0', patient()), { code: 'UPSTREAM_ABSENT' });
  await t.rejects(readStream(upstream.blob('library/sample', identify(someBytes(5)), patient())), { code: 'UPSTREAM_ABSENT' });
});
