/**
 * The agreeing half of a node: on every node the mempool and the marks, which its operations speak of; on an authority, for as long as it is
 * one, the claim pool, the consensus engine and what carries their words (duty.ts says when). The serving half is serving.ts.
 */

import { type Digest, ruleFor } from '../chain/index.ts';
import { type ClaimChecker, genericChecker, type OciUpstream, ociChecker, UpstreamImages } from '../registry/index.ts';
import { serveTransactions, Transactions } from './agreement/assembly.ts';
import { GossipCourier } from './agreement/courier.ts';
import { Engine, type EngineDeps } from './agreement/engine.ts';
import { Proposer } from './agreement/proposer.ts';
import { Recovery } from './agreement/recovery.ts';
import { SignState } from './agreement/sign-state.ts';
import { protocolOf } from './channels.ts';
import { GossipClaimCourier } from './claims/claim-courier.ts';
import { ClaimPool } from './claims/claim-pool.ts';
import { EndorsementBook } from './claims/endorsement-book.ts';
import { FirstSeen } from './claims/first-seen.ts';
import { Marks } from './claims/marks.ts';
import { DEFAULT_MEMPOOL_LIMITS, Mempool } from './claims/mempool.ts';
import type { Head } from './ledger/head.ts';
import type { OwnKeys } from './ledger/own-keys.ts';
import type { NodeDeps, NodeOptions } from './node-options.ts';
import { VerdictBook } from './requests/verdict-book.ts';
import type { Serving } from './serving.ts';

/** Transactions told again in one go while a height stands still. */
const TRANSACTIONS_SENT_AGAIN = 8;

/** Who this node is. */
export interface Identity {
  readonly options: NodeOptions;
  readonly nodeId: Digest;
  readonly keys: OwnKeys;
}

/** What agrees on every node: a mirror only passes on what it is given. */
export interface Agreement {
  readonly mempool: Mempool;
  readonly claimCourier: GossipClaimCourier;
  readonly marks: Marks;
  readonly verdicts: VerdictBook;
}

export function openAgreement(node: Identity, deps: NodeDeps, serving: Serving): Agreement {
  const { world, sha256, log } = deps;
  const { chainId } = node.options;
  const mempool = new Mempool(DEFAULT_MEMPOOL_LIMITS, { head: serving.head, verifier: world.verifier, sha256, clock: world.clock });
  const marks = new Marks({ store: world.nodeStore, clock: world.clock });
  const verdicts = new VerdictBook({ clock: world.clock, sha256, endorsementMs: () => serving.head.parameters.endorsementMs });
  const { signer } = node.keys;
  const claimCourier = new GossipClaimCourier({
    ...world,
    ...serving,
    signer,
    chainId,
    nodeId: node.nodeId,
    sha256,
    mempool,
    verdicts,
    log,
  });
  return { mempool, claimCourier, marks, verdicts };
}

/** How an authority comes to vouch for claims. */
export interface Claims {
  readonly pool: ClaimPool;
  /** What this authority sees at its upstreams. */
  readonly images: UpstreamImages;
  readonly stop: () => void;
}

/** Begins to hear candidates, and to check and endorse them. */
export function startClaims(node: Identity, deps: NodeDeps, parts: Serving & Agreement): Claims {
  const { world, log } = deps;
  const { chainId } = node.options;
  const { signer } = node.keys;
  const { claimCourier } = parts;
  const book = new EndorsementBook({ chainId, nodeId: node.nodeId, store: world.nodeStore, signer, clock: world.clock });
  const images = new UpstreamImages({ ...world, ...parts, upstreams: clientsOf(deps), log });
  const pool = new ClaimPool({
    ...world,
    ...deps,
    ...parts,
    signer,
    chainId,
    nodeId: node.nodeId,
    peerId: world.network.peerId,
    book,
    firstSeen: new FirstSeen({ store: world.nodeStore, clock: world.clock }),
    checkers: checkersOf(node, deps, { serving: parts, images }),
    courier: claimCourier,
  });
  claimCourier.start(pool);
  pool.start();
  const stop = (): void => {
    claimCourier.stop();
    pool.stop();
    images.stop();
  };
  return { pool, images, stop };
}

function clientsOf({ upstreams }: NodeDeps): ReadonlyMap<string, OciUpstream> {
  return new Map([...upstreams].map(([id, { client }]) => [id, client]));
}

/** How this authority checks claims, by ecosystem. */
function checkersOf(
  node: Identity,
  { world, log }: NodeDeps,
  { serving, images }: { readonly serving: Serving; readonly images: UpstreamImages },
): ReadonlyMap<string, ClaimChecker> {
  const transfer = { chainId: node.options.chainId };
  return new Map([
    ['generic', genericChecker({ transfer }, { ...world, ...serving, requests: world.network, judge: world.network, log })],
    ['docker', ociChecker({ images, ruleFor: (name) => ruleFor(serving.head.parameters.policy, name) })],
  ]);
}

export interface StartedEngine {
  readonly engine: Engine;
  readonly stop: () => Promise<void>;
}

/** What the chain says of a height to the engine. */
function chainOf({ keys }: Identity, head: Head): Pick<EngineDeps, 'timeouts' | 'keyAt'> {
  return { timeouts: () => head.parameters.timeouts, keyAt: (height) => keys.at(height) };
}

/** Replays the write-ahead log and begins to listen and to vote. */
export async function startEngine(node: Identity, deps: NodeDeps, parts: Serving & Agreement): Promise<StartedEngine> {
  const { world, sha256, log, metrics } = deps;
  const { chainId } = node.options;
  const { head, members, mempool } = parts;
  const signState = await SignState.open(world.files, world.signer);
  const proposer = new Proposer({ ...world, head, mempool, sha256, log, metrics });
  const lookup = new Transactions(mempool, sha256);
  const assembly = { ...world, protocol: protocolOf(chainId, 'transactions'), sha256, lookup };
  const courier = new GossipCourier({ ...world, chainId, sha256, head, members, assembly, log, metrics });
  const engine = await Engine.start(
    { chainId, nodeId: node.nodeId, signFromHeight: node.options.signFromHeight },
    { ...deps, ...world, head, signState, courier, source: proposer, ...chainOf(node, head) },
  );
  lookup.include(() => engine.values());
  const unfollow = [head.onCommit(({ block }) => proposer.blockCommitted(block)), mempool.onAdd(() => engine.wake())];
  serveTransactions(assembly);
  const recovery = new Recovery({
    ...world,
    engine,
    courier,
    protocol: protocolOf(chainId, 'help'),
    log,
    authorities: () => members.otherPeers(),
    passOnWork: () => passOnOldest(parts),
  });
  courier.start(engine);
  recovery.start();
  const stop = async (): Promise<void> => {
    recovery.stop();
    courier.stop();
    world.network.unhandle(assembly.protocol);
    for (const end of unfollow) end();
    await engine.stop();
    await signState.close();
  };
  return { engine, stop };
}

function passOnOldest({ mempool, claimCourier }: Agreement): void {
  for (const sealed of mempool.oldest(TRANSACTIONS_SENT_AGAIN)) claimCourier.passOn(sealed);
}
