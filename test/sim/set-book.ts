/**
 * Who may vote at which height, worked out from the committed blocks alone and by nobody's word: a removal, an admission or a new
 * key in block H holds from H + 2 on. Follows docs/SPEC.md §4.1.
 */

import { type Claim, digestToHex, type NodeRecord, type ValidatorSetRecord, validatorSetFromNodes } from '../../chain/index.ts';
import type { Fact } from './facts.ts';

export class SetBook {
  /** By height, from 1; the last one is that of the height after the next block. */
  readonly #sets: ValidatorSetRecord[];

  constructor(genesis: readonly NodeRecord[]) {
    const first = validatorSetFromNodes(genesis);
    this.#sets = [first, first, first];
  }

  /** The first block that is seen at a height counts; whether others agree, another rule says. */
  see(fact: Fact): void {
    if (fact.kind !== 'committed' || fact.block.header.height !== this.#sets.length - 2) return;
    const members = new Map(this.#newest().map((one) => [digestToHex(one.nodeId), one]));
    for (const { claims } of fact.block.transactions) {
      for (const claim of claims) follow(members, claim);
    }
    this.#sets.push([...members].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, one]) => one));
  }

  /** Beyond what the blocks so far decide: the newest. */
  at(height: number): ValidatorSetRecord {
    return this.#sets[height] ?? this.#newest();
  }

  #newest(): ValidatorSetRecord {
    return this.#sets[this.#sets.length - 1] ?? [];
  }
}

function follow(members: Map<string, ValidatorSetRecord[number]>, claim: Claim): void {
  if (claim.kind === 'RemoveNode') members.delete(digestToHex(claim.nodeId));
  if (claim.kind === 'AddNode') for (const one of validatorSetFromNodes([claim.node])) members.set(digestToHex(one.nodeId), one);
  if (claim.kind !== 'RotateKey' || claim.use !== 'consensus') return;
  const id = digestToHex(claim.nodeId);
  const one = members.get(id);
  if (one !== undefined) members.set(id, { ...one, consensusKey: claim.publicKey });
}
