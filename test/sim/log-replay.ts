/**
 * What a node would make of its write-ahead log if it died now: the bytes that are surely on its disk, read and replayed through the pure
 * machine. Touches nothing of the running node.
 */

import { digestToHex, type SignedVote } from '../../chain/index.ts';
import { createMachine, step } from '../../consensus/index.ts';
import { Wal } from '../../src/agreement/wal.ts';
import type { FileHandle, FileSystem } from '../../src/ports.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import { saidValue } from './vote-invariants.ts';

/** What was said in a slot, and what the replay casts there; null when the height is over or the machine had the vote from others. */
export async function replayOf(one: Inhabitant, vote: SignedVote): Promise<{ readonly said: string; readonly replayed: string } | null> {
  const machine = one.node?.engine?.machine;
  const path = `wal/${String(vote.height).padStart(16, '0')}.wal`;
  const durable = one.files.durable(path)?.slice() ?? null;
  if (machine === undefined || machine.height !== vote.height || durable === null) return null;
  const read = await Wal.open(frozen(durable), vote.height).catch((error: unknown) => String(error));
  if (typeof read === 'string') return { said: saidValue(vote), replayed: read };
  let replayed = 'nothing';
  let state = createMachine({ height: machine.height, validators: machine.validators, self: machine.self, timeouts: machine.timeouts });
  for (const entry of read.replay) {
    if (entry.kind === 'value') continue;
    const { input } = entry;
    // Its own vote of an earlier life, in its own log.
    if (input.kind === 'vote' && input.vote.nodeId === digestToHex(vote.nodeId) && isSlot(input.vote, vote))
      replayed = input.vote.valueId ?? 'nil';
    const [next, outputs] = step(state, input);
    state = next;
    for (const output of outputs) if (output.kind === 'castVote' && isSlot(output, vote)) replayed = output.valueId ?? 'nil';
  }
  return { said: saidValue(vote), replayed };
}

function isSlot(cast: { readonly type: string; readonly round: number }, vote: SignedVote): boolean {
  return cast.type === vote.type && cast.round === vote.round;
}

/** A disk that holds one file and keeps no change. */
function frozen(bytes: Uint8Array): FileSystem {
  const nothing = async (): Promise<void> => {};
  const handle: FileHandle = {
    read: async () => 0,
    write: nothing,
    truncate: nothing,
    stat: async () => ({ sizeBytes: bytes.length, modifiedMs: 0, changedMs: 0, inode: 1 }),
    sync: nothing,
    close: nothing,
  };
  return {
    open: async () => handle,
    readFile: async () => bytes,
    stat: async () => null,
    list: async () => [],
    makeFolder: nothing,
    rename: nothing,
    remove: nothing,
    syncFolder: nothing,
  };
}
