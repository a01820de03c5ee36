/** Metrics of claims on their way to the chain: endorsed, refused, waiting. Follows metrics.ts; never decides anything. */

import { Counter, Gauge, type Registry } from 'prom-client';
import type { GaugeReading, Metrics } from './types.ts';

export function claimMetrics(registry: Registry): {
  counters: Pick<Metrics, 'claimsEndorsed' | 'claimsRefused'>;
  set: (reading: GaugeReading) => void;
} {
  const registers = [registry];
  const mempool = new Gauge({ name: 'cairn_claims_mempool', help: 'Sealed transactions waiting for a block.', registers });
  const candidates = new Gauge({ name: 'cairn_claims_candidates', help: 'Candidates waiting for endorsements.', registers });
  const endorsed = new Counter({ name: 'cairn_claims_endorsed_total', help: 'Claims this node checked and endorsed.', registers });
  const refused = new Counter({ name: 'cairn_claims_refused_total', help: 'Claims this node checked and refused.', registers });
  return {
    counters: {
      claimsEndorsed: (claims) => endorsed.inc(claims),
      claimsRefused: (claims) => refused.inc(claims),
    },
    set: (reading) => {
      mempool.set(reading.mempool);
      candidates.set(reading.candidates);
    },
  };
}
