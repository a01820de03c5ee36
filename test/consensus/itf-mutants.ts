/**
 * Mutants of the consensus floor, each wrong in one rule of the paper, and the corpora of `../shared/itf` that must not let it pass. They are
 * wraps around the real functions, so that the code under test is the code that runs.
 */

import type { MachineState } from '../../consensus/driver.ts';
import type { Input } from '../../consensus/index.ts';
import type { RoundState } from '../../consensus/state-machine.ts';
import { addCertificateVotes, type VoteKeeper } from '../../consensus/vote-keeper.ts';
import type { Subject } from './itf-report.ts';

export const CORPORA = ['round-state-machine', 'vote-keeper', 'driver-directed', 'driver-guided'] as const;
export type Corpus = (typeof CORPORA)[number];

export interface Mutant {
  /** What is wrong. */
  readonly rule: string;
  readonly mutate: (subject: Subject) => Subject;
  /** The corpora that catch it, and no others. */
  readonly caughtBy: readonly Corpus[];
}

export const MUTANTS: readonly Mutant[] = [
  {
    rule: 'half of the power is a quorum',
    mutate: (subject) => withTotalPower(subject, 1 / 2),
    caughtBy: ['vote-keeper', 'driver-directed', 'driver-guided'],
  },
  {
    rule: 'a quorum is one vote more',
    mutate: (subject) => withTotalPower(subject, 7 / 5),
    caughtBy: ['vote-keeper', 'driver-directed', 'driver-guided'],
  },
  {
    rule: 'L12: a new round forgets the lock',
    mutate: (subject) => afterEach(subject, (before, after) => (after.round > before.round ? { ...after, ...NO_LOCK } : after)),
    caughtBy: ['round-state-machine', 'driver-directed', 'driver-guided'],
  },
  {
    rule: 'L12: a new round forgets the valid value',
    mutate: (subject) => afterEach(subject, (before, after) => (after.round > before.round ? { ...after, ...NO_VALID } : after)),
    caughtBy: ['round-state-machine', 'driver-directed', 'driver-guided'],
  },
  {
    rule: 'L23, L29: the lock is not asked',
    mutate: (subject) => unasked(subject),
    caughtBy: ['round-state-machine', 'driver-directed'],
  },
  {
    rule: 'L38: precommits without a lock',
    mutate: (subject) => afterEach(subject, (_before, after) => ({ ...after, ...NO_LOCK })),
    caughtBy: ['round-state-machine', 'driver-directed', 'driver-guided'],
  },
  {
    rule: 'L42: a polka leaves no valid value in the precommit step',
    mutate: (subject) =>
      afterEach(subject, (before, after) =>
        before.step === 'precommit' && after.round === before.round ? { ...after, ...validOf(before) } : after,
      ),
    caughtBy: ['round-state-machine', 'driver-directed', 'driver-guided'],
  },
  {
    rule: 'L45: a precommit for nil unlocks',
    mutate: (subject) =>
      afterEach(subject, (before, after) =>
        before.step !== 'precommit' && after.step === 'precommit' && after.lockedRound !== after.round ? { ...after, ...NO_LOCK } : after,
      ),
    caughtBy: ['round-state-machine', 'driver-directed', 'driver-guided'],
  },
  {
    rule: 'L21, L35, L48: no timer is started',
    mutate: (subject) => ({
      ...subject,
      transition: (state, input) => {
        const [next, outputs] = subject.transition(state, input);
        return [next, outputs.filter(({ kind }) => kind !== 'scheduleTimeout')];
      },
      step: (state, input) => {
        const [next, outputs] = subject.step(state, input);
        return [next, outputs.filter(({ kind }) => kind !== 'scheduleTimeout')];
      },
    }),
    caughtBy: ['round-state-machine', 'driver-directed', 'driver-guided'],
  },
  {
    rule: 'L49: votes of past rounds are dropped',
    mutate: (subject) => deaf(subject, (input, round) => roundOfVotes(input) < round),
    caughtBy: ['driver-directed', 'driver-guided'],
  },
  {
    rule: 'L55: votes of later rounds are dropped',
    mutate: (subject) => deaf(subject, (input, round) => roundOfVotes(input) > round),
    caughtBy: ['driver-directed', 'driver-guided'],
  },
  {
    rule: 'a second vote of a validator counts too',
    mutate: (subject) => ({
      ...subject,
      addVote: (keeper, vote, round) => {
        const [next, evidence] = subject.addVote(keeper, vote, round);
        return [evidence.length === 0 ? next : addCertificateVotes(next, [vote], true)[0], evidence];
      },
      step: (state, input) => {
        const [next, outputs] = subject.step(state, input);
        const isSecond = input.kind === 'vote' && outputs.some(({ kind }) => kind === 'evidence');
        return [isSecond ? { ...next, votes: addCertificateVotes(next.votes, [input.vote], true)[0] } : next, outputs];
      },
    }),
    caughtBy: ['vote-keeper', 'driver-directed', 'driver-guided'],
  },
  {
    rule: 'evidence is kept quiet',
    mutate: (subject) => ({
      ...subject,
      addVote: (keeper, vote, round) => [subject.addVote(keeper, vote, round)[0], []],
      step: (state, input) => {
        const [next, outputs] = subject.step(state, input);
        return [next, outputs.filter(({ kind }) => kind !== 'evidence')];
      },
    }),
    caughtBy: ['vote-keeper', 'driver-directed', 'driver-guided'],
  },
];

const NO_LOCK = { lockedValue: null, lockedRound: null };
const NO_VALID = { validValue: null, validRound: null };

function validOf({ validValue, validRound }: RoundState): Pick<RoundState, 'validValue' | 'validRound'> {
  return { validValue, validRound };
}

/** Thresholds are asked of another whole than the set's. */
function withTotalPower(subject: Subject, factor: number): Subject {
  const altered = (keeper: VoteKeeper): VoteKeeper => ({ ...keeper, totalPower: keeper.totalPower * factor });
  return {
    ...subject,
    createVoteKeeper: (height, validators) => altered(subject.createVoteKeeper(height, validators)),
    createMachine: (options) => {
      const state = subject.createMachine(options);
      return { ...state, votes: altered(state.votes) };
    },
  };
}

/** Alters the state after each transition and each step. */
function afterEach(subject: Subject, alter: (before: RoundState, after: RoundState) => RoundState): Subject {
  return {
    ...subject,
    transition: (state, input) => {
      const [next, outputs] = subject.transition(state, input);
      return [next === state ? state : alter(state, next), outputs];
    },
    step: (state, input) => {
      const [next, outputs] = subject.step(state, input);
      const isSame = next.consensus === state.consensus;
      return [isSame ? next : { ...next, consensus: alter(state.consensus, next.consensus) }, outputs];
    },
  };
}

/** Hides the lock from whatever happens in the propose step. */
function unasked(subject: Subject): Subject {
  const hidden = (state: RoundState): RoundState => (state.step === 'propose' ? { ...state, ...NO_LOCK } : state);
  const restored = (before: RoundState, after: RoundState): RoundState =>
    after.lockedRound === null ? { ...after, lockedValue: before.lockedValue, lockedRound: before.lockedRound } : after;
  return {
    ...subject,
    transition: (state, input) => {
      const [next, outputs] = subject.transition(hidden(state), input);
      return [restored(state, next), outputs];
    },
    step: (state, input) => {
      const [next, outputs] = subject.step({ ...state, consensus: hidden(state.consensus) }, input);
      return [{ ...next, consensus: restored(state.consensus, next.consensus) }, outputs];
    },
  };
}

/** A driver that doesn't hear some inputs in its present round. */
function deaf(subject: Subject, isLost: (input: Input, round: number) => boolean): Subject {
  return {
    ...subject,
    step: (state: MachineState, input) => (isLost(input, state.consensus.round) ? [state, []] : subject.step(state, input)),
  };
}

/** NaN for what is no vote and no certificate. */
function roundOfVotes(input: Input): number {
  if (input.kind === 'vote') return input.vote.round;
  return 'certificate' in input ? input.certificate.round : Number.NaN;
}
