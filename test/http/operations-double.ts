/** A node's operations for the servers' tests: answers what it was given and notes what it was asked. */

import type { NodeOperations, NodeStatus } from '../../src/operations.ts';

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
    peers: noted('peers', [
      { peerId: '12D3KooWPeer', name: 'node2', role: 'authority', addresses: ['/ip4/127.0.0.1/tcp/1'], rttMs: 0.5, height: 7 },
    ] as const),
    artifacts: noted(
      'artifacts',
      Promise.resolve([{ purl: 'pkg:generic/demo/a@1', files: [{ name: 'a', sizeBytes: 1, sha256: 'd'.repeat(64) }] }]),
    ),
    ping: noted('ping', Promise.resolve(1.25)),
    log: noted(
      'log',
      Promise.resolve([
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
      ]),
    ),
    markRemoval: noted(
      'markRemoval',
      Promise.resolve({ kind: 'marked', key: 'k', waitingFor: '2 more authorities have to mark it' } as const),
    ),
    marks: noted('marks', Promise.resolve([{ key: 'k', target: 'pkg:generic/demo/k@1', reason: 'r', markedMs: 1_700_000_000_000 }])),
    unmark: noted('unmark', Promise.resolve(true)),
    build: (image) => {
      calls.push(['build', image]);
      return image === 'refused' ? { kind: 'refused', reason: 'no rule' } : { kind: 'started', id: 'f'.repeat(64), image };
    },
    buildStatus: noted(
      'buildStatus',
      Promise.resolve({
        id: 'f'.repeat(64),
        image: 'registry.example/team/app:1',
        state: 'failure',
        detail: 'two of four differ',
        startedMs: 1_700_000_000_000,
        fetchedBytes: 2048,
        height: null,
        version: null,
        verdicts: [{ authority: 'node2', candidate: 'e'.repeat(64), verdict: 'refused', detail: 'other\u001b[31m bytes' }],
      } as const),
    ),
    block: (height) =>
      height > 7
        ? null
        : { height, blockId: 'c', stateRoot: 's', logRoot: 'l', timeMs: 1_700_000_000_000, operations: 1, proposer: 'a'.repeat(64) },
    submit: noted('submit', Promise.resolve({ kind: 'committed', height: 8, latencyMs: 12 } as const)),
    ...overrides,
  };
}
