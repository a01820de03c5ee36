/**
 * Stands between a real node and its disks and calls out every moment at which a death could lose or double something: before, within and
 * after each write that a promise rests on. The counterpart, on real files, of test/sim/crash-points.ts. Changes nothing but who waits.
 */

import { decode } from '@ipld/dag-cbor';
import { nodeIdOf, sameBytes } from '../../chain/index.ts';
import { SIGN_STATE_FILE } from '../../genesis/index.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { FileHandle, FileSystem, KeyValueStore, World } from '../../src/ports.ts';

export const CRASH_POINTS = [
  'before an own vote is logged',
  'halfway through the log of an own vote',
  'after an own vote is logged',
  'before an own block is logged',
  'after an own block is logged',
  'before the sign state is written',
  'halfway through the sign state',
  'after the sign state is written',
  'after the sign state is synced',
  'before block and state are stored',
  'after block and state are stored',
  'before the log of an old height is removed',
  'after the log of an old height is removed',
  'before a file is stored',
  'after a file is stored',
  'after the folder of a file is synced',
  'before an endorsement is written',
  'after an endorsement is written',
] as const;

export type CrashPoint = (typeof CRASH_POINTS)[number];

/** Called at each point, every time; whoever ends the process there never returns. */
export type Strike = (point: CrashPoint) => void;

/** The world as the doomed node sees it. */
export function doomedWorld(world: World, strike: Strike): World {
  const nodeId = nodeIdOf(sha256, world.signer.publicKey('network'));
  return {
    ...world,
    files: logsWith(world.files, (data) => ownWordsIn(data, nodeId), strike),
    storage: storageWith(world.storage, strike),
    chainStore: storeWith(world.chainStore, strike, {
      concerns: () => true,
      before: 'before block and state are stored',
      after: 'after block and state are stored',
    }),
    nodeStore: storeWith(world.nodeStore, strike, {
      concerns: ({ key, value }) => key.startsWith('endorsed|') && value !== null,
      before: 'before an endorsement is written',
      after: 'after an endorsement is written',
    }),
  };
}

/** What of this node's own a piece of the write-ahead log holds. */
interface OwnWords {
  readonly vote: boolean;
  readonly block: boolean;
}

type Frame = { readonly kind: string; readonly vote?: { readonly nodeId: Uint8Array }; readonly block?: { readonly header: Header } };
type Header = { readonly proposer: Uint8Array };

/** SPEC §11.1: frames of a length, a checksum and a body. */
function ownWordsIn(data: Uint8Array, nodeId: Uint8Array): OwnWords {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let found: OwnWords = { vote: false, block: false };
  for (let offset = 0; offset + 8 <= data.length; offset += 8 + view.getUint32(offset)) {
    const frame = decode<Frame>(data.subarray(offset + 8, offset + 8 + view.getUint32(offset)));
    const vote = frame.kind === 'vote' && frame.vote !== undefined && sameBytes(frame.vote.nodeId, nodeId);
    const block = frame.kind === 'value' && frame.block !== undefined && sameBytes(frame.block.header.proposer, nodeId);
    found = { vote: found.vote || vote, block: found.block || block };
  }
  return found;
}

function logsWith(below: FileSystem, wordsIn: (data: Uint8Array) => OwnWords, strike: Strike): FileSystem {
  return {
    ...below,
    open: async (path, mode) => {
      const handle = await below.open(path, mode);
      if (path.startsWith('wal/')) return logHandle(handle, wordsIn, strike);
      return path.startsWith(SIGN_STATE_FILE) ? signStateHandle(handle, strike) : handle;
    },
    remove: async (path) => {
      const isLog = path.startsWith('wal/');
      if (isLog) strike('before the log of an old height is removed');
      await below.remove(path);
      if (isLog) strike('after the log of an old height is removed');
    },
  };
}

function logHandle(below: FileHandle, wordsIn: (data: Uint8Array) => OwnWords, strike: Strike): FileHandle {
  let written: OwnWords = { vote: false, block: false };
  return {
    ...below,
    write: async (data, position) => {
      written = wordsIn(data);
      if (written.vote) strike('before an own vote is logged');
      if (written.block) strike('before an own block is logged');
      await below.write(firstHalf(data), position);
      if (written.vote) strike('halfway through the log of an own vote');
      await below.write(secondHalf(data), position + firstHalf(data).length);
    },
    sync: async () => {
      await below.sync();
      if (written.vote) strike('after an own vote is logged');
      if (written.block) strike('after an own block is logged');
      written = { vote: false, block: false };
    },
  };
}

function signStateHandle(below: FileHandle, strike: Strike): FileHandle {
  return {
    ...below,
    write: async (data, position) => {
      strike('before the sign state is written');
      await below.write(firstHalf(data), position);
      strike('halfway through the sign state');
      await below.write(secondHalf(data), position + firstHalf(data).length);
      strike('after the sign state is written');
    },
    sync: async () => {
      await below.sync();
      strike('after the sign state is synced');
    },
  };
}

function firstHalf(data: Uint8Array): Uint8Array {
  return data.subarray(0, data.length >> 1);
}

function secondHalf(data: Uint8Array): Uint8Array {
  return data.subarray(data.length >> 1);
}

function storageWith(below: FileSystem, strike: Strike): FileSystem {
  const isStored = (path: string): boolean => path.startsWith('blobs/') && !path.endsWith('.leaves');
  return {
    ...below,
    rename: async (from, to) => {
      if (isStored(to)) strike('before a file is stored');
      await below.rename(from, to);
      if (isStored(to)) strike('after a file is stored');
    },
    syncFolder: async (folder) => {
      await below.syncFolder(folder);
      if (/^blobs\/.*\/[0-9a-f]{2}$/.test(folder)) strike('after the folder of a file is synced');
    },
  };
}

type Write = Parameters<KeyValueStore['write']>[0][number];

function storeWith(
  below: KeyValueStore,
  strike: Strike,
  points: { readonly concerns: (write: Write) => boolean; readonly before: CrashPoint; readonly after: CrashPoint },
): KeyValueStore {
  return {
    get: (key) => below.get(key),
    range: (range) => below.range(range),
    write: async (batch) => {
      const isConcerned = batch.some(points.concerns);
      if (isConcerned) strike(points.before);
      await below.write(batch);
      if (isConcerned) strike(points.after);
    },
    close: () => below.close(),
  };
}
