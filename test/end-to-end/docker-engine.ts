/** A private Docker Engine for the end-to-end tests: own data, own socket, no bridge and no firewall rules, a Cairn node as its registry mirror. */

import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { chmod, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import { waitFor } from './localnet-fixture.ts';

const READY_MS = 60_000;

export interface EnginePrograms {
  readonly docker: string;
  readonly dockerd: string;
}

export class DockerEngine {
  /** Of the containerd that the Engine runs. */
  readonly containerd: string;
  readonly #docker: string;
  readonly #host: string;

  private constructor(folder: string, docker: string) {
    this.#docker = docker;
    this.#host = `unix://${folder}/d.sock`;
    this.containerd = path.join(folder, 'exec', 'containerd', 'containerd.sock');
  }

  /** Runs until the test ends. Needs root. `folder` short: sockets lie in it. */
  static async start(
    t: Test,
    programs: EnginePrograms,
    place: { readonly folder: string; readonly mirror: string },
  ): Promise<DockerEngine> {
    const { folder } = place;
    await mkdir(folder, { recursive: true });
    const log = openSync(path.join(folder, 'dockerd.log'), 'a');
    const paths = ['--data-root', `${folder}/data`, '--exec-root', `${folder}/exec`, '--pidfile', `${folder}/d.pid`];
    const args = [...paths, '-H', `unix://${folder}/d.sock`, '--iptables=false', '--bridge=none', '--registry-mirror', place.mirror];
    const child = spawn(programs.dockerd, args, { stdio: ['ignore', log, log] });
    closeSync(log);
    t.teardown(async () => {
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      // What the Engine leaves mounted keeps its folder from being removed.
      await promisify(execFile)('umount', [path.join(folder, 'exec', 'netns', 'default')]).catch(() => {});
    });
    const engine = new DockerEngine(folder, programs.docker);
    await waitFor('the Docker Engine answers', READY_MS, async () => (await engine.run(['version'])) !== '');
    return engine;
  }

  /** Standard output of the docker command; rejects with its error. */
  async run(args: readonly string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(this.#docker, ['-H', this.#host, ...args], { maxBuffer: 16 * 1_048_576 });
    return stdout;
  }

  /** Makes an image of a static busybox and some bytes that nobody has seen before, and pushes it. */
  async pushNew(busybox: string, options: { readonly folder: string; readonly to: string; readonly sizeBytes: number }): Promise<void> {
    const root = path.join(options.folder, `root-${randomBytes(4).toString('hex')}`);
    await mkdir(path.join(root, 'bin'), { recursive: true });
    await copyFile(busybox, path.join(root, 'bin', 'busybox'));
    await chmod(path.join(root, 'bin', 'busybox'), 0o755);
    for (const name of ['sh', 'echo']) await symlink('busybox', path.join(root, 'bin', name));
    await writeFile(path.join(root, 'bytes'), randomBytes(options.sizeBytes));
    await promisify(execFile)('tar', ['-cf', `${root}.tar`, '-C', root, '.']);
    await this.run(['import', `${root}.tar`, options.to]);
    await this.run(['push', options.to]);
    await this.run(['rmi', options.to]);
  }
}
