/**
 * The Network port over libp2p: puts together node, gossip, requests, providers, penalties and connector, and ends them in reverse order.
 * Never decides what a message means, and never lets a peer's bytes end the process.
 */

import { generateKeyPairFromSeed, publicKeyFromRaw } from '@libp2p/crypto/keys';
import type { Connection, ConnectionGater, Libp2p, PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey, peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import type { Libp2pOptions } from 'libp2p';
import type { Clock, Logger, Network, PeerFault, PeerInfo, Random, Timer, Timers } from '../ports.ts';
import { peersById } from './address-list.ts';
import { type Connector, type Dialler, openConnector } from './connector.ts';
import { withDeadline } from './deadline.ts';
import { explainStartError, NetworkError } from './errors.ts';
import { makeGater } from './gater.ts';
import { type Gossip, type GossipOptions, openGossip } from './gossip.ts';
import { type CairnServices, MAX_INBOUND_STREAMS, makeNode, type NodeSettings } from './libp2p-node.ts';
import { type Libp2pRequests, openPeerRequests } from './peer-requests.ts';
import { openPenalties, type PenaltyOptions } from './penalties.ts';
import { openProviders, type Providers } from './providers.ts';
import { openTwinWatch, type TwinWatch } from './twin-watch.ts';

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
  /** Proven: a node that runs for longer than this one holds the same key; `address` is that of a peer both know. May be called again and again. */
  readonly onDuplicateSelf?: (address: string) => void;
  /** For counting; the peer is gone already. */
  readonly onPenalty?: (peerId: string, fault: PeerFault) => void;
}

const PING_TIMEOUT_MS = 10_000;
const SWEEP_MS = 5_000;

/** Made but not started; listens, dials and speaks from `start` to `stop`, and may be started again. */
export async function openLibp2pNetwork(options: Libp2pNetworkOptions, deps: Libp2pNetworkDeps): Promise<Network> {
  const privateKey = await generateKeyPairFromSeed('Ed25519', options.networkSeed);
  const peerId = peerIdFromPrivateKey(privateKey).toString();
  const running: Running = { node: null };
  const listeners: PeerListener[] = [];
  const parts = assemble(running, { options, peerId, privateKey }, deps);
  const { gossip, requests, providers } = parts;
  return {
    peerId,
    peerIdOf: (networkKey) => peerIdFromPublicKey(publicKeyFromEd25519(networkKey)).toString(),
    publish: gossip.publish,
    subscribe: gossip.subscribe,
    unsubscribe: gossip.unsubscribe,
    request: requests.request,
    handle: requests.handle,
    unhandle: requests.unhandle,
    provide: providers.provide,
    findProviders: providers.findProviders,
    keepConnected: parts.connector.keep,
    penalize: parts.penalize,
    peers: () => peersOf(running.node),
    onPeerChange: (listener) => {
      listeners.push(listener);
    },
    ping: async (other, signal) => {
      const ping = running.node?.services.ping;
      if (ping === undefined) throw new NetworkError('stopped', 'expected a running network to ping over');
      return withDeadline({ timeoutMs: PING_TIMEOUT_MS, signal, timers: deps.timers }, (limit) =>
        ping.ping(peerIdFromString(other), { signal: limit }),
      );
    },
    addresses: () => running.node?.getMultiaddrs().map(String) ?? [],
    ...lifeOf(running, { ...parts, listeners, timers: deps.timers, make: () => makeNode(settingsOf(options, privateKey, parts)) }),
  };
}

type PeerListener = (peerId: string, connected: boolean) => void;

/** The node between start and stop; null otherwise. */
interface Running {
  node: Libp2p<CairnServices> | null;
}

interface Parts {
  readonly penalize: Network['penalize'];
  readonly gossip: Gossip;
  readonly requests: Libp2pRequests;
  readonly providers: Providers;
  readonly connector: Connector;
  readonly gater: ConnectionGater;
  readonly twins: TwinWatch;
}

function assemble(
  running: Running,
  { options, peerId, privateKey }: { readonly options: Libp2pNetworkOptions; readonly peerId: string; readonly privateKey: PrivateKey },
  deps: Libp2pNetworkDeps,
): Parts {
  const penalties = openPenalties(options.penalties ?? {}, deps.clock);
  const penalize = (offender: string, fault: PeerFault, detail: string): void => {
    if (offender === peerId) return;
    const banMs = penalties.add(offender, fault);
    deps.logger.warn({ peerId: offender, fault, detail, banMs }, 'peer sent away');
    deps.onPenalty?.(offender, fault);
    for (const connection of connectionsOf(running.node, offender)) {
      connection.abort(new NetworkError('closed', `peer sent away: ${fault}`));
    }
  };
  const shared = { clock: deps.clock, timers: deps.timers, logger: deps.logger, penalize };
  return {
    penalize,
    gater: makeGater({
      isBanned: penalties.isBanned,
      connectionsOf: (other) => running.node?.getConnections(other).length ?? 0,
    }),
    twins: openTwinWatch({
      privateKey,
      chainId: Buffer.from(options.chainId, 'hex'),
      protocol: `/cairn/${options.chainId.slice(0, 16)}/direct/session/1`,
      clock: deps.clock,
      timers: deps.timers,
      random: deps.random,
      logger: deps.logger,
      metTwin: (address) => {
        deps.logger.error({ address }, 'another running node holds this network key');
        deps.onDuplicateSelf?.(address);
      },
    }),
    gossip: openGossip(options.gossip ?? {}, shared),
    requests: openPeerRequests(shared),
    providers: openProviders({ timers: deps.timers, logger: deps.logger, ownPeerId: peerId }),
    connector: openConnector(
      { bootstrap: withoutSelf(options.bootstrap ?? [], peerId), peers: peersById(withoutSelf(options.peers ?? [], peerId)) },
      { ...deps, dialler: diallerOf(running) },
    ),
  };
}

function diallerOf(running: Running): Dialler {
  return {
    connectedPeers: () => running.node?.getPeers().length ?? 0,
    isConnected: (peerId) => connectionsOf(running.node, peerId).length > 0,
    dial: async (addresses, signal) => {
      await running.node?.dial(
        addresses.map((address) => multiaddr(address)),
        { signal },
      );
    },
  };
}

function settingsOf(options: Libp2pNetworkOptions, privateKey: PrivateKey, parts: Parts): NodeSettings {
  return {
    privateKey,
    chainTag: options.chainId.slice(0, 16),
    listen: options.listen,
    announce: options.announce ?? [],
    mdns: options.mdns ?? false,
    dht: options.dht ?? true,
    gater: parts.gater,
    gossip: parts.gossip.service,
    metrics: options.metrics,
  };
}

interface LifeParts extends Parts {
  readonly listeners: readonly PeerListener[];
  readonly timers: Timers;
  readonly make: () => Promise<Libp2p<CairnServices>>;
}

function lifeOf(running: Running, parts: LifeParts): Pick<Network, 'start' | 'stop'> {
  let sweep: Timer | null = null;

  async function start(): Promise<void> {
    if (running.node !== null) throw new RangeError('expected a stopped network, but it runs already');
    const node = await parts.make();
    running.node = node;
    announceChanges(node, parts);
    try {
      await parts.requests.attach(node);
      await parts.twins.attach(node);
      await node.start();
    } catch (error) {
      await stop();
      throw explainStartError(error);
    }
    parts.gossip.attach(node.services.pubsub);
    parts.providers.attach(node);
    parts.connector.start();
    scheduleSweep();
  }

  async function stop(): Promise<void> {
    sweep?.cancel();
    parts.connector.stop();
    for (const part of [parts.providers, parts.gossip, parts.requests, parts.twins]) part.detach();
    const { node } = running;
    running.node = null;
    await node?.stop();
  }

  /** Streams of unknown protocols reach no handler of ours, so they are counted from outside. */
  function scheduleSweep(): void {
    sweep = parts.timers.set(SWEEP_MS, () => {
      for (const connection of running.node?.getConnections() ?? []) {
        const inbound = connection.streams.filter((stream) => stream.direction === 'inbound').length;
        if (inbound > MAX_INBOUND_STREAMS / 2) parts.penalize(connection.remotePeer.toString(), 'spam', `${inbound} open streams`);
      }
      if (running.node !== null) scheduleSweep();
    });
  }

  return { start, stop };
}

function announceChanges(
  node: Libp2p<CairnServices>,
  to: { readonly connector: Connector; readonly listeners: readonly PeerListener[] },
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

function withPeerId(address: Multiaddr, peerId: string): string {
  const text = address.toString();
  return text.includes('/p2p/') ? text : `${text}/p2p/${peerId}`;
}

function withoutSelf(addresses: readonly string[], ownPeerId: string): readonly string[] {
  return addresses.filter((address) => !address.endsWith(`/p2p/${ownPeerId}`));
}
