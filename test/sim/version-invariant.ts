/** The rules of a protocol version hold from the height on that the chain has set, and bind those alone whose software knows them. */

import { type Block, PROTOCOL_VERSION } from '../../chain/index.ts';
import type { Judge, Terms } from './invariants.ts';

/** Every block names the version that SetParams has set for its height, and no honest node votes on one that its software does not know. */
export function versionFollows({ honest }: Pick<Terms, 'honest'>): Judge {
  const book = new VersionBook();
  const known = new Map<string, number>();
  return (fact) => {
    if (fact.kind === 'started') known.set(fact.name, fact.knownVersion);
    if (fact.kind === 'vote' && honest.has(fact.name)) {
      const { height } = fact.vote;
      const wanted = book.at(height);
      if (wanted > (known.get(fact.name) ?? 0)) return `${fact.name} votes at ${height}, where version ${wanted} holds`;
    }
    if (fact.kind !== 'committed') return null;
    book.follow(fact.block);
    const { height, version } = fact.block.header;
    return version === book.at(height) ? null : `block ${height} is of version ${version}, not ${book.at(height)}`;
  };
}

class VersionBook {
  /** By height, from 1: what has been committed. */
  readonly #versions: number[] = [PROTOCOL_VERSION];
  #inForce: number = PROTOCOL_VERSION;
  #pending: { readonly version: number; readonly atHeight: number } | null = null;

  at(height: number): number {
    const next = this.#pending !== null && height >= this.#pending.atHeight ? this.#pending.version : this.#inForce;
    return this.#versions[height] ?? next;
  }

  /** The first block that is seen at a height counts. */
  follow({ header, transactions }: Block): void {
    if (header.height !== this.#versions.length) return;
    this.#inForce = this.at(header.height);
    this.#versions.push(this.#inForce);
    for (const claim of transactions.flatMap(({ claims }) => claims)) {
      if (claim.kind === 'SetParams' && claim.atHeight !== null)
        this.#pending = { version: claim.parameters.protocolVersion, atHeight: claim.atHeight };
    }
  }
}
