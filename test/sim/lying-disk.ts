/**
 * A disk that says it has synced before it has: after a power cut the last moments of the log, the sign state and the chain are gone, and
 * nothing that is left says so. Whoever has one may sign twice without knowing it, and counts as a liar.
 */

import type { FileHandle } from '../../src/ports.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import { MemoryKeyValueStore } from '../world/memory-key-value-store.ts';
import type { SeededRandom } from '../world/seeded-random.ts';
import type { VirtualWorld } from '../world/world.ts';

/** Mean time after which a file is on the disk. */
const LATE_MS = 1_000;
/** Time between two states of the chain of which the older one survives. */
const STATES_MS = 1_500;

/** Gives such a disk to a node that does not run yet. */
export function putOnLyingDisk(world: VirtualWorld, one: Inhabitant, random: SeededRandom): void {
  const { timers } = world.time;
  const late = (sync: () => Promise<void>) => async (): Promise<void> => {
    // A handle closed meanwhile never gets there: that is lost too.
    timers.set(random.exponential(LATE_MS), () => void sync().catch(() => {}));
  };
  one.seenFiles = (files) => ({
    ...files,
    open: async (path, mode): Promise<FileHandle> => {
      const handle = await files.open(path, mode);
      return { ...handle, sync: late(handle.sync) };
    },
    syncFolder: (folder) => late(() => files.syncFolder(folder))(),
  });
  let older: ReadonlyMap<string, Uint8Array> | null = null;
  const remember = (): void => {
    if (one.node !== null) older = one.chainStore.snapshot();
    timers.set(STATES_MS, remember);
  };
  remember();
  one.openStore = (entries) => new MemoryKeyValueStore({}, random.chance(0.5) ? (older ?? entries) : entries);
}
