/**
 * Properties of the machine under inputs nobody planned: purity, exact replay, what it never puts out, and agreement of a small network
 * with one Byzantine member. The network knows no gossip: every message reaches every machine once, late, or never, as the seed says.
 */

import fc from 'fast-check';
import t from 'tap';
import {
  asRound,
  assertNever,
  asVotingPower,
  type CommitCertificate,
  commitCertificate,
  createMachine,
  type Input,
  latestPolka,
  type MachineState,
  missingValue,
  type Output,
  ownLastVotes,
  type Proposal,
  proposerOf,
  provenValue,
  type Round,
  roundCertificate,
  statusOf,
  step,
  type ValueId,
} from '../../consensus/index.ts';
import { HEIGHT, machine, node, parseInputs, printState, run, TIMEOUTS, value, votes } from './notation.ts';

const round = fc.integer({ min: 0, max: 3 });
const letter = fc.constantFrom('A', 'B', 'C', 'D');
const proposed = fc.constantFrom('v', 'w');
const voted = fc.constantFrom('v', 'w', 'nil');
const voteType = fc.constantFrom('prevote', 'precommit');
const several = fc.constantFrom('A', 'B', 'C', 'D', 'AB', 'ABC', 'BCD', 'ABCD');

const line: fc.Arbitrary<string> = fc.oneof(
  { weight: 1, arbitrary: fc.constant('wanted') },
  { weight: 1, arbitrary: fc.tuple(round, proposed).map(([r, v]) => `value ${r} ${v}`) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(round, proposed, fc.constantFrom('', ' 0', ' 1', ' 2'), fc.constantFrom('', '', '', ' invalid'))
      .map(([r, v, vr, invalid]) => {
        return `proposal ${'ABCD'[r]} ${r} ${v}${vr}${invalid}`;
      }),
  },
  { weight: 12, arbitrary: fc.tuple(voteType, several, round, voted).map(([type, who, r, v]) => `${type} ${who} ${r} ${v}`) },
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom('propose', 'prevote', 'precommit'), round).map(([kind, r]) => `timeout ${kind} ${r}`) },
  { weight: 1, arbitrary: fc.tuple(round, proposed, several).map(([r, v, who]) => `polka ${r} ${v} ${who}`) },
  { weight: 1, arbitrary: fc.tuple(round, proposed, several).map(([r, v, who]) => `commit ${r} ${v} ${who}`) },
  {
    weight: 1,
    arbitrary: fc.tuple(round, voteType, several, round, voted).map(([r, type, who, of, v]) => `round ${r} ${type} ${who} ${of} ${v}`),
  },
);

const scenario: fc.Arbitrary<readonly Input[]> = fc.array(line, { maxLength: 50 }).map((lines) => lines.flatMap(parseInputs));
const self = fc.option(letter, { nil: null });

/** Freezes everything reachable; a map or set that is changed afterwards throws. */
function deepFreeze(subject: unknown): void {
  if (typeof subject !== 'object' || subject === null || Object.isFrozen(subject) || subject instanceof Uint8Array) return;
  if (subject instanceof Map || subject instanceof Set) {
    const refuse = (): never => {
      throw new Error('a frozen collection was changed');
    };
    for (const method of ['set', 'add', 'delete', 'clear']) Object.defineProperty(subject, method, { value: refuse });
    for (const [key, entry] of subject.entries()) {
      deepFreeze(key);
      deepFreeze(entry);
    }
  }
  Object.freeze(subject);
  for (const entry of Object.values(subject)) deepFreeze(entry);
}

/** Everything as text, maps and sets in order: equal text means equal states. */
function print(subject: unknown): string {
  return JSON.stringify(subject, (_key, entry: unknown) => (entry instanceof Map || entry instanceof Set ? [...entry] : entry));
}

t.test('a step never changes its state or its input, and gives the same again', (t) => {
  fc.assert(
    fc.property(self, scenario, (own, inputs) => {
      let state = machine({ self: own });
      for (const input of inputs) {
        deepFreeze(state);
        deepFreeze(input);
        const first = step(state, input);
        const again = step(state, input);
        if (print(first) !== print(again)) return false;
        state = first[0];
      }
      return true;
    }),
    { numRuns: 200 },
  );
  t.end();
});

t.test('deepFreeze refuses what purity forbids', (t) => {
  const subject = { map: new Map([['a', { b: 1 }]]) };
  deepFreeze(subject);
  t.throws(() => subject.map.set('c', { b: 2 }));
  t.throws(() => Object.assign(subject.map.get('a') ?? {}, { b: 2 }));
  t.end();
});

t.test('a replay of the same inputs ends in the same state with the same outputs', (t) => {
  fc.assert(
    fc.property(self, scenario, (own, inputs) => {
      const replay = (): string => {
        let state = machine({ self: own });
        const outputs: Output[] = [];
        for (const input of inputs) {
          const [next, produced] = step(state, input);
          state = next;
          outputs.push(...produced);
        }
        return print([state, outputs]);
      };
      const first = replay();
      return first === replay();
    }),
    { numRuns: 100 },
  );
  t.end();
});

/** The first thing wrong with one step, or null. */
function faultOf(before: MachineState, after: MachineState, outputs: readonly Output[], cast: Set<string>): string | null {
  const [old, now] = [before.consensus, after.consensus];
  if (now.round < old.round) return 'a round went back';
  if (old.step === 'decided' && (now !== old || outputs.some((output) => output.kind !== 'evidence')))
    return 'something moved after the decision';
  if (old.lockedRound !== null && (now.lockedRound === null || now.lockedRound < old.lockedRound)) return 'a lock was lost';
  if (now.lockedRound !== null && (now.validRound === null || now.validRound < now.lockedRound)) return 'validRound is below lockedRound';
  for (const output of outputs) {
    if (output.kind !== 'castVote' && output.kind !== 'propose' && output.kind !== 'scheduleTimeout') continue;
    const slot =
      output.kind === 'castVote' ? `${output.type} ${output.round}` : output.kind === 'propose' ? `propose ${output.round}` : print(output);
    if (cast.has(slot)) return `twice: ${slot}`;
    cast.add(slot);
  }
  return null;
}

t.test('never: a second vote, proposal or timer, a lost lock, a round back, a move after the decision', (t) => {
  fc.assert(
    fc.property(self, scenario, (own, inputs) => {
      let state = machine({ self: own });
      const cast = new Set<string>();
      for (const input of inputs) {
        const [next, outputs] = step(state, input);
        const fault = faultOf(state, next, outputs, cast);
        if (fault !== null) throw new Error(fault);
        state = next;
      }
    }),
    { numRuns: 500 },
  );
  t.end();
});

t.test('queries: their certificates are such that another machine takes them', (t) => {
  fc.assert(
    fc.property(scenario, (inputs) => {
      const state = inputs.reduce((current, input) => step(current, input)[0], machine());
      const polka = latestPolka(state);
      if (polka !== null) {
        const [helped] = step(machine({ self: 'C' }), { kind: 'polkaCertificate', certificate: polka });
        if (latestPolka(helped)?.valueId !== polka.valueId) return false;
      }
      const certificate = roundCertificate(state);
      if ((certificate === null) !== (state.consensus.round === 0)) return certificate === null && isStartedByTimer(inputs);
      if (certificate !== null) {
        const [helped] = step(machine({ self: 'C' }), { kind: 'roundCertificate', certificate });
        if (helped.consensus.round < certificate.round - 1) return false;
      }
      const decided = commitCertificate(state);
      return (decided === null) === (statusOf(state).decidedValue === null);
    }),
    { numRuns: 500 },
  );
  t.end();
});

/** A timeout may be fed that nobody scheduled; then nothing justifies the round. */
function isStartedByTimer(inputs: readonly Input[]): boolean {
  return inputs.some((input) => input.kind === 'timeout' && input.timeout.kind === 'precommit');
}

t.test('queries: what is missing, and what is sent again', (t) => {
  const waiting = run(machine(), ['wanted', 'precommit ABC 0 v']).state;
  t.same(missingValue(waiting), { round: 0, valueId: value('v'), type: 'precommit' });
  const decided = run(waiting, ['proposal A 0 v', 'precommit D 0 v']).state;
  t.equal(missingValue(decided), null);
  t.equal(commitCertificate(decided)?.votes.length, 4, 'a late precommit joins the certificate');
  t.same(missingValue(run(machine(), ['wanted', 'prevote ABC 0 v']).state), { round: 0, valueId: value('v'), type: 'prevote' });
  t.same(ownLastVotes(decided), votes('precommit', 'D', 0, 'v'));
  t.same(ownLastVotes(run(machine(), ['prevote D 0 v', 'precommit D 0 nil', 'prevote D 2 nil']).state), votes('prevote', 'D', 2, 'nil'));
  t.same(ownLastVotes(run(machine({ self: null }), ['prevote D 0 v']).state), []);
  t.equal(roundCertificate(waiting), null);
  const polka = latestPolka(run(machine(), ['polka 0 v ABC', 'polka 2 w BCD', 'prevote ABC 3 nil']).state);
  t.same(polka, { height: HEIGHT, round: 2, valueId: value('w'), votes: votes('prevote', 'BCD', 2, 'w') });
  t.end();
});

t.test('queries: what a late polka makes known is the best to propose', (t) => {
  const early = ['proposal A 0 v', 'prevote AD 0 v', 'prevote B 0 w', 'precommit ABC 0 nil', 'timeout precommit 0', 'proposal B 1 w'];
  const before = run(machine(), early).state;
  t.equal(provenValue(before), null, 'two of four');
  const after = run(before, ['prevote C 0 v']);
  t.same(provenValue(after.state), { round: 0, valueId: value('v') });
  t.equal(printState(after.state), printState(before), 'the machine itself takes no notice: it is not of its round');
  t.same(provenValue(run(before, ['polka 0 v ABC']).state), { round: 0, valueId: value('v') }, 'with the other vote of an equivocator');
  const current = run(after.state, ['prevote ABC 1 w']).state;
  t.same(provenValue(current), { round: 0, valueId: value('v') }, 'that of the current round is the valid value anyway');
  t.same(provenValue(run(current, ['precommit ABC 1 nil', 'timeout precommit 1']).state), { round: 1, valueId: value('w') }, 'the latest');
  t.equal(
    provenValue(run(machine(), ['wanted', 'polka 0 v ABC', 'round 1 precommit ABC 0 nil', 'timeout precommit 0']).state),
    null,
    'unknown',
  );
  t.equal(
    provenValue(run(machine(), ['proposal A 0 v invalid', 'wanted', 'polka 0 v ABC', 'precommit ABC 0 nil', 'timeout precommit 0']).state),
    null,
    'not valid',
  );
  t.end();
});

/** A deterministic stream of integers below a bound (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let a = seed >>> 0;
  return (below) => {
    a = (a + 0x6d2b79f5) >>> 0;
    let x = Math.imul(a ^ (a >>> 15), a | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) % below;
  };
}

const NAMES = ['A', 'B', 'C', 'D'];
const VALIDATORS = NAMES.map((name) => ({ nodeId: node(name), power: asVotingPower(1) }));

/** Four machines, the last of which lies; inboxes are drawn from in random order, and timers fire whenever the seed says. */
class Network {
  readonly #random: (below: number) => number;
  readonly #lossPercent: number;
  /** A machine that decided tells nobody: the others must come to the same value by the rules on locks alone. */
  readonly #dieDecided: boolean;
  readonly #machines: MachineState[];
  readonly #inboxes: Input[][] = NAMES.map(() => []);
  readonly #timers: Input[][] = NAMES.map(() => []);
  readonly decisions: (CommitCertificate | null)[] = [null, null, null];
  /** Proposals of what a late polka made known. */
  proven = 0;

  constructor(seed: number, lossPercent: number) {
    this.#random = randomOf(seed);
    this.#dieDecided = seed % 3 > 0;
    this.#lossPercent = lossPercent;
    this.#machines = NAMES.slice(0, 3).map((name) =>
      createMachine({ height: HEIGHT, validators: VALIDATORS, self: node(name), timeouts: TIMEOUTS }),
    );
  }

  run(steps: number): void {
    for (let index = 0; index < 3; index++) this.#feed(index, { kind: 'valueWanted' });
    for (let count = 0; count < steps && this.decisions.includes(null); count++) {
      if (this.#random(3) === 0) this.#lie();
      const index = this.#random(3);
      const inbox = this.#inboxes[index] ?? [];
      const timers = this.#timers[index] ?? [];
      const isTimer = inbox.length === 0 || this.#random(12) === 0;
      const source = isTimer ? timers : inbox;
      const [input] = source.splice(this.#random(Math.max(source.length, 1)), 1);
      if (input !== undefined) this.#feed(index, input);
      if (this.#inboxes.every((waiting) => waiting.length < 10)) this.#help(this.#random(3));
    }
  }

  #feed(index: number, input: Input): void {
    const before = this.#machines[index];
    if (before === undefined) return;
    const [after, outputs] = step(before, input);
    this.#machines[index] = after;
    for (const output of outputs) this.#carryOut(index, output);
  }

  #carryOut(index: number, output: Output): void {
    const nodeId = node(NAMES[index] ?? '');
    const signature = new Uint8Array();
    switch (output.kind) {
      case 'getValue': {
        const proven = this.#proven(index, null);
        if (proven === null)
          this.#feed(index, { kind: 'proposeValue', round: output.round, valueId: value(NAMES[index]?.toLowerCase() ?? '') });
        else this.#broadcast(index, { kind: 'proposal', proposal: { ...output, ...proven, nodeId, signature }, valid: true });
        break;
      }
      case 'propose':
        this.#broadcast(index, {
          kind: 'proposal',
          proposal: { ...output, ...this.#proven(index, output.validRound), nodeId, signature },
          valid: true,
        });
        break;
      case 'castVote':
        this.#broadcast(index, { kind: 'vote', vote: { ...output, nodeId, signature } });
        break;
      case 'scheduleTimeout':
        this.#timers[index]?.push({ kind: 'timeout', timeout: output.timeout });
        break;
      case 'decide':
        this.decisions[index] = output.certificate;
        if (!this.#dieDecided) this.#broadcast(index, { kind: 'commitCertificate', certificate: output.certificate });
        break;
      case 'roundStarted':
      case 'evidence':
        break;
      default:
        assertNever(output);
    }
  }

  /** As the engine does: a later polka goes before an older one and before a new value. */
  #proven(index: number, validRound: Round | null): Pick<Proposal, 'valueId' | 'validRound'> | null {
    const state = this.#machines[index];
    const proven = state === undefined ? null : provenValue(state);
    if (proven === null || proven.round <= (validRound ?? -1)) return null;
    this.proven += 1;
    return { valueId: proven.valueId, validRound: proven.round };
  }

  /** To itself certainly, to the others unless it is lost; when it comes, the seed says. */
  #broadcast(from: number, input: Input): void {
    for (let index = 0; index < 3; index++) {
      if (index !== from && this.#random(100) < this.#lossPercent) continue;
      this.#inboxes[index]?.push(input);
    }
  }

  /** D says anything to anybody, in rounds about the present; often just what one hearer a round lacks for a quorum,
   * and what all the others do once somebody has decided. */
  #lie(): void {
    const target = this.#random(3);
    const now = this.#machines[target]?.consensus.round ?? 0;
    const at = asRound(Math.max(0, now - 1 + this.#random(3)));
    const isHelped = this.decisions.some((decision) => decision !== null) || target === at % 3;
    const fitting = this.#machines[target]?.proposals.rounds.get(at)?.at(-1)?.proposal.valueId ?? null;
    const lies: (ValueId | null)[] = [value('a'), value('b'), value('c'), value('x'), null, null];
    const valueId = isHelped && this.#random(4) > 0 ? fitting : (lies[this.#random(lies.length)] ?? null);
    const about = { height: HEIGHT, round: at, nodeId: node('D'), signature: new Uint8Array() };
    if (valueId !== null && proposerOf(VALIDATORS, HEIGHT, at) === node('D') && this.#random(2) === 0) {
      const validRound = at > 0 && this.#random(2) === 0 ? asRound(this.#random(at)) : null;
      this.#inboxes[target]?.push({ kind: 'proposal', proposal: { ...about, valueId, validRound }, valid: this.#random(4) > 0 });
    } else
      this.#inboxes[target]?.push({ kind: 'vote', vote: { ...about, type: this.#random(2) === 0 ? 'prevote' : 'precommit', valueId } });
  }

  /** One correct machine shows what it has to all: certificates, its last votes, the proposals it knows. */
  #help(index: number): void {
    const state = this.#machines[index];
    if (state === undefined || (this.#dieDecided && this.decisions[index] !== null)) return;
    const polka = latestPolka(state);
    const justification = roundCertificate(state);
    const decision = commitCertificate(state);
    if (polka !== null) this.#broadcast(index, { kind: 'polkaCertificate', certificate: polka });
    if (justification !== null) this.#broadcast(index, { kind: 'roundCertificate', certificate: justification });
    if (decision !== null) this.#broadcast(index, { kind: 'commitCertificate', certificate: decision });
    for (const vote of ownLastVotes(state)) this.#broadcast(index, { kind: 'vote', vote });
    for (const proposals of state.proposals.rounds.values()) {
      for (const { proposal, valid } of proposals) this.#broadcast(index, { kind: 'proposal', proposal, valid });
    }
  }

  get maximumRound(): number {
    return Math.max(...this.#machines.map((state) => state.consensus.round));
  }
}

t.test('agreement: with one of four Byzantine, messages late or lost, no two correct machines decide differently', (t) => {
  let decided = 0;
  let laterRounds = 0;
  let proven = 0;
  const runs = 150;
  for (let seed = 1; seed <= runs; seed++) {
    const network = new Network(seed, (seed % 4) * 20);
    network.run(2000);
    const values = new Set(network.decisions.flatMap((certificate) => (certificate === null ? [] : [certificate.valueId])));
    if (values.size > 1) t.fail(`seed ${seed}: two values were decided`);
    if (values.size === 1) decided++;
    if (network.maximumRound > 0) laterRounds++;
    proven += network.proven;
  }
  t.ok(decided > runs / 2, `most runs decide (${decided} of ${runs}), so that there is something to agree on`);
  t.ok(laterRounds > runs / 4, `many need later rounds (${laterRounds} of ${runs})`);
  t.ok(proven > 0, `${proven} proposals rest on a late polka`);
  t.end();
});
