/**
 * The metrics of a node, assembled from one small file a subsystem. Follows the names
 * `cairn_<subsystem>_<thing>_<unit>` with base units; labels are closed sets, never digests, names or peers. Never read to decide anything.
 */

import { collectDefaultMetrics, Registry } from 'prom-client';
import { chainMetrics } from './chain-metrics.ts';
import { claimMetrics } from './claim-metrics.ts';
import { consensusMetrics } from './consensus-metrics.ts';
import { networkMetrics } from './network-metrics.ts';
import { requestMetrics } from './request-metrics.ts';
import { servingMetrics } from './serving-metrics.ts';
import type { GaugeReading, Metrics } from './types.ts';

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
  const requests = requestMetrics(registry);
  const serving = servingMetrics(registry);
  const metrics: Metrics = {
    observe: (reader) => {
      read = reader;
    },
    ...chain.counters,
    ...consensus.counters,
    ...claims.counters,
    ...network.counters,
    ...requests.counters,
    ...serving.counters,
  };
  const expose = async (): Promise<{ contentType: string; body: string }> => {
    if (read !== null) {
      const reading = await read();
      for (const subsystem of [chain, consensus, claims, network, requests, serving]) subsystem.set(reading);
    }
    return { contentType: registry.contentType, body: await registry.metrics() };
  };
  return { metrics, registry, expose };
}
