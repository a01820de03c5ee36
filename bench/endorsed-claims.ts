/**
 * Endorsed transactions made outside any node, with the keys of a localnet's own authorities, so that the benchmark measures ordering alone.
 * Follows docs/SPEC.md on transactions and endorsements. The files named in them exist nowhere.
 */

import path from 'node:path';
import {
  type Claim,
  compareBytes,
  type Digest,
  encode,
  endorsementPayload,
  type SealedTransaction,
  sealedTransaction,
  transactionId,
} from '../chain/index.ts';
import { chainIdOf, GENESIS_FILE_NAME, KEYS_FOLDER, loadGenesis, loadNodeKeys, nodeIdOfKey, publicKeysOf } from '../genesis/index.ts';
import { sha256 } from '../src/crypto/sha256.ts';
import { seedSigner } from '../src/crypto/signer.ts';
import type { Localnet } from '../src/localnet/index.ts';
import type { Signer } from '../src/ports.ts';

const ENDORSEMENT_MS = 50_000;

interface Endorser {
  readonly nodeId: Digest;
  readonly signer: Signer;
}

export interface ClaimMaker {
  /** One sealed transaction of so many claims, none made before. */
  readonly make: (claims: number) => { readonly sealed: SealedTransaction; readonly bytes: Uint8Array };
}

export async function openClaimMaker(localnet: Localnet): Promise<ClaimMaker> {
  const authorities = localnet.nodes.filter((node) => node.role === 'authority');
  const [first] = authorities;
  if (first === undefined) throw new Error('a localnet without authorities makes no claims');
  const chainId = chainIdOf(await loadGenesis(path.join(first.dataDir, GENESIS_FILE_NAME)));
  const endorsers = await Promise.all(authorities.map(async (node) => await openEndorser(path.join(node.dataDir, KEYS_FOLDER))));
  const quorum = endorsers.slice(0, Math.floor((2 * endorsers.length) / 3) + 1);
  return claimMaker(chainId, quorum);
}

export function claimMaker(chainId: Digest, endorsers: readonly Endorser[]): ClaimMaker {
  const sorted = endorsers.toSorted((left, right) => compareBytes(left.nodeId, right.nodeId));
  const [publisher] = sorted;
  if (publisher === undefined) throw new Error('a claim needs an endorser');
  const run = Date.now().toString(36);
  let made = 0;
  const next = (): Claim => {
    made += 1;
    return claimOf({ name: `bench-${run}`, version: String(made), nodeId: publisher.nodeId });
  };
  return {
    make: (count) => {
      const claims = Array.from({ length: count }, next);
      const expiresMs = Date.now() + ENDORSEMENT_MS;
      const payload = endorsementPayload(chainId, transactionId(sha256, claims), expiresMs);
      const endorsements = sorted.map(({ nodeId, signer }) => ({ nodeId, expiresMs, signature: signer.sign('consensus', payload) }));
      const sealed: SealedTransaction = { claims, endorsements, consents: [] };
      return { sealed, bytes: encode(sealedTransaction, sealed) };
    },
  };
}

/** A fresh authority that belongs to no network. */
export function endorserOf(seeds: Parameters<typeof seedSigner>[0]): Endorser {
  return { nodeId: nodeIdOfKey(publicKeysOf(seeds).network), signer: seedSigner(seeds) };
}

async function openEndorser(folder: string): Promise<Endorser> {
  return endorserOf(await loadNodeKeys(folder));
}

function claimOf({ name, version, nodeId }: { readonly name: string; readonly version: string; readonly nodeId: Digest }): Claim {
  const digest = sha256(Buffer.from(`${name}@${version}`));
  return {
    kind: 'AddArtifact',
    coordinates: { ecosystem: 'generic', registry: '', namespace: 'demo', name, version },
    files: [
      {
        name: 'file.bin',
        mediaType: 'application/octet-stream',
        sizeBytes: 1024,
        digests: { sha256: digest, sha512: null, sha1: null, h1: null },
        piecesRoot: digest,
      },
    ],
    source: { kind: 'publisher', nodeId },
    dependencies: [],
    verification: 'published',
    replaces: null,
  };
}
