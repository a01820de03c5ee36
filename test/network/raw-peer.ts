/**
 * A peer that speaks libp2p and nothing of Cairn's manners: it writes gossip frames of its own making and requests of any size, and takes no
 * notice of what the other side thinks of it. Each has a key of its own, so that a ban hits it alone.
 */

import '../../src/polyfill.ts';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { gossipsub, StrictNoSign } from '@libp2p/gossipsub';
import type { Connection, Libp2p, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { makeNode } from '../../src/network/libp2p-node.ts';

const GOSSIP = '/meshsub/1.2.0';
const FRAME_MESSAGES = 64;
const FRAME_BYTES = 512 * 1024;

export class RawPeer {
  readonly #node: Libp2p;
  readonly #connection: Connection;

  private constructor(node: Libp2p, connection: Connection) {
    this.#node = node;
    this.#connection = connection;
  }

  static async dial(options: { readonly chainTag: string; readonly address: string }): Promise<RawPeer> {
    const node = await makeNode({
      privateKey: await generateKeyPair('Ed25519'),
      chainTag: options.chainTag,
      listen: [],
      announce: [],
      mdns: false,
      dht: false,
      gater: {},
      gossip: gossipsub({ globalSignaturePolicy: StrictNoSign }),
      metrics: undefined,
    });
    await node.start();
    return new RawPeer(node, await node.dial(multiaddr(options.address)));
  }

  get peerId(): string {
    return this.#node.peerId.toString();
  }

  get isConnected(): boolean {
    return this.#connection.status === 'open';
  }

  /** Says them all, as fast as the other side takes them; resolves to how many were said before the connection was cut. */
  async flood(topic: string, count: number, messageOf: (nth: number) => Uint8Array): Promise<number> {
    const stream = await this.open(GOSSIP).catch(() => null);
    let said = 0;
    while (stream !== null && said < count && this.isConnected) {
      const frame: Uint8Array[] = [];
      for (let size = 0; frame.length < FRAME_MESSAGES && size < FRAME_BYTES && said < count; said += 1) {
        const message = rpcOf(topic, messageOf(said));
        frame.push(message);
        size += message.length;
      }
      const body = Buffer.concat(frame);
      if (!(await pushed(stream, Buffer.concat([varint(body.length), body])))) break;
    }
    return said;
  }

  /** Opens so many streams at once and says the same on each; resolves when all is said, or the connection cut. */
  async askAtOnce(protocol: string, count: number, body: Uint8Array): Promise<void> {
    const ask = async (): Promise<void> => {
      const stream = await this.open(protocol);
      stream.addEventListener('message', () => stream.abort(new Error('heard enough')), { once: true });
      if (await pushed(stream, framed(body.length, body))) await stream.close();
    };
    const cut = new Promise<void>((resolve) => this.#connection.addEventListener('close', () => resolve(), { once: true }));
    await Promise.race([cut, Promise.allSettled(Array.from({ length: count }, ask))]);
  }

  /** Announces so many bytes, and sends a few. */
  async announce(protocol: string, sizeBytes: number): Promise<void> {
    const stream = await this.open(protocol);
    await pushed(stream, framed(sizeBytes, new Uint8Array(16)));
  }

  async open(protocol: string): Promise<Stream> {
    return await this.#connection.newStream(protocol, { maxOutboundStreams: 10_000 });
  }

  async close(): Promise<void> {
    await this.#node.stop();
  }
}

/** False when the stream is at its end. */
async function pushed(stream: Stream, bytes: Uint8Array): Promise<boolean> {
  if (stream.status !== 'open') return false;
  if (stream.send(bytes)) return true;
  return await new Promise((resolve) => {
    stream.addEventListener('drain', () => resolve(true), { once: true });
    stream.addEventListener('close', () => resolve(false), { once: true });
  });
}

function framed(length: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + body.length);
  new DataView(bytes.buffer).setUint32(0, length);
  bytes.set(body, 4);
  return bytes;
}

/** Gossipsub's RPC with one message: field 2, in it data as field 2 and the topic as field 4. */
function rpcOf(topic: string, data: Uint8Array): Uint8Array {
  const name = Buffer.from(topic);
  const message = Buffer.concat([Buffer.of(0x12), varint(data.length), data, Buffer.of(0x22), varint(name.length), name]);
  return Buffer.concat([Buffer.of(0x12), varint(message.length), message]);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    bytes.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) return Uint8Array.from(bytes);
  }
}
