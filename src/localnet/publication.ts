/**
 * The localnet's first artifact: this project's own `npm pack` tarball, published at the first authority, fetched through the mirror and
 * compared with what the chain says. Never trusts the HTTP answer alone: the bytes are hashed here.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { ArtifactSummary } from '../operations.ts';
import type { LocalnetNode } from './localnet.ts';
import { LocalnetError } from './localnet-error.ts';

const PUBLISH_MS = 90_000;
const FETCH_MS = 60_000;

export interface Tarball {
  readonly file: string;
  /** Path below every node's HTTP address. */
  readonly target: string;
  readonly purl: string;
  readonly version: string;
}

/** Packs the project once; a later start finds the same bytes, so that it can compare them with the chain. */
export async function packProject(root: string, dir: string): Promise<Tarball> {
  const manifest = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8')) as { readonly version: string };
  const name = `cairn-${manifest.version}.tgz`;
  const file = path.join(dir, name);
  if (!existsSync(file)) {
    const draft = await mkdtemp(path.join(dir, 'pack-'));
    await promisify(execFile)('npm', ['pack', '--silent', '--pack-destination', draft], { cwd: root, shell: process.platform === 'win32' });
    await rename(path.join(draft, name), file);
    await rm(draft, { recursive: true, force: true });
  }
  return {
    file,
    target: `/generic/demo/cairn/${manifest.version}/${name}`,
    purl: `pkg:generic/demo/cairn@${manifest.version}`,
    version: manifest.version,
  };
}

export type Publication = { readonly kind: 'committed' } | { readonly kind: 'exists' };

/** PUTs the file at the node with its own publish token; a version that is committed already is not an error. */
export async function publish(node: LocalnetNode, tarball: Tarball): Promise<Publication> {
  const token = (await readFile(path.join(node.dataDir, 'publish-token'), 'utf8')).trim();
  const response = await fetch(`http://127.0.0.1:${node.ports.http}${tarball.target}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/gzip' },
    body: await readFile(tarball.file),
    signal: AbortSignal.timeout(PUBLISH_MS),
  });
  const answer = await response.text();
  if (response.status === 409) return { kind: 'exists' };
  if (response.ok && response.status !== 202) return { kind: 'committed' };
  throw new LocalnetError('publication', `${node.name} answered ${response.status} to the publication: ${answer.slice(0, 400)}`);
}

/** The SHA-256 that the chain, as the node knows it, states for the tarball; null while it knows none. */
export async function digestOnChain(node: LocalnetNode, tarball: Tarball): Promise<string | null> {
  const { artifacts } = (await node.admin.get('/artifacts?limit=1000')) as { readonly artifacts: readonly ArtifactSummary[] };
  const files = artifacts.find((artifact) => artifact.purl === tarball.purl)?.files ?? [];
  return files.find((file) => file.name === path.basename(tarball.file))?.sha256.replace(/^sha256:/, '') ?? null;
}

/** Hex SHA-256 of what the node serves. */
export async function fetchDigest(node: LocalnetNode, tarball: Tarball): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${node.ports.http}${tarball.target}`, { signal: AbortSignal.timeout(FETCH_MS) });
  const body = Buffer.from(await response.arrayBuffer());
  if (!response.ok)
    throw new LocalnetError('publication', `${node.name} answered ${response.status}: ${body.toString('utf8').slice(0, 400)}`);
  return createHash('sha256').update(body).digest('hex');
}

export async function fileDigest(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}
