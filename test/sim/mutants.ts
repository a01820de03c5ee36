/**
 * Networks that are broken on purpose, one for each invariant: a disk that forgets, a courier that hurries, two liars too many. An alarm
 * that has never been heard is none. Some are broken in a part of a node, by the ports it is given; where no port reaches the part, what
 * the invariants are shown is falsified.
 */

import {
  asDigest,
  type Block,
  type BlockHeader,
  blocksResponse,
  commitCertificate,
  decode,
  encode,
  MAX_BLOCKS_RESPONSE_BYTES,
  MAX_CERTIFICATE_BYTES,
  PROTOCOL_VERSION,
  type SealedTransaction,
} from '../../chain/index.ts';
import { SIGN_STATE_FILE } from '../../genesis/index.ts';
import { protocolOf, topicOf } from '../../src/channels.ts';
import { Mempool } from '../../src/claims/mempool.ts';
import type { FileHandle, FileSystem, Network } from '../../src/ports.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import { MemoryKeyValueStore } from '../world/memory-key-value-store.ts';
import { SeededRandom } from '../world/seeded-random.ts';
import type { VirtualNetwork } from '../world/virtual-network.ts';
import type { VirtualWorld } from '../world/world.ts';
import type { Fact, Lens } from './facts.ts';
import { corrupt } from './liars.ts';
import { putOnLyingDisk } from './lying-disk.ts';
import { type Fault, type Moment, type Plan, range } from './plan.ts';

export interface Mutant {
  readonly name: string;
  /** The invariant that must see it. */
  readonly trips: string;
  readonly plan?: Partial<Plan>;
  readonly lens?: () => Lens;
  /** Returns what takes it back, where it outlives the world. */
  readonly mutate?: (world: VirtualWorld) => undefined | (() => void);
}

const CALM: Partial<Plan> = {
  authorities: 4,
  mirrors: 0,
  liars: [],
  faults: [],
  signatures: 'keyed hash',
  pace: 0.3,
  loadMs: 200,
  rivals: 0,
  removalsMs: 0,
  changes: [],
  removeGuilty: false,
  upgrade: null,
  stormMs: 20_000,
};

/** The plan that all mutants share but for what they change. */
export function mutantPlan(base: Plan, mutant: Mutant): Plan {
  const weather = { law: 'exponential', meanMs: 5, loss: 0, duplication: 0, reordering: 0 } as const;
  return { ...base, weather, ...CALM, ...mutant.plan };
}

function death(moment: Moment, nth = 1): Fault {
  return { atMs: 0, forMs: 300, action: { kind: 'crash at', node: 0, moment, nth } };
}

const CRASHES: readonly Fault[] = range(12).map((index) => ({ ...death('after a vote is sent'), atMs: 1_000 + index * 1_500 }));

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'twice as many liars as are borne, in two halves',
    trips: 'agreement',
    plan: {
      liars: [
        { node: 0, kind: 'twin' },
        { node: 1, kind: 'twin' },
      ],
      faults: [{ atMs: 0, forMs: 15_000, action: { kind: 'partition', left: [0, 1, 2] } }],
    },
  },
  {
    name: 'a disk that holds another block than was decided',
    trips: 'agreement',
    plan: { faults: CRASHES },
    lens: () => (fact) => {
      if (fact.kind !== 'started' || fact.tip.height === 0) return [fact];
      return [{ ...fact, tip: { ...fact.tip, blocks: new Map([[fact.tip.height, 'another']]) } }];
    },
  },
  {
    name: 'a state with one bit wrong',
    trips: 'equal state',
    lens: () => changed('committed', 9, (fact) => ({ ...fact, stateRoot: rot(fact.stateRoot) })),
  },
  {
    name: 'a header that keeps the old set',
    trips: 'sets follow the chain',
    lens: () => headerOf(9, (header) => ({ ...header, nextSetDigest: rot(header.nextSetDigest) })),
  },
  {
    name: 'a block of another version',
    trips: 'version follows the chain',
    lens: () => headerOf(9, (header) => ({ ...header, version: header.version + 1 })),
  },
  {
    name: 'old software that votes on',
    trips: 'version follows the chain',
    plan: { upgrade: { atMs: 1_000, ahead: 0, late: [], forMs: 0 } },
    lens: () => changed('started', 1, (fact) => ({ ...fact, knownVersion: PROTOCOL_VERSION })),
  },
  { name: 'a store that loses the last block', trips: 'integrity', plan: { faults: CRASHES }, mutate: forgetfulStore },
  {
    name: 'a block on another parent',
    trips: 'hash links',
    lens: () => headerOf(9, (header) => ({ ...header, previousBlockId: rot(header.previousBlockId) })),
  },
  { name: 'a transaction from nowhere', trips: 'validity', lens: () => (fact) => (fact.kind === 'submitted' ? [] : [fact]) },
  { name: 'a block out of turn', trips: 'validity', lens: () => headerOf(9, (header) => ({ ...header, round: header.round + 1 })) },
  { name: 'a block as old as its parent', trips: 'validity', lens: () => headerOf(9, (header) => ({ ...header, timeMs: 1 })) },
  {
    name: 'a block of nothing',
    trips: 'validity',
    lens: () => changed('committed', 9, (fact) => ({ ...fact, block: { ...fact.block, transactions: [], evidence: [] } })),
  },
  { name: 'a claim in two blocks', trips: 'validity', lens: repeatedClaims },
  {
    name: 'the certificate of another block',
    trips: 'sound certificates',
    lens: () =>
      changed('committed', 9, (fact) => ({ ...fact, certificate: { ...fact.certificate, blockId: rot(fact.certificate.blockId) } })),
  },
  {
    name: 'a verifier that believes everything, and peers that forge certificates',
    trips: 'sound certificates',
    plan: { faults: CRASHES.map((fault) => ({ ...fault, forMs: 3_000, action: { kind: 'crash', node: 0 } })) },
    mutate: (world) => {
      const verifyMany = async (items: readonly unknown[]): Promise<readonly boolean[]> => items.map(() => true);
      Object.assign(world.verifier, { verify: async () => true, verifyMany });
      return withNetwork([1, 2, 3], forging)(world);
    },
  },
  {
    name: 'a sign state and a log that forget',
    trips: 'single signature',
    plan: {
      faults: range(60).map((index) => ({ ...death('after a vote is sent'), atMs: 300 * index, forMs: 20 })),
      weather: { law: 'exponential', meanMs: 300, loss: 0.3, duplication: 0, reordering: 0.3 },
      pace: 0.1,
    },
    mutate: withFiles(forgetful),
  },
  {
    name: 'a node without locks',
    trips: 'lock discipline',
    mutate: (world) => first(world, (one) => corrupt(world, one, { kind: 'amnesiac', random: new SeededRandom(1) })),
  },
  {
    name: 'a sign state that is never synced',
    trips: 'synced before sent',
    mutate: withFiles((files) => withHandles(files, SIGN_STATE_FILE, (handle) => ({ ...handle, sync: async () => {} }))),
  },
  {
    name: 'a disk that says too early that it has synced',
    trips: 'synced before sent',
    mutate: (world) => first(world, (one) => putOnLyingDisk(world, one, new SeededRandom(1))),
  },
  {
    name: 'a log that loses every second write',
    trips: 'replay equals memory',
    mutate: withFiles(leaky),
  },
  {
    name: 'a process that forgets its lock',
    trips: 'replay equals memory',
    // The second vote of a height is the precommit.
    plan: { faults: range(12).map((index) => ({ ...death('after a vote is sent', 2), atMs: 1_000 + index * 1_500, forMs: 20 })) },
    lens: () => (fact) => [fact.kind === 'started' && fact.lock !== null ? { ...fact, lock: { ...fact.lock, round: -1 } } : fact],
  },
  {
    name: 'a height that goes back',
    trips: 'monotone',
    lens: () => changed('position', 50, (fact) => ({ ...fact, height: fact.height - 1 })),
  },
  {
    name: 'a second machine with the keys of an honest node',
    trips: 'only the guilty accused',
    plan: { stormMs: 60_000, weather: { law: 'exponential', meanMs: 150, loss: 0.2, duplication: 0, reordering: 0.3 }, pace: 0.1 },
    mutate: (world) => first(world, (one) => void world.addTwin(one)),
  },
  {
    name: 'a node that forgets what it has endorsed',
    trips: 'single endorsement',
    plan: { removalsMs: 500 },
    mutate: (world) => first(world, forgetEndorsements),
  },
  { name: 'timers that nobody ends', trips: 'bounded queues', mutate: endlessTimers },
  { name: 'a chain that can no longer be written', trips: 'no failure', mutate: (world) => first(world, failingStore) },
  {
    name: 'a node that garbles what it sends',
    trips: 'no honest node sent away',
    mutate: withNetwork([0], garbling),
  },
  {
    name: 'an answer that comes before the commit',
    trips: 'nothing acknowledged lost',
    lens: () => changed('acknowledged', 3, (fact) => ({ ...fact, id: '00'.repeat(32) })),
  },
  {
    name: 'two of four without a voice',
    trips: 'progress',
    mutate: withNetwork([0, 1], mute),
  },
  { name: 'rounds without end', trips: 'prompt decision', lens: () => changed('healed', 1, (fact) => ({ ...fact, rounds: 99 })) },
  {
    name: 'a mirror that cannot ask',
    trips: 'convergence',
    plan: { mirrors: 1, heights: 5, loadMs: 3_000 },
    mutate: withNetwork([4], unanswered),
  },
  { name: 'proposers that leave out every second transaction', trips: 'claims committed', mutate: choosyProposers },
];

/** Shows the `nth` fact of a kind changed. */
function changed<K extends Fact['kind']>(kind: K, nth: number, change: (fact: Extract<Fact, { kind: K }>) => Fact): Lens {
  let seen = 0;
  return (fact) => {
    if (fact.kind !== kind) return [fact];
    seen += 1;
    return seen === nth ? [change(fact as Extract<Fact, { kind: K }>)] : [fact];
  };
}

function headerOf(nth: number, change: (header: BlockHeader) => BlockHeader): Lens {
  return changed('committed', nth, (fact) => ({ ...fact, block: { ...fact.block, header: change(fact.block.header) } }));
}

/** Every block shows what the first one with transactions held. */
function repeatedClaims(): Lens {
  let held: Block['transactions'] = [];
  return (fact) => {
    if (fact.kind !== 'committed') return [fact];
    if (held.length === 0) held = fact.block.transactions;
    return [{ ...fact, block: { ...fact.block, transactions: held } }];
  };
}

function rot(digest: Uint8Array): ReturnType<typeof asDigest> {
  const bytes = digest.slice();
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  return asDigest(bytes);
}

function first(world: VirtualWorld, change: (one: Inhabitant) => void): undefined {
  const [one] = world.inhabitants;
  if (one !== undefined) change(one);
}

function withFiles(change: (files: FileSystem) => FileSystem): (world: VirtualWorld) => undefined {
  return (world) =>
    first(world, (one) => {
      one.seenFiles = change;
    });
}

function withNetwork(
  nodes: readonly number[],
  change: (world: VirtualWorld, network: VirtualNetwork) => Network,
): (world: VirtualWorld) => undefined {
  return (world) => {
    for (const node of nodes) {
      const one = world.inhabitants[node];
      if (one !== undefined) one.seenNetwork = (network) => change(world, network);
    }
  };
}

function withHandles(files: FileSystem, prefix: string, change: (handle: FileHandle) => FileHandle): FileSystem {
  return {
    ...files,
    open: async (path, mode) => {
      const handle = await files.open(path, mode);
      return path.startsWith(prefix) ? change(handle) : handle;
    },
  };
}

/** Every process finds an empty sign state and an empty log. */
function forgetful(files: FileSystem): FileSystem {
  const isForgotten = (path: string): boolean => path === SIGN_STATE_FILE || path.startsWith('wal/');
  return {
    ...files,
    readFile: async (path) => (isForgotten(path) ? new Uint8Array() : await files.readFile(path)),
    open: async (path, mode) => {
      const handle = await files.open(path, mode);
      if (isForgotten(path)) await handle.truncate(0);
      return handle;
    },
  };
}

function leaky(files: FileSystem): FileSystem {
  let writes = 0;
  return withHandles(files, 'wal/', (handle) => ({
    ...handle,
    write: async (data, position) => {
      writes += 1;
      if (writes % 2 === 0) await handle.write(data, position);
    },
  }));
}

function forgetfulStore(world: VirtualWorld): undefined {
  return first(world, (one) => {
    let before: ReadonlyMap<string, Uint8Array> | null = null;
    class Forgetful extends MemoryKeyValueStore {
      override async write(batch: Parameters<MemoryKeyValueStore['write']>[0]): Promise<void> {
        before = this.snapshot();
        await super.write(batch);
      }
    }
    one.openStore = (entries) => new Forgetful({}, before ?? entries);
    one.chainStore = one.openStore(one.chainStore.snapshot());
  });
}

function forgetEndorsements(one: Inhabitant): void {
  class Forgetful extends MemoryKeyValueStore {
    override get(key: string): Uint8Array | null {
      return key.startsWith('endorsed|') ? null : super.get(key);
    }
  }
  one.openNodeStore = (entries) => new Forgetful({}, entries);
  one.nodeStore = one.openNodeStore(new Map());
}

function failingStore(one: Inhabitant): void {
  let writes = 0;
  const beforeWrite = (): void => {
    writes += 1;
    if (writes > 5) throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
  };
  class Failing extends MemoryKeyValueStore {}
  one.openStore = (entries) => new Failing({ beforeWrite }, entries);
  one.chainStore = one.openStore(one.chainStore.snapshot());
}

function endlessTimers(world: VirtualWorld): undefined {
  const more = (): void => {
    for (let index = 0; index < 10_000; index += 1) world.time.timers.set(1e9, () => {});
    world.time.timers.set(1_000, more);
  };
  more();
}

function garbling(world: VirtualWorld, network: VirtualNetwork): Network {
  return {
    ...network,
    publish: async (topic, message) => {
      const garbled = message.slice();
      if (topic === topicOf(world.chainId, 'vote')) garbled[garbled.length - 40] = (garbled[garbled.length - 40] ?? 0) ^ 1;
      await network.publish(topic, garbled);
    },
  };
}

/** Block sync answers bear certificates of nothing. */
function forging(world: VirtualWorld, network: VirtualNetwork): Network {
  const forged = (certificate: Uint8Array): Uint8Array => {
    const read = decode(commitCertificate, certificate, { maxBytes: MAX_CERTIFICATE_BYTES });
    if (!read.ok) return certificate;
    const signatures = read.value.signatures.map((one) => ({ ...one, signature: new Uint8Array(64) }));
    return encode(commitCertificate, { ...read.value, signatures });
  };
  return {
    ...network,
    handle: (protocol, limits, handler) => {
      if (protocol !== protocolOf(world.chainId, 'blocks')) network.handle(protocol, limits, handler);
      else
        network.handle(protocol, limits, async (peer, body) => {
          const read = decode(blocksResponse, await handler(peer, body), { maxBytes: MAX_BLOCKS_RESPONSE_BYTES });
          if (!read.ok) throw new Error(read.reason);
          const blocks = read.value.blocks.map((one) => ({ ...one, certificate: forged(one.certificate) }));
          return encode(blocksResponse, { ...read.value, blocks });
        });
    },
  };
}

function mute(_world: VirtualWorld, network: VirtualNetwork): Network {
  return { ...network, publish: async () => {}, handle: () => {} };
}

function unanswered(world: VirtualWorld, network: VirtualNetwork): Network {
  return {
    ...network,
    request: async (peer, protocol, body, options) => {
      if (protocol === protocolOf(world.chainId, 'blocks')) throw new Error('nobody answers');
      return await network.request(peer, protocol, body, options);
    },
  };
}

function choosyProposers(): () => void {
  const whole = Object.getOwnPropertyDescriptor(Mempool.prototype, 'pick');
  const pick: unknown = whole?.value;
  if (whole === undefined || typeof pick !== 'function') throw new TypeError('expected the mempool to pick');
  const isTaken = ({ claims: [claim] }: SealedTransaction): boolean =>
    claim?.kind === 'AddArtifact' && Number(claim.coordinates.version.split('.')[1]) % 2 === 0;
  Object.defineProperty(Mempool.prototype, 'pick', {
    ...whole,
    value(...bounds: unknown[]): readonly SealedTransaction[] {
      return (pick.apply(this, bounds) as readonly SealedTransaction[]).filter(isTaken);
    },
  });
  return () => {
    Object.defineProperty(Mempool.prototype, 'pick', whole);
  };
}
