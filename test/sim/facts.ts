/**
 * What can be seen of a simulated network from outside: what was said, what stands on the disks, what was committed. The invariants judge
 * facts alone, so that no node's word is taken for its own deeds, and a mutant may falsify a fact to see the alarm go off.
 */

import type { Block, CommitCertificateRecord, Digest, ProposalMessage, SignedVote } from '../../chain/index.ts';
import type { Step } from '../../consensus/index.ts';

/** What a block that was committed says, and what the node's state is after it. */
export interface Committed {
  readonly kind: 'committed';
  readonly name: string;
  readonly block: Block;
  readonly blockId: Digest;
  readonly certificate: CommitCertificateRecord;
  /** Of the node's own state, not of the header. */
  readonly stateRoot: Digest;
  readonly nextSetDigest: Digest;
}

export type Fact =
  /** A prevote was signed, whether or not it is ever said: others may learn of it by a direct answer. */
  | {
      readonly kind: 'prevote signed';
      readonly nodeId: string;
      readonly height: number;
      readonly round: number;
      readonly value: string;
    }
  /** A vote, said by its own signer; `isSynced` = its signature is safe on the signer's disk. */
  | { readonly kind: 'vote'; readonly name: string; readonly vote: SignedVote; readonly isSynced: boolean }
  | { readonly kind: 'proposal'; readonly name: string; readonly message: ProposalMessage; readonly isSynced: boolean }
  /** A candidate, said by its own author; `slots`: what each of its claims would change, and from which state. */
  | { readonly kind: 'candidate'; readonly name: string; readonly id: string; readonly slots: readonly string[]; readonly attempt: number }
  /** An endorsement, said by its own signer. */
  | { readonly kind: 'endorsement'; readonly name: string; readonly id: string; readonly expiresMs: number; readonly atMs: number }
  | Committed
  /** A process began, on what its disk held; its software knows rules up to `knownVersion`. */
  | { readonly kind: 'started'; readonly name: string; readonly tip: Standing; readonly lock: Lock | null; readonly knownVersion: number }
  /** The disk was emptied, or some of it; `chainHeight` is the height that its chain is cut to, null when that is untouched. */
  | { readonly kind: 'wiped'; readonly name: string; readonly chainHeight: number | null }
  | {
      readonly kind: 'position';
      readonly name: string;
      readonly life: number;
      readonly height: number;
      readonly round: number;
      readonly step: Step;
    }
  | { readonly kind: 'queues'; readonly name: string; readonly sizes: Readonly<Record<string, readonly [size: number, limit: number]>> }
  | { readonly kind: 'failed'; readonly name: string; readonly error: string }
  | { readonly kind: 'penalty'; readonly by: string; readonly against: string; readonly detail: string }
  | { readonly kind: 'accused'; readonly name: string; readonly nodeId: string; readonly where: 'log' | 'chain' }
  | { readonly kind: 'logged'; readonly name: string; readonly message: string }
  | { readonly kind: 'submitted'; readonly id: string }
  /** A node told its client that it is committed. */
  | { readonly kind: 'acknowledged'; readonly name: string; readonly id: string }
  /** What a replay of the log on the disk makes of the vote that was just said. */
  | { readonly kind: 'replayed'; readonly name: string; readonly slot: string; readonly said: string; readonly replayed: string }
  /** Some time after the last fault has ended. */
  | {
      readonly kind: 'healed';
      readonly afterMs: number;
      /** That the first decision took beyond the round then in work. */
      readonly rounds: number;
      readonly heights: Readonly<Record<string, number>>;
      readonly open: readonly string[];
      readonly wanted: number;
    };

export interface Standing {
  readonly height: number;
  /** Ids of the last committed blocks, by height. */
  readonly blocks: ReadonlyMap<number, string>;
}

export interface Lock {
  readonly height: number;
  readonly round: number;
}

export type Lens = (fact: Fact) => readonly Fact[];
