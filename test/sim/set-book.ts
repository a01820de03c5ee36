/**
 * Who may vote at which height, worked out from the committed blocks alone and by nobody's word: a removal, an admission, a new key or
 * evidence in block H holds from H + 2 on. Follows docs/SPEC.md §4.1.
 */

import {
  type Block,
  type Claim,
  type Digest,
  digestToHex,
  sameBytes,
  type ValidatorSetRecord,
  validatorSetFromNodes,
} from '../../chain/index.ts';
import type { GenesisDocument } from '../../genesis/index.ts';
import type { Fact } from './facts.ts';

type Members = Map<string, ValidatorSetRecord[number]>;

export class SetBook {
  /** By height, from 1; the last one is that of the height after the next block. */
  readonly #sets: ValidatorSetRecord[];
  /** Where the record of a node was last written, if not in genesis. */
  readonly #recordedAt = new Map<string, number>();
  readonly #removesGuilty: boolean;
  /** Evidence has taken somebody out. */
  readonly #onGuilty: () => void;

  constructor({ nodes, parameters }: GenesisDocument, onGuilty: () => void) {
    const first = validatorSetFromNodes(nodes);
    this.#sets = [first, first, first];
    this.#removesGuilty = parameters.removeGuilty;
    this.#onGuilty = onGuilty;
  }

  /** The first block that is seen at a height counts; whether others agree, another rule says. */
  see(fact: Fact): void {
    if (fact.kind !== 'committed' || fact.block.header.height !== this.#sets.length - 2) return;
    const members = new Map(this.#newest().map((one) => [digestToHex(one.nodeId), one]));
    for (const { claims } of fact.block.transactions) {
      for (const claim of claims) this.#follow(members, claim, fact.block.header.height);
    }
    if (this.#removesGuilty) this.#punish(members, fact.block);
    this.#sets.push([...members].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, one]) => one));
  }

  /** Beyond what the blocks so far decide: the newest. */
  at(height: number): ValidatorSetRecord {
    return this.#sets[height] ?? this.#newest();
  }

  #newest(): ValidatorSetRecord {
    return this.#sets[this.#sets.length - 1] ?? [];
  }

  #follow(members: Members, claim: Claim, height: number): void {
    const about = nodeIdOf(claim);
    if (about === null) return;
    const id = digestToHex(about);
    this.#recordedAt.set(id, height);
    if (claim.kind === 'RemoveNode') members.delete(id);
    if (claim.kind === 'AddNode') for (const one of validatorSetFromNodes([claim.node])) members.set(id, one);
    const one = members.get(id);
    if (claim.kind === 'RotateKey' && claim.use === 'consensus' && one !== undefined)
      members.set(id, { ...one, consensusKey: claim.publicKey });
  }

  /** Whom the evidence is against, one after another, as long as two thirds of the larger set stay as they were in the set before. */
  #punish(members: Members, { header, evidence }: Block): void {
    const before = this.#newest();
    for (const { first } of evidence) {
      const id = digestToHex(first.nodeId);
      if (!members.has(id) || first.height < (this.#recordedAt.get(id) ?? 0)) continue;
      const staying = before.filter(({ nodeId, consensusKey }) => {
        const now = digestToHex(nodeId) === id ? undefined : members.get(digestToHex(nodeId));
        return now !== undefined && sameBytes(now.consensusKey, consensusKey);
      });
      if (members.size === 1 || 3 * staying.length < 2 * Math.max(before.length, members.size - 1)) continue;
      members.delete(id);
      this.#recordedAt.set(id, header.height);
      this.#onGuilty();
    }
  }
}

/** Whose record the claim writes. */
function nodeIdOf(claim: Claim): Digest | null {
  if (claim.kind === 'AddNode') return claim.node.nodeId;
  return claim.kind === 'RemoveNode' || claim.kind === 'RotateKey' ? claim.nodeId : null;
}
