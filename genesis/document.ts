/**
 * The genesis document: what all nodes of a network agree on before its first block. Its file, `genesis.cbor`, is the one authority: the
 * canonical encoding, whose SHA-256 is the chain id; other views are made from it. Follows docs/SPEC.md §10. Strict: nothing is filled in.
 */

import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import {
  array,
  asDigest,
  checkNodeRecord,
  checkParameters,
  compareBytes,
  type Digest,
  decode,
  digestToHex,
  encode,
  formatDigest,
  MAX_VALIDATORS,
  type NodeRecord,
  nodeIdOf,
  nodeRecord,
  type Parameters,
  parameters,
  record,
  type Schema,
  type Sha256,
  sameBytes,
  text,
  uint,
} from '../chain/index.ts';
import { GenesisError } from './genesis-error.ts';

export const GENESIS_VERSION = 1;
export const GENESIS_FILE_NAME = 'genesis.cbor';

/** Room for 256 nodes and 256 rules. */
const MAX_GENESIS_BYTES = 1_048_576;

/** Nodes are sorted by nodeId; all are authorities with power 1. */
export interface GenesisDocument {
  readonly version: number;
  readonly name: string;
  readonly timeMs: number;
  readonly parameters: Parameters;
  readonly nodes: readonly NodeRecord[];
}

export const genesisDocument: Schema<GenesisDocument> = record({
  version: uint(0xffff),
  name: text(64),
  timeMs: uint(),
  parameters,
  nodes: array(nodeRecord, MAX_VALIDATORS),
});

const sha256: Sha256 = (data) => asDigest(new Uint8Array(createHash('sha256').update(data).digest()));

/** The chain id: SHA-256 of the document's canonical bytes. */
export function chainIdOf(document: GenesisDocument): Digest {
  return sha256(encode(genesisDocument, document));
}

/** Null for a document that a network can begin with, else why not, in one line. */
export function checkGenesis(document: GenesisDocument): string | null {
  if (document.version !== GENESIS_VERSION) return `expected genesis version ${GENESIS_VERSION}, got ${document.version}`;
  if (!/^[a-z0-9][a-z0-9-]*$/.test(document.name))
    return `expected a name of lower-case letters, digits and dashes, got '${document.name}'`;
  if (document.timeMs === 0) return 'expected a time after 1970';
  return checkNodes(document) ?? checkParameters(document.parameters);
}

function checkNodes({ nodes }: GenesisDocument): string | null {
  if (nodes.length === 0) return 'expected at least one node';
  const owners = new Map<string, string>();
  const names = new Set<string>();
  for (const [index, node] of nodes.entries()) {
    const previous = nodes[index - 1];
    if (previous !== undefined && compareBytes(previous.nodeId, node.nodeId) >= 0)
      return `nodes: expected in order of nodeId, not so at ${node.name}`;
    const refusal = checkNodeRecord(node);
    if (refusal !== null) return `node ${index} (${node.name}): ${refusal}`;
    if (names.has(node.name)) return `two nodes are called ${node.name}`;
    names.add(node.name);
    if (!sameBytes(node.nodeId, nodeIdOf(sha256, node.networkKey))) return `node ${node.name}: nodeId is not the digest of its network key`;
    for (const use of ['networkKey', 'consensusKey', 'checkpointKey'] as const) {
      const hex = Buffer.from(node[use]).toString('hex');
      const owner = owners.get(hex);
      if (owner !== undefined) return `node ${node.name}: ${use} is also ${owner}`;
      owners.set(hex, `${use} of ${node.name}`);
    }
  }
  return null;
}

/** Decodes and checks; throws a GenesisError naming `path`. */
export function parseGenesis(data: Uint8Array, options: { readonly path: string }): GenesisDocument {
  const { path } = options;
  const decoded = decode(genesisDocument, data, { maxBytes: MAX_GENESIS_BYTES });
  if (!decoded.ok) throw new GenesisError('damaged-genesis', `${path} is no genesis document: ${decoded.reason}`, { path });
  const refusal = checkGenesis(decoded.value);
  if (refusal !== null) throw new GenesisError('invalid-genesis', `${path} can begin no network: ${refusal}`, { path });
  return decoded.value;
}

/** Reads, decodes and checks; throws a GenesisError. */
export async function loadGenesis(path: string): Promise<GenesisDocument> {
  return parseGenesis(await readGenesisFile(path), { path });
}

/** Writes the canonical bytes; throws a GenesisError (`exists`) rather than replace a file. */
export async function saveGenesis(path: string, document: GenesisDocument): Promise<void> {
  try {
    await writeFile(path, encode(genesisDocument, document), { flag: 'wx', mode: 0o644 });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new GenesisError('exists', `${path} exists; a genesis document is never replaced`, { path, cause });
  }
}

/** The document as plain JSON for people: digests as `sha256:<hex>`, keys as hex, and the chain id beside it. */
export function describeGenesis(document: GenesisDocument): Readonly<Record<string, unknown>> {
  const hex = (key: Uint8Array): string => Buffer.from(key).toString('hex');
  return {
    chainId: formatDigest(chainIdOf(document)),
    version: document.version,
    name: document.name,
    time: new Date(document.timeMs).toISOString(),
    parameters: {
      ...document.parameters,
      policy: document.parameters.policy.map((rule) => ({ ...rule, publishers: rule.publishers.map(digestToHex) })),
    },
    nodes: document.nodes.map((node) => ({
      name: node.name,
      nodeId: digestToHex(node.nodeId),
      networkKey: hex(node.networkKey),
      consensusKey: hex(node.consensusKey),
      checkpointKey: hex(node.checkpointKey),
    })),
  };
}

async function readGenesisFile(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    const message = missing
      ? `no genesis document at ${path}: get it from the network's operators, or make a localnet with 'cairn genesis localnet'`
      : `cannot read ${path}: ${(cause as Error).message}`;
    throw new GenesisError(missing ? 'missing' : 'unreadable', message, { path, cause });
  }
}
