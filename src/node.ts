/**
 * The composition root: one whole node out of its world. Used by the daemon with the real world and by the test world with a virtual one;
 * nothing else puts the parts together. Docs: docs/ARCHITECTURE.md.
 */

import { type Block, type Digest, type FileEntry, nodeIdOf, nodeOf, type NodeRecord, type Parameters, type Sha256 } from '../chain/index.ts';
import { openChainStore } from '../chain/store/index.ts';
import { BlobStore, type ClaimChecker, genericChecker, Library, serveTransfers, Staging } from '../registry/index.ts';
import { serveTransactions } from './agreement/assembly.ts';
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
import { Head } from './ledger/head.ts';
import { Members } from './ledger/members.ts';
import { StateLedger } from './ledger/state-ledger.ts';
import type { Metrics } from './metrics/metrics.ts';
import { Operations } from './node-operations.ts';
import type { NodeOperations } from './operations.ts';
import type { Logger, World } from './ports.ts';
import { BlockSync } from './sync/block-sync.ts';

export interface NodeOptions {
  readonly version: string;
  readonly name: string;
  readonly chainId: Digest;
  readonly genesis: { readonly timeMs: number; readonly parameters: Parameters; readonly nodes: readonly NodeRecord[] };
  readonly budgetBytes: number;
  readonly stagingBytes: number;
  readonly stagingMs: number;
  readonly reverifyMs: number;
  readonly maxHeadAgeMs: number;
  /** An operator's word that nothing was signed from this height on; null = the sign state alone decides. */
  readonly signFromHeight: number | null;
}

export interface NodeDeps {
  readonly world: World;
  readonly sha256: Sha256;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Called once when the node can't go on: a disk or an invariant failed. */
  readonly fatal: (error: unknown) => void;
}

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

/** Files that one node fetches for itself after a commit, at a time. */
const BACKGROUND_FETCHES = 2;
const TRANSACTIONS_SENT_AGAIN = 8;

/** What serves: the chain's answers and the bytes. */
interface Serving {
  readonly head: Head;
  readonly members: Members;
  readonly ledger: StateLedger;
  readonly blobs: BlobStore;
  readonly staging: Staging;
  readonly library: Library;
}

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
    settleFiles(block, { isAuthority, serving, ...deps });
  });
  if (isAuthority) {
    const started = await startEngine({ options, nodeId }, deps, { ...serving, ...agreement });
    engine = started.engine;
    stops.push(started.stop);
  }
  serveTransfers(
    { chainId: options.chainId },
    { ...serving, requests: world.network, judge: world.network, log: deps.log, isAuthority: (peer) => serving.members.byPeer(peer) !== null },
  );
  const operations = new Operations(
    { version: options.version, name: options.name, nodeId, chainId: options.chainId, startedMs },
    { ...world, ...serving, ...agreement, sync, publications, engine: () => engine, sha256: deps.sha256 },
  );
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
      sync.stop();
      agreement.pool?.stop();
      await serving.library.stop();
      await world.network.stop();
      for (const stop of stops) await stop();
      await serving.head.settled();
    },
  };
}

async function openServing(options: NodeOptions, deps: NodeDeps): Promise<Serving> {
  const { world, sha256, log, metrics } = deps;
  const { network } = world;
  const store = await openChainStore({ kv: world.chainStore, sha256 }, { chainId: options.chainId, ...options.genesis });
  const head = new Head({ store, sha256, verifier: world.verifier });
  const members = new Members({ head, network });
  const ledger = new StateLedger({ maxHeadAgeMs: options.maxHeadAgeMs }, { head, members, clock: world.clock, peerId: network.peerId });
  const blobs = await BlobStore.open(
    { allocatedBytes: options.budgetBytes, reverifyMs: options.reverifyMs },
    { ...world, files: world.storage, log, onRotten: () => metrics.fileQuarantined() },
  );
  const staging = await Staging.open({ quotaBytes: options.stagingBytes, expiryMs: options.stagingMs }, { ...world, files: world.storage, log, blobs });
  const library = new Library(
    { transfer: { chainId: options.chainId } },
    { ...world, files: world.storage, log, blobs, staging, ledger, requests: network, judge: network, directory: network },
  );
  return { head, members, ledger, blobs, staging, library };
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
  const generic = genericChecker(
    { transfer: { chainId } },
    { ...world, ...serving, requests: world.network, judge: world.network, log },
  );
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
  const assembly = { network: world.network, protocol: protocolOf(chainId, 'transactions'), sha256, lookup: mempool };
  const courier = new GossipCourier({ ...world, chainId, sha256, head, members, assembly, log, metrics });
  const engine = await Engine.start(
    { chainId, nodeId: node.nodeId, signFromHeight: node.options.signFromHeight },
    { ...deps, ...world, head, signState, courier, source: proposer, timeouts: () => head.parameters.timeouts },
  );
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
    passOnWork: (attempt) => {
      for (const sealed of mempool.oldest(TRANSACTIONS_SENT_AGAIN)) claimCourier.passOn(sealed, attempt);
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

/** At the commit of a version its staged files enter the store; an authority fetches what it does not hold. */
function settleFiles(block: Block, parts: { readonly isAuthority: boolean; readonly serving: Serving; readonly log: Logger }): void {
  const { library, blobs } = parts.serving;
  const files = block.transactions
    .flatMap((transaction) => transaction.claims)
    .flatMap((claim): readonly FileEntry[] => (claim.kind === 'AddArtifact' ? claim.files : []));
  const queue = [...files];
  const work = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      try {
        if (parts.isAuthority) await library.hold(file);
        else await library.settle(file);
        if (parts.isAuthority) await blobs.pin(file.digests.sha256);
      } catch (error) {
        parts.log.warn({ file: file.name, error: String(error) }, 'a committed file is not yet held here');
      }
    }
  };
  for (let worker = 0; worker < BACKGROUND_FETCHES; worker += 1) void work();
}
