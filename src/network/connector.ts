/**
 * Keeps the node in company. Known peers (the authorities) are dialled until connected and again when lost; the bootstrap list is worked through
 * whenever no peer is connected; peers that discovery names are dialled while there are few. Every wait backs off, up to a cap, with chance in it.
 * Never gives up, and never lets a dead entry hold up the others.
 */

import { setMaxListeners } from 'node:events';
import type { Clock, Logger, Random, Timer, Timers } from '../ports.ts';
import { fetchAddressList } from './address-list.ts';

export interface ConnectorOptions {
  /** Multiaddrs, or http(s) URLs of lists of them. */
  readonly bootstrap: readonly string[];
  /** Peers kept connected, by id, each with its multiaddrs. */
  readonly peers: ReadonlyMap<string, readonly string[]>;
  /** Discovered peers are dialled below this number of connected ones. Default 8. */
  readonly enoughPeers?: number;
}

/** What the connector needs of libp2p. */
export interface Dialler {
  readonly connectedPeers: () => number;
  readonly isConnected: (peerId: string) => boolean;
  /** Rejects when no address answers. */
  readonly dial: (addresses: readonly string[], signal: AbortSignal) => Promise<void>;
}

export interface Connector {
  readonly start: () => void;
  readonly stop: () => void;
  readonly peerChanged: (peerId: string, connected: boolean) => void;
  readonly discovered: (peerId: string, addresses: readonly string[]) => void;
  /** Keeps these connected beside the configured ones, at whatever address is known of them; in place of those named before. */
  readonly keep: (peerIds: readonly string[]) => void;
}

interface ConnectorDeps {
  readonly dialler: Dialler;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
}

const KNOWN_PEER = { firstMs: 250, mostMs: 15_000 } as const;
const BOOTSTRAP = { firstMs: 500, mostMs: 60_000 } as const;
/** A start this long after the last one begins without a wait. */
const CALM_MS = 30_000;
const BOOTSTRAP_ADDRESSES = 256;
const DISCOVERY_DIALS = 4;

export function openConnector(options: ConnectorOptions, deps: ConnectorDeps): Connector {
  const { dialler, logger } = deps;
  let stopping = patientController();
  let dialsOfDiscovery = 0;

  const isIsolated = (): boolean => dialler.connectedPeers() === 0;
  const wantsBootstrap = (): boolean => options.bootstrap.length > 0 && isIsolated();
  const bootstrap = repeater(BOOTSTRAP, deps, async (signal) => {
    if (!wantsBootstrap()) return 'done';
    for (const addresses of shuffled(await bootstrapAddresses(options.bootstrap, signal, logger), deps.random)) {
      if (signal.aborted || !isIsolated()) return 'done';
      await attempt([addresses], signal);
    }
    return isIsolated() ? 'again' : 'done';
  });
  const redialler = (peerId: string, addresses: readonly string[]): Repeater =>
    repeater(KNOWN_PEER, deps, async (signal) => {
      if (dialler.isConnected(peerId)) return 'done';
      return (await attempt(addresses, signal)) ? 'done' : 'again';
    });
  const known = new Map([...options.peers].map(([peerId, addresses]) => [peerId, redialler(peerId, addresses)]));
  const kept = new Map<string, Repeater>();
  let isRunning = false;
  const addKept = (peerId: string): Repeater => {
    const redial = redialler(peerId, [`/p2p/${peerId}`]);
    if (isRunning) redial.run(stopping.signal);
    return redial;
  };

  const attempt = (addresses: readonly string[], signal: AbortSignal): Promise<boolean> => isReached(addresses, signal, deps);

  return {
    start: () => {
      stopping = patientController();
      bootstrap.run(stopping.signal);
      isRunning = true;
      for (const redial of [...known.values(), ...kept.values()]) redial.run(stopping.signal);
    },
    stop: () => {
      isRunning = false;
      stopping.abort();
      bootstrap.cancel();
      for (const redial of [...known.values(), ...kept.values()]) redial.cancel();
    },
    peerChanged: (peerId, connected) => {
      if (connected || stopping.signal.aborted) return;
      (known.get(peerId) ?? kept.get(peerId))?.run(stopping.signal);
      if (wantsBootstrap()) bootstrap.run(stopping.signal);
    },
    discovered: (peerId, addresses) => {
      const isEnough = dialler.connectedPeers() >= (options.enoughPeers ?? 8) || dialsOfDiscovery >= DISCOVERY_DIALS;
      if (isEnough || stopping.signal.aborted || addresses.length === 0 || dialler.isConnected(peerId)) return;
      dialsOfDiscovery += 1;
      void attempt(addresses, stopping.signal).finally(() => {
        dialsOfDiscovery -= 1;
      });
    },
    keep: (peerIds) => keepOnly(kept, new Set(peerIds.filter((peerId) => !known.has(peerId))), addKept),
  };
}

/** Every dial under way listens to it. */
function patientController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/** One attempt; why it failed is for the log alone. */
async function isReached(addresses: readonly string[], signal: AbortSignal, { dialler, logger }: ConnectorDeps): Promise<boolean> {
  try {
    await dialler.dial(addresses, signal);
    return true;
  } catch (error) {
    logger.debug({ addresses, error }, 'peer not reached');
    return false;
  }
}

/** Adds and drops until those and no others are there. */
function keepOnly(kept: Map<string, Repeater>, wanted: ReadonlySet<string>, add: (peerId: string) => Repeater): void {
  for (const [peerId, redial] of kept) {
    if (wanted.has(peerId)) continue;
    redial.cancel();
    kept.delete(peerId);
  }
  for (const peerId of wanted) if (!kept.has(peerId)) kept.set(peerId, add(peerId));
}

interface Repeater {
  /** Starts at once, or after a wait if the last start was a moment ago: a peer that takes calls only to hang up is no reason to hurry. */
  readonly run: (signal: AbortSignal) => void;
  readonly cancel: () => void;
}

/** Repeats `work` until it says `done`, waiting longer each time. */
function repeater(
  wait: { readonly firstMs: number; readonly mostMs: number },
  deps: Pick<ConnectorDeps, 'clock' | 'timers' | 'random' | 'logger'>,
  work: (signal: AbortSignal) => Promise<'done' | 'again'>,
): Repeater {
  let failures = 0;
  let lastStartMs = Number.NEGATIVE_INFINITY;
  let running = false;
  let wanted: AbortSignal | null = null;
  let pending: Timer | null = null;

  async function turn(signal: AbortSignal): Promise<void> {
    running = true;
    wanted = null;
    lastStartMs = deps.clock.nowMs();
    const outcome = await work(signal).catch((error: unknown) => {
      deps.logger.error({ error }, 'dialling failed');
      return 'again' as const;
    });
    running = false;
    if (wanted !== null) run(wanted);
    else if (outcome === 'again') schedule(signal);
  }

  function schedule(signal: AbortSignal): void {
    if (signal.aborted) return;
    const mostMs = Math.min(wait.mostMs, wait.firstMs * 2 ** Math.min(failures, 20));
    failures += 1;
    pending = deps.timers.set(mostMs * (0.5 + deps.random.next() / 2), () => {
      pending = null;
      void turn(signal);
    });
  }

  function run(signal: AbortSignal): void {
    if (running) wanted = signal;
    if (running || pending !== null || signal.aborted) return;
    if (deps.clock.nowMs() - lastStartMs < CALM_MS) {
      schedule(signal);
    } else {
      failures = 0;
      void turn(signal);
    }
  }

  return {
    run,
    cancel: () => {
      pending?.cancel();
      pending = null;
      failures = 0;
      lastStartMs = Number.NEGATIVE_INFINITY;
    },
  };
}

/** Plain multiaddrs, and what the URLs list; a dead or foul URL is skipped. */
async function bootstrapAddresses(entries: readonly string[], signal: AbortSignal, logger: Logger): Promise<readonly string[]> {
  const lists = await Promise.all(
    entries.map(async (entry) => {
      if (!/^https?:\/\//.test(entry)) return [entry];
      try {
        return await fetchAddressList(entry, signal);
      } catch (error) {
        logger.warn({ url: entry, error }, 'bootstrap list not read');
        return [];
      }
    }),
  );
  return [...new Set(lists.flat())].slice(0, BOOTSTRAP_ADDRESSES);
}

function shuffled<T>(items: readonly T[], random: Random): readonly T[] {
  return items
    .map((item) => ({ item, order: random.next() }))
    .sort((left, right) => left.order - right.order)
    .map(({ item }) => item);
}
