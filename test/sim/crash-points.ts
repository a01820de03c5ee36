/**
 * Stands between a node and its disks and network and calls out every moment at which a death could lose or double something. Who listens
 * may let the process die there: what it waits for then never comes. Changes nothing otherwise.
 */

import type { KeyValueWrite } from '../../chain/store/index.ts';
import { SIGN_STATE_FILE } from '../../genesis/index.ts';
import { topicOf } from '../../src/channels.ts';
import type { FileHandle, FileSystem, Network } from '../../src/ports.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import { MemoryKeyValueStore } from '../world/memory-key-value-store.ts';
import type { VirtualNetwork } from '../world/virtual-network.ts';
import type { VirtualWorld } from '../world/world.ts';
import type { Moment } from './plan.ts';

/** True when the process has died at this moment. */
export type Strike = (moment: Moment) => boolean;

/** Installs itself on a node that does not run yet. */
export function installCrashPoints(world: VirtualWorld, one: Inhabitant, strike: Strike): void {
  const pass = async (moment: Moment): Promise<void> => {
    // A promise of its own: one that all share would hold on to every world that ever waited for it.
    if (strike(moment)) await new Promise<never>(() => {});
  };
  class Store extends MemoryKeyValueStore {
    override async write(batch: readonly KeyValueWrite[]): Promise<void> {
      await pass('before the block is stored');
      await super.write(batch);
      await pass('after the block is stored');
    }
  }
  const { openStore } = one;
  one.openStore = (entries) => {
    const other = openStore(entries);
    return other.constructor === MemoryKeyValueStore ? new Store({}, other.snapshot()) : other;
  };
  one.chainStore = one.openStore(one.chainStore.snapshot());
  class NodeStore extends MemoryKeyValueStore {
    override async write(batch: readonly KeyValueWrite[]): Promise<void> {
      const isWord = batch.some(({ key, value }) => key.startsWith('endorsed|') && value !== null);
      if (isWord) await pass('before the endorsement is written');
      await super.write(batch);
      if (isWord) await pass('after the endorsement is written');
    }
  }
  const { openNodeStore } = one;
  one.openNodeStore = (entries) => {
    const other = openNodeStore(entries);
    return other.constructor === MemoryKeyValueStore ? new NodeStore({}, other.snapshot()) : other;
  };
  one.nodeStore = one.openNodeStore(one.nodeStore.snapshot());
  const { seenFiles, seenNetwork } = one;
  one.seenFiles = (files) => filesWith(seenFiles(files), pass);
  one.seenNetwork = (network) => networkWith(seenNetwork(network), network, { world, strike });
}

function filesWith(below: FileSystem, pass: (moment: Moment) => Promise<void>): FileSystem {
  return {
    ...below,
    open: async (path, mode) => {
      if (path.startsWith('wal/')) {
        await pass('before the log of a height is opened');
        const handle = await below.open(path, mode);
        await pass('after the log of a height is opened');
        return logHandle(handle, pass);
      }
      const handle = await below.open(path, mode);
      return path.startsWith(SIGN_STATE_FILE) ? signStateHandle(handle, pass) : handle;
    },
    remove: async (path) => {
      if (path.startsWith('wal/')) await pass('before the log of an old height is removed');
      await below.remove(path);
    },
  };
}

function logHandle(below: FileHandle, pass: (moment: Moment) => Promise<void>): FileHandle {
  return {
    ...below,
    write: async (data, position) => {
      await pass('before the log is written');
      await below.write(data, position);
      await pass('after the log is written');
    },
    sync: async () => {
      await below.sync();
      await pass('after the log is synced');
    },
  };
}

function signStateHandle(below: FileHandle, pass: (moment: Moment) => Promise<void>): FileHandle {
  return {
    ...below,
    write: async (data, position) => {
      await pass('before the sign state is written');
      await below.write(data, position);
      await pass('after the sign state is written');
    },
    sync: async () => {
      await below.sync();
      await pass('after the sign state is synced');
    },
  };
}

function networkWith(seen: Network, own: VirtualNetwork, deps: { readonly world: VirtualWorld; readonly strike: Strike }): Network {
  const { world, strike } = deps;
  return {
    ...seen,
    publish: async (topic, message) => {
      const what = topic === topicOf(world.chainId, 'vote') ? 'vote' : topic === topicOf(world.chainId, 'proposal') ? 'proposal' : null;
      if (what !== null && strike(`before a ${what} is sent`)) return;
      await seen.publish(topic, message);
      if (what !== null && own.isUp) strike(`after a ${what} is sent`);
    },
  };
}
