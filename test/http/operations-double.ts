/** A node's operations for the servers' tests: answers what it was given and notes what it was asked. */

import type {
  ArtifactSummary,
  BuildStatus,
  EvidenceEntry,
  LogEntry,
  Mark,
  MarkResult,
  MemberStatus,
  MembershipStatus,
  NodeOperations,
  NodeStatus,
  ParametersStatus,
  PeerStatus,
} from '../../src/operations.ts';

export const STATUS: NodeStatus = {
  version: '0.1.0',
  name: 'node1',
  nodeId: 'a'.repeat(64),
  peerId: '12D3KooWNode',
  role: 'authority',
  addresses: ['/ip4/127.0.0.1/tcp/44000/p2p/12D3KooWNode'],
  startedMs: 1_700_000_000_000,
  chain: {
    chainId: 'b'.repeat(64),
    height: 7,
    blockId: 'c'.repeat(64),
    timeMs: 1_700_000_060_000,
    fresh: true,
    targetHeight: 7,
    syncing: false,
  },
  consensus: { height: 8, round: 0, step: 'waiting', silentBelow: null },
  set: [{ nodeId: 'a'.repeat(64), name: 'node1', peerId: '12D3KooWNode', power: 1, connected: true }],
  peers: 4,
  artifacts: 2,
  mempool: 0,
  candidates: 0,
  requests: 0,
  builds: 0,
  disk: { allocatedBytes: 53_687_091_200, usedBytes: 2048, files: 2, quarantined: 0 },
};

const MEMBER: MemberStatus = {
  nodeId: 'a'.repeat(64),
  name: 'node1',
  peerId: '12D3KooWNode',
  active: true,
  recordHeight: 0,
  keys: { network: '11'.repeat(32), consensus: '12'.repeat(32), checkpoint: '13'.repeat(32) },
};

const MEMBERS: MembershipStatus = {
  height: 7,
  sets: [7, 8, 9].map((height) => ({ height, nodeIds: ['a'.repeat(64)] })),
  nodes: [MEMBER],
  waiting: [{ kind: 'AddNode', key: 'k', about: 'add node5\u001b[31m', endorsers: ['node1'], marked: true }],
  own: MEMBER,
};

const PARAMETERS: ParametersStatus = {
  height: 0,
  parameters: { heartbeatMs: 600_000, timeouts: { proposeMs: 3000 }, removeGuilty: false, policy: [] },
  pending: null,
  waiting: [],
};

const EVIDENCE: EvidenceEntry = {
  key: 'e',
  nodeId: 'a'.repeat(64),
  name: 'node1',
  type: 'prevote',
  height: 3,
  round: 0,
  recordedAt: 4,
  active: true,
};

const MARKED: MarkResult = { kind: 'marked', key: 'k', waitingFor: 'marked by 1 of 4', warning: 'three are left' };

const PEER: PeerStatus = {
  peerId: '12D3KooWPeer',
  name: 'node2',
  role: 'authority',
  addresses: ['/ip4/127.0.0.1/tcp/1'],
  rttMs: 0.5,
  height: 7,
};

const ARTIFACTS: readonly ArtifactSummary[] = [
  { purl: 'pkg:generic/demo/a@1', files: [{ name: 'a', sizeBytes: 1, sha256: 'd'.repeat(64) }] },
];

const LOG: readonly LogEntry[] = [
  {
    height: 3,
    timeMs: 1_700_000_000_000,
    index: 0,
    kind: 'AddArtifact',
    key: 'k',
    transactionId: 'e',
    endorsers: ['node1', 'node2'],
    claim: { reason: 'a\u001b[31m' },
  },
];

const MARKS: readonly Mark[] = [
  { key: 'k', kind: 'RemoveArtifact', target: 'pkg:generic/demo/k@1', reason: 'r', markedMs: 1_700_000_000_000 },
];

const BUILD_STATUS: BuildStatus = {
  id: 'f'.repeat(64),
  image: 'registry.example/team/app:1',
  state: 'failure',
  detail: 'two of four differ',
  startedMs: 1_700_000_000_000,
  fetchedBytes: 2048,
  height: null,
  version: null,
  verdicts: [{ authority: 'node2', candidate: 'e'.repeat(64), verdict: 'refused', detail: 'other\u001b[31m bytes' }],
};

export interface OperationsDouble extends NodeOperations {
  readonly calls: unknown[];
}

export function operationsDouble(overrides: Partial<NodeOperations> = {}): OperationsDouble {
  const calls: unknown[] = [];
  const noted =
    <A extends readonly unknown[], R>(name: string, answer: R) =>
    (...args: A): R => {
      calls.push([name, ...args]);
      return answer;
    };
  return {
    calls,
    status: noted('status', Promise.resolve(STATUS)),
    peers: noted('peers', [PEER]),
    artifacts: noted('artifacts', Promise.resolve(ARTIFACTS)),
    ping: noted('ping', Promise.resolve(1.25)),
    log: noted('log', Promise.resolve(LOG)),
    markRemoval: noted(
      'markRemoval',
      Promise.resolve({ kind: 'marked', key: 'k', waitingFor: '2 more authorities have to mark it' } as const),
    ),
    marks: noted('marks', Promise.resolve(MARKS)),
    unmark: noted('unmark', Promise.resolve(true)),
    authorize: async (order) => {
      calls.push(['authorize', order]);
      return order.target === 'refused' ? { kind: 'refused', reason: 'no such node' } : MARKED;
    },
    members: noted('members', Promise.resolve(MEMBERS)),
    parameters: noted('parameters', PARAMETERS),
    propose: noted('propose', Promise.resolve({ kind: 'committed', height: 9 } as const)),
    evidence: noted('evidence', Promise.resolve([EVIDENCE])),
    build: (image) => {
      calls.push(['build', image]);
      return image === 'refused' ? { kind: 'refused', reason: 'no rule' } : { kind: 'started', id: 'f'.repeat(64), image };
    },
    buildStatus: noted('buildStatus', Promise.resolve(BUILD_STATUS)),
    block: (height) =>
      height > 7
        ? null
        : { height, blockId: 'c', stateRoot: 's', logRoot: 'l', timeMs: 1_700_000_000_000, operations: 1, proposer: 'a'.repeat(64) },
    submit: noted('submit', Promise.resolve({ kind: 'committed', height: 8, latencyMs: 12 } as const)),
    ...overrides,
  };
}
