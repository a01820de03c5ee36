/**
 * The agreeing half of a node: on an authority the claim pool, the consensus engine and what carries their words; on a mirror only the
 * mempool and the marks, which its operations speak of. The serving half is serving.ts; node.ts joins the two.
 */

import { type Digest, ruleFor } from '../chain/index.ts';
import { type ClaimChecker, genericChecker, type OciUpstream, ociChecker, UpstreamImages } from '../registry/index.ts';
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
import { FirstSeen } from './claims/first-seen.ts';
import { Marks } from './claims/marks.ts';
import { DEFAULT_MEMPOOL_LIMITS, Mempool } from './claims/mempool.ts';
import type { NodeDeps, NodeOptions } from './node-options.ts';
import { VerdictBook } from './requests/verdict-book.ts';
import type { Serving } from './serving.ts';

/** Transactions told again in one go while a height stands still. */
const TRANSACTIONS_SENT_AGAIN = 8;

/** Who this node is. */
export interface Identity {
  readonly options: NodeOptions;
  readonly nodeId: Digest;
  readonly isAuthority: boolean;
}

/** What agrees; no pool on a mirror. */
export interface Agreement {
  readonly mempool: Mempool;
  readonly claimCourier: GossipClaimCourier;
  readonly marks: Marks;
  readonly verdicts: VerdictBook;
  readonly pool: ClaimPool | null;
  /** What this authority sees at its upstreams; null on a mirror. */
  readonly images: UpstreamImages | null;
}

export function openAgreement(node: Identity, deps: NodeDeps, serving: Serving): Agreement {
  const { world, sha256, log } = deps;
  const { chainId } = node.options;
  const mempool = new Mempool(DEFAULT_MEMPOOL_LIMITS, { head: serving.head, verifier: world.verifier, sha256, clock: world.clock });
  const marks = new Marks({ store: world.nodeStore, clock: world.clock });
  const verdicts = new VerdictBook({ clock: world.clock, sha256, endorsementMs: () => serving.head.parameters.endorsementMs });
  const claimCourier = new GossipClaimCourier({ ...world, ...serving, chainId, nodeId: node.nodeId, sha256, mempool, verdicts, log });
  if (!node.isAuthority) return { mempool, claimCourier, marks, verdicts, pool: null, images: null };
  const book = new EndorsementBook({ chainId, nodeId: node.nodeId, store: world.nodeStore, signer: world.signer, clock: world.clock });
  const images = new UpstreamImages({ ...world, ...serving, upstreams: clientsOf(deps), log });
  const pool = new ClaimPool({
    ...world,
    ...deps,
    ...serving,
    chainId,
    nodeId: node.nodeId,
    peerId: world.network.peerId,
    book,
    marks,
    firstSeen: new FirstSeen({ store: world.nodeStore, clock: world.clock }),
    checkers: checkersOf(node, deps, { serving, images }),
    courier: claimCourier,
  });
  claimCourier.start(pool);
  pool.start();
  return { mempool, claimCourier, marks, verdicts, pool, images };
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

/** Replays the write-ahead log and begins to listen and to vote. */
export async function startEngine(node: Identity, deps: NodeDeps, parts: Serving & Agreement): Promise<StartedEngine> {
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
