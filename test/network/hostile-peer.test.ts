/**
 * Peers that break the rules, as raw libp2p nodes: whatever they send, the victim stays up, answers honest peers, and sends the offender away.
 */

import '../../src/polyfill.ts';
import { connect } from 'node:net';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { gossipsub, StrictSign } from '@libp2p/gossipsub';
import type { Libp2p, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import t, { type Test } from 'tap';
import { type CairnServices, makeNode } from '../../src/network/libp2p-node.ts';
import type { Network } from '../../src/ports.ts';
import { CHAIN_ID, openLoopback, until } from './loopback.ts';

const PROTOCOL = '/cairn/test/echo/1';
const TOPIC = '/cairn/test/topic/1';
const GOSSIP = '/meshsub/1.2.0';
const OPTIONS = { timeoutMs: 20_000, maxResponseBytes: 1000 } as const;

interface Scene {
  readonly victim: Network;
  readonly honest: Network;
  readonly attacker: Libp2p<CairnServices>;
  /** Opens a stream of the protocol to the victim. */
  readonly open: (protocol: string) => Promise<Stream>;
  readonly isAttackerConnected: () => boolean;
}

async function setScene(t: Test): Promise<Scene> {
  const victim = await openLoopback();
  victim.handle(PROTOCOL, { maxRequestBytes: 1000, maxConcurrent: 8 }, async (_peerId, body) => body);
  victim.handle(`${PROTOCOL}/held`, { maxRequestBytes: 1000, maxConcurrent: 8 }, () => new Promise(() => {}));
  victim.subscribe(TOPIC, () => 'accept');
  await victim.start();
  const honest = await openLoopback({ peers: victim.addresses() });
  await honest.start();
  const attacker = await makeNode({
    privateKey: await generateKeyPair('Ed25519'),
    chainTag: CHAIN_ID.slice(0, 16),
    listen: [],
    announce: [],
    mdns: false,
    dht: false,
    gater: {},
    gossip: gossipsub({ globalSignaturePolicy: StrictSign, allowPublishToZeroTopicPeers: true }),
    metrics: undefined,
  });
  await attacker.start();
  t.teardown(() => Promise.all([attacker.stop(), honest.stop(), victim.stop()]));
  const connection = await attacker.dial(victim.addresses().map((address) => multiaddr(address)));
  const isAttackerConnected = (): boolean => victim.peers().some((peer) => peer.peerId === attacker.peerId.toString());
  await until(() => isAttackerConnected() && honest.peers().length === 1);
  const open = (protocol: string): Promise<Stream> => connection.newStream(protocol, { maxOutboundStreams: 10_000 });
  return { victim, honest, attacker, open, isAttackerConnected };
}

/** The offender is gone and can't come back, and the honest peer is served. */
async function checkOutcome(t: Test, scene: Scene): Promise<void> {
  await until(() => !scene.isAttackerConnected());
  t.pass('the offender was sent away');
  const back = await scene.attacker
    .dial(scene.victim.addresses().map((address) => multiaddr(address)))
    .then((connection) => connection.newStream(PROTOCOL))
    .then(() => true)
    .catch(() => false);
  t.notOk(back, 'and is not let in again');
  await checkService(t, scene);
}

async function checkService(t: Test, scene: Scene): Promise<void> {
  const body = new Uint8Array([1, 2, 3]);
  t.same(new Uint8Array(await scene.honest.request(scene.victim.peerId, PROTOCOL, body, OPTIONS)), body, 'honest peers are served');
}

function frame(length: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + body.length);
  new DataView(bytes.buffer).setUint32(0, length);
  bytes.set(body, 4);
  return bytes;
}

/** Sends without care for what the other side thinks of it. */
function push(stream: Stream, ...pieces: readonly Uint8Array[]): void {
  for (const piece of pieces) if (stream.status === 'open') stream.send(piece);
}

for (const { name, bytes } of [
  { name: 'a request that announces four gigabytes', bytes: frame(0xffffffff, new Uint8Array(10)) },
  { name: 'a request just over the limit', bytes: frame(1001, new Uint8Array(10)) },
  { name: 'bytes after the frame', bytes: frame(3, new Uint8Array(10)) },
]) {
  t.test(name, async (t) => {
    const scene = await setScene(t);
    push(await scene.open(PROTOCOL), bytes);
    await checkOutcome(t, scene);
  });
}

t.test('thousands of streams held open', async (t) => {
  const scene = await setScene(t);
  const openOne = async (): Promise<void> => push(await scene.open(`${PROTOCOL}/held`), frame(1, new Uint8Array(1)));
  for (let batch = 0; batch < 40 && scene.isAttackerConnected(); batch += 1) {
    await Promise.allSettled(Array.from({ length: 50 }, openOne));
  }
  await checkOutcome(t, scene);
});

t.test('streams of a protocol nobody speaks, and streams left half said', async (t) => {
  const scene = await setScene(t);
  await Promise.allSettled(Array.from({ length: 500 }, () => scene.open('/nobody/speaks/1')));
  const silent = await Promise.allSettled(Array.from({ length: 16 }, () => scene.open(PROTOCOL)));
  t.ok(silent.some((outcome) => outcome.status === 'fulfilled'));
  await checkService(t, scene);
});

for (const { name, pieces } of [
  { name: 'gossip that is no protobuf', pieces: [new Uint8Array([6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])] },
  { name: 'a gossip frame of hundreds of megabytes', pieces: [new Uint8Array([0x80, 0x80, 0x80, 0x80, 0x01])] },
  { name: 'a length that never ends', pieces: [new Uint8Array(64).fill(0xff)] },
]) {
  t.test(name, async (t) => {
    const scene = await setScene(t);
    push(await scene.open(GOSSIP), ...pieces);
    await checkOutcome(t, scene);
  });
}

t.test('gossip with an author and a signature, where none may be', async (t) => {
  const scene = await setScene(t);
  const { pubsub } = scene.attacker.services;
  await until(() => pubsub.getSubscribers(TOPIC).length > 0);
  await pubsub.publish(TOPIC, new Uint8Array([1]));
  await checkOutcome(t, scene);
});

t.test('a flood of gossip beyond the rate', async (t) => {
  const scene = await setScene(t);
  const stream = await scene.open(GOSSIP);
  // An RPC of nothing but 4000 unsigned messages `{topic: "t"}`: field 2, five bytes each.
  const message = [0x12, 0x03, 0x22, 0x01, 0x74];
  const rpc = Uint8Array.from({ length: 4000 * message.length }, (_, index) => message[index % message.length] ?? 0);
  const prefix = new Uint8Array([(rpc.length & 0x7f) | 0x80, ((rpc.length >> 7) & 0x7f) | 0x80, rpc.length >> 14]);
  for (let count = 0; count < 200 && scene.isAttackerConnected(); count += 1) {
    push(stream, prefix, rpc);
    await new Promise(setImmediate);
  }
  await checkOutcome(t, scene);
});

t.test('noise on the bare port', async (t) => {
  const scene = await setScene(t);
  const port = Number(/\/tcp\/(\d+)/.exec(scene.victim.addresses()[0] ?? '')?.[1]);
  const sockets = Array.from({ length: 50 }, (_, index) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(Buffer.alloc(10_000, index));
    return socket;
  });
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once(socket.connecting ? 'connect' : 'close', resolve))));
  await checkService(t, scene);
  for (const socket of sockets) socket.destroy();
});
