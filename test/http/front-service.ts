/**
 * A node's public side as the tests of the front use it: the real front thread, a real disk, the generic routes, and some routes of the test's
 * own that show what reached the app. Speaks to it over raw sockets. Everything ends with its test.
 */

import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Test } from 'tap';
import { type Digest, digestToHex, type FileEntry } from '../../chain/index.ts';
import { BlobStore, genericRoutes, Library, type Publishing, StagedVersions, Staging, tokenCheck } from '../../registry/index.ts';
import { createApp } from '../../src/http/app.ts';
import { answerFront, Front, type FrontFiles } from '../../src/http/front.ts';
import { noMetrics } from '../../src/metrics/types.ts';
import { systemClock, systemTimers } from '../../src/world/clock.ts';
import { openDisk } from '../../src/world/disk.ts';
import { CHAIN_ID, entryOf, generic, keptLog, type LogLine, MapLedger, PeerWorld, someBytes, testNode } from '../registry/fixture.ts';

export const TOKEN = 'a-token-of-this-node';
const NO_PUBLISHING: Publishing = {
  mayPublish: () => null,
  maxFileBytes: () => 3_000_000,
  publish: async () => ({ kind: 'refused', reason: 'no publication in this test' }),
};

/** A file of some runs, the last one short. */
export const BYTES: Uint8Array = someBytes(5 * 1_048_576 + 77);
export const FILE: FileEntry = entryOf('tool.tgz', BYTES);
export const PATH = '/generic/demo/tool/1.0/tool.tgz';
/** The end of a request after which the connection is closed. */
export const END = 'Host: x\r\nConnection: close\r\n\r\n';

export interface FrontService {
  readonly port: number;
  readonly app: FastifyInstance;
  readonly front: Front;
  readonly ledger: MapLedger;
  readonly blobs: BlobStore;
  readonly lines: LogLine[];
  /** Target of every request that reached the app. */
  readonly asked: string[];
  readonly counted: { readonly route: string; readonly status: number }[];
  readonly served: { local: number; network: number };
  /** Root of the stored files. */
  readonly folder: string;
  readonly commit: () => void;
  freshUntilMs: number;
  /** Puts a file into this node's store, and into that of its one peer. */
  readonly put: (bytes: Uint8Array, at?: 'here' | 'peer' | 'both') => Promise<void>;
}

export interface FrontServiceOptions {
  readonly clientStallMs?: number;
  readonly maxConnections?: number;
  readonly routes?: (app: FastifyInstance, front: ReturnType<typeof answerFront>) => void;
}

/** The node's own side: a store on the disk, and one peer that may have what it lacks. */
async function openStore(folder: string, onRead: (from: 'local' | 'network', sizeBytes: number) => void) {
  const [files, world, ledger] = [openDisk(folder), new PeerWorld(), new MapLedger()];
  const { log, lines } = keptLog();
  const peer = await testNode('peer', { world, ledger });
  const healing: { library: Library | null } = { library: null };
  const deps = { files, clock: systemClock, timers: systemTimers, log };
  const blobs = await BlobStore.open({ allocatedBytes: 1e9 }, { ...deps, onRotten: (sha256) => void healing.library?.heal(sha256) });
  const staging = await Staging.open({ quotaBytes: 1e9, expiryMs: 3_600_000 }, { ...deps, blobs });
  const directory = { provide: async () => {}, findProviders: async () => ['peer'] };
  const [requests, judge] = [world.join('me'), { penalize: () => {} }];
  const library = new Library({ transfer: { chainId: CHAIN_ID } }, { ...deps, blobs, staging, ledger, requests, judge, directory, onRead });
  healing.library = library;
  const versions = await StagedVersions.open({ files, staging, log });
  const put: FrontService['put'] = async (bytes, at = 'both') => {
    for (const store of [...(at === 'peer' ? [] : [blobs]), ...(at === 'here' ? [] : [peer.blobs])]) {
      const writer = await store.write({ maxBytes: bytes.length });
      await writer.write(bytes);
      await writer.commit(await writer.finish());
    }
  };
  return { deps: { ...deps, ledger, library, staging, versions }, ledger, blobs, library, log, lines, put };
}

export async function frontService(t: Test, options: FrontServiceOptions = {}): Promise<FrontService> {
  const folder = join(t.testdir(), 'files');
  await mkdir(folder);
  const made = { freshUntilMs: Date.now() + 3_600_000, served: { local: 0, network: 0 }, asked: [] as string[] };
  const counted: { route: string; status: number }[] = [];
  const listeners: (() => void)[] = [];
  const onRead = (from: 'local' | 'network', sizeBytes: number): void => {
    made.served[from] += sizeBytes;
  };
  const { deps, ledger, blobs, library, log, lines, put } = await openStore(folder, onRead);
  const files: FrontFiles = {
    storage: folder,
    reverifyMs: 3_600_000,
    library,
    blobs,
    freshUntilMs: () => made.freshUntilMs,
    onCommit: (listener) => void listeners.push(listener),
  };
  const httpRequest = (route: string, status: number): void => void counted.push({ route, status });
  const metrics = { ...noMetrics, httpRequest, bytesServed: onRead };
  const maxConnections = options.maxConnections ?? 64;
  const app = createApp({ maxConnections, bodyLimitBytes: 1_048_576, requestTimeoutMs: 0, idleTimeoutMs: 60_000 }, { metrics, log });
  app.addHook('onRequest', (request, _reply, done) => {
    made.asked.push(request.raw.url ?? '');
    done();
  });
  const answers = answerFront(files);
  genericRoutes(app, { ...deps, publishing: NO_PUBLISHING, mayWrite: tokenCheck([TOKEN]), front: answers });
  options.routes?.(app, answers);
  const { front, port } = await Front.open(
    { host: '127.0.0.1', port: 0, maxConnections, idleTimeoutMs: 60_000, clientStallMs: options.clientStallMs ?? 60_000 },
    { app, files, metrics, log, fatal: (error) => t.fail(String(error)) },
  );
  t.teardown(() => front.close(0).then(() => Promise.all([library.stop(), app.close()])));
  const commit = (): void => {
    for (const listener of listeners) listener();
  };
  return Object.assign(made, { port, app, front, ledger, blobs, lines, counted, folder, commit, put });
}

/** A service with the file, here and at the peer. */
export async function withFile(t: Test, options: FrontServiceOptions = {}): Promise<FrontService> {
  const service = await frontService(t, options);
  await service.put(BYTES);
  service.ledger.commit(generic('1.0'), [FILE]);
  return service;
}

export function bodyOf(answer: string): Buffer {
  return Buffer.from(answer.slice(answer.indexOf('\r\n\r\n') + 4), 'latin1');
}

/** Sends the text as it is; resolves with all that comes until the connection is closed, '' when there is none. */
export async function raw(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const received: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => void received.push(chunk));
  socket.on('error', () => {});
  socket.write(Buffer.from(text, 'latin1'));
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(received).toString('latin1');
}

/** A connection on which the test speaks and listens step by step. */
export async function open(port: number): Promise<{ readonly socket: Socket; readonly until: (pattern: RegExp) => Promise<string> }> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  let received = '';
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
  });
  const until = async (pattern: RegExp): Promise<string> => {
    while (!pattern.test(received)) {
      if (socket.closed || socket.readableEnded) throw new Error(`the connection ended with ${received.slice(0, 500)}`);
      await new Promise((resolve) => socket.once('data', resolve).once('close', resolve));
    }
    return received;
  };
  return { socket, until };
}

/** Waits until a condition holds that other threads bring about; the test's own time limit ends it. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

export function pathOf(folder: string, sha256: Digest): string {
  const hex = digestToHex(sha256);
  return join(folder, 'blobs/sha256', hex.slice(0, 2), hex);
}
