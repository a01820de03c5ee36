/**
 * The parts of the libp2p network one by one: frames and their back-pressure, places for requests, bans, rates, and who is dialled when.
 */

import '../../src/polyfill.ts';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { gossipsub } from '@libp2p/gossipsub';
import type { Libp2p, Stream } from '@libp2p/interface';
import t, { type Test } from 'tap';
import { openAdmission } from '../../src/network/admission.ts';
import { type ConnectorOptions, openConnector } from '../../src/network/connector.ts';
import { withDeadline } from '../../src/network/deadline.ts';
import { type CairnServices, makeNode } from '../../src/network/libp2p-node.ts';
import { openPenalties } from '../../src/network/penalties.ts';
import { readFrame, writeFrame } from '../../src/network/stream-exchange.ts';
import type { Timers } from '../../src/ports.ts';
import { systemTimers } from '../../src/world/clock.ts';
import { tokenBucket } from '../../src/world/rate-limit.ts';
import { silentLogger, until } from './loopback.ts';

async function rawNode(t: Test): Promise<Libp2p<CairnServices>> {
  const node = await makeNode({
    privateKey: await generateKeyPair('Ed25519'),
    chainTag: '0123456789abcdef',
    listen: ['/ip4/127.0.0.1/tcp/0'],
    announce: [],
    mdns: false,
    dht: false,
    gater: {},
    gossip: gossipsub({}),
    metrics: undefined,
  });
  await node.start();
  t.teardown(() => node.stop());
  return node;
}

/** What Node warns of while the work is done. */
async function warningsOf(work: () => Promise<void>): Promise<readonly string[]> {
  const seen: string[] = [];
  const onWarning = (warning: Error): void => void seen.push(warning.message);
  process.on('warning', onWarning);
  try {
    await work();
    // Warnings are told in a later turn.
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('warning', onWarning);
  }
  return seen;
}

t.test('a connection with twenty streams that still have something to write is closed without a warning of a leak', async (t) => {
  const [left, right] = await Promise.all([rawNode(t), rawNode(t)]);
  await right.handle('/stall/1', (stream) => stream.pause());
  const connection = await left.dial(right.getMultiaddrs());
  const streams = await Promise.all(Array.from({ length: 20 }, () => connection.newStream('/stall/1')));
  const warnings = await warningsOf(async () => {
    for (const stream of streams) while (stream.send(new Uint8Array(1_048_576)));
    t.ok(streams.every((stream) => stream.writableNeedsDrain));
    await left.stop();
  });
  t.same(warnings, []);
});

t.test('twenty deadlines may share a signal without a warning of a leak', async (t) => {
  const { signal } = new AbortController();
  const warnings = await warningsOf(async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const all = Array.from({ length: 20 }, () => withDeadline({ timeoutMs: 60_000, signal, timers: systemTimers }, () => held));
    release();
    await Promise.all(all);
  });
  t.same(warnings, []);
});

/** Two ends of one stream; the second is paused at once. */
async function streamPair(t: Test): Promise<readonly [Stream, Stream]> {
  const [left, right] = await Promise.all([rawNode(t), rawNode(t)]);
  const ends: Stream[] = [];
  await right.handle('/pair/1', (stream) => {
    stream.pause();
    ends.push(stream);
  });
  const near = await left.dialProtocol(right.getMultiaddrs(), '/pair/1');
  await until(() => ends.length > 0);
  const [far] = ends;
  if (far === undefined) throw new Error('expected the far end of the stream');
  return [near, far];
}

const never = new AbortController().signal;

t.test('frames: a writer waits for a reader that waits, holds little meanwhile, and all arrives', async (t) => {
  const [near, far] = await streamPair(t);
  const body = new Uint8Array(32 * 1024 * 1024).map((_, index) => index % 253);
  let written = false;
  const writing = writeFrame(near, body, never).then(() => {
    written = true;
  });
  await until(() => near.writableNeedsDrain);
  t.notOk(written);
  t.ok(near.writeBufferLength <= 1024 * 1024, `${near.writeBufferLength} bytes held`);
  t.ok(far.readBufferLength <= 2 * 1024 * 1024, `${far.readBufferLength} bytes unread`);
  const read = await readFrame(far, body.length, never);
  await writing;
  t.equal(Buffer.compare(read, body), 0);
  t.equal(near.writeBufferLength, 0);
});

t.test('frames: a writer that waits is freed by the end of the stream, or by its signal', async (t) => {
  const body = new Uint8Array(32 * 1024 * 1024);
  const [near, far] = await streamPair(t);
  const writing = writeFrame(near, body, never);
  far.abort(new Error('enough'));
  await t.rejects(writing, { code: 'closed' });
  const controller = new AbortController();
  const [other] = await streamPair(t);
  const waiting = writeFrame(other, body, controller.signal);
  controller.abort(new Error('no more'));
  await t.rejects(waiting, { message: 'no more' });
});

t.test('frames: split, short, long and empty ones', async (t) => {
  const [near, far] = await streamPair(t);
  const reading = readFrame(far, 10, never);
  for (const byte of [0, 0, 0, 2, 7, 8]) near.send(new Uint8Array([byte]));
  t.same(new Uint8Array(await reading), new Uint8Array([7, 8]), 'byte by byte');
  const [empty, emptyEnd] = await streamPair(t);
  await writeFrame(empty, new Uint8Array(0), never);
  t.equal((await readFrame(emptyEnd, 0, never)).length, 0);
  const [short, shortEnd] = await streamPair(t);
  short.send(new Uint8Array([0, 0, 0, 9, 1]));
  await short.close();
  await t.rejects(readFrame(shortEnd, 10, never), { code: 'closed' });
  const [long, longEnd] = await streamPair(t);
  long.send(new Uint8Array([0, 0, 0, 11]));
  await t.rejects(readFrame(longEnd, 10, never), { code: 'too-large' });
});

t.test('deadline: time and the outer signal end the work, and nothing is left behind', async (t) => {
  const due: (() => void)[] = [];
  let cancelled = 0;
  const timers: Timers = {
    set: (_delayMs, callback) => {
      due.push(callback);
      return {
        cancel: () => {
          cancelled += 1;
        },
      };
    },
  };
  const untilAborted = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => {
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  const late = withDeadline({ timeoutMs: 5, timers }, untilAborted);
  due.shift()?.();
  await t.rejects(late, { code: 'timeout' });
  const controller = new AbortController();
  const given = withDeadline({ timeoutMs: 5, timers, signal: controller.signal }, untilAborted);
  controller.abort();
  await t.rejects(given, { code: 'aborted' });
  await t.rejects(withDeadline({ timeoutMs: 5, timers, signal: controller.signal }, untilAborted), { code: 'aborted' });
  t.equal(await withDeadline({ timeoutMs: 5, timers }, async () => 'done'), 'done');
  t.equal(cancelled, 4);
});

t.test('admission: places in total and per peer, a short line, then refusal', async (t) => {
  const admission = openAdmission({ maxRunning: 3, maxRunningPerPeer: 2, maxWaitingPerPeer: 1, maxWaiting: 2 });
  const order: string[] = [];
  const enter = async (peerId: string, name: string): Promise<(() => void) | null> => {
    const leave = await admission.enter(peerId);
    order.push(leave === null ? `${name} refused` : name);
    return leave;
  };
  const first = await enter('a', 'a1');
  await enter('a', 'a2');
  const third = enter('a', 'a3');
  await enter('a', 'a4');
  await enter('b', 'b1');
  const fifth = enter('b', 'b2');
  await enter('c', 'c1');
  t.same(order, ['a1', 'a2', 'a4 refused', 'b1', 'c1 refused']);
  first?.();
  first?.();
  await third;
  t.equal(order.at(-1), 'a3', 'the place of a goes to a, who waited first');
  (await third)?.();
  await fifth;
  t.equal(order.at(-1), 'b2');
});

t.test('penalties: bans end, double when repeated, are forgiven in time, and are bounded in number', (t) => {
  let nowMs = 0;
  const penalties = openPenalties({ banMs: 100, maxBanMs: 300, maxPeers: 2 }, { nowMs: () => nowMs });
  t.equal(penalties.add('a', 'bad-bytes'), 100);
  t.ok(penalties.isBanned('a'));
  nowMs = 100;
  t.notOk(penalties.isBanned('a'));
  t.equal(penalties.add('a', 'bad-bytes'), 200);
  t.equal(penalties.add('a', 'spam'), 300, 'up to the cap');
  nowMs = 10_000;
  t.equal(penalties.add('a', 'spam'), 50, 'forgiven');
  penalties.add('b', 'bad-block');
  penalties.add('c', 'bad-block');
  t.same(
    ['a', 'b', 'c'].map((peerId) => penalties.isBanned(peerId)),
    [false, true, true],
  );
  t.end();
});

t.test('rate: a burst, then so much a second; a clock that goes back gives nothing', (t) => {
  let nowMs = 1000;
  const bucket = tokenBucket({ perSecond: 10, burst: 20 }, { nowMs: () => nowMs });
  t.ok(bucket.take(20));
  t.notOk(bucket.take(1));
  nowMs += 100;
  t.ok(bucket.take(1));
  t.notOk(bucket.take(1));
  nowMs -= 1000;
  t.notOk(bucket.take(1));
  nowMs += 100_000;
  t.notOk(bucket.take(21));
  t.ok(bucket.take(20));
  t.end();
});

/** A world without sockets: who is connected is a set, and timers fire when told. */
function dialWorld(options: ConnectorOptions): {
  readonly connector: ReturnType<typeof openConnector>;
  readonly connected: Set<string>;
  readonly alive: Set<string>;
  readonly dialled: string[];
  readonly waits: number[];
  readonly nowMs: { value: number };
  readonly pass: () => Promise<void>;
} {
  const connected = new Set<string>();
  const alive = new Set<string>();
  const dialled: string[] = [];
  const waits: number[] = [];
  const nowMs = { value: 0 };
  let pending: (() => void)[] = [];
  const connector = openConnector(options, {
    logger: silentLogger,
    clock: { nowMs: () => nowMs.value },
    random: { next: () => 0.999, bytes: (length) => new Uint8Array(length) },
    timers: {
      set: (delayMs, callback) => {
        waits.push(Math.round(delayMs));
        pending.push(callback);
        return {
          cancel: () => {
            pending = pending.filter((other) => other !== callback);
          },
        };
      },
    },
    dialler: {
      connectedPeers: () => connected.size,
      isConnected: (peerId) => connected.has(peerId),
      dial: async (addresses) => {
        const address = addresses[0] ?? '';
        dialled.push(address);
        if (!alive.has(address)) throw new Error('dead');
        connected.add(address);
      },
    },
  });
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  };
  const pass = async (): Promise<void> => {
    const due = pending;
    pending = [];
    for (const callback of due) callback();
    await settle();
  };
  return { connector, connected, alive, dialled, waits, nowMs, pass };
}

t.test('connector: known peers are dialled with growing, capped waits, and again at once when lost', async (t) => {
  const world = dialWorld({ bootstrap: [], peers: new Map([['/a', ['/a']]]) });
  world.connector.start();
  for (let turn = 0; turn < 10; turn += 1) await world.pass();
  t.same(world.waits.slice(0, 4), [250, 500, 1000, 1999]);
  t.ok(Math.max(...world.waits) <= 15_000);
  world.alive.add('/a');
  await world.pass();
  t.ok(world.connected.has('/a'));
  const before = world.dialled.length;
  await world.pass();
  t.equal(world.dialled.length, before, 'connected: no more dials');
  world.connected.delete('/a');
  world.connector.peerChanged('/a', false);
  await world.pass();
  t.ok(world.connected.has('/a'), 'back');
  world.connector.stop();
  world.connected.delete('/a');
  world.connector.peerChanged('/a', false);
  await world.pass();
  t.equal(world.dialled.length, before + 1, 'stopped: no more dials');
});

t.test('connector: a peer that hangs up at once is called less and less; one lost after a calm time, at once', async (t) => {
  const world = dialWorld({ bootstrap: [], peers: new Map([['/a', ['/a']]]) });
  world.alive.add('/a');
  world.connector.start();
  await world.pass();
  for (let turn = 0; turn < 5; turn += 1) {
    world.connected.clear();
    world.connector.peerChanged('/a', false);
    await world.pass();
  }
  t.same(world.waits, [250, 500, 1000, 1999, 3998]);
  world.nowMs.value += 60_000;
  const before = world.dialled.length;
  world.connected.clear();
  world.connector.peerChanged('/a', false);
  await new Promise(setImmediate);
  t.equal(world.dialled.length, before + 1);
  t.equal(world.waits.length, 5, 'without a wait');
  world.connector.stop();
  world.connected.clear();
  world.connector.start();
  await world.pass();
  t.ok(world.connected.has('/a'), 'started again');
});

t.test('connector: bootstrap passes over the dead, ends with company, and begins again in isolation', async (t) => {
  const world = dialWorld({ bootstrap: ['/dead', '/live', '/other'], peers: new Map() });
  world.connector.start();
  await world.pass();
  t.ok(world.dialled.includes('/dead'));
  world.alive.add('/live');
  await world.pass();
  t.same([...world.connected], ['/live']);
  const before = world.dialled.length;
  await world.pass();
  t.equal(world.dialled.length, before);
  world.connected.clear();
  world.connector.peerChanged('/live', false);
  await world.pass();
  t.same([...world.connected], ['/live'], 'joined again');
  world.connector.stop();
});

t.test('connector: discovered peers are dialled while there are few', async (t) => {
  const world = dialWorld({ bootstrap: [], peers: new Map(), enoughPeers: 2 });
  world.connector.start();
  for (const address of ['/1', '/2', '/3']) {
    world.alive.add(address);
    world.connector.discovered(address, [address]);
    await world.pass();
  }
  t.same([...world.connected], ['/1', '/2']);
  world.connector.stop();
});

t.test('timers of the world end a deadline too', async (t) => {
  const endless = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  await t.rejects(withDeadline({ timeoutMs: 1, timers: systemTimers }, endless), { code: 'timeout' });
});
