/**
 * Which of this node's consensus keys speaks when: the one that the set of that height names, be it the key in use or the next one, which a
 * rotation puts in its place. So the switch is at the very height that the chain says, over restarts too. Never signs with a key that the
 * set doesn't name.
 */

import { type Digest, nodeKeyAt, nodeOf } from '../../chain/index.ts';
import type { Signer } from '../ports.ts';
import type { Head } from './head.ts';

export class OwnKeys {
  readonly #head: Head;
  readonly #signer: Signer;
  readonly #nodeId: Digest;

  constructor(deps: { readonly head: Head; readonly signer: Signer; readonly nodeId: Digest }) {
    this.#head = deps.head;
    this.#signer = deps.signer;
    this.#nodeId = deps.nodeId;
  }

  /** The key that this node votes with at the height: one of the head's next two. Null when it is no member then, or hasn't that key. */
  at(height: number): Uint8Array | null {
    const key = nodeKeyAt(this.#head.view, height, this.#nodeId);
    return key !== null && this.#signer.holds('consensus', key) ? key : null;
  }

  /** Signs what is judged by the set of the next height: endorsements, refusals, statuses. */
  get signer(): Signer {
    return {
      publicKey: (use) => (use === 'consensus' ? this.#next() : this.#signer.publicKey(use)),
      sign: (use, message, publicKey) => this.#signer.sign(use, message, publicKey ?? (use === 'consensus' ? this.#next() : undefined)),
      holds: this.#signer.holds,
    };
  }

  /** A key that the chain names for this node and that is not here, or null. */
  get missing(): 'network' | 'consensus' | 'checkpoint' | null {
    const record = nodeOf(this.#head.view.state, this.#nodeId);
    if (record?.active !== true) return null;
    const { networkKey, consensusKey, checkpointKey } = record.node;
    const named = [
      ['network', networkKey],
      ['consensus', consensusKey],
      ['checkpoint', checkpointKey],
    ] as const;
    return named.find(([use, key]) => !this.#signer.holds(use, key))?.[0] ?? null;
  }

  #next(): Uint8Array {
    return this.at(this.#head.height + 1) ?? this.at(this.#head.height + 2) ?? this.#signer.publicKey('consensus');
  }
}
