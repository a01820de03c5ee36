/**
 * What must hold of votes, judged from what was said: one signature a slot in all lives of a node, and the paper's lock. Kept apart from
 * the machine's own books on purpose. Follows arXiv:1807.04938, L22–L43.
 */

import { digestToHex, type SignedVote } from '../../chain/index.ts';
import type { Fact } from './facts.ts';
import type { Judge, Terms } from './invariants.ts';
import type { SetBook } from './set-book.ts';

const NIL = 'nil';

/** No honest node signs two different things in one slot, whatever it lived through. */
export function singleSignature(terms: Terms): Judge {
  const said = new Map<string, string>();
  const note = (name: string, slot: string, content: string): string | null => {
    if (!terms.honest.has(name)) return null;
    const key = `${name} ${slot}`;
    const before = said.get(key) ?? content;
    said.set(key, before);
    return before === content ? null : `${name} signed ${before} and ${content} in ${slot}`;
  };
  return (fact) => {
    if (fact.kind === 'vote') {
      const { type, height, round } = fact.vote;
      return note(fact.name, `${type} ${height}/${round}`, saidValue(fact.vote));
    }
    if (fact.kind !== 'proposal') return null;
    const { height, round, blockId, validRound } = fact.message.proposal;
    return note(fact.name, `proposal ${height}/${round}`, `${digestToHex(blockId)} of ${validRound}`);
  };
}

/** As far as the clocks of two of its lives may be apart. */
const CLOCKS_MS = 25_000;

/** While an honest node's word for a claim stands it endorses no other content for the same key and state. */
export function singleEndorsement(terms: Terms): Judge {
  const slotsOf = new Map<string, readonly string[]>();
  const given = new Map<string, { readonly id: string; readonly expiresMs: number }>();
  return (fact) => {
    if (fact.kind === 'candidate') slotsOf.set(fact.id, fact.slots);
    // The book of an emptied disk is empty.
    if (fact.kind === 'wiped') for (const key of given.keys()) if (key.startsWith(`${fact.name} `)) given.delete(key);
    if (fact.kind !== 'endorsement' || !terms.honest.has(fact.name)) return null;
    const { name, id, expiresMs, atMs } = fact;
    for (const slot of slotsOf.get(id) ?? []) {
      const key = `${name} ${slot}`;
      const before = given.get(key);
      if (before !== undefined && before.id !== id && before.expiresMs > atMs + CLOCKS_MS)
        return `${name} endorses ${id} for ${slot}, and its word for ${before.id} stands`;
      given.set(key, { id, expiresMs });
    }
    return null;
  };
}

/** Everybody's prevotes, by height, round and value. */
class Prevotes {
  readonly #voters = new Map<string, Set<string>>();
  readonly #sets: SetBook;

  constructor(sets: SetBook) {
    this.#sets = sets;
  }

  add({ height, round, value, nodeId }: Extract<Fact, { kind: 'prevote signed' }>): void {
    const key = `${height}/${round}/${value}`;
    const voters = this.#voters.get(key) ?? new Set();
    this.#voters.set(key, voters.add(nodeId));
  }

  isPolka(height: number, round: number, value: string): boolean {
    const voters = this.#voters.get(`${height}/${round}/${value}`);
    if (voters === undefined) return false;
    const set = this.#sets.at(height);
    return 3 * set.filter(({ nodeId }) => voters.has(digestToHex(nodeId))).length > 2 * set.length;
  }
}

/**
 * A precommit for a value follows a polka of its round (L36); and who has precommitted a value prevotes another one only when that had a
 * polka in the round of the lock or a later one (L29).
 */
export function lockDiscipline(terms: Terms): Judge {
  const prevotes = new Prevotes(terms.sets);
  const locks = new Map<string, { readonly height: number; readonly round: number; readonly value: string }>();
  return (fact) => {
    if (fact.kind === 'prevote signed') prevotes.add(fact);
    if (fact.kind !== 'vote') return null;
    const { vote, name } = fact;
    const { height, round } = vote;
    const value = saidValue(vote);
    if (!terms.honest.has(name) || value === NIL) return null;
    if (vote.type === 'precommit') {
      if (!prevotes.isPolka(height, round, value)) return `${name} precommits ${value} in ${height}/${round} without a polka`;
      const lock = locks.get(name);
      if (lock === undefined || lock.height < height || lock.round < round) locks.set(name, { height, round, value });
      return null;
    }
    const lock = locks.get(name);
    if (lock === undefined || lock.height !== height || lock.round >= round || lock.value === value) return null;
    for (let later = lock.round; later < round; later += 1) if (prevotes.isPolka(height, later, value)) return null;
    return `${name} is locked on ${lock.value} since ${height}/${lock.round} and prevotes ${value} in ${round}`;
  };
}

export function saidValue(vote: SignedVote): string {
  return vote.blockId === null ? NIL : digestToHex(vote.blockId);
}
