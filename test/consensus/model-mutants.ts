/**
 * Mutants of the consensus floor, each wrong in one of Cairn's own additions to Tendermint, that a replay of the model's traces must not let
 * pass. Wraps around the real functions, so that the code under test is the code that runs.
 */

import type { MachineState } from '../../consensus/driver.ts';
import type { Input } from '../../consensus/index.ts';
import type { ModelSubject } from './model-replay.ts';

export interface ModelMutant {
  /** What is wrong. */
  readonly rule: string;
  readonly mutate: (subject: ModelSubject) => ModelSubject;
}

export const MODEL_MUTANTS: readonly ModelMutant[] = [
  {
    rule: 'a certificate is applied vote by vote, not whole',
    mutate: (subject) => ({
      ...subject,
      step: (state, input) =>
        'certificate' in input
          ? votesOf(input).reduce<ReturnType<ModelSubject['step']>>(
              ([machine, outputs], vote) => {
                const [next, more] = subject.step(machine, { kind: 'vote', vote });
                return [next, [...outputs, ...more]];
              },
              [state, []],
            )
          : subject.step(state, input),
    }),
  },
  {
    rule: 'a certificate is not heard',
    mutate: (subject) => ({ ...subject, step: (state, input) => ('certificate' in input ? [state, []] : subject.step(state, input)) }),
  },
  {
    rule: 'a height does not wait for votes of more than a third, but for any',
    mutate: (subject) => ({
      ...subject,
      step: (state, input) => {
        const [next, outputs] = subject.step(state, input);
        if (input.kind !== 'vote' || next === state || next.consensus.step !== 'waiting') return [next, outputs];
        const [begun, more] = subject.step(next, { kind: 'valueWanted' });
        return [begun, [...outputs, ...more]];
      },
    }),
  },
  {
    rule: 'a proposal does not end the waiting',
    mutate: (subject) => ({
      ...subject,
      step: (state, input) => (input.kind === 'proposal' && state.consensus.step === 'waiting' ? [state, []] : subject.step(state, input)),
    }),
  },
  {
    rule: 'sets change one height after the decision',
    mutate: (subject) => ({ ...subject, setAt: (chain, height) => subject.setAt(chain, height + 1) }),
  },
  {
    rule: 'sets never change',
    mutate: (subject) => ({ ...subject, setAt: () => subject.setAt([], 1) }),
  },
  {
    rule: 'who left the set votes on',
    mutate: (subject) => ({ ...subject, step: (state, input) => subject.step(withoutMembership(state), input) }),
  },
  {
    rule: 'only the prevote is said again',
    mutate: (subject) => ({ ...subject, ownLastVotes: (state) => subject.ownLastVotes(state).filter(({ type }) => type === 'prevote') }),
  },
  {
    rule: 'nobody helps with a polka',
    mutate: (subject) => ({ ...subject, latestPolka: () => null }),
  },
];

function votesOf(input: Input): ReturnType<ModelSubject['ownLastVotes']> {
  return 'certificate' in input ? input.certificate.votes : [];
}

/** The machine counts whoever speaks with the power of one. */
function withoutMembership(state: MachineState): MachineState {
  const left = `${3}`.repeat(64);
  const powers = new Map([...state.votes.powers, [left as MachineState['validators'][number]['nodeId'], 1]]);
  return { ...state, votes: { ...state.votes, powers } };
}
