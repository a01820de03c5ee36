/**
 * Debian's `docker-registry` as the baseline of a mirror: started in a folder of its own, filled over its HTTP API, ended by its process id.
 * Nothing here checks what it serves.
 */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, openAsBlob } from 'node:fs';
import { stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { findProgram } from './load.ts';

const MANIFEST_TYPE = 'application/vnd.docker.distribution.manifest.v2+json';
const READY_MS = 10_000;

/** Where both have it: the registry, and a node that has it from there. */
const REPOSITORY = 'library/bench';

export interface Baseline {
  readonly origin: string;
  /** Below the origin, here and at a node. */
  readonly blobPath: string;
  readonly manifestPath: string;
  /** Without it the registry answers in an older form. */
  readonly manifestHeaders: Readonly<Record<string, string>>;
  readonly stop: () => Promise<void>;
}

/** Holding this file as the one layer of an image; null when the program is not installed. */
export async function startDockerRegistry(options: {
  readonly folder: string;
  readonly port: number;
  readonly blob: string;
}): Promise<Baseline | null> {
  const program = findProgram('docker-registry');
  if (program === null) return null;
  const config = path.join(options.folder, 'docker-registry.yml');
  const root = path.join(options.folder, 'docker-registry');
  await writeFile(
    config,
    `version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: ${root}}}\nhttp: {addr: '127.0.0.1:${options.port}'}\n`,
  );
  const child = spawn(program, ['serve', config], { stdio: 'ignore', env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' } });
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  };
  try {
    const origin = `http://127.0.0.1:${options.port}`;
    await untilReady(`${origin}/v2/`);
    const layer = await pushBlob(origin, await openAsBlob(options.blob), await digestOf(options.blob));
    const configBlob = new Blob(['{}']);
    const image = await pushBlob(origin, configBlob, `sha256:${createHash('sha256').update('{}').digest('hex')}`);
    const layers = [
      { mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', size: (await stat(options.blob)).size, digest: layer },
    ];
    const configEntry = { mediaType: 'application/vnd.docker.container.image.v1+json', size: configBlob.size, digest: image };
    const manifest = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST_TYPE, config: configEntry, layers });
    const manifestPath = `/v2/${REPOSITORY}/manifests/latest`;
    await expectOk(await fetch(origin + manifestPath, { method: 'PUT', body: manifest, headers: { 'content-type': MANIFEST_TYPE } }));
    return { origin, blobPath: `/v2/${REPOSITORY}/blobs/${layer}`, manifestPath, manifestHeaders: { accept: MANIFEST_TYPE }, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function untilReady(url: string): Promise<void> {
  const deadline = Date.now() + READY_MS;
  for (;;) {
    try {
      return await expectOk(await fetch(url));
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function pushBlob(origin: string, body: Blob, digest: string): Promise<string> {
  const begun = await fetch(`${origin}/v2/${REPOSITORY}/blobs/uploads/`, { method: 'POST' });
  await expectOk(begun);
  const place = new URL(begun.headers.get('location') ?? '', origin);
  place.searchParams.set('digest', digest);
  await expectOk(await fetch(place, { method: 'PUT', body, headers: { 'content-type': 'application/octet-stream' } }));
  return digest;
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1_048_576 })) hash.update(chunk as Uint8Array);
  return `sha256:${hash.digest('hex')}`;
}

async function expectOk(response: Response): Promise<void> {
  const text = await response.text();
  if (!response.ok) throw new Error(`docker-registry answered ${response.status}: ${text.slice(0, 200)}`);
}
