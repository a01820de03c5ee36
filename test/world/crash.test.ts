/**
 * A node dies at each point between hearing and saying where the order of persisting and sending matters, and comes back: it never signs
 * two different things in one slot, all agree, and the network goes on. SPEC §11.
 */

import t from 'tap';
import { encode, sealedTransaction } from '../../chain/index.ts';
import type { KeyValueWrite } from '../../chain/store/index.ts';
import { SIGN_STATE_FILE } from '../../genesis/index.ts';
import type { FileHandle, FileSystem } from '../../src/ports.ts';
import type { Inhabitant } from './inhabitant.ts';
import { MemoryKeyValueStore } from './memory-key-value-store.ts';
import { disagreement, fatals, watchSignatures } from './watch.ts';
import { VirtualWorld } from './world.ts';

const MINUTE_MS = 60_000;

/** What a dead process waits for. */
const NEVER = new Promise<never>(() => {});

/** Dies at the `nth` time that the moment comes. */
interface Death {
  readonly moment: string;
  readonly nth: number;
  readonly victim: number;
}

class Killer {
  readonly #world: VirtualWorld;
  readonly #victim: Inhabitant;
  #left: number;
  readonly #moment: string;
  struck = false;

  constructor(world: VirtualWorld, victim: Inhabitant, death: Death) {
    this.#world = world;
    this.#victim = victim;
    this.#left = death.nth;
    this.#moment = death.moment;
  }

  /** Resolves at once, or never. */
  async pass(moment: string): Promise<void> {
    if (moment !== this.#moment || this.struck) return;
    this.#left -= 1;
    if (this.#left > 0) return;
    this.struck = true;
    this.#world.crash(this.#victim);
    await NEVER;
  }

  files(below: FileSystem): FileSystem {
    return {
      ...below,
      open: async (path, mode) => {
        const isLog = path.startsWith('wal/');
        if (isLog) await this.pass('before the log of a height is opened');
        const handle = await below.open(path, mode);
        if (isLog) await this.pass('after the log of a height is opened');
        return isLog ? this.#handle(handle, 'log') : path.startsWith(SIGN_STATE_FILE) ? this.#handle(handle, 'sign state') : handle;
      },
      remove: async (path) => {
        if (path.startsWith('wal/')) await this.pass('before the log of an old height is removed');
        await below.remove(path);
      },
    };
  }

  #handle(below: FileHandle, name: string): FileHandle {
    return {
      ...below,
      write: async (data, position) => {
        await this.pass(`before the ${name} is written`);
        await below.write(data, position);
        await this.pass(`after the ${name} is written`);
      },
      sync: async () => {
        await below.sync();
        await this.pass(`after the ${name} is synced`);
      },
    };
  }

  store(entries: ReadonlyMap<string, Uint8Array>): MemoryKeyValueStore {
    const pass = (moment: string): Promise<void> => this.pass(moment);
    class Store extends MemoryKeyValueStore {
      override async write(batch: readonly KeyValueWrite[]): Promise<void> {
        await pass('before the block is stored');
        await super.write(batch);
        await pass('after the block is stored');
      }
    }
    return new Store({}, entries);
  }
}

const MOMENTS = [
  'before the log is written',
  'after the log is written',
  'after the log is synced',
  'before the sign state is written',
  'after the sign state is written',
  'after the sign state is synced',
  'before the block is stored',
  'after the block is stored',
  'before the log of a height is opened',
  'after the log of a height is opened',
  'before the log of an old height is removed',
] as const;

interface Run {
  readonly problem: string | null;
  readonly struck: boolean;
}

async function run(seed: number, death: Death): Promise<Run> {
  const world = new VirtualWorld({ seed, authorities: 4, mirrors: 0 });
  const watch = watchSignatures(world);
  await world.startAll();
  const victim = world.inhabitants[death.victim];
  if (victim === undefined) throw new RangeError('no such victim');
  // Armed with its second life, which replays what the first has left.
  world.crash(victim);
  const killer = new Killer(world, victim, death);
  victim.seenFiles = (files) => killer.files(files);
  victim.chainStore = killer.store(victim.chainStore.snapshot());
  const start = world.start(victim);
  await Promise.race([start, world.time.advance(1)]);
  for (let height = 1; height <= 4; height += 1) {
    for (const one of world.inhabitants) void one.node?.operations.submit(encode(sealedTransaction, world.sealed(`1.${height}.0`)));
    await world.time.until(() => world.heights().every((one) => one >= height), 20_000);
    if (victim.node !== null || !killer.struck) continue;
    victim.seenFiles = (files) => files;
    await world.start(victim);
  }
  if (victim.node === null) {
    victim.seenFiles = (files) => files;
    await world.start(victim);
  }
  for (const one of world.inhabitants) void one.node?.operations.submit(encode(sealedTransaction, world.sealed('2.0.0')));
  const healed = await world.time.until(
    () =>
      world.heights().length === 4 &&
      new Set(world.heights()).size === 1 &&
      world.running.every((node) => node.head.store.counts.artifacts === 5),
    3 * MINUTE_MS,
  );
  const problem = watch.doubles[0] ?? disagreement(world) ?? fatals(world)[0] ?? (healed ? null : `not healed: ${world.heights().join()}`);
  await world.close();
  return { problem, struck: killer.struck };
}

for (const moment of MOMENTS) {
  t.test(`a node dies ${moment}`, async (t) => {
    let struck = 0;
    for (let nth = 1; nth <= 3; nth += 1) {
      const one = await run(500 + nth, { moment, nth, victim: nth % 4 });
      t.equal(one.problem, null, `time ${nth}`);
      struck += one.struck ? 1 : 0;
    }
    t.ok(struck >= 2, `it died ${struck} times of 3`);
  });
}
