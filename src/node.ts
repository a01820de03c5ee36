/**
 * The composition root: one whole node out of its world. Used by the daemon with the real world and by the test world with a virtual one;
 * nothing else puts the parts together. Docs: docs/ARCHITECTURE.md.
 */

import { type Digest, nodeIdOf, nodeOf, sameBytes } from '../chain/index.ts';
import { type BlobStore, type Library, type Staging, serveTransfers } from '../registry/index.ts';
import { type Agreement, openAgreement, type StartedEngine, startEngine } from './agreeing.ts';
import type { Engine } from './agreement/engine.ts';
import type { Mempool } from './claims/mempool.ts';
import { Publications } from './claims/publishing.ts';
import type { Head } from './ledger/head.ts';
import type { StateLedger } from './ledger/state-ledger.ts';
import { NodeError } from './node-error.ts';
import { Operations } from './node-operations.ts';
import type { NodeDeps, NodeOptions } from './node-options.ts';
import type { NodeOperations } from './operations.ts';
import type { Signer } from './ports.ts';
import { type Asking, openAsking } from './requesting.ts';
import type { Requests } from './requests/requests.ts';
import { openServing, type Serving, settleFiles, startHousekeeping } from './serving.ts';
import { BlockSync } from './sync/block-sync.ts';

/** A running node. */
export interface CairnNode {
  readonly operations: NodeOperations;
  readonly head: Head;
  readonly ledger: StateLedger;
  readonly library: Library;
  readonly staging: Staging;
  readonly publications: Publications;
  readonly requests: Requests;
  readonly mempool: Mempool;
  readonly blobs: BlobStore;
  /** Null on a mirror. */
  readonly engine: Engine | null;
  readonly sync: BlockSync;
  readonly stop: () => Promise<void>;
}

/** Opens the stores, replays the log, then joins the network. Rejects with a clear error before anything is heard or said. */
export async function startNode(options: NodeOptions, deps: NodeDeps): Promise<CairnNode> {
  const { world } = deps;
  const startedMs = world.clock.nowMs();
  const nodeId = nodeIdOf(deps.sha256, world.signer.publicKey('network'));
  const serving = await openServing(options, deps);
  const isAuthority = nodeOf(serving.head.view.state, nodeId)?.active === true;
  checkOwnKeys({ nodeId, signer: world.signer }, serving.head);
  const identity = { options, nodeId, isAuthority };
  const agreement = openAgreement(identity, deps, serving);
  const publications = new Publications({ nodeId: isAuthority ? nodeId : null, ...serving, ...agreement, sha256: deps.sha256 });
  const asking: Asking = openAsking(identity, deps, { serving, agreement });
  let started: StartedEngine | null = null;
  const sync = new BlockSync(
    { chainId: options.chainId, nodeId: isAuthority ? nodeId : null },
    { ...world, ...deps, head: serving.head, onBehind: (height) => started?.engine.foundBehind(height) },
  );
  followCommits({ isAuthority, serving, agreement }, deps);
  if (isAuthority) started = await startEngine(identity, deps, { ...serving, ...agreement });
  const engine = started?.engine ?? null;
  serveTransfers(
    { chainId: options.chainId },
    {
      ...world,
      ...deps,
      ...serving,
      requests: world.network,
      judge: world.network,
      isAuthority: (peer) => serving.members.byPeer(peer) !== null,
    },
  );
  const operations = new Operations(
    { version: options.version, name: options.name, nodeId, chainId: options.chainId, startedMs },
    { ...world, ...serving, ...agreement, sync, publications, requests: asking.requests, engine, sha256: deps.sha256 },
  );
  const stopHousekeeping = startHousekeeping(options, { serving, timers: world.timers, log: deps.log });
  asking.start();
  await world.network.start();
  sync.start();
  await publications.resume();
  return {
    operations,
    ...serving,
    ...agreement,
    publications,
    requests: asking.requests,
    engine,
    sync,
    stop: async () => {
      stopHousekeeping();
      asking.stop();
      sync.stop();
      agreement.pool?.stop();
      await serving.library.stop();
      await world.network.stop();
      await started?.stop();
      await serving.head.settled();
    },
  };
}

/** What a commit means to the parts of this node, in this order. */
function followCommits(
  parts: { readonly isAuthority: boolean; readonly serving: Serving; readonly agreement: Agreement },
  deps: NodeDeps,
): void {
  const { serving, agreement } = parts;
  serving.head.onCommit(({ block, effects }) => {
    const { height, logLeaves } = effects;
    const { round } = block.header;
    agreement.mempool.blockCommitted(block);
    agreement.pool?.blockCommitted(block);
    agreement.marks.settle(block.transactions.flatMap((transaction) => transaction.claims)).catch(deps.fatal);
    deps.metrics.blockCommitted({ operations: logLeaves.length, round });
    deps.log.info({ height, operations: logLeaves.length, round }, 'block committed');
    void settleFiles(block, { ...parts, ...deps });
  });
}

/** With another key than the one in its record, all an authority says is a forgery to the others, and they cut it off. */
function checkOwnKeys(own: { readonly nodeId: Digest; readonly signer: Signer }, head: Head): void {
  const record = nodeOf(head.view.state, own.nodeId);
  if (record?.active !== true) return;
  const { consensusKey, checkpointKey } = record.node;
  for (const [use, key] of [['consensus', consensusKey] as const, ['checkpoint', checkpointKey] as const]) {
    if (sameBytes(own.signer.publicKey(use), key)) continue;
    throw new NodeError(
      'WRONG_KEYS',
      `the ${use} key in the keys folder is not the one that the chain knows of this node: restore it from your backup`,
    );
  }
}
