/**
 * What this node has signed in consensus, so that it never signs two different things in one slot. SPEC §11.2: `(height, round, step, bytes,
 * signature)` is on the disk before the signature leaves. May never go back; same slot and bytes → the same signature; anything else → silence.
 */

import { bytes, decode, encode, fixedBytes, type Infer, sameBytes, uint, union } from '../../chain/index.ts';
import { SIGN_STATE_FILE } from '../../genesis/index.ts';
import { invariant } from '../invariant.ts';
import type { FileSystem, Signer } from '../ports.ts';
import { FrameLog } from './frame-log.ts';

const COMPACT_BYTES = 1024 * 1024;
const MAX_PAYLOAD_BYTES = 4096;

const entrySchema = union({
  signed: { height: uint(), round: uint(), step: uint(2), payload: bytes(MAX_PAYLOAD_BYTES), signature: fixedBytes(64) },
  /** This node may have signed, and forgotten it, up to that height. */
  silent: { throughHeight: uint() },
});
type Entry = Infer<typeof entrySchema>;
type SignedSlot = Extract<Entry, { kind: 'signed' }>;

/** Order within a round: a proposal comes before the prevote, and that before the precommit. */
export const SIGN_STEP = { proposal: 0, prevote: 1, precommit: 2 } as const;
export type SignStep = keyof typeof SIGN_STEP;

export interface Slot {
  readonly height: number;
  readonly round: number;
  readonly step: SignStep;
}

export class SignState {
  readonly #files: FileSystem;
  readonly #signer: Signer;
  /** Null until there is something to remember: the file appears with its first entry in it. */
  #log: FrameLog | null;
  #tail: Promise<unknown> = Promise.resolve();
  /** Slots of the highest height signed at, by round and step. */
  #slots: Map<string, SignedSlot>;
  #last: SignedSlot | null;
  #silentThrough = 0;
  readonly #forgotten: boolean;

  private constructor(files: FileSystem, signer: Signer, log: FrameLog | null, entries: readonly Entry[]) {
    this.#files = files;
    this.#signer = signer;
    this.#log = log;
    this.#slots = new Map();
    this.#last = null;
    for (const entry of entries) {
      if (entry.kind === 'signed') this.#remember(entry);
      else this.#silentThrough = Math.max(this.#silentThrough, entry.throughHeight);
    }
    this.#forgotten = this.#last === null && (log === null || entries.length > 0);
  }

  static async open(files: FileSystem, signer: Signer): Promise<SignState> {
    if ((await files.stat(SIGN_STATE_FILE)) === null) return new SignState(files, signer, null, []);
    const { log, bodies } = await FrameLog.open(files, SIGN_STATE_FILE, { startsWhole: true });
    await files.syncFolder('');
    const entries = bodies.map((body) => {
      const entry = decode(entrySchema, body, { maxBytes: MAX_PAYLOAD_BYTES * 2 });
      invariant(entry.ok, 'the sign state holds a sound frame that is no entry');
      return entry.value;
    });
    return new SignState(files, signer, log, entries);
  }

  /**
   * False when the file was missing, now or at an earlier start, and nothing was signed since: this node may have signed what it does not
   * know. An empty file is the memory of having signed nothing; it comes with the keys.
   */
  get remembered(): boolean {
    return !this.#forgotten || this.#last !== null;
  }

  /** Height of the last signature, 0 before the first. */
  get height(): number {
    return this.#last?.height ?? 0;
  }

  /** The node keeps silent up to this height; 0 = it has forgotten nothing. */
  get silentThrough(): number {
    return this.#silentThrough;
  }

  /** Remembers for good to keep silent up to this height; in force at once. */
  async keepSilentThrough(height: number): Promise<void> {
    if (height <= this.#silentThrough) return;
    this.#silentThrough = height;
    await this.#inTurn(() => this.#compact());
  }

  /** What was signed in the slot, or null. Knows the highest height only. */
  signed(slot: Slot): { readonly payload: Uint8Array; readonly signature: Uint8Array } | null {
    return this.#last?.height === slot.height ? (this.#slots.get(slotKey(slot.round, SIGN_STEP[slot.step])) ?? null) : null;
  }

  /** The signature, durable before it is returned; null = stay silent in this slot. `publicKey`: with which of two keys. */
  async sign(slot: Slot, payload: Uint8Array, publicKey?: Uint8Array): Promise<Uint8Array | null> {
    return await this.#inTurn(() => this.#sign(slot, payload, publicKey));
  }

  async close(): Promise<void> {
    await this.#tail.catch(() => undefined);
    await this.#log?.close();
  }

  async #sign(slot: Slot, payload: Uint8Array, publicKey: Uint8Array | undefined): Promise<Uint8Array | null> {
    const known = this.signed(slot);
    if (known !== null) return sameBytes(known.payload, payload) ? known.signature : null;
    if (this.#last !== null && !isAfter(slot, this.#last)) return null;
    const entry: SignedSlot = {
      kind: 'signed',
      height: slot.height,
      round: slot.round,
      step: SIGN_STEP[slot.step],
      payload,
      signature: this.#signer.sign('consensus', payload, publicKey),
    };
    await this.#write(entry);
    this.#remember(entry);
    if ((this.#log?.sizeBytes ?? 0) > COMPACT_BYTES) await this.#compact();
    return entry.signature;
  }

  /** One at a time; after a failure nothing more is written, for nobody knows what the disk holds. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(work);
    this.#tail = turn;
    turn.catch(() => undefined);
    return await turn;
  }

  /** The first entry comes by a rename: bytes without one are rot, and never a write that a crash has torn. */
  async #write(entry: Entry): Promise<void> {
    if (this.#log === null || this.#log.sizeBytes === 0) return await this.#rewrite([entry]);
    this.#log.append(encode(entrySchema, entry));
    await this.#log.sync();
  }

  #remember(entry: SignedSlot): void {
    if (this.#last !== null && entry.height > this.#last.height) this.#slots = new Map();
    this.#slots.set(slotKey(entry.round, entry.step), entry);
    this.#last = entry;
  }

  /** Keeps the slots of the highest height alone, behind the silence, which is then never at the end, where a crash may tear. */
  async #compact(): Promise<void> {
    await this.#rewrite([{ kind: 'silent', throughHeight: this.#silentThrough }, ...this.#slots.values()]);
  }

  /** Makes the file anew by a durable rename: it is there with all of these entries, or it is what it was. */
  async #rewrite(entries: readonly Entry[]): Promise<void> {
    const temporary = `${SIGN_STATE_FILE}.new`;
    await this.#files.remove(temporary);
    const { log } = await FrameLog.open(this.#files, temporary);
    for (const entry of entries) log.append(encode(entrySchema, entry));
    await log.sync();
    await this.#files.rename(temporary, SIGN_STATE_FILE);
    await this.#files.syncFolder('');
    await this.#log?.close();
    this.#log = log;
  }
}

function slotKey(round: number, step: number): string {
  return `${round}/${step}`;
}

function isAfter(slot: Slot, last: SignedSlot): boolean {
  if (slot.height !== last.height) return slot.height > last.height;
  if (slot.round !== last.round) return slot.round > last.round;
  return SIGN_STEP[slot.step] > last.step;
}
