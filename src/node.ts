/**
 * The composition root: one whole node out of its world. Used by the daemon with the real world and by the test world with a virtual one;
 * nothing else puts the parts together. Docs: docs/ARCHITECTURE.md.
 */

import { type Digest, nodeIdOf, nodeOf, sameBytes } from '../chain/index.ts';
import { type BlobStore, type ClaimChecker, genericChecker, type Library, type Staging, serveTransfers } from '../registry/index.ts';
import { serveTransactions, Transactions } from './agreement/assembly.ts';
import { GossipCourier } from './agreement/courier.ts';
import { Engine } from './agreement/engine.ts';
import { Proposer } from './agreement/proposer.ts';
import { Recovery } from './agreement/recovery.ts';
import { SignState } from './agreement/sign-state.ts';
import { protocolOf } from './channels.ts';
import { GossipClaimCourier } from './claims/claim-courier.ts';
import { ClaimPool } from './claims/claim-pool.ts';
import { EndorsementBook } from './claims/endorsement-book.ts';
import { Marks } from './claims/marks.ts';
import { DEFAULT_MEMPOOL_LIMITS, Mempool } from './claims/mempool.ts';
import { Publications } from './claims/publishing.ts';
import type { Head } from './ledger/head.ts';
import type { StateLedger } from './ledger/state-ledger.ts';
import { NodeError } from './node-error.ts';
import { Operations } from './node-operations.ts';
import type { NodeDeps, NodeOptions } from './node-options.ts';
import type { NodeOperations } from './operations.ts';
import type { Signer } from './ports.ts';
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
  readonly mempool: Mempool;
  readonly blobs: BlobStore;
  /** Null on a mirror. */
  readonly engine: Engine | null;
  readonly sync: BlockSync;
  readonly stop: () => Promise<void>;
}

/** Transactions told again in one go while a height stands still. */
const TRANSACTIONS_SENT_AGAIN = 8;

/** What agrees: on an authority the claim pool and the engine, on a mirror neither. */
interface Agreement {
  readonly mempool: Mempool;
  readonly claimCourier: GossipClaimCourier;
  readonly marks: Marks;
  readonly pool: ClaimPool | null;
}

/** Opens the stores, replays the log, then joins the network. Rejects with a clear error before anything is heard or said. */
export async function startNode(options: NodeOptions, deps: NodeDeps): Promise<CairnNode> {
  const { world } = deps;
  const startedMs = world.clock.nowMs();
  const nodeId = nodeIdOf(deps.sha256, world.signer.publicKey('network'));
  const serving = await openServing(options, deps);
  const isAuthority = nodeOf(serving.head.view.state, nodeId)?.active === true;
  checkOwnKeys({ nodeId, signer: world.signer }, serving.head);
  const agreement = openAgreement({ options, nodeId, isAuthority }, deps, serving);
  const publications = new Publications({ nodeId: isAuthority ? nodeId : null, ...serving, ...agreement, sha256: deps.sha256 });
  let engine: Engine | null = null;
  const stops: (() => Promise<void> | void)[] = [];
  const sync = new BlockSync(
    { chainId: options.chainId, nodeId: isAuthority ? nodeId : null },
    { ...world, ...deps, head: serving.head, onBehind: (height) => engine?.foundBehind(height) },
  );
  serving.head.onCommit(({ block, effects }) => {
    agreement.mempool.blockCommitted(block);
    agreement.pool?.blockCommitted(block);
    deps.metrics.blockCommitted({ operations: effects.logLeaves.length, round: block.header.round });
    deps.log.info({ height: effects.height, operations: effects.logLeaves.length, round: block.header.round }, 'block committed');
    void settleFiles(block, { isAuthority, serving, ...deps });
  });
  if (isAuthority) {
    const started = await startEngine({ options, nodeId }, deps, { ...serving, ...agreement });
    engine = started.engine;
    stops.push(started.stop);
  }
  serveTransfers(
    { chainId: options.chainId },
    {
      ...serving,
      requests: world.network,
      judge: world.network,
      log: deps.log,
      isAuthority: (peer) => serving.members.byPeer(peer) !== null,
    },
  );
  const operations = new Operations(
    { version: options.version, name: options.name, nodeId, chainId: options.chainId, startedMs },
    { ...world, ...serving, ...agreement, sync, publications, engine: () => engine, sha256: deps.sha256 },
  );
  const stopHousekeeping = startHousekeeping(options, { serving, timers: world.timers, log: deps.log });
  await world.network.start();
  sync.start();
  await publications.resume();
  return {
    operations,
    ...serving,
    ...agreement,
    publications,
    engine,
    sync,
    stop: async () => {
      stopHousekeeping();
      sync.stop();
      agreement.pool?.stop();
      await serving.library.stop();
      await world.network.stop();
      for (const stop of stops) await stop();
      await serving.head.settled();
    },
  };
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

function openAgreement(
  node: { readonly options: NodeOptions; readonly nodeId: Digest; readonly isAuthority: boolean },
  deps: NodeDeps,
  serving: Serving,
): Agreement {
  const { world, sha256, log } = deps;
  const { chainId } = node.options;
  const mempool = new Mempool(DEFAULT_MEMPOOL_LIMITS, { head: serving.head, verifier: world.verifier, sha256, clock: world.clock });
  const marks = new Marks({ store: world.nodeStore, clock: world.clock });
  const claimCourier = new GossipClaimCourier({ ...world, ...serving, chainId, nodeId: node.nodeId, sha256, mempool, log });
  if (!node.isAuthority) return { mempool, claimCourier, marks, pool: null };
  const book = new EndorsementBook({ chainId, nodeId: node.nodeId, store: world.nodeStore, signer: world.signer, clock: world.clock });
  const generic = genericChecker({ transfer: { chainId } }, { ...world, ...serving, requests: world.network, judge: world.network, log });
  const checkers = new Map<string, ClaimChecker>([['generic', generic]]);
  const pool = new ClaimPool({
    ...world,
    ...deps,
    ...serving,
    chainId,
    nodeId: node.nodeId,
    peerId: world.network.peerId,
    book,
    marks,
    checkers,
    courier: claimCourier,
  });
  claimCourier.start(pool);
  pool.start();
  return { mempool, claimCourier, marks, pool };
}

async function startEngine(
  node: { readonly options: NodeOptions; readonly nodeId: Digest },
  deps: NodeDeps,
  parts: Serving & Agreement,
): Promise<{ readonly engine: Engine; readonly stop: () => Promise<void> }> {
  const { world, sha256, log, metrics } = deps;
  const { chainId } = node.options;
  const { head, members, mempool, claimCourier } = parts;
  const signState = await SignState.open(world.files, world.signer);
  const proposer = new Proposer({ ...world, head, mempool, sha256, log, metrics });
  const lookup = new Transactions(mempool, sha256);
  const assembly = { ...world, protocol: protocolOf(chainId, 'transactions'), sha256, lookup };
  const courier = new GossipCourier({ ...world, chainId, sha256, head, members, assembly, log, metrics });
  const engine = await Engine.start(
    { chainId, nodeId: node.nodeId, signFromHeight: node.options.signFromHeight },
    { ...deps, ...world, head, signState, courier, source: proposer, timeouts: () => head.parameters.timeouts },
  );
  lookup.include(() => engine.values());
  head.onCommit(({ block }) => proposer.blockCommitted(block));
  mempool.onAdd(() => engine.wake());
  serveTransactions(assembly);
  const recovery = new Recovery({
    ...world,
    engine,
    courier,
    protocol: protocolOf(chainId, 'help'),
    log,
    authorities: () => members.otherPeers(),
    passOnWork: () => {
      for (const sealed of mempool.oldest(TRANSACTIONS_SENT_AGAIN)) claimCourier.passOn(sealed);
    },
  });
  courier.start(engine);
  recovery.start();
  const stop = async (): Promise<void> => {
    recovery.stop();
    await engine.stop();
    await signState.close();
  };
  return { engine, stop };
}
