/** Metrics of the chain as this node has it: height, age of the head, commits. Follows metrics.ts; never decides anything. */

import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { GaugeReading, Metrics } from './types.ts';

export function chainMetrics(
  registry: Registry,
  options: { readonly nowMs: () => number; readonly version: string },
): { counters: Pick<Metrics, 'blockCommitted' | 'commitLatency'>; set: (reading: GaugeReading) => void } {
  const registers = [registry];
  const info = new Gauge({ name: 'cairn_node_info', help: 'Version of the node; always 1.', labelNames: ['version'], registers });
  info.set({ version: options.version }, 1);
  const height = new Gauge({ name: 'cairn_chain_height', help: 'Height of the newest committed block.', registers });
  const target = new Gauge({ name: 'cairn_chain_target_height', help: 'Highest height that peers claim.', registers });
  const age = new Gauge({ name: 'cairn_chain_head_age_seconds', help: 'Age of the newest committed block.', registers });
  const artifacts = new Gauge({ name: 'cairn_chain_artifacts', help: 'Live package versions on the chain.', registers });
  const commits = new Counter({ name: 'cairn_chain_commits_total', help: 'Blocks committed since the node started.', registers });
  const operations = new Counter({ name: 'cairn_chain_operations_total', help: 'Operations committed since the node started.', registers });
  const evidence = new Counter({ name: 'cairn_chain_evidence_total', help: 'Evidence committed since the node started.', registers });
  const late = new Counter({ name: 'cairn_chain_late_commits_total', help: 'Blocks committed in a round after the first.', registers });
  const latency = new Histogram({
    name: 'cairn_chain_commit_latency_seconds',
    help: 'From a claim submitted on this node to its commit seen here.',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  return {
    counters: {
      blockCommitted: (block) => {
        commits.inc();
        operations.inc(block.operations);
        evidence.inc(block.evidence);
        if (block.round > 0) late.inc();
      },
      commitLatency: (durationMs) => latency.observe(durationMs / 1000),
    },
    set: (reading) => {
      height.set(reading.height);
      target.set(reading.targetHeight);
      age.set(reading.headTimeMs === null ? 0 : Math.max(0, options.nowMs() - reading.headTimeMs) / 1000);
      artifacts.set(reading.artifacts);
    },
  };
}
