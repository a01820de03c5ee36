/**
 * A real upstream for the end-to-end tests: Debian's docker-registry on a free port, filled over its own protocol, whose access log says what it
 * was asked. Can be stopped and started again.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Test } from 'tap';
import type { MadeImage } from '../registry/oci-images.ts';
import { waitFor } from './localnet-fixture.ts';

const READY_MS = 20_000;

export class UpstreamRegistry {
  readonly url: string;
  readonly #program: string;
  readonly #folder: string;
  readonly #port: number;
  #child: ChildProcess | null = null;

  private constructor(program: string, folder: string, port: number) {
    this.#program = program;
    this.#folder = folder;
    this.#port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Runs until the test ends. */
  static async start(t: Test, program: string, place: { readonly folder: string; readonly port: number }): Promise<UpstreamRegistry> {
    const registry = new UpstreamRegistry(program, place.folder, place.port);
    await mkdir(place.folder, { recursive: true });
    await registry.run();
    t.teardown(() => registry.stop());
    return registry;
  }

  async run(): Promise<void> {
    const config = path.join(this.#folder, 'config.yml');
    const storage = { filesystem: { rootdirectory: path.join(this.#folder, 'content') } };
    await writeFile(config, JSON.stringify({ version: 0.1, log: { level: 'error' }, storage, http: { addr: `127.0.0.1:${this.#port}` } }));
    const log = openSync(this.#logFile, 'a');
    this.#child = spawn(this.#program, ['serve', config], { stdio: ['ignore', log, log] });
    closeSync(log);
    await waitFor('the upstream answers', READY_MS, async () => (await fetch(`${this.url}/v2/`)).ok);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }

  /** What was asked below a repository, as `GET /v2/…`, in order. */
  async asked(repository: string): Promise<readonly string[]> {
    const text = await readFile(this.#logFile, 'utf8');
    const lines = [...text.matchAll(/"((?:GET|HEAD) \/v2\/[^ "]*) HTTP/g)].map(([, line]) => line ?? '');
    return lines.filter((line) => line.includes(`/v2/${repository}/`));
  }

  /** Uploads images (those of an index before it) and puts the last under the tag. OCI dist-spec, "Push". */
  async push(repository: string, tag: string, images: readonly MadeImage[]): Promise<void> {
    const base = `${this.url}/v2/${repository}`;
    for (const image of images) {
      for (const part of image.parts.slice(1)) await this.#upload(base, part.bytes);
      const reference = image === images.at(-1) ? tag : image.digest;
      const answer = await fetch(`${base}/manifests/${reference}`, {
        method: 'PUT',
        body: Buffer.from(image.bytes),
        headers: { 'content-type': image.mediaType },
      });
      if (!answer.ok) throw new Error(`the upstream refused ${repository}:${reference}: ${answer.status} ${await answer.text()}`);
    }
  }

  get #logFile(): string {
    return path.join(this.#folder, 'access.log');
  }

  async #upload(base: string, bytes: Uint8Array): Promise<void> {
    const begun = await fetch(`${base}/blobs/uploads/`, { method: 'POST' });
    const session = new URL(begun.headers.get('location') ?? '', this.url);
    session.searchParams.set('digest', `sha256:${createHash('sha256').update(bytes).digest('hex')}`);
    const answer = await fetch(session, {
      method: 'PUT',
      body: Buffer.from(bytes),
      headers: { 'content-type': 'application/octet-stream' },
    });
    if (!answer.ok) throw new Error(`the upstream refused a blob: ${answer.status} ${await answer.text()}`);
  }
}
