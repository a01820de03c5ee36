/**
 * The vote keeper and its certificates: thresholds against a naive model, one vote per slot, evidence, and the bounds on memory.
 * The model counts from the whole list of votes each time and shares no code with the keeper.
 */

import fc from 'fast-check';
import t from 'tap';
import {
  asRound,
  isQuorum,
  isSkip,
  MAX_FUTURE_ROUNDS,
  MAX_PROPOSALS_PER_ROUND,
  proposerOf,
  timeoutMs,
  type Vote,
} from '../../consensus/index.ts';
import {
  addVote,
  createVoteKeeper,
  hasQuorumAny,
  hasQuorumFor,
  quorumValues,
  skipRound,
  type VoteKeeper,
} from '../../consensus/vote-keeper.ts';
import { HEIGHT, machine, node, printState, proposal, run, TIMEOUTS, value, votes } from './notation.ts';

const ZERO = asRound(0);

t.test('thresholds: exact at the edge', (t) => {
  const table: readonly (readonly [total: number, quorumFrom: number, skipFrom: number])[] = [
    [1, 1, 1],
    [2, 2, 1],
    [3, 3, 2],
    [4, 3, 2],
    [5, 4, 2],
    [6, 5, 3],
    [7, 5, 3],
    [100, 67, 34],
    [2 ** 51 - 1, 1_501_199_875_790_165, 750_599_937_895_083],
  ];
  for (const [total, quorumFrom, skipFrom] of table) {
    t.notOk(isQuorum(quorumFrom - 1, total), `${quorumFrom - 1} of ${total} is no quorum`);
    t.ok(isQuorum(quorumFrom, total), `${quorumFrom} of ${total} is a quorum`);
    t.notOk(isSkip(skipFrom - 1, total), `${skipFrom - 1} of ${total} is not > 1/3`);
    t.ok(isSkip(skipFrom, total), `${skipFrom} of ${total} is > 1/3`);
  }
  t.end();
});

t.test('thresholds: as with integers of any size', (t) => {
  const powers = fc
    .integer({ min: 1, max: 2 ** 51 - 1 })
    .chain((total) => fc.tuple(fc.integer({ min: 0, max: total }), fc.constant(total)));
  fc.assert(
    fc.property(powers, ([power, total]) => {
      return (
        isQuorum(power, total) === 3n * BigInt(power) > 2n * BigInt(total) && isSkip(power, total) === 3n * BigInt(power) > BigInt(total)
      );
    }),
  );
  t.end();
});

t.test('proposerOf: set[(h + r) mod n], even where h + r is no safe integer', (t) => {
  const { validators } = machine({ set: 'A B C' });
  const at = (height: number, round: number) => proposerOf(validators, height as typeof HEIGHT, asRound(round));
  t.equal(at(3, 0), node('A'));
  t.equal(at(3, 1), node('B'));
  t.equal(at(4, 1), node('C'));
  t.equal(at(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER), node(['A', 'B', 'C'][Number((2n * (2n ** 53n - 1n)) % 3n)] ?? ''));
  t.end();
});

t.test('timeouts: linear and capped', (t) => {
  const ms = (kind: 'propose' | 'prevote' | 'precommit') =>
    [0, 1, 2, 3, 1_000_000].map((round) => timeoutMs(TIMEOUTS, kind, asRound(round)));
  t.same(ms('propose'), [1000, 1500, 2000, 2000, 2000]);
  t.same(ms('prevote'), [300, 400, 500, 600, 2000]);
  t.same(ms('precommit'), [200, 300, 400, 500, 2000]);
  t.end();
});

const SET = 'A=3 B=2 C=1 D=1';
const POWER: Readonly<Record<string, number>> = { A: 3, B: 2, C: 1, D: 1 };

interface Cast {
  readonly name: string;
  readonly type: 'prevote' | 'precommit';
  readonly round: number;
  readonly valueId: string;
}

const cast: fc.Arbitrary<Cast> = fc.record({
  name: fc.constantFrom('A', 'B', 'C', 'D', 'Z'),
  type: fc.constantFrom('prevote' as const, 'precommit' as const),
  round: fc.integer({ min: 0, max: 3 }),
  valueId: fc.constantFrom('v', 'w', 'nil'),
});

function keeperOf(casts: readonly Cast[]): readonly [VoteKeeper, number] {
  let keeper = createVoteKeeper(HEIGHT, machine({ set: SET }).validators);
  let evidence = 0;
  for (const { type, name, round, valueId } of casts) {
    for (const vote of votes(type, name, round, valueId)) {
      const [next, found] = addVote(keeper, vote, ZERO);
      keeper = next;
      evidence += found.length;
    }
  }
  return [keeper, evidence];
}

/** First votes only, and the number of slots with two different ones. */
function naive(casts: readonly Cast[]): { first: Cast[]; doubled: number } {
  const first: Cast[] = [];
  const doubled = new Set<string>();
  for (const one of casts) {
    if (POWER[one.name] === undefined) continue;
    const earlier = first.find((other) => other.name === one.name && other.type === one.type && other.round === one.round);
    if (earlier === undefined) first.push(one);
    else if (earlier.valueId !== one.valueId) doubled.add(`${one.name}/${one.type}/${one.round}`);
  }
  return { first, doubled: doubled.size };
}

function sum(casts: readonly Cast[]): number {
  return [...new Set(casts.map((one) => one.name))].reduce((total, name) => total + (POWER[name] ?? 0), 0);
}

t.test('counting: as the naive model', (t) => {
  fc.assert(
    fc.property(fc.array(cast, { maxLength: 40 }), (casts) => {
      const [keeper, evidence] = keeperOf(casts);
      const { first, doubled } = naive(casts);
      if (evidence !== doubled) return false;
      for (const round of [0, 1, 2, 3]) {
        for (const type of ['prevote', 'precommit'] as const) {
          const here = first.filter((one) => one.round === round && one.type === type);
          if (hasQuorumAny(keeper, asRound(round), type) !== sum(here) * 3 > 14) return false;
          for (const valueId of ['v', 'w', 'nil']) {
            const expected = sum(here.filter((one) => one.valueId === valueId)) * 3 > 14;
            if (hasQuorumFor(keeper, asRound(round), type, valueId === 'nil' ? null : value(valueId)) !== expected) return false;
          }
        }
      }
      const skips = [1, 2, 3].filter((round) => sum(first.filter((one) => one.round === round)) * 3 > 7);
      return skipRound(keeper, ZERO) === (skips.at(-1) ?? null);
    }),
    { numRuns: 300 },
  );
  t.end();
});

t.test('one vote per validator, round and type', (t) => {
  const keep = (keeper: VoteKeeper, vote: Vote | undefined) => (vote === undefined ? ([keeper, []] as const) : addVote(keeper, vote, ZERO));
  const empty = createVoteKeeper(HEIGHT, machine().validators);
  const [a, none] = keep(empty, votes('prevote', 'A', 0, 'v')[0]);
  t.same(none, []);
  t.equal(keep(a, votes('prevote', 'A', 0, 'v', { signature: new Uint8Array(3) })[0])[0], a, 'a copy with another signature is a copy');
  const [b, found] = keep(a, votes('prevote', 'A', 0, 'nil')[0]);
  t.equal(found.length, 1, 'nil against a value is evidence');
  t.equal(keep(b, votes('prevote', 'A', 0, 'w')[0])[0], b, 'evidence once a slot');
  t.same(keep(a, votes('precommit', 'A', 0, 'w')[0])[1], [], 'another type is another slot');
  t.same(keep(a, votes('prevote', 'A', 1, 'w')[0])[1], [], 'another round is another slot');
  t.equal(keep(empty, votes('prevote', 'Z', 0, 'v')[0])[0], empty, 'a stranger');
  t.equal(keep(empty, votes('prevote', 'A', 0, 'v', { height: 5 as typeof HEIGHT })[0])[0], empty, 'another height');
  t.end();
});

const CERTIFICATES: readonly { name: string; inputs: readonly string[]; outputs: readonly string[]; state: string }[] = [
  { name: 'a polka with too little power counts nothing', inputs: ['wanted', 'polka 0 v AB'], outputs: [], state: '0/propose' },
  { name: 'a polka with a doubled voter counts nothing', inputs: ['wanted', 'polka 0 v ABB'], outputs: [], state: '0/propose' },
  { name: 'a polka with a stranger counts nothing', inputs: ['wanted', 'polka 2 v ABCZ'], outputs: [], state: '0/propose' },
  {
    name: 'a polka locks like votes',
    inputs: ['proposal A 0 v', 'polka 0 v ABC'],
    outputs: ['cast precommit 0 v'],
    state: '0/precommit',
  },
  {
    name: 'a polka applies whole over another vote, and the two votes are evidence',
    inputs: ['proposal A 0 v', 'prevote C 0 nil', 'prevote D 0 v', 'polka 0 v ABC'],
    outputs: ['evidence prevote C 0 nil v', 'cast precommit 0 v'],
    state: '0/precommit',
  },
  {
    name: 'evidence already given is not given again, and the certificate still counts',
    inputs: ['proposal A 0 v', 'prevote C 0 nil', 'prevote C 0 v', 'polka 0 v ABC'],
    outputs: ['cast precommit 0 v'],
    state: '0/precommit',
  },
  {
    name: 'precommits apply whole, and the certificate of the decision has them',
    inputs: ['proposal A 0 v', 'precommit C 0 nil', 'commit 0 v ABC'],
    outputs: ['evidence precommit C 0 nil v', 'decide 0 v by ABC'],
    state: '0/decided',
  },
  {
    name: 'a commit with too little power decides nothing',
    inputs: ['proposal A 0 v', 'commit 0 v AB'],
    outputs: [],
    state: '0/prevote',
  },
  {
    name: 'a commit without the value waits for it',
    inputs: ['wanted', 'commit 0 v ABC'],
    outputs: ['schedule precommit 0 200ms'],
    state: '0/propose',
  },
  {
    name: 'a round by votes of > 1/3 of it is skipped to',
    inputs: ['wanted', 'round 2 prevote BC 2 nil'],
    outputs: ['started 2 by C', 'schedule propose 2 2000ms'],
    state: '2/propose',
  },
  { name: 'a round by too few votes is not', inputs: ['wanted', 'round 2 prevote B 2 nil'], outputs: [], state: '0/propose' },
  {
    name: 'a round by precommits of > 2/3 of the one before starts its timer',
    inputs: ['wanted', 'round 1 precommit ABC 0 nil'],
    outputs: ['schedule precommit 0 200ms'],
    state: '0/propose',
  },
  {
    name: 'a round by precommits of 2/4 of the one before is nothing',
    inputs: ['wanted', 'round 1 precommit AB 0 nil'],
    outputs: [],
    state: '0/propose',
  },
  {
    name: 'a round by prevotes of the one before is nothing',
    inputs: ['wanted', 'round 1 prevote ABC 0 nil'],
    outputs: [],
    state: '0/propose',
  },
  {
    name: 'votes in a round certificate count for no second value',
    inputs: ['proposal A 0 v', 'prevote A 0 v', 'prevote BCD 0 w', 'round 1 precommit ABC 0 nil'],
    outputs: ['schedule precommit 0 200ms'],
    state: '0/prevote',
  },
];

t.test('certificates', (t) => {
  for (const { name, inputs, outputs, state } of CERTIFICATES) {
    const result = run(machine(), inputs);
    t.same(result.outputs, outputs, name);
    t.equal(printState(result.state).split(' ')[0], state, `${name}: state`);
  }
  t.end();
});

t.test('bounds: a single validator holds votes of few future rounds, the highest ones', (t) => {
  const rounds = Array.from({ length: 40 }, (_, index) => 40 - ((index * 7) % 40));
  const { state } = run(machine(), [
    'wanted',
    ...rounds.map((round) => `prevote B ${round} v`),
    ...rounds.map((round) => `precommit B ${round} v`),
  ]);
  const kept = [...state.votes.rounds.keys()].sort((a, b) => a - b);
  t.same(kept, [36, 37, 38, 39, 40]);
  t.equal(kept.length, MAX_FUTURE_ROUNDS);
  const skipped = run(state, ['prevote C 38 nil']);
  t.equal(printState(skipped.state).split(' ')[0], '38/propose', 'and they still count');
  t.end();
});

t.test('bounds: forgetting a round of one validator leaves the others there', (t) => {
  const { state } = run(machine({ set: 'A B C D E F G', self: 'A' }), [
    'wanted',
    'prevote CB 10 v',
    'precommit B 10 v',
    ...[11, 12, 13, 14, 15].map((round) => `prevote B ${round} v`),
  ]);
  const ten = state.votes.rounds.get(asRound(10));
  t.same([...(ten?.prevote.votes.keys() ?? [])], [node('C')]);
  t.equal(ten?.prevote.totalPower, 1);
  t.equal(ten?.precommit.totalPower, 0);
  t.equal(ten?.senderPower, 1);
  t.same(quorumValues(state.votes, asRound(10), 'prevote'), []);
  t.end();
});

t.test('bounds: proposals', (t) => {
  const { state, outputs } = run(machine(), ['proposal A 0 v', 'proposal A 0 w', 'proposal A 0 x']);
  t.same(outputs, [], 'a third one is not even evidence');
  t.equal(state.proposals.rounds.get(ZERO)?.length, MAX_PROPOSALS_PER_ROUND);
  const far = run(
    machine(),
    Array.from({ length: 30 }, (_, index) => `proposal B ${1 + 4 * index} v invalid`),
  );
  t.equal(far.state.proposals.rounds.size, MAX_FUTURE_ROUNDS);
  t.ok(far.state.proposals.rounds.has(asRound(117)), 'the highest stays');
  t.same(proposal('B', 1, 'v').nodeId, node('B'));
  t.end();
});
