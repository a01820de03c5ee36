/**
 * The composition root: one whole node out of its world. Used by the daemon with the real world and by the test world with a virtual one;
 * nothing else puts the parts together. Docs: docs/ARCHITECTURE.md.
 */

import { activeNodes, type Block, type Digest, digestToHex, nodeIdOf, nodeOf, type Sha256, sameBytes } from '../chain/index.ts';
import { type BlobStore, type Library, type Staging, serveTransfers } from '../registry/index.ts';
import { type Agreement, type Identity, openAgreement } from './agreeing.ts';
import type { Engine } from './agreement/engine.ts';
import type { Mempool } from './claims/mempool.ts';
import { Publications } from './claims/publishing.ts';
import { Duty } from './duty.ts';
import type { Head } from './ledger/head.ts';
import { OwnKeys } from './ledger/own-keys.ts';
import type { StateLedger } from './ledger/state-ledger.ts';
import { VersionWatch } from './ledger/version-watch.ts';
import { NodeError } from './node-error.ts';
import { Operations } from './node-operations.ts';
import type { NodeDeps, NodeOptions } from './node-options.ts';
import type { NodeOperations } from './operations.ts';
import { Memberships } from './orders/memberships.ts';
import { ParameterOrders } from './orders/parameter-orders.ts';
import { Requests } from './requests/requests.ts';
import { openServing, type Serving, settleFiles, startHousekeeping } from './serving.ts';
import { BlockSync } from './sync/block-sync.ts';

/** Nodes ever admitted that a start looks through for this one. */
const MAX_NODES = 10_000;

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
  /** Null while the node is a mirror. */
  readonly engine: Engine | null;
  readonly sync: BlockSync;
  readonly stop: () => Promise<void>;
}

/** Opens the stores, replays the log, then joins the network. Rejects with a clear error before anything is heard or said. */
export async function startNode(options: NodeOptions, deps: NodeDeps): Promise<CairnNode> {
  const { world } = deps;
  const startedMs = world.clock.nowMs();
  const serving = await openServing(options, deps);
  const { head } = serving;
  const nodeId = await ownNodeId(head, { networkKey: world.signer.publicKey('network'), sha256: deps.sha256 });
  const keys = new OwnKeys({ head, signer: world.signer, nodeId });
  checkOwnKeys(keys);
  const version = new VersionWatch({ head, log: deps.log });
  version.check();
  const identity = { options, nodeId, keys };
  const agreement = openAgreement(identity, deps, serving);
  const duty = new Duty(identity, deps, { ...serving, ...agreement });
  const parts: Parts = { identity, deps, serving, agreement, duty };
  const publications = publicationsOf(parts);
  const requests = requestsOf(parts);
  const sync = syncOf(parts);
  followCommits(parts, version);
  await duty.follow();
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
    { ...world, ...serving, ...agreement, ...ordersOf(parts), sync, publications, requests, duty, sha256: deps.sha256 },
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
    requests,
    get engine() {
      return duty.engine;
    },
    sync,
    stop: async () => {
      stopHousekeeping();
      requests.stop();
      sync.stop();
      await serving.library.stop();
      await world.network.stop();
      await duty.stop();
      await head.settled();
    },
  };
}

/** What admins want of the network as a whole. */
interface Orders {
  readonly memberships: Memberships;
  readonly parameterOrders: ParameterOrders;
}

interface Parts {
  readonly identity: Identity;
  readonly deps: NodeDeps;
  readonly serving: Serving;
  readonly agreement: Agreement;
  readonly duty: Duty;
}

function publicationsOf({ identity, deps, serving, agreement, duty }: Parts): Publications {
  return new Publications({
    nodeId: identity.nodeId,
    ...serving,
    ...agreement,
    sha256: deps.sha256,
    get pool() {
      return duty.pool;
    },
  });
}

function ordersOf({ identity, deps, serving, agreement, duty }: Parts): Orders {
  const { nodeId, options } = identity;
  const shared = { ...deps.world, ...deps, ...serving, ...agreement, nodeId, chainId: options.chainId };
  const dynamic = {
    ...shared,
    get pool() {
      return duty.pool;
    },
  };
  return { memberships: new Memberships(dynamic), parameterOrders: new ParameterOrders(dynamic) };
}

function requestsOf({ identity, deps, serving, agreement, duty }: Parts): Requests {
  const { nodeId, options } = identity;
  return new Requests({
    ...deps.world,
    ...deps,
    ...serving,
    ...agreement,
    chainId: options.chainId,
    get own() {
      return duty.desk === null ? null : { nodeId, ...duty.desk };
    },
  });
}

function syncOf({ identity, deps, serving, duty }: Parts): BlockSync {
  const { nodeId, options, keys } = identity;
  return new BlockSync(
    {
      chainId: options.chainId,
      get nodeId() {
        return duty.isOn ? nodeId : null;
      },
    },
    {
      ...deps.world,
      ...deps,
      signer: keys.signer,
      head: serving.head,
      onBehind: (height) => duty.engine?.foundBehind(height),
      isAtWork: () => duty.engine?.isAtWork === true,
    },
  );
}

/** What a commit means to the parts of this node, in this order. */
function followCommits(parts: Parts, version: VersionWatch): void {
  const { deps, serving, agreement, duty, identity } = parts;
  serving.head.onCommit(({ block, effects }) => {
    const { height, logLeaves } = effects;
    const { round } = block.header;
    agreement.mempool.blockCommitted(block);
    agreement.verdicts.blockCommitted(block);
    duty.pool?.blockCommitted(block);
    agreement.marks.settle(block.transactions.flatMap((transaction) => transaction.claims)).catch(deps.fatal);
    deps.metrics.blockCommitted({ operations: logLeaves.length, round, evidence: block.evidence.length });
    deps.log.info({ height, operations: logLeaves.length, round }, 'block committed');
    tellGuilty(block, parts);
    void settleFiles(block, { isAuthority: duty.isOn, ...parts, ...deps });
    if (rotatesNetworkKey(block, identity.nodeId))
      deps.log.warn({ height }, 'the network key of this node was rotated: restart it, and it takes the new one');
    const { missing } = identity.keys;
    if (missing !== null)
      deps.log.error({ use: missing }, 'the chain has another key for this node than its keys folder: see key rotation');
    duty.follow().catch(deps.fatal);
    try {
      version.check();
    } catch (error) {
      deps.fatal(error);
    }
  });
}

/** On every node, mirrors too: who has signed two things in one place, as the chain has it from now on. */
function tellGuilty({ header, evidence }: Block, { deps, serving }: Parts): void {
  for (const { first } of evidence) {
    const { nodeId, height, round } = first;
    const name = nodeOf(serving.head.view.state, nodeId)?.node.name ?? null;
    deps.log.error(
      { recordedAt: header.height, nodeId: digestToHex(nodeId), name, height, round },
      'an authority signed two things in one place: the chain has the evidence',
    );
  }
}

function rotatesNetworkKey({ transactions }: Block, nodeId: Digest): boolean {
  const claims = transactions.flatMap((sealed) => sealed.claims);
  return claims.some((claim) => claim.kind === 'RotateKey' && claim.use === 'network' && sameBytes(claim.nodeId, nodeId));
}

/** The id that the chain knows the node's network key by, after rotations too; of an unknown one its digest. */
async function ownNodeId(head: Head, own: { readonly networkKey: Uint8Array; readonly sha256: Sha256 }): Promise<Digest> {
  const known = activeNodes(head.view.state).find((node) => sameBytes(node.networkKey, own.networkKey));
  if (known !== undefined) return known.nodeId;
  const records = await head.store.records('node|', { limit: MAX_NODES });
  const removed = records.map(([, record]) => record).find((one) => one.kind === 'node' && sameBytes(one.node.networkKey, own.networkKey));
  return removed?.kind === 'node' ? removed.node.nodeId : nodeIdOf(own.sha256, own.networkKey);
}

/** With another key than the one in its record, all an authority says is a forgery to the others, and they cut it off. */
function checkOwnKeys(keys: OwnKeys): void {
  const use = keys.missing;
  if (use === null) return;
  throw new NodeError(
    'WRONG_KEYS',
    `the ${use} key in the keys folder is not the one that the chain knows of this node: restore it from your backup`,
  );
}
