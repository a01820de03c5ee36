/**
 * A whole network in one process: the node's real code on virtual time, disks and network, from one seed. Nodes can crash (what was not
 * synced is gone, the last write may be torn) and come back; what they decided is compared by whoever looks from outside.
 */

import {
  type AddArtifact,
  type Claim,
  type Consent,
  type Digest,
  digestToHex,
  endorsementPayload,
  type Parameters,
  type SealedTransaction,
  transactionId,
  type ValidatorSetRecord,
} from '../../chain/index.ts';
import {
  chainIdOf,
  DEFAULT_PARAMETERS,
  type GenesisDocument,
  localnetPolicy,
  type NodeKeys,
  SIGN_STATE_FILE,
} from '../../genesis/index.ts';
import { openEd25519Verifier } from '../../src/crypto/ed25519.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import { seedSigner } from '../../src/crypto/signer.ts';
import { noMetrics } from '../../src/metrics/types.ts';
import { type CairnNode, startNode } from '../../src/node.ts';
import type { NodeOptions, Upstream } from '../../src/node-options.ts';
import type { FileSystem, SignatureVerifier, World } from '../../src/ports.ts';
import { Inhabitant } from './inhabitant.ts';
import { SeededRandom } from './seeded-random.ts';
import type { Signatures } from './signatures.ts';
import { VirtualAir } from './virtual-air.ts';
import { VirtualNetwork } from './virtual-network.ts';
import { VirtualTime } from './virtual-time.ts';

const START_MS = Date.UTC(2026, 0, 1);

export interface WorldOptions {
  readonly seed: number;
  readonly authorities: number;
  readonly mirrors: number;
  /** Default: the node's own, whose thread for second opinions on forgeries lives in real time. */
  readonly verifier?: SignatureVerifier;
  /** Default: Ed25519. */
  readonly signatures?: Signatures;
  /** Where a node of that name fetches from. Default: nowhere. */
  readonly upstreams?: (name: string) => ReadonlyMap<string, Upstream>;
  /** The newest protocol version that a node of that name knows. Default: what its software knows. */
  readonly knownVersion?: (name: string) => number;
  /** What differs from the default parameters. */
  readonly parameters?: Partial<Parameters>;
}

export class VirtualWorld {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly air: VirtualAir;
  readonly genesis: GenesisDocument;
  readonly chainId: Digest;
  readonly inhabitants: Inhabitant[];
  readonly #options: WorldOptions;
  readonly #verifier: SignatureVerifier & { readonly close: () => Promise<void> };

  constructor(options: WorldOptions) {
    this.#options = options;
    this.random = new SeededRandom(options.seed);
    this.time = new VirtualTime(START_MS);
    this.air = new VirtualAir(this.time, this.random);
    const names = [
      ...Array.from({ length: options.authorities }, (_, index) => `node${index + 1}`),
      ...Array.from({ length: options.mirrors }, (_, index) => `mirror${index + 1}`),
    ];
    this.inhabitants = names.map((name, index) => {
      const keys = { network: this.random.bytes(32), consensus: this.random.bytes(32), checkpoint: this.random.bytes(32) };
      return this.#inhabitant(name, keys, index);
    });
    const nodes = this.authorities(options.authorities)
      .map((one) => one.record)
      .sort((left, right) => (digestToHex(left.nodeId) < digestToHex(right.nodeId) ? -1 : 1));
    const policy = localnetPolicy(nodes.map((node) => node.nodeId));
    const parameters = { ...DEFAULT_PARAMETERS, policy, ...options.parameters };
    this.genesis = { version: 1, name: `world ${options.seed}`, timeMs: START_MS, parameters, nodes };
    this.chainId = chainIdOf(this.genesis);
    const own = openEd25519Verifier({}, { clock: this.time.clock, timers: this.time.timers });
    this.#verifier = { ...own, ...options.signatures?.verifier, ...options.verifier };
  }

  #inhabitant(name: string, keys: NodeKeys, index: number, address?: Uint8Array): Inhabitant {
    const signer = (this.#options.signatures?.signer ?? seedSigner)(keys);
    const world = { seed: this.#options.seed * 1000 + index * 10, nowMs: () => this.time.nowMs, signer };
    return new Inhabitant(name, keys, address === undefined ? world : { ...world, address });
  }

  /** A second machine with the keys of the first, at another address, with disks of its own. */
  addTwin(of: Inhabitant): Inhabitant {
    const twin = this.#inhabitant(`${of.name}'s twin`, of.keys, this.inhabitants.length, this.random.bytes(32));
    this.inhabitants.push(twin);
    return twin;
  }

  get verifier(): SignatureVerifier {
    return this.#verifier;
  }

  authorities(count: number = this.genesis.nodes.length): readonly Inhabitant[] {
    return this.inhabitants.slice(0, count);
  }

  get running(): readonly CairnNode[] {
    return this.inhabitants.map((one) => one.node).filter((node) => node !== null);
  }

  /** Starts everybody for the first time, each with the empty sign state that came with its keys. */
  async startAll(): Promise<void> {
    for (const one of this.inhabitants) await this.startFirst(one);
  }

  async startFirst(one: Inhabitant): Promise<void> {
    const signState = await one.files.open(SIGN_STATE_FILE, 'create');
    await signState.sync();
    await signState.close();
    await one.files.syncFolder('');
    await this.start(one);
  }

  /** Starts the node's process on what its disks hold. */
  async start(one: Inhabitant): Promise<void> {
    one.life += 1;
    const life = one.life;
    const network = new VirtualNetwork(this.air, one.address);
    one.network = network;
    const node = await startNode(this.#optionsOf(one), {
      world: this.#worldOf(one, network),
      upstreams: this.#options.upstreams?.(one.name) ?? new Map(),
      sha256,
      log: one.logger(),
      metrics: noMetrics,
      fatal: (error) => one.life === life && one.fatals.push(error),
    });
    // It may have died on the way.
    if (one.life === life) one.node = node;
  }

  #worldOf(one: Inhabitant, network: VirtualNetwork): World {
    const { life } = one;
    return {
      clock: { nowMs: () => Math.floor(this.time.nowMs + one.clockErrorMs()) },
      timers: this.#timersOf(one, network),
      random: this.random,
      files: whileAlive(one.seenFiles(one.files), () => one.life === life),
      storage: whileAlive(one.storage, () => one.life === life),
      chainStore: one.chainStore,
      nodeStore: one.nodeStore,
      network: one.seenNetwork(network),
      signer: one.signer,
      // The thread pool would bring real time into the world: one signature at a time is checked on the spot.
      verifier: { verify: this.#verifier.verify, verifyMany: (items) => Promise.all(items.map((item) => this.#verifier.verify(item))) },
    };
  }

  #optionsOf({ name }: Inhabitant): NodeOptions {
    const known = this.#options.knownVersion === undefined ? {} : { knownVersion: this.#options.knownVersion(name) };
    return {
      version: '0.0.0',
      name,
      chainId: this.chainId,
      genesis: this.genesis,
      budgetBytes: 1e9,
      stagingBytes: 1e8,
      stagingMs: 3_600_000,
      reverifyMs: 86_400_000,
      maxHeadAgeMs: 3_600_000,
      signFromHeight: null,
      ...known,
    };
  }

  /** A dead process's timers must not act for the living one; those of a paused one wait. */
  #timersOf(one: Inhabitant, network: VirtualNetwork): World['timers'] {
    const { life } = one;
    return {
      set: (delayMs, callback) => {
        let cancelled = false;
        const run = (): void => {
          if (one.life === life && !cancelled) callback();
        };
        const timer = this.time.timers.set(delayMs, () => network.whenReleased(run));
        return {
          cancel: () => {
            cancelled = true;
            timer.cancel();
          },
        };
      },
    };
  }

  /** The process dies now: what was not on the disk is gone. */
  crash(one: Inhabitant): void {
    one.life += 1;
    void one.network?.stop();
    one.node = null;
    one.files.crash();
    one.storage.crash();
    one.chainStore.crash();
    one.nodeStore.crash();
    one.chainStore = one.openStore(one.chainStore.snapshot());
    one.nodeStore = one.openNodeStore(one.nodeStore.snapshot());
  }

  /** A made-up version of one made-up file; with other content it is a rival of the same name. */
  claim(version: string, content: string = version): AddArtifact {
    const [publisher] = this.authorities();
    if (publisher === undefined) throw new Error('expected an authority');
    const bytes = sha256(Buffer.from(content));
    return {
      kind: 'AddArtifact',
      coordinates: { ecosystem: 'generic', registry: '', namespace: 'demo', name: 'made-up', version },
      files: [
        {
          name: 'file.bin',
          mediaType: 'application/octet-stream',
          sizeBytes: 1,
          digests: { sha256: bytes, sha512: null, sha1: null, h1: null },
          piecesRoot: bytes,
        },
      ],
      source: { kind: 'publisher', nodeId: publisher.nodeId },
      dependencies: [],
      verification: 'published',
      replaces: null,
    };
  }

  /** A transaction of one made-up version, endorsed by the first `endorsers` authorities. */
  sealed(version: string, endorsers: number = this.genesis.nodes.length): SealedTransaction {
    return this.seal([this.claim(version)], { endorsers: this.authorities().slice(0, endorsers) });
  }

  /** These claims, endorsed by those members of a set with those keys. */
  sealedBy(claims: readonly Claim[], members: ValidatorSetRecord, consents: readonly Consent[] = []): SealedTransaction {
    const keyOf = ({ nodeId }: Inhabitant): Uint8Array | undefined =>
      members.find((member) => digestToHex(member.nodeId) === digestToHex(nodeId))?.consensusKey;
    // One machine for each: a twin says nothing beside it.
    const endorsers = members.flatMap(
      ({ nodeId }) => this.inhabitants.find((one) => digestToHex(one.nodeId) === digestToHex(nodeId)) ?? [],
    );
    return this.seal(claims, { endorsers, keyOf, consents });
  }

  /** These claims, endorsed by those nodes; `keyOf`: with which consensus key, where it is not the first. */
  seal(
    claims: readonly Claim[],
    by: {
      readonly endorsers: readonly Inhabitant[];
      readonly consents?: readonly Consent[];
      readonly keyOf?: (one: Inhabitant) => Uint8Array | undefined;
    },
  ): SealedTransaction {
    const id = transactionId(sha256, claims);
    const expiresMs = this.time.clock.nowMs() + DEFAULT_PARAMETERS.endorsementMs;
    const payload = endorsementPayload(this.chainId, id, expiresMs);
    const endorsements = by.endorsers
      .map((one) => ({ nodeId: one.nodeId, expiresMs, signature: one.signer.sign('consensus', payload, by.keyOf?.(one)) }))
      .sort((left, right) => (digestToHex(left.nodeId) < digestToHex(right.nodeId) ? -1 : 1));
    return { claims, endorsements, consents: by.consents ?? [] };
  }

  /** Heights of the running nodes. */
  heights(): readonly number[] {
    return this.running.map((node) => node.head.height);
  }

  async close(): Promise<void> {
    for (const one of this.inhabitants) one.life += 1;
    await this.#verifier.close();
  }
}

/** What a dead process was about to do to its disk is not done. */
function whileAlive(files: FileSystem, isAlive: () => boolean): FileSystem {
  const guarded = Object.entries(files).map(([name, call]: [string, (...args: unknown[]) => unknown]) => {
    const guard = (...args: unknown[]): unknown => (isAlive() ? call(...args) : new Promise<never>(() => {}));
    return [name, guard];
  });
  return Object.fromEntries(guarded) as FileSystem;
}

/** Everything two nodes must agree on at a height: block and state. */
export function decidedAt(node: CairnNode, height: number): string | null {
  const header = node.head.store.header(height);
  return header === null ? null : `${digestToHex(node.head.idOf(header))}/${digestToHex(header.stateRoot)}`;
}
