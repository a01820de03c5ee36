/**
 * Drives the pure consensus machine in the world: feeds it verified inputs one at a time, writes each to the WAL, and carries out its
 * outputs in their order: persist, then sign, then send. SPEC §11.2, §11.3. Knows no message format; `Courier` carries what leaves the node.
 */

import { type Block, type Digest, digestFromHex, proposalPayload, toConsensusSet, votePayload } from '../../chain/index.ts';
import {
  asHeight,
  createMachine,
  type Evidence,
  type Input,
  type MachineState,
  missingValue,
  type Output,
  type Proposal,
  provenValue,
  type Round,
  step,
  type Timeout,
  type TimeoutParameters,
  type ValidatorSet,
  type ValueId,
  type Vote,
} from '../../consensus/index.ts';
import { assertNever, invariant } from '../invariant.ts';
import type { Head } from '../ledger/head.ts';
import type { Metrics } from '../metrics/types.ts';
import type { Clock, FileSystem, Logger, Timer, Timers } from '../ports.ts';
import { Caution } from './caution.ts';
import { certificateToRecord, nodeIdOfDigest, valueIdOfDigest } from './records.ts';
import type { SignState, Slot } from './sign-state.ts';
import { Values } from './values.ts';
import { Wal } from './wal.ts';

/** Inputs of others waiting for the machine: more than the largest set can say of a height. What is beyond is dropped; own ones never are. */
const MAX_EVENTS = 10_000;
const DECIDE_AGAIN_MS = 1_000;

/** Carries what this node says to the others. */
export interface Courier {
  readonly sendVote: (vote: Vote) => void;
  readonly sendProposal: (proposal: Proposal, block: Block) => void;
  /** A new height has begun. */
  readonly heightStarted: (height: number) => void;
}

/** Makes the value that this node proposes on top of the head. */
export interface ValueSource {
  /** True when there is something to decide now. */
  readonly wanted: () => boolean;
  /** Null when this node's clock forbids it. */
  readonly build: (round: number) => Promise<{ readonly block: Block; readonly blockId: Digest } | null>;
  readonly evidence: (evidence: Evidence) => void;
}

export interface EngineOptions {
  readonly chainId: Digest;
  readonly nodeId: Digest;
  /** An operator's word that nothing was signed from this height on; null = the sign state decides. */
  readonly signFromHeight: number | null;
}

export interface EngineDeps {
  readonly head: Head;
  readonly files: FileSystem;
  readonly signState: SignState;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly courier: Courier;
  readonly source: ValueSource;
  readonly timeouts: () => TimeoutParameters;
  /** The key that the set of that height has for this node; null when it isn't here. */
  readonly keyAt: (height: number) => Uint8Array | null;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** The node can't go on: a disk or an invariant failed. */
  readonly fatal: (error: unknown) => void;
}

type Event =
  | { readonly kind: 'input'; readonly height: number; readonly input: Input }
  | { readonly kind: 'value'; readonly height: number; readonly block: Block; readonly id: ValueId }
  /** A decision whose block could not be checked at the first try. */
  | { readonly kind: 'decided'; readonly output: Extract<Output, { kind: 'decide' }> }
  | { readonly kind: 'advance' };

export class Engine {
  readonly #options: EngineOptions;
  readonly #deps: EngineDeps;
  readonly #caution: Caution;
  readonly #values = new Values();
  /** Valid but for their time: this node prevotes nil, yet follows when > 2/3 of the power found them timely. */
  readonly #untimely = new Map<ValueId, Proposal>();
  readonly #events: Event[] = [];
  #timers: Timer[] = [];
  #machine: MachineState;
  #wal: Wal;
  #working = false;
  #unfollow: () => void = () => {};
  #stopped = false;
  #idle: (() => void)[] = [];

  private constructor(options: EngineOptions, deps: EngineDeps, wal: Wal) {
    this.#options = options;
    this.#deps = deps;
    this.#wal = wal;
    this.#caution = new Caution(options, deps);
    this.#machine = this.#newMachine();
  }

  /** Opens the WAL of the height after the head and replays it; nothing from the network may come before this resolves. */
  static async start(options: EngineOptions, deps: EngineDeps): Promise<Engine> {
    const height = deps.head.height + 1;
    const opened = await Wal.open(deps.files, height);
    const engine = new Engine(options, deps, opened.wal);
    // A node that runs already may have fetched blocks meanwhile: that height is over, and so is its log.
    const replay = engine.height === height ? opened.replay : [];
    engine.#working = true;
    engine.#unfollow = deps.head.onCommit(() => engine.#push({ kind: 'advance' }));
    if (engine.height !== height) await opened.wal.advance(engine.height);
    await engine.#caution.atStart(replay.length);
    const outputs: Output[] = [];
    const proposed = new Set<number>();
    for (const entry of replay) {
      if (entry.kind === 'value') {
        engine.#putValue(engine.#idOf(entry.block), entry.block);
        continue;
      }
      if (entry.input.kind === 'proposeValue') proposed.add(entry.input.round);
      if (entry.input.kind === 'proposal' && entry.input.proposal.nodeId === engine.#self()) proposed.add(entry.input.proposal.round);
      outputs.push(...engine.#step(entry.input));
    }
    if (replay.length > 0) deps.log.info({ height: engine.height, entries: replay.length }, 'write-ahead log replayed');
    for (const output of outputs) {
      const isPast = output.kind === 'getValue' && (proposed.has(output.round) || output.round !== engine.machine.consensus.round);
      if (!isPast) await engine.#perform(output);
    }
    engine.#working = false;
    engine.#deps.courier.heightStarted(engine.height);
    engine.#work();
    return engine;
  }

  /** The height in work: one above the head. */
  get height(): number {
    return this.#machine.height;
  }

  get machine(): MachineState {
    return this.#machine;
  }

  /** False while the height waits for something to propose. */
  get isAtWork(): boolean {
    return this.#machine.consensus.step !== 'waiting';
  }

  get validators(): ValidatorSet {
    return this.#machine.validators;
  }

  /** Below this height the node does not sign: an operator's word, or what the sign state says of a forgotten past. */
  get signFromHeight(): number {
    return this.#caution.signFromHeight;
  }

  /** Others are at that height. */
  foundBehind(height: number): void {
    this.#caution.foundBehind(height).catch(this.#deps.fatal);
  }

  /** A verified input from others for the height in work; for any other height it is dropped. */
  submit(height: number, input: Input): void {
    if (this.#events.length < MAX_EVENTS) this.#push({ kind: 'input', height, input });
  }

  /** A verified proposal with its value; the value is in the WAL before the machine sees it. */
  submitProposal(proposal: Proposal, block: Block, verdict: 'valid' | 'untimely' | 'invalid'): void {
    if (this.#events.length >= MAX_EVENTS) return;
    if (verdict !== 'invalid') this.#push({ kind: 'value', height: proposal.height, block, id: proposal.valueId });
    this.#tell(proposal.height, { kind: 'proposal', proposal, valid: verdict === 'valid' });
    if (verdict === 'untimely' && proposal.height === this.height) this.#untimely.set(proposal.valueId, proposal);
  }

  /** There may be something to decide: looks, and wakes the machine if so. */
  wake(): void {
    if (!this.isAtWork && this.#deps.source.wanted()) this.#tell(this.height, { kind: 'valueWanted' });
  }

  value(id: ValueId): Block | null {
    return this.#values.get(id);
  }

  values(): IterableIterator<Block> {
    return this.#values.all();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unfollow();
    this.#cancelTimers();
    if (this.#working) await new Promise<void>((resolve) => this.#idle.push(resolve));
    await this.#wal.close();
  }

  /** An input of this node's own; without it the height might stand still, so there is always room for it. */
  #tell(height: number, input: Input): void {
    this.#push({ kind: 'input', height, input });
  }

  #push(event: Event): void {
    if (this.#stopped) return;
    this.#events.push(event);
    this.#work();
  }

  #work(): void {
    if (this.#working) return;
    this.#working = true;
    this.#drain()
      .catch((error: unknown) => {
        const isNews = !this.#stopped;
        this.#stopped = true;
        if (isNews) this.#deps.fatal(error);
      })
      .finally(() => {
        this.#working = false;
        // What came between the end of the work and here has found the machine busy.
        if (this.#events.length > 0 && !this.#stopped) this.#work();
        else for (const resolve of this.#idle.splice(0)) resolve();
      });
  }

  async #drain(): Promise<void> {
    for (;;) {
      const event = this.#events.shift();
      if (event === undefined || this.#stopped) return;
      if (event.kind === 'advance') await this.#advance();
      else if (event.kind === 'decided') await this.#decideAgain(event.output);
      else if (event.height === this.height) await this.#take(event);
    }
  }

  async #take(event: Exclude<Event, { kind: 'advance' | 'decided' }>): Promise<void> {
    if (event.kind === 'value') {
      if (!this.#values.has(event.id)) {
        this.#putValue(event.id, event.block);
        this.#wal.appendValue(event.block);
      }
      return;
    }
    this.#wal.appendInput(event.input);
    const outputs = this.#step(event.input);
    if (outputs.some((output) => output.kind === 'castVote' || output.kind === 'propose')) await this.#wal.sync();
    for (const output of outputs) await this.#perform(output);
    const missing = missingValue(this.#machine);
    const proposal = missing === null ? undefined : this.#untimely.get(missing.valueId);
    if (proposal === undefined || !this.#untimely.delete(proposal.valueId)) return;
    this.#tell(proposal.height, { kind: 'proposal', proposal, valid: true });
  }

  #step(input: Input): readonly Output[] {
    const [next, outputs] = step(this.#machine, input);
    this.#machine = next;
    return outputs;
  }

  async #perform(output: Output): Promise<void> {
    switch (output.kind) {
      case 'roundStarted':
        this.#deps.metrics.roundStarted();
        if (output.round > 0)
          this.#deps.log.info({ height: output.height, round: output.round, proposer: output.proposer }, 'round started');
        return;
      case 'getValue':
      case 'propose':
        return await this.#proposeBest(output);
      case 'castVote':
        return await this.#vote(output);
      case 'scheduleTimeout':
        this.#timers.push(this.#deps.timers.set(output.durationMs, () => this.#timeOut(output.timeout)));
        return;
      case 'decide':
        return await this.#decide(output);
      case 'evidence':
        this.#deps.source.evidence(output.evidence);
        return;
      default:
        assertNever(output);
    }
  }

  #timeOut(timeout: Timeout): void {
    if (timeout.height === this.height && timeout.round === this.#machine.consensus.round)
      this.#deps.metrics.consensusTimeout(timeout.kind);
    this.#tell(timeout.height, { kind: 'timeout', timeout });
  }

  /** What a later polka than that round's has made known to be better to propose; else what the machine wants. */
  async #proposeBest(output: Extract<Output, { kind: 'getValue' | 'propose' }>): Promise<void> {
    const { height, round } = output;
    const validRound = output.kind === 'propose' ? output.validRound : null;
    // What a replay asks for of a round that is over is what was asked for then.
    const proven = round === this.#machine.consensus.round ? provenValue(this.#machine) : null;
    if (proven !== null && proven.round > (validRound ?? -1) && this.#values.has(proven.valueId)) {
      this.#deps.log.info({ height, round, validRound: proven.round }, 'proposing what a late polka is for');
      await this.#wal.sync();
      return await this.#propose({ kind: 'propose', height, round, valueId: proven.valueId, validRound: proven.round });
    }
    return await (output.kind === 'propose' ? this.#propose(output) : this.#proposeNew(round));
  }

  async #proposeNew(round: Round): Promise<void> {
    const height = this.height;
    if (!this.#maySign()) return;
    const built = await this.#deps.source.build(round);
    if (built === null) return;
    const { block, blockId } = built;
    // Block sync may have moved the head meanwhile: then this height is over.
    if (block.header.height !== height) return;
    const id = valueIdOfDigest(blockId);
    this.#push({ kind: 'value', height, block, id });
    this.#tell(height, { kind: 'proposeValue', round, valueId: id });
  }

  async #propose(output: Extract<Output, { kind: 'propose' }>): Promise<void> {
    const block = this.#values.get(output.valueId);
    if (block === null) return this.#lacks(output);
    const blockId = digestFromHex(output.valueId);
    const payload = proposalPayload(this.#options.chainId, {
      height: output.height,
      round: output.round,
      blockId,
      validRound: output.validRound,
    });
    const signature = await this.#sign({ height: output.height, round: output.round, step: 'proposal' }, payload);
    if (signature === null) return;
    const { height, round, valueId, validRound } = output;
    const proposal: Proposal = { height, round, valueId, validRound, nodeId: this.#self(), signature };
    this.#tell(height, { kind: 'proposal', proposal, valid: true });
    this.#deps.courier.sendProposal(proposal, block);
  }

  async #vote(output: Extract<Output, { kind: 'castVote' }>): Promise<void> {
    const { type, height, round, valueId } = output;
    const blockId = valueId === null ? null : digestFromHex(valueId);
    const signature = await this.#sign({ height, round, step: type }, votePayload(this.#options.chainId, { type, height, round, blockId }));
    if (signature === null) return;
    const vote: Vote = { type, height, round, valueId, nodeId: this.#self(), signature };
    this.#tell(height, { kind: 'vote', vote });
    this.#deps.courier.sendVote(vote);
  }

  async #decide(output: Extract<Output, { kind: 'decide' }>): Promise<void> {
    const { certificate } = output;
    const block = this.#values.get(certificate.valueId);
    if (block === null) return this.#lacks(certificate);
    const result = await this.#deps.head.extend(block, certificateToRecord(certificate));
    if (result.kind === 'unknown') this.#timers.push(this.#deps.timers.set(DECIDE_AGAIN_MS, () => this.#push({ kind: 'decided', output })));
    if (result.kind === 'refused') invariant(false, `a decided block is refused: ${result.refusal.code}: ${result.refusal.detail}`);
  }

  /** So many values were proposed that one had to go, and it was this one: others hold it, and block sync brings it. */
  #lacks(wanted: { readonly height: number; readonly round: number; readonly valueId: ValueId }): void {
    const { height, round, valueId } = wanted;
    this.#deps.log.warn({ height, round, blockId: valueId }, 'a value of this height is no longer at hand');
  }

  async #decideAgain(output: Extract<Output, { kind: 'decide' }>): Promise<void> {
    if (output.certificate.height === this.height && this.#deps.head.height < this.height) await this.#decide(output);
  }

  /** The head has grown, by this machine's decision or by block sync: begin the height after it. */
  async #advance(): Promise<void> {
    if (this.#deps.head.height < this.height) return;
    this.#cancelTimers();
    this.#values.clear();
    this.#untimely.clear();
    this.#machine = this.#newMachine();
    await this.#wal.advance(this.height);
    this.#deps.courier.heightStarted(this.height);
    this.wake();
  }

  #newMachine(): MachineState {
    const { head, timeouts } = this.#deps;
    const validators = toConsensusSet(head.voters);
    const member = validators.some((validator) => validator.nodeId === this.#self());
    return createMachine({ height: asHeight(head.height + 1), validators, self: member ? this.#self() : null, timeouts: timeouts() });
  }

  async #sign(slot: Slot, payload: Uint8Array): Promise<Uint8Array | null> {
    if (!this.#maySign()) return null;
    const key = this.#deps.keyAt(slot.height);
    if (key === null) {
      this.#deps.log.error({ ...slot }, 'silent: the consensus key that the chain names for this node is not in its keys folder');
      return null;
    }
    const signature = await this.#deps.signState.sign(slot, payload, key);
    if (signature === null) this.#deps.log.warn({ ...slot }, 'silent: another signature stands at or after this slot');
    return signature;
  }

  #maySign(): boolean {
    return this.height >= this.signFromHeight && !this.#deps.head.isOutdated;
  }

  #putValue(id: ValueId, block: Block): void {
    const { consensus } = this.#machine;
    this.#values.put(id, block, [consensus.lockedValue, consensus.validValue, provenValue(this.#machine)?.valueId ?? null]);
  }

  #idOf(block: Block): ValueId {
    return valueIdOfDigest(this.#deps.head.idOf(block.header));
  }

  #self(): ReturnType<typeof nodeIdOfDigest> {
    return nodeIdOfDigest(this.#options.nodeId);
  }

  #cancelTimers(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers = [];
  }
}
