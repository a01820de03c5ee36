/**
 * One test per line of Algorithm 1 (arXiv:1807.04938), run through the whole driver, and the pitfalls around those lines.
 * Each says what the machine puts out for the last input of its scenario and where it stands then; notation.ts has the words.
 */

import t from 'tap';
import { type MachineSetup, machine, printState, run } from './notation.ts';

interface Case {
  readonly name: string;
  readonly setup?: MachineSetup;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly state: string;
}

/** A round in which D, who isn't its proposer, is locked on v in round 0 and has gone on to round 1. */
const LOCKED_IN_1 = ['proposal A 0 v', 'prevote ABCD 0 v', 'precommit ABD 0 nil', 'precommit C 0 nil', 'timeout precommit 0'];

const CASES: readonly Case[] = [
  {
    name: 'L1–L9: a height begins with nothing locked, nothing valid, and waits',
    inputs: [],
    outputs: [],
    state: '0/waiting locked=- valid=-',
  },
  {
    name: 'L10: valueWanted starts round 0',
    inputs: ['wanted'],
    outputs: ['started 0 by A', 'schedule propose 0 1000ms'],
    state: '0/propose locked=- valid=-',
  },
  { name: 'L10: valueWanted a second time starts nothing', inputs: ['wanted', 'wanted'], outputs: [], state: '0/propose locked=- valid=-' },
  {
    name: 'L10: a valid proposal starts round 0, and L22 follows',
    inputs: ['proposal A 0 v'],
    outputs: ['started 0 by A', 'schedule propose 0 1000ms', 'cast prevote 0 v'],
    state: '0/prevote locked=- valid=-',
  },
  { name: 'L10: an invalid proposal starts nothing', inputs: ['proposal A 0 v invalid'], outputs: [], state: '0/waiting locked=- valid=-' },
  {
    name: 'L10: one of four votes starts nothing',
    inputs: ['prevote A 0 v', 'precommit A 3 v'],
    outputs: [],
    state: '0/waiting locked=- valid=-',
  },
  {
    name: 'L10: votes of two of four, of whatever rounds, start round 0',
    inputs: ['prevote A 0 v', 'precommit B 3 nil'],
    outputs: ['started 0 by A', 'schedule propose 0 1000ms'],
    state: '0/propose locked=- valid=-',
  },
  {
    name: 'L10, L55: votes of two of four in a later round start round 0 and go on to that round',
    inputs: ['prevote AB 2 nil'],
    outputs: ['started 0 by A', 'schedule propose 0 1000ms', 'started 2 by C', 'schedule propose 2 2000ms'],
    state: '2/propose locked=- valid=-',
  },
  {
    name: 'L14, L18: the proposer without a valid value asks for one',
    setup: { self: 'A' },
    inputs: ['wanted'],
    outputs: ['started 0 by A', 'getValue 0', 'schedule propose 0 1000ms'],
    state: '0/propose locked=- valid=-',
  },
  {
    name: 'L19: the value asked for is proposed with validRound −1, and the step waits for the own proposal',
    setup: { self: 'A' },
    inputs: ['wanted', 'value 0 v'],
    outputs: ['propose 0 v -'],
    state: '0/propose locked=- valid=-',
  },
  {
    name: 'L19: a second answer proposes nothing',
    setup: { self: 'A' },
    inputs: ['wanted', 'value 0 v', 'value 0 w'],
    outputs: [],
    state: '0/propose locked=- valid=-',
  },
  {
    name: 'L19: an answer for a stale round proposes nothing',
    setup: { self: 'B' },
    inputs: ['wanted', 'prevote CD 1 nil', 'value 0 v'],
    outputs: [],
    state: '1/propose locked=- valid=-',
  },
  {
    name: 'L19: an answer after the propose timeout proposes nothing',
    setup: { self: 'A' },
    inputs: ['wanted', 'timeout propose 0', 'value 0 v'],
    outputs: [],
    state: '0/prevote locked=- valid=-',
  },
  {
    name: 'L19: an answer that nobody asked for proposes nothing',
    inputs: ['wanted', 'value 0 v'],
    outputs: [],
    state: '0/propose locked=- valid=-',
  },
  {
    name: 'L15, L16: the proposer with a valid value proposes it again with its validRound',
    setup: { self: 'B' },
    inputs: ['proposal A 0 v', 'prevote ABC 0 v', 'precommit ACD 0 nil', 'timeout precommit 0'],
    outputs: ['started 1 by B', 'propose 1 v 0', 'schedule propose 1 1500ms'],
    state: '1/propose locked=v@0 valid=v@0',
  },
  {
    name: 'L21: who does not propose runs a timer',
    inputs: ['prevote AB 1 nil'],
    outputs: ['started 0 by A', 'schedule propose 0 1000ms', 'started 1 by B', 'schedule propose 1 1500ms'],
    state: '1/propose locked=- valid=-',
  },
  {
    name: 'L22: a proposal of another than the proposer is nothing',
    inputs: ['wanted', 'proposal B 0 v'],
    outputs: [],
    state: '0/propose locked=- valid=-',
  },
  {
    name: 'L22, L24: not locked, a valid proposal is prevoted',
    inputs: ['wanted', 'proposal A 0 v'],
    outputs: ['cast prevote 0 v'],
    state: '0/prevote locked=- valid=-',
  },
  {
    name: 'L23, L26: an invalid proposal is prevoted nil',
    inputs: ['wanted', 'proposal A 0 v invalid'],
    outputs: ['cast prevote 0 nil'],
    state: '0/prevote locked=- valid=-',
  },
  {
    name: 'L23, L26: locked on v, a fresh w is prevoted nil',
    inputs: [...LOCKED_IN_1, 'proposal B 1 w'],
    outputs: ['cast prevote 1 nil'],
    state: '1/prevote locked=v@0 valid=v@0',
  },
  {
    name: 'L23, L24: locked on v, a fresh v is prevoted',
    inputs: [...LOCKED_IN_1, 'proposal B 1 v'],
    outputs: ['cast prevote 1 v'],
    state: '1/prevote locked=v@0 valid=v@0',
  },
  {
    name: 'L27: a second proposal after the prevote is evidence and casts nothing',
    inputs: ['proposal A 0 v', 'proposal A 0 w'],
    outputs: ['evidence proposal A 0 v w'],
    state: '0/prevote locked=- valid=-',
  },
  {
    name: 'L28: a proposal with validRound but no polka of it casts nothing and keeps the timer',
    inputs: ['wanted', 'timeout propose 0', 'prevote AB 1 nil', 'proposal B 1 v 0'],
    outputs: [],
    state: '1/propose locked=- valid=-',
  },
  {
    name: 'L28, L30: the polka of validRound comes late, not locked',
    inputs: ['prevote AB 1 nil', 'proposal B 1 v 0', 'polka 0 v ABC'],
    outputs: ['cast prevote 1 v'],
    state: '1/prevote locked=- valid=-',
  },
  {
    name: 'L28: a polka of another round is not the one',
    inputs: ['prevote AB 2 nil', 'proposal C 2 v 1', 'polka 0 v ABC'],
    outputs: [],
    state: '2/propose locked=- valid=-',
  },
  {
    name: 'L28: a validRound that is not before the round is nothing',
    inputs: ['prevote AB 1 v', 'proposal B 1 v 1', 'polka 1 v ABC'],
    outputs: [],
    state: '1/propose locked=- valid=-',
  },
  {
    name: 'L29, L30: locked on w in 0, a polka for v in 1 opens the lock in 2',
    inputs: ['proposal A 0 w', 'prevote ABC 0 w', 'prevote AB 2 nil', 'polka 1 v ABC', 'proposal C 2 v 1'],
    outputs: ['cast prevote 2 v'],
    state: '2/prevote locked=w@0 valid=w@0',
  },
  {
    name: 'L29, L32: locked on w in 1, a polka for v in 0 does not',
    inputs: ['wanted', 'prevote AB 1 w', 'proposal B 1 w', 'prevote C 1 w', 'prevote AB 2 nil', 'polka 0 v ABC', 'proposal C 2 v 0'],
    outputs: ['cast prevote 2 nil'],
    state: '2/prevote locked=w@1 valid=w@1',
  },
  {
    name: 'L29, L30: locked on v in 1, v with a polka in 0 is prevoted',
    inputs: ['wanted', 'prevote AB 1 v', 'proposal B 1 v', 'prevote C 1 v', 'prevote AB 2 nil', 'polka 0 v ABC', 'proposal C 2 v 0'],
    outputs: ['cast prevote 2 v'],
    state: '2/prevote locked=v@1 valid=v@1',
  },
  {
    name: 'L29, L32: an invalid value with a polka is prevoted nil',
    inputs: ['prevote AB 1 nil', 'polka 0 v ABC', 'proposal B 1 v 0 invalid'],
    outputs: ['cast prevote 1 nil'],
    state: '1/prevote locked=- valid=-',
  },
  {
    name: 'L33: after L28 the step is prevote, and L36 of the same round is asked at once',
    inputs: ['prevote AB 1 v', 'prevote C 1 v', 'polka 0 v ABC', 'proposal B 1 v 0'],
    outputs: ['cast prevote 1 v', 'cast precommit 1 v'],
    state: '1/precommit locked=v@1 valid=v@1',
  },
  {
    name: 'L34, L35: > 2/3 prevotes for anything start the prevote timer',
    inputs: ['proposal A 0 v', 'prevote A 0 v', 'prevote B 0 nil', 'prevote D 0 v'],
    outputs: ['schedule prevote 0 300ms'],
    state: '0/prevote locked=- valid=-',
  },
  {
    name: 'L34: only once a round',
    inputs: ['proposal A 0 v', 'prevote A 0 v', 'prevote B 0 nil', 'prevote D 0 v', 'prevote C 0 w'],
    outputs: [],
    state: '0/prevote locked=- valid=-',
  },
  { name: 'L34: not in step propose', inputs: ['wanted', 'prevote ABC 0 w'], outputs: [], state: '0/propose locked=- valid=-' },
  {
    name: 'L34: asked again when the step changes',
    inputs: ['wanted', 'prevote AB 0 w', 'prevote C 0 nil', 'timeout propose 0'],
    outputs: ['cast prevote 0 nil', 'schedule prevote 0 300ms'],
    state: '0/prevote locked=- valid=-',
  },
  {
    name: 'L36–L43: a polka for the proposal locks it',
    inputs: ['proposal A 0 v', 'prevote AB 0 v', 'prevote D 0 v'],
    outputs: ['cast precommit 0 v'],
    state: '0/precommit locked=v@0 valid=v@0',
  },
  {
    name: 'L36: a polka whose value nobody proposed locks nothing',
    inputs: ['proposal A 0 v', 'prevote BCD 0 w'],
    outputs: ['schedule prevote 0 300ms'],
    state: '0/prevote locked=- valid=-',
  },
  {
    name: 'L36: a polka for an invalid value locks nothing',
    inputs: ['wanted', 'proposal A 0 v invalid', 'prevote ABC 0 v'],
    outputs: ['schedule prevote 0 300ms'],
    state: '0/prevote locked=- valid=-',
  },
  {
    name: 'L36: a proposal told valid only later (it was not timely) can still be locked',
    inputs: ['wanted', 'proposal A 0 v invalid', 'prevote ABC 0 v', 'proposal A 0 v'],
    outputs: ['cast precommit 0 v'],
    state: '0/precommit locked=v@0 valid=v@0',
  },
  {
    name: 'L23: told valid only later, the prevote still is nil',
    inputs: ['wanted', 'proposal B 1 v invalid', 'proposal B 1 v', 'prevote AB 1 nil'],
    outputs: ['started 1 by B', 'schedule propose 1 1500ms', 'cast prevote 1 nil'],
    state: '1/prevote locked=- valid=-',
  },
  {
    name: 'L36, L42: a polka that comes in step precommit makes valid, but does not lock',
    inputs: ['proposal A 0 v', 'timeout prevote 0', 'prevote ABC 0 v'],
    outputs: [],
    state: '0/precommit locked=- valid=v@0',
  },
  {
    name: 'L37, L42: after the prevote timeout a polka makes valid, but neither locks nor votes',
    inputs: ['proposal A 0 v', 'prevote AB 0 v', 'prevote D 0 nil', 'timeout prevote 0', 'prevote C 0 v'],
    outputs: [],
    state: '0/precommit locked=- valid=v@0',
  },
  {
    name: 'L36: more prevotes after the first time change nothing',
    inputs: ['proposal A 0 v', 'prevote ABD 0 v', 'prevote C 0 v'],
    outputs: [],
    state: '0/precommit locked=v@0 valid=v@0',
  },
  {
    name: 'L44–L46: a nil polka precommits nil',
    inputs: ['proposal A 0 v', 'prevote BCD 0 nil'],
    outputs: ['cast precommit 0 nil'],
    state: '0/precommit locked=- valid=-',
  },
  {
    name: 'L44: a nil polka unlocks nothing',
    inputs: [...LOCKED_IN_1, 'proposal B 1 w', 'prevote BCD 1 nil'],
    outputs: ['cast precommit 1 nil'],
    state: '1/precommit locked=v@0 valid=v@0',
  },
  {
    name: 'L44: not in step propose, but as soon as that ends',
    inputs: ['wanted', 'prevote ABC 0 nil', 'proposal A 0 v'],
    outputs: ['cast prevote 0 v', 'cast precommit 0 nil'],
    state: '0/precommit locked=- valid=-',
  },
  {
    name: 'L47, L48: > 2/3 precommits for anything start the precommit timer, in any step',
    inputs: ['wanted', 'precommit AB 0 nil', 'precommit C 0 v'],
    outputs: ['schedule precommit 0 200ms'],
    state: '0/propose locked=- valid=-',
  },
  {
    name: 'L47: only once a round',
    inputs: ['wanted', 'precommit ABC 0 nil', 'precommit D 0 nil'],
    outputs: [],
    state: '0/propose locked=- valid=-',
  },
  {
    name: 'L49–L51: > 2/3 precommits for the proposal decide it',
    inputs: ['proposal A 0 v', 'precommit ABC 0 v'],
    outputs: ['decide 0 v by ABC'],
    state: '0/decided locked=- valid=-',
  },
  {
    name: 'L49: precommits first, proposal last',
    inputs: ['precommit ABC 0 v', 'proposal A 0 v'],
    outputs: ['decide 0 v by ABC'],
    state: '0/decided locked=- valid=-',
  },
  {
    name: 'L49: of any round of the height, even an older one',
    inputs: ['proposal A 0 v', 'precommit AB 0 v', 'prevote BC 2 nil', 'precommit C 0 v'],
    outputs: ['decide 0 v by ABC'],
    state: '2/decided locked=- valid=-',
  },
  {
    name: 'L49: the value may have come with the proposal of another round',
    inputs: ['proposal A 0 v', 'prevote ABC 0 v', 'prevote BC 1 v', 'precommit ABC 1 v'],
    outputs: ['decide 1 v by ABC'],
    state: '1/decided locked=v@0 valid=v@0',
  },
  {
    name: 'L50: an invalid value is not decided',
    inputs: ['wanted', 'proposal A 0 v invalid', 'precommit ABC 0 v'],
    outputs: ['schedule precommit 0 200ms'],
    state: '0/prevote locked=- valid=-',
  },
  {
    name: 'L50: an invalid value told valid later is',
    inputs: ['wanted', 'proposal A 0 v invalid', 'precommit ABC 0 v', 'proposal A 0 v'],
    outputs: ['decide 0 v by ABC'],
    state: '0/decided locked=- valid=-',
  },
  {
    name: 'L49: a certificate decides a height that still waits',
    inputs: ['commit 3 v ABC', 'proposal D 3 v'],
    outputs: ['decide 3 v by ABC'],
    state: '3/decided locked=- valid=-',
  },
  {
    name: 'L49: precommits for nil decide nothing',
    inputs: ['proposal A 0 v', 'precommit ABC 0 nil'],
    outputs: ['schedule precommit 0 200ms'],
    state: '0/prevote locked=- valid=-',
  },
  {
    name: 'L51: after the decision votes yield evidence and nothing else',
    inputs: ['proposal A 0 v', 'precommit ABC 0 v', 'precommit A 0 w'],
    outputs: ['evidence precommit A 0 v w'],
    state: '0/decided locked=- valid=-',
  },
  {
    name: 'L51: after the decision no round begins',
    inputs: ['proposal A 0 v', 'precommit ABC 0 v', 'prevote ABC 4 nil'],
    outputs: [],
    state: '0/decided locked=- valid=-',
  },
  {
    name: 'L55, L56: votes of > 1/3 of a later round start it',
    inputs: ['wanted', 'prevote B 2 nil', 'precommit C 2 nil'],
    outputs: ['started 2 by C', 'schedule propose 2 2000ms'],
    state: '2/propose locked=- valid=-',
  },
  {
    name: 'L55: two votes of one sender are one sender',
    inputs: ['wanted', 'prevote B 3 nil', 'precommit B 3 nil'],
    outputs: [],
    state: '0/propose locked=- valid=-',
  },
  {
    name: 'L55: votes of two later rounds do not add up',
    inputs: ['wanted', 'prevote B 2 nil', 'prevote C 3 nil'],
    outputs: [],
    state: '0/propose locked=- valid=-',
  },
  {
    name: 'L55: an earlier round is never started again',
    inputs: ['wanted', 'prevote BC 3 nil', 'prevote BC 2 nil'],
    outputs: [],
    state: '3/propose locked=- valid=-',
  },
  {
    name: 'L55: locks go along',
    inputs: ['proposal A 0 v', 'prevote ABC 0 v', 'prevote BC 2 nil'],
    outputs: ['started 2 by C', 'schedule propose 2 2000ms'],
    state: '2/propose locked=v@0 valid=v@0',
  },
  {
    name: 'L57–L60: the propose timeout prevotes nil',
    inputs: ['wanted', 'timeout propose 0'],
    outputs: ['cast prevote 0 nil'],
    state: '0/prevote locked=- valid=-',
  },
  { name: 'L58: not in step prevote', inputs: ['proposal A 0 v', 'timeout propose 0'], outputs: [], state: '0/prevote locked=- valid=-' },
  {
    name: 'L58: not of an older round',
    inputs: ['wanted', 'prevote BC 1 nil', 'timeout propose 0'],
    outputs: [],
    state: '1/propose locked=- valid=-',
  },
  { name: 'L58: not while waiting', inputs: ['timeout propose 0'], outputs: [], state: '0/waiting locked=- valid=-' },
  {
    name: 'L61–L64: the prevote timeout precommits nil',
    inputs: ['proposal A 0 v', 'timeout prevote 0'],
    outputs: ['cast precommit 0 nil'],
    state: '0/precommit locked=- valid=-',
  },
  {
    name: 'L62: not in step precommit',
    inputs: ['proposal A 0 v', 'prevote ABC 0 v', 'timeout prevote 0'],
    outputs: [],
    state: '0/precommit locked=v@0 valid=v@0',
  },
  {
    name: 'L62: not of an older round',
    inputs: ['proposal A 0 v', 'prevote BC 1 nil', 'timeout propose 1', 'timeout prevote 0'],
    outputs: [],
    state: '1/prevote locked=- valid=-',
  },
  {
    name: 'L65–L67: the precommit timeout starts the next round, in any step',
    inputs: ['wanted', 'timeout precommit 0'],
    outputs: ['started 1 by B', 'schedule propose 1 1500ms'],
    state: '1/propose locked=- valid=-',
  },
  {
    name: 'L66: not of an older round',
    inputs: ['wanted', 'prevote BC 2 nil', 'timeout precommit 0'],
    outputs: [],
    state: '2/propose locked=- valid=-',
  },
  { name: 'L66: not while waiting', inputs: ['timeout precommit 0'], outputs: [], state: '0/waiting locked=- valid=-' },
  {
    name: 'observer: it follows and decides, but neither votes nor proposes',
    setup: { self: null },
    inputs: ['proposal A 0 v', 'prevote ABC 0 v', 'precommit ABC 0 v'],
    outputs: ['decide 0 v by ABC'],
    state: '0/decided locked=v@0 valid=v@0',
  },
  {
    name: 'observer: a node outside the set does not vote',
    setup: { self: 'Z' },
    inputs: ['proposal A 0 v'],
    outputs: ['started 0 by A', 'schedule propose 0 1000ms'],
    state: '0/prevote locked=- valid=-',
  },
  {
    name: 'alone: a single validator decides by its own votes',
    setup: { set: 'A', self: 'A' },
    inputs: ['wanted', 'value 0 v', 'proposal A 0 v', 'prevote A 0 v', 'precommit A 0 v'],
    outputs: ['decide 0 v by A'],
    state: '0/decided locked=v@0 valid=v@0',
  },
  {
    name: 'own votes: one that came back already is not cast again',
    inputs: ['prevote D 0 nil', 'proposal A 0 v'],
    outputs: ['started 0 by A', 'schedule propose 0 1000ms'],
    state: '0/prevote locked=- valid=-',
  },
  {
    name: 'power: one of power 3 among four of sum 6 starts a round, but has no quorum',
    setup: { set: 'A=3 B C D' },
    inputs: ['prevote A 1 nil'],
    outputs: ['started 0 by A', 'schedule propose 0 1000ms', 'started 1 by B', 'schedule propose 1 1500ms'],
    state: '1/propose locked=- valid=-',
  },
  {
    name: 'power: exactly 2/3 is no polka',
    setup: { set: 'A=3 B C D' },
    inputs: ['proposal A 0 v', 'prevote AB 0 v'],
    outputs: [],
    state: '0/prevote locked=- valid=-',
  },
  {
    name: 'power: 5 of 6 is a polka',
    setup: { set: 'A=3 B C D' },
    inputs: ['proposal A 0 v', 'prevote AB 0 v', 'prevote C 0 v'],
    outputs: ['cast precommit 0 v'],
    state: '0/precommit locked=v@0 valid=v@0',
  },
];

for (const { name, setup, inputs, outputs, state } of CASES) {
  t.test(name, (t) => {
    const result = run(machine(setup), inputs);
    t.same(result.outputs, outputs, 'outputs of the last input');
    t.equal(printState(result.state), state, 'state after it');
    t.end();
  });
}
