/** Metrics of what the chain did not have: requests of this node's clients, builds of this authority. Follows metrics.ts; never decides anything. */

import { Counter, Gauge, type Registry } from 'prom-client';
import type { BuildEnd, GaugeReading, Metrics, RequestEnd } from './types.ts';

const REQUEST_ENDS: readonly RequestEnd[] = ['committed', 'absent', 'refused', 'pending'];
const BUILD_ENDS: readonly BuildEnd[] = ['committed', 'absent', 'refused', 'failed'];

export function requestMetrics(registry: Registry): {
  counters: Pick<Metrics, 'requestEnded' | 'buildEnded'>;
  set: (reading: GaugeReading) => void;
} {
  const registers = [registry];
  const running = new Gauge({ name: 'cairn_requests_running', help: 'Images asked of the authorities and waited for.', registers });
  const builds = new Gauge({ name: 'cairn_requests_builds_running', help: 'Builds under way on this authority.', registers });
  const requested = new Counter({
    name: 'cairn_requests_ended_total',
    help: 'Requests of this node that are over, by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const built = new Counter({
    name: 'cairn_requests_builds_ended_total',
    help: 'Builds of this authority that are over, by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  for (const outcome of REQUEST_ENDS) requested.inc({ outcome }, 0);
  for (const outcome of BUILD_ENDS) built.inc({ outcome }, 0);
  return {
    counters: {
      requestEnded: (outcome) => requested.inc({ outcome }),
      buildEnded: (outcome) => built.inc({ outcome }),
    },
    set: (reading) => {
      running.set(reading.requests);
      builds.set(reading.builds);
    },
  };
}
