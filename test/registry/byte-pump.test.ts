/** Bytes on their way to a client: what a slow, stalled or vanished one costs, and what is sent before a source fails. */

import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { BufferPool, type PumpDeps, pump } from '../../registry/byte-pump.ts';
import { HandClock, someBytes } from './fixture.ts';

const MIB = 1_048_576;

/** An answer that is waiting for its bytes, and the client's raw socket. */
async function answerOf(t: Test): Promise<{ readonly response: ServerResponse; readonly client: Socket; readonly gone: AbortSignal }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  const [request, response] = (await once(server, 'request')) as [NodeJS.ReadableStream & { socket: Socket }, ServerResponse];
  const gone = new AbortController();
  request.socket.once('close', () => gone.abort());
  t.teardown(() => {
    client.destroy();
    server.close();
  });
  return { response, client, gone: gone.signal };
}

function depsOf(clock: HandClock): PumpDeps & { readonly sent: number[] } {
  const sent: number[] = [];
  return { timers: clock, buffers: new BufferPool(), clientStallMs: 60_000, sent, onSent: (sizeBytes) => void sent.push(sizeBytes) };
}

/** Reads of fewer than asked where `runBytes` ends; fails from `failsAt` on. */
function sourceOf(bytes: Uint8Array, failsAt: number = Number.POSITIVE_INFINITY) {
  const asked: number[] = [];
  const read = async (target: Uint8Array, position: number): Promise<number> => {
    asked.push(target.length);
    if (position >= failsAt) throw new Error('rotten');
    const part = bytes.subarray(position, Math.min(position + target.length, bytes.length));
    target.set(part);
    return part.length;
  };
  return { asked, source: { read } };
}

t.test('large buffers come out of one budget; what is above it gets small ones', async (t) => {
  const pool = new BufferPool();
  const taken = Array.from({ length: 1000 }, () => pool.take(5 * MIB));
  const heldBytes = taken.reduce((sum, buffer) => sum + buffer.length, 0);
  t.ok(heldBytes <= 48 * MIB + 1000 * 65_536, `${heldBytes} bytes for a thousand buffers`);
  t.equal(taken[0]?.length, MIB);
  for (const buffer of taken) pool.give(buffer);
  const again = pool.take(5 * MIB);
  t.ok(taken.includes(again), 'a large buffer is used again');
  t.equal(pool.take(10).length, 10, 'a small file takes no more than it needs');
});

t.test('all bytes of the range arrive, in order', async (t) => {
  const { response, client, gone } = await answerOf(t);
  const bytes = someBytes(3 * MIB + 17);
  const deps = depsOf(new HandClock());
  const received: Buffer[] = [];
  client.on('data', (chunk: Buffer) => void received.push(chunk));
  response.writeHead(200, { 'content-length': bytes.length - 5, connection: 'close' });
  await pump(deps, { ...sourceOf(bytes), response, gone }, { from: 5, to: bytes.length });
  response.end();
  await once(client, 'close');
  const body = Buffer.concat(received);
  t.ok(body.subarray(body.indexOf('\r\n\r\n') + 4).equals(bytes.subarray(5)));
  t.equal(
    deps.sent.reduce((sum, one) => sum + one, 0),
    bytes.length - 5,
    'each byte was counted once',
  );
});

t.test('what was read before the source failed has been sent when the failure is told', async (t) => {
  const { response, client, gone } = await answerOf(t);
  const deps = depsOf(new HandClock());
  client.resume();
  response.writeHead(200, { 'content-length': 4 * MIB });
  await t.rejects(pump(deps, { ...sourceOf(someBytes(4 * MIB), 2 * MIB), response, gone }, { from: 0, to: 4 * MIB }), /rotten/);
  t.same(deps.sent, [MIB, MIB]);
});

t.test('a slow client gets small buffers from then on', async (t) => {
  const { response, client, gone } = await answerOf(t);
  const clock = new HandClock();
  const { source, asked } = sourceOf(someBytes(8 * MIB));
  response.writeHead(200, { 'content-length': 8 * MIB });
  const pumped = pump(depsOf(clock), { source, response, gone }, { from: 0, to: 8 * MIB });
  while (clock.waiting === 0) await new Promise((resolve) => setImmediate(resolve));
  clock.advance(1000);
  client.resume();
  await pumped;
  t.equal(asked[0], MIB);
  t.equal(asked.at(-1), 65_536);
});

t.test('a client that takes nothing is cut off', async (t) => {
  const { response, client, gone } = await answerOf(t);
  const clock = new HandClock();
  client.pause();
  response.writeHead(200, { 'content-length': 64 * MIB });
  const pumped = pump(depsOf(clock), { ...sourceOf(someBytes(64 * MIB)), response, gone }, { from: 0, to: 64 * MIB });
  let failure: unknown;
  pumped.catch((error: unknown) => {
    failure = error;
  });
  while (failure === undefined) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(30_000);
  }
  t.match(failure, /took nothing/);
  t.ok(response.destroyed);
});

t.test('a client that left ends the answer', async (t) => {
  const { response, client, gone } = await answerOf(t);
  client.pause();
  response.writeHead(200, { 'content-length': 64 * MIB });
  const pumped = pump(depsOf(new HandClock()), { ...sourceOf(someBytes(64 * MIB)), response, gone }, { from: 0, to: 64 * MIB });
  client.destroy();
  await t.rejects(pumped, /closed|ECONN|EPIPE/);
});
