/**
 * The thread that holds the clients' connections: the front (docs/adr/0018). Started by front.ts alone. Bulk bytes move and are hashed here,
 * so that votes don't wait for them. Decides nothing: what may be served, and to whom, the app says for every request.
 */

import { Agent } from 'node:http';
import { MessageChannel, parentPort, workerData } from 'node:worker_threads';
import { formatDigest } from '../../chain/index.ts';
import { VerifiedFiles } from '../../registry/index.ts';
import type { Logger } from '../ports.ts';
import { systemClock, systemTimers } from '../world/clock.ts';
import { openDisk } from '../world/disk.ts';
import { AnswerCache } from './front-cache.ts';
import { Counts } from './front-counts.ts';
import { FileSender } from './front-files.ts';
import { LinkSocket } from './front-link.ts';
import type { FromFront, FrontWorkerData, ToFront } from './front-protocol.ts';
import { FrontServer } from './front-server.ts';

const CACHE_BYTES = 16 * 1_048_576;

class LinkAgent extends Agent {
  override createConnection(): LinkSocket {
    const { port1, port2 } = new MessageChannel();
    parentPort?.postMessage({ kind: 'connection', port: port2 } satisfies FromFront, [port2]);
    return new LinkSocket(port1);
  }
}

run(workerData as FrontWorkerData);

function run(options: FrontWorkerData): void {
  const agent = new LinkAgent({ keepAlive: true, maxFreeSockets: 64, scheduling: 'lifo' });
  const epoch = new Int32Array(options.epoch);
  const now = (): { epoch: number; nowMs: number } => ({ epoch: Atomics.load(epoch, 0), nowMs: systemClock.nowMs() });
  const log = logger();
  const counts = new Counts(systemTimers, tell);
  const { verified, wasPutAway } = openFiles(options, log);
  const files = new FileSender(options, { verified, agent, timers: systemTimers, log, onSent: (sizeBytes) => counts.sent(sizeBytes) });
  const front = new FrontServer(options, {
    agent,
    files,
    cache: new AnswerCache({ maxBytes: CACHE_BYTES }, now),
    epoch: () => now().epoch,
    log,
    onAnswered: (route, status, durationMs) => counts.answered(route, status, durationMs),
  });
  parentPort?.on('message', (message: ToFront) => {
    if (message.kind === 'putAway') return wasPutAway(message.id);
    void front.close(message.graceMs).then(() => {
      counts.flush();
      tell({ kind: 'closed' });
    });
  });
  listen(front, options);
}

/** The stored files, verified here; what is found rotten the node puts away before the read fails. */
function openFiles(options: FrontWorkerData, log: Logger): { readonly verified: VerifiedFiles; readonly wasPutAway: (id: number) => void } {
  const waiting = new Map<number, () => void>();
  let lastId = 0;
  const verified = new VerifiedFiles(
    { reverifyMs: options.reverifyMs },
    {
      files: openDisk(options.storage),
      clock: systemClock,
      onRotten: (_paths, file, finding) =>
        new Promise((resolve) => {
          lastId += 1;
          waiting.set(lastId, resolve);
          tell({ kind: 'rotten', id: lastId, file, finding });
        }),
      onRepaired: (_paths, file) =>
        log.warn({ sha256: formatDigest(file.sha256) }, 'a leaf layer was missing or damaged and was made anew'),
    },
  );
  const wasPutAway = (id: number): void => {
    waiting.get(id)?.();
    waiting.delete(id);
  };
  return { verified, wasPutAway };
}

function listen({ server }: FrontServer, { host, port }: FrontWorkerData): void {
  const refused = (error: NodeJS.ErrnoException): void => tell({ kind: 'refused', code: error.code, message: error.message });
  server.once('error', refused);
  server.listen({ host, port }, () => {
    server.off('error', refused);
    const bound = server.address();
    tell({ kind: 'listening', port: typeof bound === 'object' && bound !== null ? bound.port : port });
  });
}

function tell(message: FromFront): void {
  parentPort?.postMessage(message);
}

function logger(): Logger {
  const at =
    (level: keyof Logger) =>
    (fields: Readonly<Record<string, unknown>>, message: string): void =>
      tell({ kind: 'log', level, fields, message });
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}
