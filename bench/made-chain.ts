/**
 * A whole chain made without any consensus, by the keys of four authorities that belong to no network: what a node that catches up is given.
 * Follows docs/SPEC.md §5. Blocks are as the four would have decided them, each with a certificate of all four.
 */

import path from 'node:path';
import {
  block as blockSchema,
  type CommitCertificateRecord,
  commitCertificate,
  compareBytes,
  encode,
  executeBlock,
  proposerAt,
  votePayload,
} from '../chain/index.ts';
import { openChainStore, openLevelStore } from '../chain/store/index.ts';
import {
  chainIdOf,
  DEFAULT_PARAMETERS,
  type GenesisDocument,
  generateNodeKeys,
  localnetPolicy,
  nodeRecordOf,
  saveGenesis,
} from '../genesis/index.ts';
import { sha256 } from '../src/crypto/sha256.ts';
import { claimMaker, endorserOf } from './endorsed-claims.ts';

export const AUTHORITIES = 4;
export const ENDORSERS = 3;
const CHAIN_FOLDER = 'chain';
export const GENESIS_FILE = 'genesis.cbor';

export interface ChainPlan {
  readonly blocks: number;
  /** Claims a block, in one transaction endorsed by three; none: heartbeats. */
  readonly claims: number;
}

export function chainFolderOf(folder: string): string {
  return path.join(folder, CHAIN_FOLDER);
}

/** Writes genesis and chain into the folder. */
export async function makeChain(folder: string, plan: ChainPlan): Promise<void> {
  const keys = Array.from({ length: AUTHORITIES }, generateNodeKeys);
  const nodes = keys
    .map((one, index) => nodeRecordOf(one, `node${index + 1}`))
    .toSorted((left, right) => compareBytes(left.nodeId, right.nodeId));
  const { heartbeatMs } = DEFAULT_PARAMETERS;
  const timeMs = Date.now() - (plan.blocks + 1) * heartbeatMs;
  const parameters = { ...DEFAULT_PARAMETERS, policy: localnetPolicy(nodes.map((node) => node.nodeId)) };
  const genesis: GenesisDocument = { version: 1, name: 'made', timeMs, parameters, nodes };
  await saveGenesis(path.join(folder, GENESIS_FILE), genesis);
  const chainId = chainIdOf(genesis);
  const kv = await openLevelStore(chainFolderOf(folder));
  const store = await openChainStore({ kv, sha256 }, { chainId, ...genesis });
  const signers = keys.map(endorserOf).toSorted((left, right) => compareBytes(left.nodeId, right.nodeId));
  const maker = claimMaker(chainId, signers.slice(0, ENDORSERS));
  let lastCommit: CommitCertificateRecord | null = null;
  for (let height = 1; height <= plan.blocks; height += 1) {
    const view = store.view();
    const transactions = plan.claims === 0 ? [] : [maker.make(plan.claims).sealed];
    const proposer = proposerAt(view, height, 0);
    const content = { height, round: 0, timeMs: view.timeMs + heartbeatMs, transactions, lastCommit, evidence: [], proposer };
    const made = executeBlock(view, content, sha256);
    if (!made.ok) throw new Error(`block ${height} can't be made: ${made.refusal.detail}`);
    const { blockId, header, effects } = made;
    const payload = votePayload(chainId, { type: 'precommit', height, round: 0, blockId });
    const signatures = signers.map(({ nodeId, signer }) => ({ nodeId, signature: signer.sign('consensus', payload) }));
    const block = encode(blockSchema, { header, transactions, lastCommit, evidence: [] });
    lastCommit = { height, round: 0, blockId, signatures };
    await store.commit({ block, certificate: encode(commitCertificate, lastCommit), effects });
  }
  await kv.close();
}
