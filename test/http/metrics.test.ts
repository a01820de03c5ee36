/** The metrics: named as promtool wants them, gauges read at each scrape, counters that count. */

import t from 'tap';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { type GaugeReading, noMetrics } from '../../src/metrics/types.ts';

const READING: GaugeReading = {
  height: 5,
  headTimeMs: 1000,
  targetHeight: 6,
  round: 2,
  step: 'prevote',
  validators: 4,
  artifacts: 3,
  mempool: 1,
  requests: 6,
  builds: 9,
  candidates: 2,
  peers: 4,
  disk: { allocatedBytes: 100, usedBytes: 50, files: 2, quarantined: 1 },
};

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
}

function familiesOf(text: string): readonly Family[] {
  return [...text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)$/gm)].map(([, name = '', help = '', type = '']) => ({ name, help, type }));
}

t.test('every metric is one that promtool check metrics takes', async (t) => {
  const service = createMetrics({ nowMs: () => 0, processMetrics: true, version: '1' });
  service.metrics.observe(() => READING);
  const families = familiesOf((await service.expose()).body);
  t.ok(families.length > 40);
  const own = families.filter(({ name }) => name.startsWith('cairn_'));
  for (const { name, help, type } of families) {
    t.not(help, '', `${name} has a help text`);
    t.equal(name.endsWith('_total'), type === 'counter', `${name}: counters, and they alone, end in _total`);
    t.match(name, /^[a-z][a-z0-9_]*$/, `${name} is snake_case`);
    t.notMatch(
      name,
      /_(?:ms|milliseconds|kib|mib|kilobytes|percent|count|sum|bucket|gauge|counter|histogram)(?:_|$)/,
      `${name}: base units, no type in the name`,
    );
  }
  for (const { name } of own)
    t.match(name, /^cairn_(?:node|chain|consensus|claims|requests|network|storage|serving|http)_/, `${name} names its subsystem`);
});

t.test('gauges are what the node says at the scrape', async (t) => {
  let nowMs = 4000;
  let reading = READING;
  const service = createMetrics({ nowMs: () => nowMs, processMetrics: false, version: '1' });
  service.metrics.observe(async () => reading);
  const first = (await service.expose()).body;
  for (const line of [
    'cairn_chain_height 5',
    'cairn_chain_head_age_seconds 3',
    'cairn_consensus_step{step="prevote"} 1',
    'cairn_consensus_step{step="waiting"} 0',
    'cairn_claims_mempool 1',
    'cairn_requests_running 6',
    'cairn_requests_builds_running 9',
    'cairn_network_peers 4',
    'cairn_storage_used_bytes 50',
    'cairn_node_info{version="1"} 1',
  ]) {
    t.ok(first.split('\n').includes(line), line);
  }
  nowMs = 10_000;
  reading = { ...READING, headTimeMs: null, step: null, height: 0 };
  const second = (await service.expose()).body;
  t.ok(second.includes('cairn_chain_head_age_seconds 0\n'));
  t.notOk(/cairn_consensus_step\{.*\} 1/.test(second), 'a mirror is in no step');
});

t.test('counters count, durations become seconds', async (t) => {
  const service = createMetrics({ nowMs: () => 0, processMetrics: false, version: '1' });
  const { metrics } = service;
  metrics.blockCommitted({ operations: 3, round: 1, evidence: 2 });
  metrics.commitLatency(40);
  metrics.voteReceived('precommit');
  metrics.evidenceSeen('duplicateVote');
  metrics.consensusTimeout('propose');
  metrics.claimsEndorsed(2);
  metrics.claimsRefused(1);
  metrics.requestEnded('committed');
  metrics.buildEnded('failed');
  metrics.peerPenalized('bad-bytes');
  metrics.bytesServed('network', 1024);
  metrics.badPiece();
  metrics.fileQuarantined();
  metrics.roundStarted();
  metrics.untimelyProposal();
  metrics.httpRequest('generic', 404, 1500);
  const lines = (await service.expose()).body.split('\n');
  for (const line of [
    'cairn_chain_commits_total 1',
    'cairn_chain_operations_total 3',
    'cairn_chain_late_commits_total 1',
    'cairn_chain_evidence_total 2',
    'cairn_chain_commit_latency_seconds_sum 0.04',
    'cairn_consensus_votes_total{type="precommit"} 1',
    'cairn_consensus_votes_total{type="prevote"} 0',
    'cairn_consensus_evidence_total{kind="duplicateVote"} 1',
    'cairn_consensus_timeouts_total{kind="propose"} 1',
    'cairn_consensus_rounds_total 1',
    'cairn_consensus_untimely_proposals_total 1',
    'cairn_claims_endorsed_total 2',
    'cairn_claims_refused_total 1',
    'cairn_requests_ended_total{outcome="committed"} 1',
    'cairn_requests_builds_ended_total{outcome="failed"} 1',
    'cairn_network_penalties_total{fault="bad-bytes"} 1',
    'cairn_serving_sent_bytes_total{source="network"} 1024',
    'cairn_serving_bad_pieces_total 1',
    'cairn_storage_quarantines_total 1',
    'cairn_http_requests_total{route="generic",status="4xx"} 1',
    'cairn_http_request_duration_seconds_sum{route="generic"} 1.5',
  ]) {
    t.ok(lines.includes(line), line);
  }
});

t.test('noMetrics has every function of the port', async (t) => {
  const { metrics } = createMetrics({ nowMs: () => 0, processMetrics: false, version: '1' });
  t.same(Object.keys(noMetrics).sort(), Object.keys(metrics).sort());
});
