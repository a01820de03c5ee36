/**
 * One libp2p node, set up for Cairn: tcp, noise, yamux, identify, ping, gossipsub, a DHT of this chain alone, mDNS by wish.
 * Protocol names carry the chain's id, so that nodes of two networks have nothing to say to each other. Settings here were measured; the reasons
 * stand beside them. Never starts anything by itself.
 */

import { setMaxListeners } from 'node:events';
import type { GossipSub, gossipsub } from '@libp2p/gossipsub';
import { type Identify, identify } from '@libp2p/identify';
import type { ConnectionGater, Libp2p, PrivateKey, StreamMuxer } from '@libp2p/interface';
import { type KadDHT, kadDHT, passthroughMapper } from '@libp2p/kad-dht';
import { mdns } from '@libp2p/mdns';
import { noise } from '@libp2p/noise';
import { type Ping, ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { createLibp2p, type Libp2pOptions } from 'libp2p';

export interface NodeSettings {
  readonly privateKey: PrivateKey;
  /** First 16 hex digits of the chain id: what protocol names carry. */
  readonly chainTag: string;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  readonly mdns: boolean;
  readonly dht: boolean;
  readonly gater: ConnectionGater;
  readonly gossip: (components: Parameters<ReturnType<typeof gossipsub>>[0]) => GossipSub;
  readonly metrics: Libp2pOptions['metrics'] | undefined;
}

export type CairnServices = {
  readonly identify: Identify;
  readonly ping: Ping;
  readonly pubsub: GossipSub;
  readonly dht?: KadDHT;
};

const MEBIBYTE = 1024 * 1024;
/** Inbound streams of one connection over all protocols. */
export const MAX_INBOUND_STREAMS = 512;

export function makeNode(settings: NodeSettings): Promise<Libp2p<CairnServices>> {
  const protocolPrefix = `cairn/${settings.chainTag}`;
  return createLibp2p<CairnServices>({
    start: false,
    privateKey: settings.privateKey,
    nodeInfo: { userAgent: 'cairn' },
    addresses: { listen: [...settings.listen], announce: [...settings.announce] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [multiplexer()],
    connectionGater: settings.gater,
    connectionManager: {
      maxConnections: 300,
      // The defaults (5 a second from one host, 10 pending) lock out neighbours behind one address.
      inboundConnectionThreshold: 64,
      maxIncomingPendingConnections: 64,
      dialTimeout: 10_000,
    },
    connectionMonitor: { protocolPrefix },
    peerDiscovery: settings.mdns ? [mdns({ serviceTag: `_cairn-${settings.chainTag}._udp.local` })] : [],
    services: {
      identify: identify({ protocolPrefix }),
      ping: ping({ protocolPrefix, maxInboundStreams: 8, maxOutboundStreams: 8 }),
      pubsub: settings.gossip,
      ...(settings.dht ? { dht: distributedTable(protocolPrefix) } : {}),
    },
    ...(settings.metrics === undefined ? {} : { metrics: settings.metrics }),
  });
}

/**
 * A paused stream is reset once its buffer outgrows its limit, so the limit is a multiple of the window; the window bounds what a peer can make
 * this node hold; 2 MiB fills a gigabit at 16 ms.
 */
function multiplexer(): ReturnType<typeof yamux> {
  const make = yamux({
    maxInboundStreams: MAX_INBOUND_STREAMS,
    maxOutboundStreams: 2048,
    // All streams that come before the connection is handed over; a burst of requests right after dialling is no attack.
    maxEarlyStreams: 64,
    streamOptions: { maxStreamWindowSize: 2 * MEBIBYTE, maxReadBufferLength: 16 * MEBIBYTE, maxWriteBufferLength: 16 * MEBIBYTE },
  });
  return () => {
    const factory = make();
    const create = factory.createStreamMuxer.bind(factory);
    factory.createStreamMuxer = (connection) => quietlyClosed(create(connection));
    return factory;
  };
}

/**
 * A closing connection waits for each of its streams, and each wait listens to one signal: with more than ten Node would warn of a leak on standard
 * error. It is none, since every wait takes its listener away, so for that signal the count is not bounded. The library forgets this for the signals
 * with which it closes connections at the end.
 */
function quietlyClosed<M extends StreamMuxer>(muxer: M): M {
  const close = muxer.close.bind(muxer);
  muxer.close = (options) => {
    if (options?.signal !== undefined) setMaxListeners(Number.POSITIVE_INFINITY, options.signal);
    return close(options);
  };
  return muxer;
}

function distributedTable(protocolPrefix: string): ReturnType<typeof kadDHT> {
  return kadDHT({
    protocol: `/${protocolPrefix}/kad/1.0.0`,
    clientMode: false,
    // Private and loopback addresses are as good as public ones here.
    peerInfoMapper: passthroughMapper,
  });
}
