/** Metrics of the files and of HTTP: disk, bytes served, bad pieces, requests. Follows metrics.ts; never decides anything. */

import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { GaugeReading, Metrics } from './types.ts';

export function servingMetrics(registry: Registry): {
  counters: Pick<Metrics, 'bytesServed' | 'badPiece' | 'fileQuarantined' | 'httpRequest'>;
  set: (reading: GaugeReading) => void;
} {
  const registers = [registry];
  const gauges = {
    allocated: new Gauge({ name: 'cairn_storage_allocated_bytes', help: 'Disk budget of the file store.', registers }),
    used: new Gauge({ name: 'cairn_storage_used_bytes', help: 'Bytes of stored files, as counted on the disk.', registers }),
    files: new Gauge({ name: 'cairn_storage_files', help: 'Stored files.', registers }),
    quarantined: new Gauge({ name: 'cairn_storage_quarantined_files', help: 'Files in quarantine.', registers }),
  };
  const served = new Counter({
    name: 'cairn_serving_sent_bytes_total',
    help: 'Bytes handed to clients, by where they came from.',
    labelNames: ['source'],
    registers,
  });
  const badPieces = new Counter({ name: 'cairn_serving_bad_pieces_total', help: 'Pieces from peers that failed verification.', registers });
  const quarantines = new Counter({ name: 'cairn_storage_quarantines_total', help: 'Own files found damaged and set aside.', registers });
  const requests = new Counter({
    name: 'cairn_http_requests_total',
    help: 'HTTP requests answered.',
    labelNames: ['route', 'status'],
    registers,
  });
  const duration = new Histogram({
    name: 'cairn_http_request_duration_seconds',
    help: 'From the request to the end of its answer.',
    labelNames: ['route'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
    registers,
  });
  for (const source of ['local', 'network']) served.inc({ source }, 0);
  return {
    counters: {
      bytesServed: (source, sizeBytes) => served.inc({ source }, sizeBytes),
      badPiece: () => badPieces.inc(),
      fileQuarantined: () => quarantines.inc(),
      httpRequest: (route, statusCode, durationMs) => {
        requests.inc({ route, status: `${Math.floor(statusCode / 100)}xx` });
        duration.observe({ route }, durationMs / 1000);
      },
    },
    set: ({ disk }) => {
      gauges.allocated.set(disk.allocatedBytes);
      gauges.used.set(disk.usedBytes);
      gauges.files.set(disk.files);
      gauges.quarantined.set(disk.quarantined);
    },
  };
}
