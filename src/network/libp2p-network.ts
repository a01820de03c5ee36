/**
 * The Network port over libp2p: puts together node, gossip, requests, providers, penalties and connector, and ends them in reverse order.
 * Never decides what a message means, and never lets a peer's bytes end the process.
 */

import { generateKeyPairFromSeed, publicKeyFromRaw } from '@libp2p/crypto/keys';
import type { Connection, Libp2p } from '@libp2p/interface';
import { peerIdFromPrivateKey, peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import type { Libp2pOptions } from 'libp2p';
import type { Clock, Logger, Network, PeerFault, PeerInfo, Random, Timer, Timers } from '../ports.ts';
import { type Connector, openConnector } from './connector.ts';
import { withDeadline } from './deadline.ts';
import { NetworkError } from './errors.ts';
import { makeGater } from './gater.ts';
import { type GossipOptions, openGossip } from './gossip.ts';
import { type CairnServices, MAX_INBOUND_STREAMS, makeNode } from './libp2p-node.ts';
import { openPeerRequests } from './peer-requests.ts';
import { openPenalties, type PenaltyOptions } from './penalties.ts';
import { openProviders } from './providers.ts';

export interface Libp2pNetworkOptions {
  /** Raw Ed25519 seed of the network key, 32 bytes. */
  readonly networkSeed: Uint8Array;
  /** 64 hex digits. */
  readonly chainId: string;
  /** Multiaddrs to listen on, `/ip4/0.0.0.0/tcp/44000`. */
  readonly listen: readonly string[];
  /** Multiaddrs told to others instead of those found out. Default none. */
  readonly announce?: readonly string[];
  /** Multiaddrs, or http(s) URLs of lists of them, tried whenever no peer is connected. */
  readonly bootstrap?: readonly string[];
  /** Multiaddrs ending in `/p2p/ID` of peers to keep connected: the authorities. */
  readonly peers?: readonly string[];
  /** Find peers on the local network. Default false. */
  readonly mdns?: boolean;
  /** Take part in the DHT; without it nothing is provided or found. Default true. */
  readonly dht?: boolean;
  readonly gossip?: GossipOptions;
  readonly penalties?: PenaltyOptions;
  /** For example `prometheusMetrics(…)`. */
  readonly metrics?: NonNullable<Libp2pOptions['metrics']>;
}

export interface Libp2pNetworkDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  /** Another node holds this node's key; `address` is where it was met. May be called again and again. */
  readonly onDuplicateSelf?: (address: string) => void;
}

const PING_TIMEOUT_MS = 10_000;
const SWEEP_MS = 5_000;

/** Made but not started; listens, dials and speaks from `start` to `stop`, and may be started again. */
export async function openLibp2pNetwork(options: Libp2pNetworkOptions, deps: Libp2pNetworkDeps): Promise<Network> {
  const privateKey = await generateKeyPairFromSeed('Ed25519', options.networkSeed);
  const peerId = peerIdFromPrivateKey(privateKey).toString();
  const listeners: ((peerId: string, connected: boolean) => void)[] = [];
  const penalties = openPenalties(options.penalties ?? {}, deps.clock);
  let node: Libp2p<CairnServices> | null = null;
  let sweep: Timer | null = null;

  const penalize = (offender: string, fault: PeerFault, detail: string): void => {
    if (offender === peerId) return;
    const banMs = penalties.add(offender, fault);
    deps.logger.warn({ peerId: offender, fault, detail, banMs }, 'peer sent away');
    for (const connection of connectionsOf(node, offender)) connection.abort(new NetworkError('closed', `peer sent away: ${fault}`));
  };
  const inner = { clock: deps.clock, timers: deps.timers, logger: deps.logger, penalize };
  const gossip = openGossip(options.gossip ?? {}, inner);
  const requests = openPeerRequests(inner);
  const providers = openProviders({ timers: deps.timers, logger: deps.logger, ownPeerId: peerId });
  const connector = openConnector(
    { bootstrap: withoutSelf(options.bootstrap ?? [], peerId), peers: peersById(withoutSelf(options.peers ?? [], peerId)) },
    {
      ...deps,
      dialler: {
        connectedPeers: () => node?.getPeers().length ?? 0,
        isConnected: (other) => connectionsOf(node, other).length > 0,
        dial: async (addresses, signal) => {
          await node?.dial(addresses.map(asMultiaddr), { signal });
        },
      },
    },
  );
  const gater = makeGater({
    ownPeerId: peerId,
    isBanned: penalties.isBanned,
    connectionsOf: (other) => node?.getConnections(other).length ?? 0,
    metSelf: (address) => {
      if (isOwnAddress(node, address)) return;
      deps.logger.error({ address }, 'another node holds this network key');
      deps.onDuplicateSelf?.(address);
    },
  });

  async function start(): Promise<void> {
    if (node !== null) throw new RangeError('expected a stopped network, but it runs already');
    const made = await makeNode({
      privateKey,
      chainTag: options.chainId.slice(0, 16),
      listen: options.listen,
      announce: options.announce ?? [],
      mdns: options.mdns ?? false,
      dht: options.dht ?? true,
      gater,
      gossip: gossip.service,
      metrics: options.metrics,
    });
    node = made;
    announceChanges(made, { connector, listeners });
    try {
      await requests.attach(made);
      await made.start();
    } catch (error) {
      await stop();
      throw error;
    }
    gossip.attach(made.services.pubsub);
    providers.attach(made);
    connector.start();
    scheduleSweep();
  }

  async function stop(): Promise<void> {
    sweep?.cancel();
    connector.stop();
    providers.detach();
    gossip.detach();
    requests.detach();
    const running = node;
    node = null;
    await running?.stop();
  }

  /** Streams of unknown protocols reach no handler of ours, so they are counted from outside. */
  function scheduleSweep(): void {
    sweep = deps.timers.set(SWEEP_MS, () => {
      for (const connection of node?.getConnections() ?? []) {
        const inbound = connection.streams.filter((stream) => stream.direction === 'inbound').length;
        if (inbound > MAX_INBOUND_STREAMS / 2) penalize(connection.remotePeer.toString(), 'spam', `${inbound} open streams`);
      }
      if (node !== null) scheduleSweep();
    });
  }

  return {
    peerId,
    peerIdOf: (networkKey) => peerIdFromPublicKey(publicKeyFromEd25519(networkKey)).toString(),
    publish: gossip.publish,
    subscribe: gossip.subscribe,
    request: requests.request,
    handle: requests.handle,
    provide: providers.provide,
    findProviders: providers.findProviders,
    penalize,
    peers: () => peersOf(node),
    onPeerChange: (listener) => {
      listeners.push(listener);
    },
    ping: (other, signal) => {
      if (node === null) return Promise.reject(new NetworkError('stopped', 'expected a running network to ping over'));
      const { ping } = node.services;
      return withDeadline({ timeoutMs: PING_TIMEOUT_MS, signal, timers: deps.timers }, (limit) => ping.ping(peerIdFromString(other), { signal: limit }));
    },
    addresses: () => node?.getMultiaddrs().map(String) ?? [],
    start,
    stop,
  };
}

function announceChanges(
  node: Libp2p<CairnServices>,
  to: { readonly connector: Connector; readonly listeners: readonly ((peerId: string, connected: boolean) => void)[] },
): void {
  const changed = (peerId: string, connected: boolean): void => {
    to.connector.peerChanged(peerId, connected);
    for (const listener of to.listeners) listener(peerId, connected);
  };
  node.addEventListener('peer:connect', (event) => changed(event.detail.toString(), true));
  node.addEventListener('peer:disconnect', (event) => changed(event.detail.toString(), false));
  node.addEventListener('peer:discovery', ({ detail }) => {
    const peerId = detail.id.toString();
    to.connector.discovered(
      peerId,
      detail.multiaddrs.map((address) => withPeerId(address, peerId)),
    );
  });
}

function connectionsOf(node: Libp2p | null, peerId: string): readonly Connection[] {
  return node?.getConnections(peerIdFromString(peerId)).filter((connection) => connection.status === 'open') ?? [];
}

function peersOf(node: Libp2p | null): readonly PeerInfo[] {
  const groups = new Map<string, Connection[]>();
  for (const connection of node?.getConnections() ?? []) {
    if (connection.status !== 'open') continue;
    const peerId = connection.remotePeer.toString();
    const group = groups.get(peerId);
    if (group === undefined) groups.set(peerId, [connection]);
    else group.push(connection);
  }
  return [...groups].map(([peerId, group]) => ({
    peerId,
    addresses: [...new Set(group.map((connection) => connection.remoteAddr.toString()))],
    rttMs: group.find((connection) => connection.rtt !== undefined)?.rtt ?? null,
    direction: group.some((connection) => connection.direction === 'outbound') ? 'outbound' : 'inbound',
  }));
}

function publicKeyFromEd25519(networkKey: Uint8Array): Parameters<typeof peerIdFromPublicKey>[0] {
  if (networkKey.length !== 32) throw new RangeError(`expected an Ed25519 public key of 32 bytes, got ${networkKey.length}`);
  return publicKeyFromRaw(networkKey);
}

function asMultiaddr(address: string): Multiaddr {
  return multiaddr(address);
}

function withPeerId(address: Multiaddr, peerId: string): string {
  const text = address.toString();
  return text.includes('/p2p/') ? text : `${text}/p2p/${peerId}`;
}

function withoutSelf(addresses: readonly string[], ownPeerId: string): readonly string[] {
  return addresses.filter((address) => !address.endsWith(`/p2p/${ownPeerId}`));
}

/** Groups addresses by the id they end in; throws a RangeError for one without. */
function peersById(addresses: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const peers = new Map<string, string[]>();
  for (const address of addresses) {
    const peerId = /\/p2p\/([^/]+)$/.exec(address)?.[1];
    if (peerId === undefined) throw new RangeError(`expected a peer's address to end in /p2p/ID, got ${address}`);
    peers.set(peerId, [...(peers.get(peerId) ?? []), address]);
  }
  return peers;
}

function isOwnAddress(node: Libp2p | null, address: string): boolean {
  return node?.getMultiaddrs().some((own) => own.toString().startsWith(address)) ?? false;
}
