/**
 * Where a node keeps silent because it may have forgotten what it signed. SPEC §11.2. Everything here only ever silences: the sign state
 * alone decides what a slot may bear. An operator's `consensus.signFromHeight` takes the place of all of it.
 */

import type { Digest } from '../../chain/index.ts';
import type { Head } from '../ledger/head.ts';
import type { Logger } from '../ports.ts';
import type { SignState } from './sign-state.ts';

/** How far back a start looks for own signatures on the chain. */
const CERTIFICATES_LOOKED_AT = 100;

export interface CautionOptions {
  readonly nodeId: Digest;
  /** An operator's word that nothing was signed from this height on; null = the sign state decides. */
  readonly signFromHeight: number | null;
}

export interface CautionDeps {
  readonly signState: SignState;
  readonly head: Head;
  readonly log: Logger;
}

export class Caution {
  readonly #options: CautionOptions;
  readonly #deps: CautionDeps;

  constructor(options: CautionOptions, deps: CautionDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Below this height the node does not sign. */
  get signFromHeight(): number {
    return this.#options.signFromHeight ?? this.#deps.signState.silentThrough + 1;
  }

  /** `logged`: entries of the write-ahead log of the height after the head. */
  async atStart(logged: number): Promise<void> {
    await this.foundBehind(this.#deps.head.height);
    if (this.#options.signFromHeight !== null) return;
    await this.#doubtOldSignState();
    await this.#doubtEmptyLog(logged);
  }

  /** Others are at that height. A node that started without a sign state may have voted up to the next one. */
  async foundBehind(height: number): Promise<void> {
    const { signState, log } = this.#deps;
    if (signState.remembered || height < signState.silentThrough) return;
    log.warn({ throughHeight: height + 1 }, 'no sign state was found: this node keeps silent where it may have voted before');
    await signState.keepSilentThrough(height + 1);
  }

  /** The chain bears a newer signature of this node than its sign state: that was emptied, or put back from an old copy. */
  async #doubtOldSignState(): Promise<void> {
    const { signState, head, log } = this.#deps;
    if (signState.silentThrough > head.height) return;
    const newest = head.newestSignatureOf(this.#options.nodeId, CERTIFICATES_LOOKED_AT);
    if (newest <= signState.height) return;
    const fields = { height: newest, throughHeight: head.height + 1 };
    log.error(fields, 'the sign state is older than a signature of this node on the chain: it keeps silent');
    await signState.keepSilentThrough(head.height + 1);
  }

  /**
   * What a vote followed from is on the disk before the vote: a height that was signed at and has no log has lost it, and with it a lock
   * that this node may be bound by.
   */
  async #doubtEmptyLog(logged: number): Promise<void> {
    const { signState, head, log } = this.#deps;
    if (logged > 0 || signState.height <= head.height) return;
    log.error({ throughHeight: signState.height }, 'the write-ahead log of a height this node signed at is gone: it keeps silent there');
    await signState.keepSilentThrough(signState.height);
  }
}
