/**
 * Counts what simulated runs have been through, so that "no violation" is known to say something. Reads facts and faults; judges nothing.
 */

import { digestToHex, PROTOCOL_VERSION } from '../../chain/index.ts';
import type { Fact } from './facts.ts';
import { saidValue } from './vote-invariants.ts';

/** What a search must have met to be worth its name, in the order of the table. */
export const WANTED = [
  'decision in a later round',
  'decision of round 2 or later',
  'proposal made again',
  'late polka proposed',
  'polka of an older round followed',
  'nil precommitted',
  'another value precommitted after a lock',
  'round skipped',
  'decision of an earlier round',
  'crash after the sign state is synced',
  'crash before a vote is sent',
  'crash after the block is stored',
  'evidence on the chain',
  'authority removed',
  'authority admitted again',
  'newcomer admitted',
  'guilty one removed',
  'key rotated',
  'block of a new version',
  'stopped for newer software',
  'vote of a removed validator',
  'rival claims',
  'version removed',
  'removal disputed',
  'endorsement refused: the word is given',
  'fetched by block sync',
  'log replayed',
  'silent: another signature stands',
  'silent: no sign state',
  'damage found',
  'lost blocks',
  'liar: lying disk',
  'untimely proposal',
  'proposal refused',
  'liar sent away',
] as const;

const OF_LOG: Readonly<Record<string, string>> = {
  'caught up': 'fetched by block sync',
  'write-ahead log replayed': 'log replayed',
  'silent: another signature stands at or after this slot': 'silent: another signature stands',
  'no sign state was found: this node keeps silent where it may have voted before': 'silent: no sign state',
  'the write-ahead log of a height this node signed at is gone: it keeps silent there': 'silent: log gone',
  'proposal not timely': 'untimely proposal',
  'proposing what a late polka is for': 'late polka proposed',
  'proposal refused': 'proposal refused',
  'other content is endorsed for this key': 'endorsement refused: the word is given',
  'a proposal came without its transactions': 'proposal without its transactions',
  'a value of this height is no longer at hand': 'value no longer at hand',
  'a peer sent a block that is not of this chain': 'bad block refused',
};

interface Place {
  readonly life: number;
  readonly height: number;
  readonly round: number;
}

export class Coverage {
  readonly counts = new Map<string, number>();
  readonly #places = new Map<string, Place>();
  readonly #locks = new Map<string, { readonly height: number; readonly value: string }>();

  /** What did not happen has no entry. */
  count(what: string, times = 1): void {
    if (times === 0) return;
    this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }

  add(counts: ReadonlyMap<string, number>): void {
    for (const [what, times] of counts) this.count(what, times);
  }

  see(fact: Fact): void {
    if (fact.kind === 'committed') this.#committed(fact);
    if (fact.kind === 'vote') this.#voted(fact);
    if (fact.kind === 'endorsement') this.count('endorsements');
    if (fact.kind === 'proposal' && fact.message.proposal.validRound !== null && fact.message.attempt === 0)
      this.count('proposal made again');
    if (fact.kind === 'position') this.#moved(fact);
    if (fact.kind === 'penalty') this.count('liar sent away');
    if (fact.kind === 'replayed') this.count('replays compared');
    if (fact.kind === 'acknowledged') this.count('submissions acknowledged');
    const known = fact.kind === 'logged' ? OF_LOG[fact.message] : undefined;
    if (known !== undefined) this.count(known);
  }

  #committed({ name, block, certificate }: Extract<Fact, { kind: 'committed' }>): void {
    this.count('commits');
    if (certificate.round >= 1) this.count('decision in a later round');
    if (certificate.round >= 2) this.count('decision of round 2 or later');
    if (block.header.version > PROTOCOL_VERSION) this.count('block of a new version');
    if (block.header.round < certificate.round) this.count('older value decided');
    this.count('evidence on the chain', block.evidence.length);
    const place = this.#places.get(name);
    if (place?.height === certificate.height && place.round > certificate.round) this.count('decision of an earlier round');
  }

  #voted({ name, vote }: Extract<Fact, { kind: 'vote' }>): void {
    const value = saidValue(vote);
    if (vote.type === 'precommit' && vote.blockId === null) this.count('nil precommitted');
    if (vote.blockId === null) return;
    const lock = this.#locks.get(name);
    const isOther = lock?.height === vote.height && lock.value !== value;
    if (isOther && vote.type === 'prevote') this.count('polka of an older round followed');
    if (isOther && vote.type === 'precommit') this.count('another value precommitted after a lock');
    if (vote.type === 'precommit') this.#locks.set(name, { height: vote.height, value: digestToHex(vote.blockId) });
  }

  #moved({ name, life, height, round }: Extract<Fact, { kind: 'position' }>): void {
    const before = this.#places.get(name);
    if (before?.life === life && before.height === height && round > before.round + 1) this.count('round skipped');
    this.#places.set(name, { life, height, round });
  }

  /** One line a count: first what is wanted, found or not, then the rest by name. */
  table(): readonly string[] {
    const rest = [...this.counts.keys()].filter((what) => !WANTED.some((one) => one === what)).sort();
    return [...WANTED, ...rest].map((what) => `${String(this.counts.get(what) ?? 0).padStart(9)}  ${what}`);
  }
}
