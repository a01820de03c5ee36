/**
 * The node as a process: configuration, the real world, HTTP, signals. Everything that may go wrong at the start does so in one clear line
 * before the network is joined. What it opens it closes in reverse order.
 */

import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { digestToHex } from '../chain/index.ts';
import { openChainStore, openLevelStore } from '../chain/store/index.ts';
import { chainIdOf, type GenesisDocument, KEYS_FOLDER, loadGenesis, loadNextKeys, loadNodeKeys } from '../genesis/index.ts';
import { type AnswerFront, BufferPool, genericRoutes, ociRoutes, StagedVersions, tokenCheck } from '../registry/index.ts';
import { type Config, checkAgainstNetwork, loadConfig } from './config/index.ts';
import { openEd25519Verifier } from './crypto/ed25519.ts';
import { sha256 } from './crypto/sha256.ts';
import { seedSigner } from './crypto/signer.ts';
import { rememberingVerifier } from './crypto/verified-cache.ts';
import { loadAdminToken, loadPublishToken, startHttp } from './http/index.ts';
import { settleRotations } from './key-settling.ts';
import { createLogger } from './logs/logger.ts';
import { createMetrics, type MetricsService } from './metrics/metrics.ts';
import { openLibp2pNetwork } from './network/libp2p-network.ts';
import { type CairnNode, startNode } from './node.ts';
import { NodeError } from './node-error.ts';
import type { Logger, World } from './ports.ts';
import { openUpstreams } from './upstream/open-upstreams.ts';
import { systemClock, systemRandom, systemTimers } from './world/clock.ts';
import { openDisk } from './world/disk.ts';
import { usable } from './world/folder.ts';
import { lockFolder } from './world/instance-lock.ts';

export interface DaemonOptions {
  readonly dataDir: string;
  /** Configuration keys given on the command line. */
  readonly flags: Readonly<Record<string, string>>;
  /** What the node sees of the real world; a test may put itself in between. Default: all of it, as it is. */
  readonly seenWorld?: (world: World) => World;
}

type Close = () => Promise<void> | void;

/** What the parts of one process share. */
interface Process {
  readonly dataDir: string;
  readonly config: Config;
  readonly genesis: GenesisDocument;
  readonly log: Logger;
  readonly metrics: MetricsService;
  readonly fatal: (error: unknown) => void;
  readonly seenWorld: (world: World) => World;
  /** In the order of opening. */
  readonly closes: Close[];
}

/** Runs the node of a data folder until SIGINT or SIGTERM; rejects when it can't start or had to stop. */
export async function startDaemon(options: DaemonOptions): Promise<void> {
  const dataDir = resolve(options.dataDir);
  const { config } = await loadConfig({ dataDir, environment: process.env, flags: options.flags });
  const genesis = await loadGenesis(resolve(dataDir, config.genesis));
  checkAgainstNetwork(config, genesis.parameters);
  const log = createLogger({ level: config['log.level'], format: config['log.format'], name: config.name });
  const metrics = createMetrics({ nowMs: systemClock.nowMs, processMetrics: true, version: versionOf() });
  const closes: Close[] = [];
  const { seenWorld = (world) => world } = options;
  const { stopped, fatal } = untilStopped(log);
  let isOpen = false;
  try {
    await Promise.race([open({ dataDir, config, genesis, log, metrics, fatal, seenWorld, closes }), stopped]);
    isOpen = true;
    await stopped;
  } finally {
    await closeAll(closes, log);
    // Of a start that failed the one line that says why is enough.
    if (isOpen) log.info({}, 'stopped');
  }
}

/** In reverse order. What can't be closed is told and holds up nothing: it must hide neither the reason of the end nor the rest. */
async function closeAll(closes: readonly Close[], log: Logger): Promise<void> {
  for (const close of closes.toReversed()) {
    try {
      await close();
    } catch (error) {
      log.error({ error: error instanceof Error ? error.message : String(error) }, 'not closed in order');
    }
  }
}

/** Resolves at the first signal, rejects at the first failure that the node can't survive. */
function untilStopped(log: Logger): { readonly stopped: Promise<void>; readonly fatal: (error: unknown) => void } {
  let fatal: (error: unknown) => void = () => {};
  const stopped = new Promise<void>((resolve, reject) => {
    const onSignal = (signal: NodeJS.Signals): void => {
      log.info({ signal }, 'stopping');
      resolve();
    };
    let isOver = false;
    fatal = (error) => {
      // What fails while all is being closed follows from the first failure, and would bury it.
      if (isOver) return;
      isOver = true;
      log.error(
        isForeseen(error) ? { code: error.code, error: error.message } : { error },
        'the node stops: it can no longer keep its promises',
      );
      reject(error);
    };
    process.once('SIGINT', onSignal).once('SIGTERM', onSignal).once('uncaughtException', fatal).once('unhandledRejection', fatal);
  });
  return { stopped, fatal };
}

/** One of the project's own errors, whose message says all; of anything else the log wants the stack. */
function isForeseen(error: unknown): error is Error & { readonly code: string } {
  return (
    error instanceof Error && error.name !== 'Error' && 'code' in error && typeof error.code === 'string' && !error.code.startsWith('ERR_')
  );
}

async function open(parts: Process): Promise<void> {
  const { dataDir, config, genesis, log, metrics, fatal, closes } = parts;
  const lock = await usable(dataDir, () => lockFolder(dataDir));
  closes.push(() => lock.release());
  const opened = await openWorld(parts);
  const world = parts.seenWorld(opened.world);
  const { upstreams, close: closeUpstreams } = await openUpstreams(config, dataDir, { clock: systemClock, timers: systemTimers, log });
  closes.push(closeUpstreams);
  const node = await startNode(
    {
      version: versionOf(),
      name: config.name,
      chainId: chainIdOf(genesis),
      genesis,
      budgetBytes: config['storage.budgetBytes'],
      stagingBytes: config['storage.stagingBytes'],
      stagingMs: config['storage.stagingMs'],
      reverifyMs: config['serve.reverifyMs'],
      maxHeadAgeMs: config['serve.maxHeadAgeMs'],
      signFromHeight: config['consensus.signFromHeight'],
    },
    { world, upstreams, reloadKeys: opened.reloadKeys, sha256, log, metrics: metrics.metrics, fatal },
  );
  closes.push(() => node.stop());
  observe(metrics, node);
  const http = await openHttp(parts, world, node);
  closes.push(() => http.close());
  const { chain, role } = await node.operations.status();
  log.info(
    { role, chainId: chain.chainId, height: chain.height, http: http.publicUrl, admin: http.adminUrl, metrics: http.metricsUrl },
    'node started',
  );
  void node.library.provideAll().catch((error: unknown) => log.warn({ error }, 'held files could not be announced'));
}

async function openWorld(parts: Process): Promise<{ readonly world: World; readonly reloadKeys: () => Promise<void> }> {
  const { dataDir, config, genesis, log, metrics, closes } = parts;
  const keysFolder = join(dataDir, KEYS_FOLDER);
  await loadNodeKeys(keysFolder);
  const storage = resolve(dataDir, config['storage.path']);
  await usable(storage, () => mkdir(storage, { recursive: true, mode: 0o700 }));
  const chainStore = await openLevelStore(join(dataDir, 'chain'));
  closes.push(() => chainStore.close());
  const nodeStore = await openLevelStore(join(dataDir, 'node'));
  closes.push(() => nodeStore.close());
  const chain = { chainId: chainIdOf(genesis), ...genesis };
  await settleRotations(keysFolder, { log, view: async () => (await openChainStore({ kv: chainStore, sha256 }, chain)).view() });
  const keys = await loadNodeKeys(keysFolder);
  const signer = seedSigner(keys, await loadNextKeys(keysFolder));
  const verifier = openEd25519Verifier({}, { clock: systemClock, timers: systemTimers });
  closes.push(() => verifier.close());
  const network = await openLibp2pNetwork(
    {
      networkSeed: keys.network,
      chainId: digestToHex(chainIdOf(genesis)),
      listen: config['p2p.listen'],
      announce: config['p2p.announce'],
      peers: config['p2p.peers'],
      bootstrap: config['p2p.bootstrap'],
      mdns: config['p2p.mdns'],
    },
    {
      clock: systemClock,
      timers: systemTimers,
      random: systemRandom,
      logger: log,
      onPenalty: (_peerId, fault) => {
        metrics.metrics.peerPenalized(fault);
        if (fault === 'bad-bytes') metrics.metrics.badPiece();
      },
      onDuplicateSelf: (address) =>
        parts.fatal(
          new NodeError('DUPLICATE_NODE', `another running node holds the keys of this one (seen at ${address}): stop one of them`),
        ),
    },
  );
  const world: World = {
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom,
    files: openDisk(dataDir),
    storage: openDisk(storage),
    chainStore,
    nodeStore,
    network,
    signer,
    verifier: rememberingVerifier(verifier),
  };
  return { world, reloadKeys: async () => signer.learn(await loadNextKeys(keysFolder)) };
}

async function openHttp(parts: Process, world: World, node: CairnNode): Promise<Awaited<ReturnType<typeof startHttp>>> {
  const { config, dataDir, log, metrics, fatal } = parts;
  const adminToken = await loadAdminToken(config, dataDir);
  const publishToken = await loadPublishToken(config, dataDir);
  const versions = await StagedVersions.open({ files: world.storage, staging: node.staging, log });
  return await startHttp(
    { config, adminToken },
    {
      operations: node.operations,
      metrics,
      log,
      fatal,
      files: {
        storage: resolve(dataDir, config['storage.path']),
        reverifyMs: config['serve.reverifyMs'],
        library: node.library,
        blobs: node.blobs,
        freshUntilMs: node.ledger.freshUntilMs,
        onCommit: (listener) => void node.head.onCommit(listener),
      },
      routes: (app, front) => addEcosystems(app, { parts, world, node, versions, publishToken, front }),
    },
  );
}

/** What the public server serves. */
function addEcosystems(
  app: FastifyInstance,
  from: {
    readonly parts: Process;
    readonly world: World;
    readonly node: CairnNode;
    readonly versions: StagedVersions;
    readonly publishToken: string | null;
    readonly front: AnswerFront | undefined;
  },
): void {
  const { node, world, versions, publishToken, front } = from;
  const { config, log, metrics } = from.parts;
  const shared = { ...node, ...world, log, front, buffers: new BufferPool() };
  genericRoutes(
    app,
    { ...shared, versions, publishing: node.publications, mayWrite: publishToken === null ? () => false : tokenCheck([publishToken]) },
    { publishWaitMs: config['publish.waitMs'] },
  );
  ociRoutes(app, { ...shared, requesting: node.requests, onRead: metrics.metrics.bytesServed });
}

/** Gauges are read from the node itself at each scrape. */
function observe(metrics: MetricsService, node: CairnNode): void {
  metrics.metrics.observe(async () => {
    const { chain, consensus, set, ...counts } = await node.operations.status();
    return {
      height: chain.height,
      headTimeMs: chain.height === 0 ? null : chain.timeMs,
      targetHeight: chain.targetHeight,
      round: consensus?.round ?? 0,
      step: consensus?.step ?? null,
      validators: set.length,
      ...counts,
    };
  });
}

/** Of the package this file belongs to. */
function versionOf(): string {
  const { version } = createRequire(import.meta.url)('../../package.json') as { readonly version: string };
  return version;
}
