/**
 * Writes the folders of a whole network on one machine: authorities and mirrors, each with its keys, tokens, configuration and the common
 * genesis document. Follows docs/SPEC.md §10. Never touches a folder that is there already.
 */

import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { compareBytes, type Digest, formatDigest, type Parameters } from '../chain/index.ts';
import { DEFAULT_PARAMETERS, LOCALNET_UPSTREAM, localnetPolicy } from './default-parameters.ts';
import { chainIdOf, checkGenesis, GENESIS_FILE_NAME, GENESIS_VERSION, type GenesisDocument, saveGenesis } from './document.ts';
import { GenesisError } from './genesis-error.ts';
import { generateNodeKeys, type NodeKeys, nodeRecordOf, publicKeysOf, saveFreshKeys, writeSecret } from './key-files.ts';
import { peerIdOfKey } from './peer-id.ts';

export const ADMIN_TOKEN_FILE = 'admin-token';
export const PUBLISH_TOKEN_FILE = 'publish-token';

export interface LocalnetPorts {
  readonly http: number;
  readonly admin: number;
  readonly p2p: number;
  readonly metrics: number;
}

/** The well-known ports for node 0, and those after them: 7888 + 10i, 7889 + 10i, 44000 + i, 9464 + i. */
export function standardPorts(index: number): LocalnetPorts {
  return { http: 7888 + 10 * index, admin: 7889 + 10 * index, p2p: 44_000 + index, metrics: 9464 + index };
}

/** Four ports in a row for each node, ten apart, from `basePort` on: packages, admin, metrics, p2p. */
export function packedPorts(basePort: number): (index: number) => LocalnetPorts {
  return (index) => {
    const first = basePort + 10 * index;
    return { http: first, admin: first + 1, metrics: first + 2, p2p: first + 3 };
  };
}

export interface LocalnetOptions {
  readonly outDir: string;
  readonly authorities: number;
  readonly mirrors: number;
  readonly portsOf: (index: number) => LocalnetPorts;
  readonly timeMs: number;
  readonly name?: string;
  /** Registry that the authorities fetch images of `docker.io` from; without it they fetch none until one is configured. */
  readonly upstreamUrl?: string | undefined;
  /** In place of the default parameters; the policy stays the localnet's. */
  readonly parameters?: Partial<Omit<Parameters, 'policy'>>;
}

export interface LocalnetNode {
  readonly name: string;
  readonly role: 'authority' | 'mirror';
  readonly dataDir: string;
  readonly peerId: string;
  readonly address: string;
  readonly ports: LocalnetPorts;
}

export interface Localnet {
  readonly chainId: Digest;
  readonly nodes: readonly LocalnetNode[];
}

interface Draft extends LocalnetNode {
  readonly keys: NodeKeys;
}

/** Node i counts from 0 over the authorities, then the mirrors. Throws a GenesisError. */
export async function writeLocalnet(options: LocalnetOptions): Promise<Localnet> {
  checkOptions(options);
  const drafts = draftNodes(options);
  const document = draftGenesis(options, drafts);
  const refusal = checkGenesis(document);
  if (refusal !== null) throw new GenesisError('bad-option', `such a network can't begin: ${refusal}`);
  const outDir = resolve(options.outDir);
  await refuseOccupied(outDir);
  const building = `${outDir}.${randomBytes(4).toString('hex')}.new`;
  try {
    await mkdir(building, { recursive: true });
    for (const draft of drafts)
      await writeNode(join(building, draft.name), { draft, drafts, document, upstreamUrl: options.upstreamUrl ?? null });
    await rm(outDir, { recursive: true, force: true });
    await rename(building, outDir);
  } catch (error) {
    await rm(building, { recursive: true, force: true });
    throw error;
  }
  return { chainId: chainIdOf(document), nodes: drafts.map(({ keys: _keys, ...node }) => node) };
}

function checkOptions({ authorities, mirrors, portsOf }: LocalnetOptions): void {
  const count = authorities + mirrors;
  if (authorities < 1 || authorities > 64) throw new GenesisError('bad-option', `expected 1 to 64 authorities, got ${authorities}`);
  if (mirrors < 0 || mirrors > 64) throw new GenesisError('bad-option', `expected 0 to 64 mirrors, got ${mirrors}`);
  const used = Array.from({ length: count }, (_, index) => Object.values(portsOf(index))).flat();
  const outside = used.find((port) => port > 65_535);
  if (outside !== undefined) throw new GenesisError('bad-option', `port ${outside} does not exist: choose a lower base port (--base-port)`);
  const privileged = used.find((port) => port < 1024);
  if (privileged !== undefined) {
    throw new GenesisError('bad-option', `port ${privileged} is the system's: choose a base port of 1024 or above (--base-port)`);
  }
  const doubled = used.find((port, index) => used.indexOf(port) !== index);
  if (doubled !== undefined)
    throw new GenesisError('bad-option', `port ${doubled} would be used twice: choose another base port (--base-port)`);
}

function draftNodes(options: LocalnetOptions): readonly Draft[] {
  return Array.from({ length: options.authorities + options.mirrors }, (_, index) => {
    const isAuthority = index < options.authorities;
    const name = isAuthority ? `node${index + 1}` : `mirror${index + 1 - options.authorities}`;
    const keys = generateNodeKeys();
    const peerId = peerIdOfKey(publicKeysOf(keys).network);
    const ports = options.portsOf(index);
    return {
      name,
      role: isAuthority ? 'authority' : 'mirror',
      dataDir: resolve(options.outDir, name),
      peerId,
      address: `/ip4/127.0.0.1/tcp/${ports.p2p}/p2p/${peerId}`,
      ports,
      keys,
    };
  });
}

function draftGenesis(options: LocalnetOptions, drafts: readonly Draft[]): GenesisDocument {
  const nodes = drafts
    .filter((draft) => draft.role === 'authority')
    .map((draft) => nodeRecordOf(draft.keys, draft.name))
    .sort((left, right) => compareBytes(left.nodeId, right.nodeId));
  return {
    version: GENESIS_VERSION,
    name: options.name ?? 'localnet',
    timeMs: options.timeMs,
    parameters: { ...DEFAULT_PARAMETERS, ...options.parameters, policy: localnetPolicy(nodes.map((node) => node.nodeId)) },
    nodes,
  };
}

async function refuseOccupied(outDir: string): Promise<void> {
  const entries = await readdir(outDir).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return [];
    throw new GenesisError('exists', `cannot write to ${outDir}: ${cause.message}`, { path: outDir, cause });
  });
  if (entries.length > 0) throw new GenesisError('exists', `${outDir} is not empty: choose another folder with --out`, { path: outDir });
  await mkdir(dirname(outDir), { recursive: true });
}

interface NodeToWrite {
  readonly draft: Draft;
  readonly drafts: readonly Draft[];
  readonly document: GenesisDocument;
  readonly upstreamUrl: string | null;
}

async function writeNode(folder: string, node: NodeToWrite): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await saveFreshKeys(folder, node.draft.keys);
  await saveGenesis(join(folder, GENESIS_FILE_NAME), node.document);
  await writeSecret(join(folder, ADMIN_TOKEN_FILE), `${randomBytes(32).toString('base64url')}\n`);
  // The policy lets authorities publish: a mirror's token would only lead to a refusal.
  if (node.draft.role === 'authority') await writeSecret(join(folder, PUBLISH_TOKEN_FILE), `${randomBytes(32).toString('base64url')}\n`);
  await writeFile(join(folder, 'cairn.toml'), configOf(node), { flag: 'wx', mode: 0o600 });
}

function configOf({ draft, drafts, document, upstreamUrl }: NodeToWrite): string {
  const others = drafts.filter((other) => other.name !== draft.name);
  const authorities = others.filter((other) => other.role === 'authority').map((other) => other.address);
  const list = (addresses: readonly string[]): string =>
    `[${addresses.map((address) => `\n  ${JSON.stringify(address)},`).join('')}${addresses.length > 0 ? '\n' : ''}]`;
  return `# ${draft.name}, ${draft.role} of ${document.name} (${formatDigest(chainIdOf(document))})
# All keys with their meaning: cairn config show --data <this folder>
name = ${JSON.stringify(draft.name)}

[http]
port = ${draft.ports.http}

[admin]
port = ${draft.ports.admin}

[metrics]
port = ${draft.ports.metrics}

[p2p]
listen = ["/ip4/127.0.0.1/tcp/${draft.ports.p2p}"]
# Authorities dial each other; a mirror dials all authorities.
peers = ${list(authorities)}
bootstrap = ${list(draft.role === 'mirror' ? authorities : [])}

[serve]
maxHeadAgeMs = ${Math.max(3_600_000, 3 * document.parameters.heartbeatMs)}
${draft.role === 'authority' ? upstreamOf(upstreamUrl) : ''}`;
}

/** Where an authority looks for what is asked of it. */
function upstreamOf(url: string | null): string {
  const line =
    url === null ? `# urls = ["${LOCALNET_UPSTREAM}=https://REGISTRY"]` : `urls = [${JSON.stringify(`${LOCALNET_UPSTREAM}=${url}`)}]`;
  return `
[upstream]
# Images of docker.io come from here.
${line}
`;
}
