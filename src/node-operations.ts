/**
 * What an operator may ask of the running node, answered from its parts. Reads and counts; only marks and submissions change anything.
 */

import {
  artifactClaim,
  artifactOf,
  asDigest,
  type BlockHeader,
  type Digest,
  decode,
  digestToHex,
  formatDigest,
  type LogLeaf,
  MAX_SEALED_BYTES,
  type SealedTransaction,
  type Sha256,
  sameBytes,
  sealedTransaction,
  transactionId,
  validatorSetAt,
} from '../chain/index.ts';
import type { BlobStore } from '../registry/index.ts';
import type { GossipClaimCourier } from './claims/claim-courier.ts';
import type { Marks } from './claims/marks.ts';
import type { AddResult, Mempool } from './claims/mempool.ts';
import type { Publications } from './claims/publishing.ts';
import { awaitCommit } from './commit-wait.ts';
import type { Duty } from './duty.ts';
import { listEvidence } from './ledger/evidence-list.ts';
import { decodeBlock, type Head } from './ledger/head.ts';
import type { Members } from './ledger/members.ts';
import type { StateLedger } from './ledger/state-ledger.ts';
import type {
  ArtifactSummary,
  AuthorityStatus,
  BlockSummary,
  BuildResult,
  BuildStatus,
  EvidenceEntry,
  LogEntry,
  LogQuery,
  Mark,
  MarkResult,
  MembershipOrder,
  MembershipStatus,
  NodeOperations,
  NodeStatus,
  ParametersStatus,
  PeerStatus,
  SubmitResult,
} from './operations.ts';
import type { Memberships } from './orders/memberships.ts';
import type { ParameterOrders } from './orders/parameter-orders.ts';
import type { Clock, Network, Timers } from './ports.ts';
import { describeCoordinates, parsePurl } from './purl.ts';
import { Builds } from './requests/builds.ts';
import type { Requests } from './requests/requests.ts';
import type { BlockSync } from './sync/block-sync.ts';

const SUBMIT_TIMEOUT_MS = 30_000;
/** Operations about one key that a query looks through. */
const MAX_HISTORY = 10_000;

export interface OperationsOptions {
  readonly version: string;
  readonly name: string;
  readonly nodeId: Digest;
  readonly chainId: Digest;
  readonly startedMs: number;
}

export interface OperationsDeps {
  readonly head: Head;
  readonly members: Members;
  readonly ledger: StateLedger;
  readonly blobs: BlobStore;
  readonly sync: BlockSync;
  readonly mempool: Mempool;
  readonly marks: Marks;
  readonly publications: Publications;
  readonly memberships: Memberships;
  readonly parameterOrders: ParameterOrders;
  readonly requests: Requests;
  readonly claimCourier: GossipClaimCourier;
  readonly duty: Duty;
  readonly network: Network;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly sha256: Sha256;
}

export class Operations implements NodeOperations {
  readonly #options: OperationsOptions;
  readonly #deps: OperationsDeps;
  readonly #builds: Builds;

  constructor(options: OperationsOptions, deps: OperationsDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#builds = new Builds(deps);
  }

  readonly status = async (): Promise<NodeStatus> => {
    const { head, sync, ledger, network, mempool, duty, blobs } = this.#deps;
    const { version, name, nodeId, chainId, startedMs } = this.#options;
    const { height, blockId, timeMs } = head.view;
    return {
      version,
      name,
      nodeId: digestToHex(nodeId),
      peerId: network.peerId,
      role: duty.isOn ? 'authority' : 'mirror',
      addresses: network.addresses(),
      startedMs,
      chain: {
        chainId: digestToHex(chainId),
        height,
        blockId: digestToHex(blockId),
        timeMs,
        fresh: ledger.isFresh(),
        targetHeight: sync.targetHeight,
        syncing: sync.syncing,
      },
      consensus: this.#consensus(),
      set: this.#set(),
      peers: network.peers().length,
      artifacts: head.store.counts.artifacts,
      mempool: mempool.size,
      candidates: duty.pool?.size ?? 0,
      disk: await blobs.usage(),
    };
  };

  readonly peers = (): readonly PeerStatus[] => {
    const { network, members, sync } = this.#deps;
    return network.peers().map((peer) => {
      const authority = members.byPeer(peer.peerId);
      return {
        peerId: peer.peerId,
        name: authority?.name ?? null,
        role: authority === null ? 'mirror' : 'authority',
        addresses: peer.addresses,
        rttMs: peer.rttMs,
        height: sync.heightOf(peer.peerId),
      };
    });
  };

  readonly artifacts = async (options: { readonly after: string | null; readonly limit: number }): Promise<readonly ArtifactSummary[]> => {
    const { head } = this.#deps;
    const after = options.after === null ? null : parsePurl(options.after);
    const found = await head.store.liveArtifacts({ after: after?.ok === true ? after.coordinates : null, limit: options.limit });
    return found.flatMap((coordinates) => {
      const record = artifactOf(head.view.state, coordinates);
      if (record?.kind !== 'artifact') return [];
      const files = artifactClaim(record).files.map(({ name, sizeBytes, digests }) => ({
        name,
        sizeBytes,
        sha256: formatDigest(digests.sha256),
      }));
      return [{ purl: describeCoordinates(coordinates), files }];
    });
  };

  readonly ping = async (peerId: string): Promise<number> => await this.#deps.network.ping(peerId);

  readonly log = async (query: LogQuery): Promise<readonly LogEntry[]> => {
    const { store } = this.#deps.head;
    const indexes = await this.#indexesOf(query);
    return indexes.flatMap((index) => {
      const leaf = store.leaf(index);
      return leaf === null ? [] : this.#entryOf(leaf);
    });
  };

  readonly markRemoval = async (target: string, reason: string | null): Promise<MarkResult> =>
    await this.#deps.publications.markRemoval(target, reason);

  readonly marks = async (): Promise<readonly Mark[]> => await this.#deps.marks.list();

  readonly unmark = async (target: string): Promise<boolean> =>
    (await this.#deps.publications.unmark(target)) || (await this.#deps.memberships.unmark(target));

  readonly authorize = async (order: MembershipOrder): Promise<MarkResult> => await this.#deps.memberships.authorize(order);

  readonly members = async (): Promise<MembershipStatus> => await this.#deps.memberships.status();

  readonly parameters = (): ParametersStatus => this.#deps.parameterOrders.status();

  readonly propose = async (parameters: unknown, atHeight: number | null): Promise<MarkResult> =>
    await this.#deps.parameterOrders.propose(parameters, atHeight);

  readonly evidence = async (options: { readonly after: string | null; readonly limit: number }): Promise<readonly EvidenceEntry[]> =>
    await listEvidence(this.#deps.head, options);

  readonly build = (image: string): BuildResult => this.#builds.build(image);

  readonly buildStatus = async (id: string): Promise<BuildStatus | null> => await this.#builds.status(id);

  readonly block = (height: number): BlockSummary | null => {
    const found = this.#blockAt(height);
    if (found === null) return null;
    const { header } = found;
    return {
      height,
      blockId: digestToHex(this.#deps.head.idOf(header)),
      stateRoot: digestToHex(header.stateRoot),
      logRoot: digestToHex(header.logRoot),
      timeMs: header.timeMs,
      operations: found.transactions.reduce((sum, transaction) => sum + transaction.claims.length, 0),
      proposer: digestToHex(header.proposer),
    };
  };

  readonly submit = async (sealedBytes: Uint8Array): Promise<SubmitResult> => {
    const { mempool, claimCourier, clock, sha256 } = this.#deps;
    const sealed = decode(sealedTransaction, sealedBytes, { maxBytes: MAX_SEALED_BYTES });
    if (!sealed.ok) return { kind: 'refused', reason: sealed.reason };
    const startedMs = clock.nowMs();
    const id = transactionId(sha256, sealed.value.claims);
    const committed = awaitCommit(id, { ...this.#deps, timeoutMs: SUBMIT_TIMEOUT_MS });
    const added = await mempool.add(sealed.value);
    if (added.kind !== 'added' && added.kind !== 'known') {
      committed.cancel();
      return { kind: 'refused', reason: reasonOf(added) };
    }
    committed.held();
    claimCourier.passOn(sealed.value);
    const height = await committed.outcome;
    if (height === 'dropped')
      return { kind: 'refused', reason: 'another transaction about the same was committed, or an endorsement expired' };
    if (height === 'late') return { kind: 'refused', reason: `not committed within ${SUBMIT_TIMEOUT_MS} ms` };
    return { kind: 'committed', height, latencyMs: clock.nowMs() - startedMs };
  };

  #consensus(): NodeStatus['consensus'] {
    const { engine } = this.#deps.duty;
    if (engine === null) return null;
    const { round, step } = engine.machine.consensus;
    const silentBelow = engine.signFromHeight > engine.height ? engine.signFromHeight : null;
    return { height: engine.height, round, step, silentBelow };
  }

  #set(): readonly AuthorityStatus[] {
    const { head, members, network } = this.#deps;
    const connected = new Set([network.peerId, ...network.peers().map((peer) => peer.peerId)]);
    const powers = new Map(validatorSetAt(head.view, head.height + 1).map((member) => [digestToHex(member.nodeId), member.power]));
    return members.all().map((node) => {
      const peerId = network.peerIdOf(node.networkKey);
      const nodeId = digestToHex(node.nodeId);
      return { nodeId, name: node.name, peerId, power: powers.get(nodeId) ?? 0, connected: connected.has(peerId) };
    });
  }

  #blockAt(height: number): { readonly header: BlockHeader; readonly transactions: readonly SealedTransaction[] } | null {
    const stored = this.#deps.head.store.block(height);
    const block = stored === null ? null : decodeBlock(stored.block);
    return block?.ok === true ? block.value : null;
  }

  async #indexesOf(query: LogQuery): Promise<readonly number[]> {
    if (query.key !== null) return await this.#historyOf(query.key, query);
    return query.package === null ? this.#logIndexes(query) : await this.#historyOfPackage(query.package, query);
  }

  /** Places in the log of the operations about one package: its versions and its names. */
  async #historyOfPackage(name: string, query: LogQuery): Promise<readonly number[]> {
    const { store } = this.#deps.head;
    const found = await Promise.all(
      [`artifact|${name}|`, `name|${name}|`].map((prefix) => store.histories(prefix, { limit: MAX_HISTORY })),
    );
    const wanted = found.flat().filter((entry) => entry.height >= query.fromHeight);
    const indexes = wanted.map((entry) => entry.logIndex).sort((left, right) => (query.latest ? right - left : left - right));
    return indexes.slice(0, query.limit);
  }

  /** Places in the log of the whole chain from a height on. */
  #logIndexes(query: LogQuery): readonly number[] {
    const { store, view } = this.#deps.head;
    const first = query.fromHeight <= 1 ? 0 : (store.header(query.fromHeight - 1)?.logSize ?? view.logRange.size);
    const count = Math.min(query.limit, view.logRange.size - first);
    return Array.from({ length: Math.max(0, count) }, (_, at) => (query.latest ? view.logRange.size - 1 - at : first + at));
  }

  /** Places in the log of the operations about one key. */
  async #historyOf(key: string, query: LogQuery): Promise<readonly number[]> {
    const newest = await this.#deps.head.store.history(key, { limit: query.latest ? query.limit : MAX_HISTORY });
    const wanted = newest.filter((entry) => entry.height >= query.fromHeight).map((entry) => entry.logIndex);
    return (query.latest ? wanted : wanted.reverse()).slice(0, query.limit);
  }

  #entryOf(leaf: LogLeaf): readonly LogEntry[] {
    const block = this.#blockAt(leaf.height);
    const transaction = block?.transactions.find((one) => sameBytes(transactionId(this.#deps.sha256, one.claims), leaf.transactionId));
    const claim = transaction?.claims[leaf.index];
    if (block === null || transaction === undefined || claim === undefined) return [];
    return [
      {
        height: leaf.height,
        timeMs: block.header.timeMs,
        index: leaf.index,
        kind: leaf.kind,
        key: leaf.key,
        transactionId: digestToHex(leaf.transactionId),
        endorsers: transaction.endorsements.map((endorsement) => digestToHex(endorsement.nodeId)),
        claim: toJson(claim),
      },
    ];
  }
}

function reasonOf(refused: Exclude<AddResult, { readonly kind: 'added' | 'known' }>): string {
  switch (refused.kind) {
    case 'full':
      return 'the mempool is full: try again';
    case 'unknown':
      return 'its signatures could not be checked just now: try again';
    default:
      return refused.reason;
  }
}

/** A structure of the chain as JSON: 32-byte strings as `sha256:<hex>`, other bytes as hex. */
function toJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return value.length === 32 ? formatDigest(asDigest(value)) : Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, toJson(one)]));
  return value;
}
