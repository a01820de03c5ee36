/**
 * What the node counts: the port that the node's code calls, and its assembly from one small file a subsystem. Follows the names
 * `cairn_<subsystem>_<thing>_<unit>` with base units; labels are closed sets, never digests, names or peers. Never read to decide anything.
 */

import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Step } from '../../consensus/index.ts';
import type { PeerFault } from '../ports.ts';
import { chainMetrics } from './chain-metrics.ts';
import { claimMetrics } from './claim-metrics.ts';
import { consensusMetrics } from './consensus-metrics.ts';
import { networkMetrics } from './network-metrics.ts';
import { servingMetrics } from './serving-metrics.ts';

export type ServedFrom = 'local' | 'network';
export type RouteClass = 'generic' | 'admin' | 'other';
export type VoteKind = 'prevote' | 'precommit';
export type EvidenceKind = 'duplicateVote' | 'duplicateProposal';

/** What the node knows of itself right now, read at each scrape. */
export interface GaugeReading {
  readonly height: number;
  /** Time of the newest committed block, or null before the first. */
  readonly headTimeMs: number | null;
  readonly targetHeight: number;
  readonly round: number;
  /** Null on a mirror. */
  readonly step: Step | null;
  readonly validators: number;
  readonly artifacts: number;
  readonly mempool: number;
  readonly candidates: number;
  readonly peers: number;
  readonly disk: { readonly allocatedBytes: number; readonly usedBytes: number; readonly files: number; readonly quarantined: number };
}

/** Plain functions; none throws, none waits. */
export interface Metrics {
  /** Names where gauges are read from at each scrape; the last one named counts. */
  readonly observe: (read: () => GaugeReading | Promise<GaugeReading>) => void;
  /** One block committed, with this many operations, in this round. */
  readonly blockCommitted: (block: { readonly operations: number; readonly round: number }) => void;
  /** From a claim's submission on this node to its commit, seen here. */
  readonly commitLatency: (durationMs: number) => void;
  readonly roundStarted: () => void;
  readonly consensusTimeout: (kind: 'propose' | 'prevote' | 'precommit') => void;
  readonly voteReceived: (type: VoteKind) => void;
  readonly evidenceSeen: (kind: EvidenceKind) => void;
  readonly untimelyProposal: () => void;
  readonly claimsEndorsed: (claims: number) => void;
  readonly claimsRefused: (claims: number) => void;
  readonly peerPenalized: (fault: PeerFault) => void;
  /** Bytes handed to HTTP clients. */
  readonly bytesServed: (from: ServedFrom, sizeBytes: number) => void;
  readonly badPiece: () => void;
  readonly fileQuarantined: () => void;
  readonly httpRequest: (route: RouteClass, statusCode: number, durationMs: number) => void;
}

export interface MetricsService {
  readonly metrics: Metrics;
  readonly registry: Registry;
  /** The exposition text and its content type. */
  readonly expose: () => Promise<{ readonly contentType: string; readonly body: string }>;
}

/** prom-client's own gauges that end in `_total`, which `promtool check metrics` refuses. */
const MISNAMED_DEFAULTS = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** A fresh registry of its own. `processMetrics` adds Node's figures (CPU, memory, event loop). */
export function createMetrics(options: {
  readonly nowMs: () => number;
  readonly processMetrics: boolean;
  readonly version: string;
}): MetricsService {
  const registry = new Registry();
  if (options.processMetrics) {
    collectDefaultMetrics({ register: registry });
    for (const name of MISNAMED_DEFAULTS) registry.removeSingleMetric(name);
  }
  let read: (() => GaugeReading | Promise<GaugeReading>) | null = null;
  const chain = chainMetrics(registry, options);
  const consensus = consensusMetrics(registry);
  const claims = claimMetrics(registry);
  const network = networkMetrics(registry);
  const serving = servingMetrics(registry);
  const metrics: Metrics = {
    observe: (reader) => {
      read = reader;
    },
    ...chain.counters,
    ...consensus.counters,
    ...claims.counters,
    ...network.counters,
    ...serving.counters,
  };
  const expose = async (): Promise<{ contentType: string; body: string }> => {
    if (read !== null) {
      const reading = await read();
      for (const subsystem of [chain, consensus, claims, network, serving]) subsystem.set(reading);
    }
    return { contentType: registry.contentType, body: await registry.metrics() };
  };
  return { metrics, registry, expose };
}

/** Counts nothing: for tests and tools. */
export const noMetrics: Metrics = {
  observe: () => {},
  blockCommitted: () => {},
  commitLatency: () => {},
  roundStarted: () => {},
  consensusTimeout: () => {},
  voteReceived: () => {},
  evidenceSeen: () => {},
  untimelyProposal: () => {},
  claimsEndorsed: () => {},
  claimsRefused: () => {},
  peerPenalized: () => {},
  bytesServed: () => {},
  badPiece: () => {},
  fileQuarantined: () => {},
  httpRequest: () => {},
};
