/**
 * The proposed values (blocks) of the height in work, by value id. Bounded: a value that the machine is locked on, holds valid or would
 * propose is kept, the oldest other one goes first.
 */

import type { Block } from '../../chain/index.ts';
import type { ValueId } from '../../consensus/index.ts';

const MAX_VALUES = 32;

export class Values {
  readonly #blocks = new Map<ValueId, Block>();

  get(id: ValueId): Block | null {
    return this.#blocks.get(id) ?? null;
  }

  has(id: ValueId): boolean {
    return this.#blocks.has(id);
  }

  /** `keep`: ids that must survive. */
  put(id: ValueId, block: Block, keep: readonly (ValueId | null)[]): void {
    if (this.#blocks.size >= MAX_VALUES) {
      for (const old of this.#blocks.keys()) {
        if (keep.includes(old)) continue;
        this.#blocks.delete(old);
        break;
      }
    }
    this.#blocks.set(id, block);
  }

  all(): IterableIterator<Block> {
    return this.#blocks.values();
  }

  clear(): void {
    this.#blocks.clear();
  }
}
