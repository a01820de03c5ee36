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
  #log: FrameLog;
  /** Slots of the highest height signed at, by round and step. */
  #slots: Map<string, SignedSlot>;
  #last: SignedSlot | null;
  #silentThrough = 0;
  /** True when the file was there: this node remembers what it signed, be it nothing. */
  readonly remembered: boolean;

  private constructor(files: FileSystem, signer: Signer, log: FrameLog, entries: readonly Entry[], remembered: boolean) {
    this.#files = files;
    this.#signer = signer;
    this.#log = log;
    this.#slots = new Map();
    this.#last = null;
    for (const entry of entries) {
      if (entry.kind === 'signed') this.#remember(entry);
      else this.#silentThrough = Math.max(this.#silentThrough, entry.throughHeight);
    }
    this.remembered = remembered;
  }

  static async open(files: FileSystem, signer: Signer): Promise<SignState> {
    const remembered = (await files.stat(SIGN_STATE_FILE)) !== null;
    const { log, bodies } = await FrameLog.open(files, SIGN_STATE_FILE);
    await files.syncFolder('');
    const entries = bodies.map((body) => {
      const entry = decode(entrySchema, body, { maxBytes: MAX_PAYLOAD_BYTES * 2 });
      invariant(entry.ok, 'the sign state holds a sound frame that is no entry');
      return entry.value;
    });
    return new SignState(files, signer, log, entries, remembered);
  }

  /** Height of the last signature, 0 before the first. */
  get height(): number {
    return this.#last?.height ?? 0;
  }

  /** The node keeps silent up to this height; 0 = it has forgotten nothing. */
  get silentThrough(): number {
    return this.#silentThrough;
  }

  /** Remembers for good to keep silent up to this height. */
  async keepSilentThrough(height: number): Promise<void> {
    if (height <= this.#silentThrough) return;
    this.#silentThrough = height;
    this.#log.append(encode(entrySchema, { kind: 'silent', throughHeight: height }));
    await this.#log.sync();
  }

  /** What was signed in the slot, or null. Knows the highest height only. */
  signed(slot: Slot): { readonly payload: Uint8Array; readonly signature: Uint8Array } | null {
    return this.#last?.height === slot.height ? (this.#slots.get(slotKey(slot.round, SIGN_STEP[slot.step])) ?? null) : null;
  }

  /** The signature, durable before it is returned; null = stay silent in this slot. */
  async sign(slot: Slot, payload: Uint8Array): Promise<Uint8Array | null> {
    const known = this.signed(slot);
    if (known !== null) return sameBytes(known.payload, payload) ? known.signature : null;
    if (this.#last !== null && !isAfter(slot, this.#last)) return null;
    const entry: SignedSlot = {
      kind: 'signed',
      height: slot.height,
      round: slot.round,
      step: SIGN_STEP[slot.step],
      payload,
      signature: this.#signer.sign('consensus', payload),
    };
    this.#remember(entry);
    if (this.#log.sizeBytes > COMPACT_BYTES) await this.#compact();
    this.#log.append(encode(entrySchema, entry));
    await this.#log.sync();
    return entry.signature;
  }

  async close(): Promise<void> {
    await this.#log.close();
  }

  #remember(entry: SignedSlot): void {
    if (this.#last !== null && entry.height > this.#last.height) this.#slots = new Map();
    this.#slots.set(slotKey(entry.round, entry.step), entry);
    this.#last = entry;
  }

  /** Rewrites the file with the slots of the highest height alone, by a durable rename. */
  async #compact(): Promise<void> {
    const temporary = `${SIGN_STATE_FILE}.new`;
    await this.#files.remove(temporary);
    const { log } = await FrameLog.open(this.#files, temporary);
    log.append(encode(entrySchema, { kind: 'silent', throughHeight: this.#silentThrough }));
    for (const entry of this.#slots.values()) log.append(encode(entrySchema, entry));
    await log.sync();
    await this.#files.rename(temporary, SIGN_STATE_FILE);
    await this.#files.syncFolder('');
    await this.#log.close();
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
