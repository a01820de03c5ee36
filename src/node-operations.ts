/**
 * What an operator may ask of the running node, answered from its parts. Reads and counts; only marks and submissions change anything.
 */

import {
  artifactClaim,
  artifactOf,
  type Digest,
  decode,
  digestToHex,
  formatDigest,
  MAX_SEALED_BYTES,
  type Sha256,
  sealedTransaction,
  transactionId,
} from '../chain/index.ts';
import type { BlobStore } from '../registry/index.ts';
import type { GossipClaimCourier } from './claims/claim-courier.ts';
import type { Marks } from './claims/marks.ts';
import type { AddResult, Mempool } from './claims/mempool.ts';
import type { Publications } from './claims/publishing.ts';
import { awaitCommit } from './commit-wait.ts';
import type { Duty } from './duty.ts';
import { listEvidence } from './ledger/evidence-list.ts';
import type { Head } from './ledger/head.ts';
import { blockAt, queryLog } from './ledger/log-query.ts';
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
    const { head, sync, ledger, network, mempool, duty, blobs, requests } = this.#deps;
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
      requests: requests.size,
      builds: requests.builds,
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

  readonly log = async (query: LogQuery): Promise<readonly LogEntry[]> => await queryLog(this.#deps, query);

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
    const found = blockAt(this.#deps.head, height);
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
    const powers = new Map(head.voters.map((member) => [digestToHex(member.nodeId), member.power]));
    return members.all().map((node) => {
      const peerId = network.peerIdOf(node.networkKey);
      const nodeId = digestToHex(node.nodeId);
      return { nodeId, name: node.name, peerId, power: powers.get(nodeId) ?? 0, connected: connected.has(peerId) };
    });
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
