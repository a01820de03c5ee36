/**
 * A node that serves images over HTTP, for the tests of the OCI adapter: a real server on a free port over a real store, a ledger set by
 * the test, and authorities whose answer the test decides.
 */

import { execFile } from 'node:child_process';
import { type AddressInfo, connect } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import type { Test } from 'tap';
import type { RequestSubject } from '../../chain/index.ts';
import { ociRoutes, type Requesting, type RequestOutcome } from '../../registry/index.ts';
import type { OciRoutesOptions } from '../../registry/oci/routes.ts';
import { type LogLine, MapLedger, PeerWorld, type TestNode, testNode } from './fixture.ts';

/** One request that waits for the test's word. */
export interface Asked {
  readonly subject: RequestSubject;
  readonly signal: AbortSignal;
  readonly answer: (outcome: RequestOutcome) => void;
}

export interface OciService {
  readonly app: FastifyInstance;
  readonly origin: string;
  readonly node: TestNode;
  readonly ledger: MapLedger;
  readonly asked: Asked[];
  /** Why this node may not ask; null = it may. */
  mayNot: string | null;
  /** Answers at once when set. */
  outcome: RequestOutcome | null;
}

export async function ociService(t: Test, options: OciRoutesOptions = {}): Promise<OciService> {
  const ledger = new MapLedger();
  const node = await testNode('me', { world: new PeerWorld(), ledger });
  const asked: Asked[] = [];
  const made = { mayNot: 'the policy lets nobody ask' as string | null, outcome: null as RequestOutcome | null };
  const requesting: Requesting = {
    mayRequest: () => made.mayNot,
    request: (subject, { signal }) =>
      new Promise((resolve) => {
        asked.push({ subject, signal, answer: resolve });
        if (made.outcome !== null) resolve(made.outcome);
        signal.addEventListener('abort', () => resolve({ kind: 'pending', reason: 'the client left' }), { once: true });
      }),
  };
  const app = fastify();
  ociRoutes(app, { ledger, library: node.library, requesting, timers: node.clock, log: node.log }, options);
  await app.listen({ port: 0, host: '127.0.0.1' });
  t.teardown(() => app.close());
  const origin = `127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  return Object.assign(made, { app, origin, node, ledger, asked });
}

/** `step` of each line about an image, in order. */
export function steps(lines: readonly LogLine[]): readonly unknown[] {
  return lines.filter(({ message }) => message === 'image request').map(({ fields }) => fields.step);
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}

/** Runs a client to its end; its output, or its error with what it said. */
export function run(file: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(file, [...args], { maxBuffer: 1e8, encoding: 'latin1' }, (error, stdout, stderr) =>
      error === null ? resolve(stdout) : reject(new Error(`${file} ${args.join(' ')}: ${stderr}`, { cause: error })),
    );
  });
}

/** Sends the text as it is and resolves to all that came back. */
export function rawRequest(app: FastifyInstance, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
    const parts: Buffer[] = [];
    socket.on('data', (part) => parts.push(part));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(parts).toString('latin1')));
    socket.write(text);
  });
}
