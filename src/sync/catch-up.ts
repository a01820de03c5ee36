/**
 * One run of catching up: a window of pages, each asked of some peer, several at once; pages are verified while those before them are being
 * committed, and committed in order. SPEC §9.4. Who gives something bad is not asked again in this run, who gives nothing only once it says
 * that it has more; a page that does not come is asked of another peer as well. Ends when nobody has more, or nothing is committed for long;
 * whatever peers say, it holds a bounded number of pages.
 */

import type { Random, Timer, Timers } from '../ports.ts';
import { type CommitPageDeps, commitPage } from './commit-page.ts';
import { type FetchedPage, type FetchPageDeps, fetchPage } from './fetch-page.ts';

/** Blocks a request asks for at the most; as many as one answer may hold. */
const PAGE_BLOCKS = 64;
/** Pages under way or waiting for their turn. */
const WINDOW_PAGES = 4;
/** Requests under way to one peer. */
const REQUESTS_PER_PEER = 2;
/** After this the page that all others wait for is asked of another peer, or of the same once more. */
const HEDGE_MS = 1_000;
/** Without a block for so long a run ends, and with it all that it believes of peers. Longer than a page may take. */
const STALLED_MS = 15_000;

export interface CatchUpDeps extends CommitPageDeps, FetchPageDeps {
  readonly timers: Timers;
  readonly random: Random;
  /** The height that a peer said it is at, or 0. */
  readonly claimOf: (peer: string) => number;
  /** A peer said where it is. */
  readonly onClaim: (peer: string, height: number) => void;
  /** A page of this peer was committed, in part at least. */
  readonly onGiven: (peer: string) => void;
  /** The height worth asking for, whatever these peers said. */
  readonly goal: (without: ReadonlySet<string>) => number;
}

interface Attempt {
  readonly peer: string;
  readonly abort: AbortController;
  isLate: boolean;
}

interface Slot {
  readonly from: number;
  readonly max: number;
  attempts: readonly Attempt[];
  /** Who was asked once more before it had answered. */
  readonly again: Set<string>;
  page: GivenPage | null;
  /** Its signatures were looked at; whether they are good is found again where it counts. */
  isSeen: boolean;
}

interface GivenPage extends FetchedPage {
  readonly peer: string;
}

export class CatchUp {
  readonly #deps: CatchUpDeps;
  /** In order of their heights. */
  #slots: readonly Slot[] = [];
  /** Gave nothing, or something bad. */
  readonly #spent = new Set<string>();
  /** Gave something bad, or did not answer a second time: they stay spent. */
  readonly #forsaken = new Set<string>();
  /** Did not answer once. */
  readonly #silent = new Set<string>();
  /** Were overtaken, or gave little where they said they had much: asked only for want of others. */
  readonly #slow = new Set<string>();
  /** A page of theirs came. */
  readonly #givers = new Set<string>();
  /** As many blocks as the last answers held. */
  #span = PAGE_BLOCKS;
  #stopped = false;
  #patience: Timer | null = null;
  #failure: Error | null = null;
  #wake: () => void = () => {};

  constructor(deps: CatchUpDeps) {
    this.#deps = deps;
  }

  /** Peers that claimed more than they gave. */
  get spent(): ReadonlySet<string> {
    return this.#spent;
  }

  /** This peer was asked where it is, and has more than this node: if it gave nothing before, it is asked for blocks again. */
  hasMore(peer: string): void {
    if (this.#forsaken.has(peer)) return;
    this.#spent.delete(peer);
    this.#wake();
  }

  /** The connection is gone, and with it what was asked over it; should it come back, the peer may be asked anew. */
  hasLeft(peer: string): void {
    for (const slot of this.#slots) slot.attempts = slot.attempts.filter((one) => one.peer !== peer);
    this.#wake();
  }

  stop(): void {
    this.#stopped = true;
    this.#patience?.cancel();
    for (const slot of this.#slots) for (const { abort } of slot.attempts) abort.abort();
    this.#wake();
  }

  async run(): Promise<void> {
    const { head, goal } = this.#deps;
    this.#waitPatiently();
    try {
      while (!this.#stopped && (head.height < goal(this.#spent) || this.#slots.some(({ page }) => page !== null))) {
        this.#fill();
        const [first] = this.#slots;
        if (first === undefined || (first.page === null && first.attempts.length === 0)) break;
        if (first.page === null || !first.isSeen) await this.#event();
        else if (!(await this.#commit(first, first.page))) break;
      }
    } finally {
      this.stop();
    }
    if (this.#failure !== null) throw this.#failure;
  }

  #waitPatiently(): void {
    this.#patience?.cancel();
    this.#patience = this.#deps.timers.set(STALLED_MS, () => this.stop());
  }

  /** Until a page came, or did not. */
  async #event(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  /** False when no other page would get further. */
  async #commit(slot: Slot, page: GivenPage): Promise<boolean> {
    const { peer, blocks } = page;
    const { outcome, committed } = await commitPage(this.#deps, { peer, blocks });
    if (committed > 0) {
      this.#deps.onGiven(peer);
      this.#waitPatiently();
    }
    this.#slots = this.#slots.filter((one) => one !== slot);
    if (outcome === 'bad') this.#forsake(peer);
    return outcome !== 'stuck';
  }

  /** Whatever else it gave is not looked at. */
  #forsake(peer: string): void {
    this.#spent.add(peer);
    this.#forsaken.add(peer);
    this.#slots = this.#slots.filter((slot) => slot.page?.peer !== peer);
  }

  /** Covers the heights from the head on, without gaps, and asks for what nobody is asked for yet. */
  #fill(): void {
    const { head, goal } = this.#deps;
    const end = goal(this.#spent);
    const slots: Slot[] = [];
    let cursor = head.height + 1;
    // What is here is good for as much as it holds, whatever has become of its giver; what nobody is asked for is cut anew.
    const isKept = (one: Slot): boolean => one.page !== null || (one.attempts.length > 0 && one.from <= end);
    for (const slot of this.#slots.filter((one) => endOf(one) > head.height && isKept(one))) {
      for (; cursor < slot.from; cursor = endOf(slots.at(-1)) + 1) slots.push(slotOf(cursor, Math.min(this.#span, slot.from - cursor)));
      slots.push(slot);
      cursor = endOf(slot) + 1;
    }
    for (; slots.length < WINDOW_PAGES && cursor <= end; cursor += this.#span) slots.push(slotOf(cursor, this.#span));
    for (const slot of this.#slots) if (!slots.includes(slot)) for (const { abort } of slot.attempts) abort.abort();
    this.#slots = slots;
    for (const [index, slot] of slots.entries()) {
      if (index < WINDOW_PAGES && slot.page === null && slot.attempts.length === 0) this.#ask(slot);
    }
    const [first] = slots;
    if (first?.page === null && first.attempts.length > 0 && first.attempts.every(({ isLate }) => isLate)) this.#ask(first);
  }

  #ask(slot: Slot): void {
    const peer = this.#pick(slot);
    if (peer === null) return;
    const attempt: Attempt = { peer, abort: new AbortController(), isLate: false };
    if (slot.attempts.some((one) => one.peer === peer)) slot.again.add(peer);
    slot.attempts = [...slot.attempts, attempt];
    const timer = this.#deps.timers.set(HEDGE_MS, () => {
      attempt.isLate = true;
      this.#wake();
    });
    this.#attempt(slot, attempt, timer).catch((error: unknown) => {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      this.stop();
    });
  }

  async #attempt(slot: Slot, attempt: Attempt, timer: Timer): Promise<void> {
    const { peer, abort } = attempt;
    const { from, max } = slot;
    const page = await fetchPage(this.#deps, { peer, from, max, signal: abort.signal });
    timer.cancel();
    const isAwaited = slot.attempts.includes(attempt);
    slot.attempts = slot.attempts.filter((one) => one !== attempt);
    if (abort.signal.aborted) return;
    if (page !== null) this.#deps.onClaim(peer, page.height);
    // Of two questions the second may have been refused while the first is being answered.
    if (page === null && isAwaited && slot.attempts.every((one) => one.peer !== peer)) this.#onSilence(peer);
    if (page?.blocks.length === 0) this.#spent.add(peer);
    else if (page !== null && slot.page === null) await this.#take(slot, { ...page, peer });
    this.#wake();
  }

  /** Forgiven once: the question or the answer may have been lost. */
  #onSilence(peer: string): void {
    this.#spent.add(peer);
    this.#slow.add(peer);
    if (this.#silent.has(peer)) this.#forsaken.add(peer);
    this.#silent.add(peer);
  }

  /** Those asked for the same page were slower. */
  async #take(slot: Slot, page: GivenPage): Promise<void> {
    const { length } = page.blocks;
    slot.page = page;
    this.#givers.add(page.peer);
    const isShort = length < slot.max && page.height > endOf(slot);
    if (isShort) this.#slow.add(page.peer);
    this.#span = isShort ? length : Math.min(PAGE_BLOCKS, this.#span * 2);
    for (const other of slot.attempts) {
      if (other.peer !== page.peer) this.#slow.add(other.peer);
      other.abort.abort();
    }
    await this.#deps.head.lookAhead(page.blocks);
    slot.isSeen = true;
  }

  /** By chance among the best: ahead, quick or at least known to give, and little asked. For the next page anybody will do. */
  #pick(slot: Slot): string | null {
    const { network, head, random, claimOf } = this.#deps;
    const asked = (peer: string): number => this.#slots.flatMap(({ attempts }) => attempts).filter((one) => one.peer === peer).length;
    const free = network
      .peers()
      .map(({ peerId }) => peerId)
      .filter((peer) => !this.#spent.has(peer) && asked(peer) < REQUESTS_PER_PEER);
    const others = free.filter((peer) => slot.attempts.every((one) => one.peer !== peer));
    // Once everybody was asked, each is asked once more: an answer may have been lost.
    const fresh = others.length > 0 ? others : free.filter((peer) => !slot.again.has(peer));
    const ahead = fresh.filter((peer) => claimOf(peer) >= slot.from);
    const able = ahead.length > 0 || slot.from > head.height + 1 ? ahead : fresh;
    const rank = (peer: string): number => (this.#slow.has(peer) ? (this.#givers.has(peer) ? 1 : 2) : 0);
    const best = Math.min(...able.map(rank));
    const willing = able.filter((peer) => rank(peer) === best);
    const least = Math.min(...willing.map(asked));
    const choice = willing.filter((peer) => asked(peer) === least);
    return choice[Math.floor(random.next() * choice.length)] ?? null;
  }
}

function slotOf(from: number, max: number): Slot {
  return { from, max, attempts: [], again: new Set(), page: null, isSeen: false };
}

/** The last height that the slot brings, or is to bring. */
function endOf(slot: Slot | undefined): number {
  if (slot === undefined) throw new RangeError('expected a slot');
  return slot.from + (slot.page?.blocks.length ?? slot.max) - 1;
}
