/** Metrics of the peers: how many, and what they were penalized for. Follows metrics.ts; never decides anything. */

import { Counter, Gauge, type Registry } from 'prom-client';
import type { PeerFault } from '../ports.ts';
import type { GaugeReading, Metrics } from './types.ts';

const FAULTS: readonly PeerFault[] = ['bad-bytes', 'bad-message', 'bad-signature', 'foreign-chain', 'spam', 'bad-block'];

export function networkMetrics(registry: Registry): { counters: Pick<Metrics, 'peerPenalized'>; set: (reading: GaugeReading) => void } {
  const registers = [registry];
  const peers = new Gauge({ name: 'cairn_network_peers', help: 'Connected peers.', registers });
  const penalties = new Counter({
    name: 'cairn_network_penalties_total',
    help: 'Peers penalized, by what they did.',
    labelNames: ['fault'],
    registers,
  });
  for (const fault of FAULTS) penalties.inc({ fault }, 0);
  return {
    counters: { peerPenalized: (fault) => penalties.inc({ fault }) },
    set: (reading) => peers.set(reading.peers),
  };
}
