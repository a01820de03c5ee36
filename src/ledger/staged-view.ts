/**
 * The chain as it will be after blocks that are checked but not yet on the disk, so that the block after them can be checked as well. One
 * overlay for all of them, however many. In memory only; whoever reads it must not act on it before the blocks are written.
 */

import { type BlockEffects, type ChainView, digestToHex, nextView, type StateRecord } from '../../chain/index.ts';

export class StagedView {
  readonly #records = new Map<string, StateRecord>();
  readonly #nodes = new Map<string, Uint8Array>();
  readonly #readers: Pick<ChainView, 'state' | 'tree'>;
  #view: ChainView;

  /** Reads what no block changed from `base`, which must outlive this. */
  constructor(base: ChainView) {
    this.#view = base;
    this.#readers = {
      state: { get: (key) => this.#records.get(key) ?? base.state.get(key) },
      tree: { get: (hash) => this.#nodes.get(digestToHex(hash)) ?? base.tree.get(hash) },
    };
  }

  /** What the next block follows. Views given earlier are void from the next `apply` on. */
  get view(): ChainView {
    return this.#view;
  }

  apply(effects: BlockEffects): void {
    for (const [key, record] of effects.records) this.#records.set(key, record);
    for (const [hash, node] of effects.treeAdded) this.#nodes.set(hash, node);
    this.#view = { ...nextView(this.#view, effects), ...this.#readers };
  }
}
