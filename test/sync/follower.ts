/**
 * An empty node that catches up from peers which are played: its block sync, head and store are the real ones, on virtual time and network.
 * The chain that honest peers give is made once, without consensus. Follows docs/SPEC.md §9.4.
 */

import {
  type Block,
  type BlocksResponse,
  block as blockSchema,
  blocksRequest,
  blocksResponse,
  type CommitCertificateRecord,
  commitCertificate,
  decode,
  digestToHex,
  encode,
  type SealedTransaction,
  statusMessage,
} from '../../chain/index.ts';
import { type ChainStore, openChainStore, type StoredBlock } from '../../chain/store/index.ts';
import { generateNodeKeys } from '../../genesis/index.ts';
import { protocolOf } from '../../src/channels.ts';
import { seedSigner } from '../../src/crypto/signer.ts';
import { rememberingVerifier } from '../../src/crypto/verified-cache.ts';
import { Head } from '../../src/ledger/head.ts';
import type { Logger, SignatureVerifier } from '../../src/ports.ts';
import { BlockSync } from '../../src/sync/block-sync.ts';
import { digestOf, GENESIS_MS, sha256, type TestNetwork, type TestNode } from '../chain/state-fixture.ts';
import { MemoryKeyValueStore } from '../world/memory-key-value-store.ts';
import { SeededRandom } from '../world/seeded-random.ts';
import { ed25519OnTheSpot } from '../world/signatures.ts';
import { VirtualAir } from '../world/virtual-air.ts';
import { VirtualNetwork } from '../world/virtual-network.ts';
import { VirtualTime } from '../world/virtual-time.ts';

export interface MadeBlock {
  readonly block: Block;
  readonly certificate: CommitCertificateRecord;
}

/** Whose turn it is to sign a height, and what the block holds. */
export type BlockMaker = (height: number) => { readonly transactions: readonly SealedTransaction[]; readonly by: readonly TestNode[] };

/** A chain of so many blocks; block `height` stands at `height - 1`. */
export async function madeChain(network: TestNetwork, count: number, maker: BlockMaker): Promise<readonly MadeBlock[]> {
  const store = await openChainStore({ kv: new MemoryKeyValueStore(), sha256 }, network.genesis);
  const made: MadeBlock[] = [];
  for (let height = 1; height <= count; height += 1) {
    const { transactions, by } = maker(height);
    const { heartbeatMs } = network.parameters;
    const lastCommit = made.at(-1)?.certificate ?? null;
    const { block, effects } = network.block(store.view(), { transactions, lastCommit, timeMs: store.view().timeMs + heartbeatMs });
    const certificate = network.commit({ height, blockId: effects.blockId }, { by });
    await store.commit({ block: encode(blockSchema, block), certificate: encode(commitCertificate, certificate), effects });
    made.push({ block, certificate });
  }
  return made;
}

export function bytesOf({ block, certificate }: MadeBlock): StoredBlock {
  return { block: encode(blockSchema, block), certificate: encode(commitCertificate, certificate) };
}

/** What a played peer answers; `null`: never. */
export interface PeerScript {
  readonly status: () => number;
  readonly blocks: (from: number, max: number) => Uint8Array | null;
  /** How long each answer takes. Default none. */
  readonly answerMs?: number;
}

export interface PlayedPeer {
  readonly peerId: string;
  readonly network: VirtualNetwork;
  /** First heights of the pages it was asked for. */
  readonly asked: readonly number[];
}

export class FollowerWorld {
  readonly time = new VirtualTime(GENESIS_MS);
  readonly random: SeededRandom;
  readonly air: VirtualAir;
  readonly fatals: unknown[] = [];
  readonly writes: number[] = [];
  readonly #network: TestNetwork;
  #own: { readonly head: Head; readonly sync: BlockSync; readonly network: VirtualNetwork } | null = null;
  /** Signatures looked at. */
  verified = 0;

  constructor(network: TestNetwork, seed: number) {
    this.#network = network;
    this.random = new SeededRandom(seed);
    this.air = new VirtualAir(this.time, this.random);
  }

  /** The real one, empty, connected to all peers there are. */
  async start(): Promise<void> {
    const { time, air, random } = this;
    const { chainId } = this.#network;
    const kv = new MemoryKeyValueStore({ beforeWrite: (batch) => void this.writes.push(batch.length) });
    const store = await openChainStore({ kv, sha256 }, this.#network.genesis);
    const head = new Head({ store, sha256, verifier: rememberingVerifier(this.#counting(known)) });
    const network = new VirtualNetwork(air, random.bytes(32));
    const sync = new BlockSync(
      { chainId, nodeId: null },
      {
        head,
        network,
        random,
        clock: time.clock,
        timers: time.timers,
        signer: seedSigner(generateNodeKeys()),
        verifier: ed25519OnTheSpot().verifier,
        log: silent,
        fatal: (error) => this.fatals.push(error),
        onBehind: () => {},
        isAtWork: () => false,
      },
    );
    this.#own = { head, sync, network };
    await network.start();
    sync.start();
  }

  get own(): { readonly head: Head; readonly sync: BlockSync; readonly network: VirtualNetwork } {
    if (this.#own === null) throw new RangeError('expected a follower that was started');
    return this.#own;
  }

  get store(): ChainStore {
    return this.own.head.store;
  }

  async play(script: PeerScript): Promise<PlayedPeer> {
    const network = new VirtualNetwork(this.air, this.random.bytes(32));
    const asked: number[] = [];
    const { chainId } = this.#network;
    const limits = { maxRequestBytes: 1_000, maxConcurrent: 64 };
    const late = (answer: Uint8Array | null): Promise<Uint8Array> =>
      new Promise((resolve) => {
        if (answer !== null) this.time.timers.set(script.answerMs ?? 0, () => resolve(answer));
      });
    network.handle(protocolOf(chainId, 'status'), limits, async () =>
      encode(statusMessage, { height: script.status(), blockId: digestOf('any'), timeMs: 0, nodeId: null }),
    );
    network.handle(protocolOf(chainId, 'blocks'), limits, async (_peer, body) => {
      const request = decode(blocksRequest, body, { maxBytes: 1_000 });
      if (!request.ok) throw new RangeError(request.reason);
      asked.push(request.value.from);
      return await late(script.blocks(request.value.from, request.value.max));
    });
    await network.start();
    return { peerId: network.peerId, network, asked };
  }

  /** What the follower answers this peer. */
  async ask(peer: PlayedPeer, request: { readonly from: number; readonly max: number }): Promise<BlocksResponse> {
    const options = { timeoutMs: 5_000, maxResponseBytes: 10_000_000 };
    const protocol = protocolOf(this.#network.chainId, 'blocks');
    const asking = peer.network.request(this.own.network.peerId, protocol, encode(blocksRequest, request), options);
    let answer: Uint8Array | null = null;
    asking.then((bytes) => (answer = bytes)).catch((error: unknown) => this.fatals.push(error));
    await this.time.until(() => answer !== null, 5_000);
    const read = decode(blocksResponse, answer ?? new Uint8Array(0), { maxBytes: 10_000_000 });
    if (!read.ok) throw new RangeError(read.reason);
    return read.value;
  }

  /** True when the follower got so high within the time, and holds exactly these blocks. */
  async reaches(chain: readonly MadeBlock[], limitMs: number): Promise<boolean> {
    const arrived = await this.time.until(() => this.own.head.height >= chain.length, limitMs);
    return arrived && chain.every(({ block }, index) => this.holds(index + 1, block));
  }

  holds(height: number, block: Block): boolean {
    const id = this.store.blockIdAt(height);
    return id !== null && digestToHex(id) === digestToHex(this.own.head.idOf(block.header));
  }

  /** Who was sent away. */
  punished(): readonly string[] {
    return [...new Set(this.air.penalties.map(({ against }) => against))];
  }

  #counting(verifier: SignatureVerifier): SignatureVerifier {
    return {
      verify: (item) => {
        this.verified += 1;
        return verifier.verify(item);
      },
      verifyMany: (items) => {
        this.verified += items.length;
        return verifier.verifyMany(items);
      },
    };
  }
}

/** Gives the chain as an honest peer does. */
export function honest(chain: readonly MadeBlock[]): PeerScript {
  return { status: () => chain.length, blocks: (from, max) => pageOf(chain, from, max) };
}

/** An answer as an honest peer makes it. */
export function pageOf(chain: readonly MadeBlock[], from: number, max: number): Uint8Array {
  return encode(blocksResponse, { blocks: chain.slice(from - 1, from - 1 + max).map(bytesOf), height: chain.length });
}

/** One memory for all worlds of a test file: most of them see the same chain. */
const known = rememberingVerifier(ed25519OnTheSpot().verifier);
const silent: Logger = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };
