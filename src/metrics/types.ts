/**
 * What the node counts: the port that its code calls, one plain function an event, and what it tells of itself at each scrape. Labels are
 * closed sets, never digests, names or peers. Never read to decide anything.
 */

import type { Step } from '../../consensus/index.ts';
import type { PeerFault } from '../ports.ts';

export type ServedFrom = 'local' | 'network';
export type RouteClass = 'generic' | 'oci' | 'admin' | 'other';
export type RequestEnd = 'committed' | 'absent' | 'refused' | 'pending';
export type BuildEnd = 'committed' | 'absent' | 'refused' | 'failed';
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
  readonly requests: number;
  readonly builds: number;
  readonly peers: number;
  readonly disk: { readonly allocatedBytes: number; readonly usedBytes: number; readonly files: number; readonly quarantined: number };
}

/** Plain functions; none throws, none waits. */
export interface Metrics {
  /** Names where gauges are read from at each scrape; the last one named counts. */
  readonly observe: (read: () => GaugeReading | Promise<GaugeReading>) => void;
  /** One block committed, with this many operations, in this round. */
  readonly blockCommitted: (block: { readonly operations: number; readonly round: number; readonly evidence: number }) => void;
  /** From a claim's submission on this node to its commit, seen here. */
  readonly commitLatency: (durationMs: number) => void;
  readonly roundStarted: () => void;
  readonly consensusTimeout: (kind: 'propose' | 'prevote' | 'precommit') => void;
  readonly voteReceived: (type: VoteKind) => void;
  readonly evidenceSeen: (kind: EvidenceKind) => void;
  readonly untimelyProposal: () => void;
  readonly claimsEndorsed: (claims: number) => void;
  readonly claimsRefused: (claims: number) => void;
  /** A request of this node's clients is over. */
  readonly requestEnded: (outcome: RequestEnd) => void;
  /** A build on this authority is over. */
  readonly buildEnded: (outcome: BuildEnd) => void;
  readonly peerPenalized: (fault: PeerFault) => void;
  /** Bytes handed to HTTP clients. */
  readonly bytesServed: (from: ServedFrom, sizeBytes: number) => void;
  readonly badPiece: () => void;
  readonly fileQuarantined: () => void;
  readonly httpRequest: (route: RouteClass, statusCode: number, durationMs: number) => void;
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
  requestEnded: () => {},
  buildEnded: () => {},
  peerPenalized: () => {},
  bytesServed: () => {},
  badPiece: () => {},
  fileQuarantined: () => {},
  httpRequest: () => {},
};
