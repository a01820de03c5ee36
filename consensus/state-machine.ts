/**
 * The round state machine: Algorithm 1 of "The latest gossip on BFT consensus" (arXiv:1807.04938), one height of one process.
 * Read it with the paper open: "L36" is its line 36, and every transition below carries its line.
 *
 * A `RoundInput` says that what stands before the "while" of an `upon` clause is true: proposal and votes have been counted by the
 * driver. This file asks only what stands after the "while" (step, "for the first time", locks) and makes the transition. It never counts
 * a vote, never looks at another round's messages and never knows whom it serves: it is a function of two records.
 *
 * The truth table. A row whose step differs makes no transition and returns the very same state.
 *
 *   step                 | votes counted                | proposal              | input                     | line
 *   ---------------------+------------------------------+-----------------------+---------------------------+---------------------
 *   waiting              | (any start, see the driver)  | –                     | newRound                  | L10, L11–L21
 *   propose, proposer    | –                            | own getValue answered | proposeValue              | L18, L19
 *   propose              | –                            | (v, −1)               | proposal                  | L22–L27
 *   propose              | > 2/3 prevotes v, round vr   | (v, vr), 0 ≤ vr < r   | proposalAndPolkaPrevious  | L28–L33
 *   propose              | –                            | (v, vr), no polka     | – (prevote nothing)       | none; the timer runs
 *   prevote              | > 2/3 prevotes, anything     | –                     | polkaAny                  | L34–L35, once a round
 *   prevote              | > 2/3 prevotes for v         | (v, *), v valid       | proposalAndPolkaCurrent   | L36–L43, once a round
 *   precommit            | > 2/3 prevotes for v         | (v, *), v valid       | proposalAndPolkaCurrent   | L36, L42–L43, once
 *   prevote              | > 2/3 prevotes for nil       | –                     | polkaNil                  | L44–L46
 *   any but waiting      | > 2/3 precommits, anything   | –                     | precommitAny              | L47–L48, once a round
 *   any                  | > 2/3 precommits v, round any| v known and valid     | proposalAndPrecommitValue | L49–L51
 *   any but waiting      | > 1/3 any votes, later round | –                     | newRound                  | L55–L56
 *   propose              | (timeout propose)            | –                     | timeoutPropose            | L57–L60
 *   prevote              | (timeout prevote)            | –                     | timeoutPrevote            | L61–L64
 *   any but waiting      | (timeout precommit)          | –                     | timeoutPrecommit          | L65–L67
 *   decided              | –                            | –                     | anything                  | none
 *
 * Three things differ from the paper, none of them touching safety. A height waits (step `waiting`) until there is something to decide,
 * where the paper starts round 0 at once. A decision ends the record (step `decided`), and the shell makes the next one, where L52–L54
 * raise the height in place. And the proposer runs its propose timer too, so that a value that can't be built or signed costs a round,
 * not the height.
 */

import { assertNever } from './invariant.ts';
import type { Height, Round, Step, TimeoutKind, ValueId, VoteType } from './types.ts';
import { asRound } from './types.ts';

/** Everything Algorithm 1 keeps for one height. `null` stands for the paper's nil and −1. */
export interface RoundState {
  readonly height: Height;
  /** 0 while `waiting`. */
  readonly round: Round;
  readonly step: Step;
  /** L6–L7; set by L38–L39 and never cleared within the height. */
  readonly lockedValue: ValueId | null;
  readonly lockedRound: Round | null;
  /** L8–L9; set by L42–L43: what this process will propose when it is its turn. */
  readonly validValue: ValueId | null;
  readonly validRound: Round | null;
  /** `getValue` was asked in this round and not yet answered. */
  readonly valueAwaited: boolean;
  /** The clauses "for the first time" that this round has had: L34, L36, L47. */
  readonly polkaAnySeen: boolean;
  readonly polkaCurrentSeen: boolean;
  readonly precommitAnySeen: boolean;
  /** L51. */
  readonly decision: { readonly round: Round; readonly valueId: ValueId } | null;
}

/** A clause whose messages are there; `round` is the round those messages speak of. */
export type RoundInput =
  /** L10, L55, and L67 by way of `timeoutPrecommit`: start `round`; `isProposer` is proposer(h, round) = p. */
  | { readonly kind: 'newRound'; readonly round: Round; readonly isProposer: boolean }
  | { readonly kind: 'proposeValue'; readonly round: Round; readonly valueId: ValueId }
  | { readonly kind: 'proposal'; readonly round: Round; readonly valueId: ValueId; readonly valid: boolean }
  | {
      readonly kind: 'proposalAndPolkaPrevious';
      readonly round: Round;
      readonly valueId: ValueId;
      readonly validRound: Round;
      readonly valid: boolean;
    }
  | { readonly kind: 'polkaAny'; readonly round: Round }
  | { readonly kind: 'proposalAndPolkaCurrent'; readonly round: Round; readonly valueId: ValueId }
  | { readonly kind: 'polkaNil'; readonly round: Round }
  | { readonly kind: 'precommitAny'; readonly round: Round }
  | { readonly kind: 'proposalAndPrecommitValue'; readonly round: Round; readonly valueId: ValueId }
  | { readonly kind: 'timeoutPropose'; readonly round: Round }
  | { readonly kind: 'timeoutPrevote'; readonly round: Round }
  /** `isNextProposer` is proposer(h, round + 1) = p. */
  | { readonly kind: 'timeoutPrecommit'; readonly round: Round; readonly isNextProposer: boolean };

/** What a transition asks for; height, proposer, duration and certificate are added by the driver. */
export type RoundOutput =
  | { readonly kind: 'roundStarted'; readonly round: Round }
  | { readonly kind: 'getValue'; readonly round: Round }
  | { readonly kind: 'propose'; readonly round: Round; readonly valueId: ValueId; readonly validRound: Round | null }
  | { readonly kind: 'castVote'; readonly type: VoteType; readonly round: Round; readonly valueId: ValueId | null }
  | { readonly kind: 'scheduleTimeout'; readonly timeoutKind: TimeoutKind; readonly round: Round }
  | { readonly kind: 'decide'; readonly round: Round; readonly valueId: ValueId };

export type Transition = readonly [state: RoundState, outputs: readonly RoundOutput[]];

/** L1–L9: a height before its first round. */
export function initialRoundState(height: Height): RoundState {
  return {
    height,
    round: asRound(0),
    step: 'waiting',
    lockedValue: null,
    lockedRound: null,
    validValue: null,
    validRound: null,
    valueAwaited: false,
    polkaAnySeen: false,
    polkaCurrentSeen: false,
    precommitAnySeen: false,
    decision: null,
  };
}

/** One transition. Where no line applies, the answer is the very same state (===) and no outputs. */
export function transition(state: RoundState, input: RoundInput): Transition {
  if (state.step === 'decided') return [state, []];
  if (input.kind === 'proposalAndPrecommitValue') return decide(state, input.round, input.valueId);
  if (input.kind === 'newRound') {
    const isLater = state.step === 'waiting' ? input.round >= state.round : input.round > state.round;
    return isLater ? startRound(state, input.round, input.isProposer) : [state, []];
  }
  if (state.step === 'waiting' || input.round !== state.round) return [state, []];
  return transitionInRound(state, input);
}

type InRoundInput = Exclude<RoundInput, { readonly kind: 'newRound' | 'proposalAndPrecommitValue' }>;

function transitionInRound(state: RoundState, input: InRoundInput): Transition {
  const { step } = state;
  switch (input.kind) {
    case 'proposeValue':
      return step === 'propose' && state.valueAwaited ? proposeFresh(state, input.valueId) : [state, []];
    case 'proposal':
      return step === 'propose' ? prevoteFresh(state, input.valueId, input.valid) : [state, []];
    case 'proposalAndPolkaPrevious':
      return step === 'propose' ? prevoteAgain(state, input) : [state, []];
    case 'polkaAny':
      return step === 'prevote' && !state.polkaAnySeen ? schedulePrevoteTimeout(state) : [state, []];
    case 'proposalAndPolkaCurrent':
      return step !== 'propose' && !state.polkaCurrentSeen ? acceptPolka(state, input.valueId) : [state, []];
    case 'polkaNil':
      return step === 'prevote' ? precommit(state, null) : [state, []]; // L44–L46: and no lock is touched
    case 'precommitAny':
      return state.precommitAnySeen ? [state, []] : schedulePrecommitTimeout(state);
    case 'timeoutPropose':
      return step === 'propose' ? prevote(state, null) : [state, []]; // L57–L60
    case 'timeoutPrevote':
      return step === 'prevote' ? precommit(state, null) : [state, []]; // L61–L64
    case 'timeoutPrecommit':
      return startRound(state, asRound(state.round + 1), input.isNextProposer); // L65–L67
    default:
      return assertNever(input);
  }
}

/** L11–L21. Locks and valid value go along; only what is "for the first time" in a round begins anew. */
function startRound(previous: RoundState, round: Round, isProposer: boolean): Transition {
  const asksValue = isProposer && previous.validValue === null;
  const state: RoundState = {
    ...previous,
    round, // L12
    step: 'propose', // L13
    valueAwaited: asksValue,
    polkaAnySeen: false,
    polkaCurrentSeen: false,
    precommitAnySeen: false,
  };
  const outputs: RoundOutput[] = [{ kind: 'roundStarted', round }];
  if (asksValue) {
    outputs.push({ kind: 'getValue', round }); // L14, L18
  } else if (isProposer && previous.validValue !== null) {
    outputs.push({ kind: 'propose', round, valueId: previous.validValue, validRound: previous.validRound }); // L14–L16, L19
  }
  outputs.push({ kind: 'scheduleTimeout', timeoutKind: 'propose', round }); // L21, and for the proposer too
  return [state, outputs];
}

/** L18–L19: the value asked for has come; validRound is −1, or it would not have been asked. */
function proposeFresh(state: RoundState, valueId: ValueId): Transition {
  return [{ ...state, valueAwaited: false }, [{ kind: 'propose', round: state.round, valueId, validRound: null }]];
}

/** L22–L27: a fresh proposal. */
function prevoteFresh(state: RoundState, valueId: ValueId, valid: boolean): Transition {
  const lockAllows = state.lockedRound === null || state.lockedValue === valueId; // L23
  return prevote(state, valid && lockAllows ? valueId : null); // L24 : L26
}

/** L28–L33: a value proposed again, with the polka of its validRound; a polka as late as the lock, or later, opens the lock. */
function prevoteAgain(state: RoundState, input: Extract<RoundInput, { readonly kind: 'proposalAndPolkaPrevious' }>): Transition {
  if (input.validRound >= state.round) return [state, []]; // L28: vr < round
  const lockAllows = state.lockedRound === null || state.lockedRound <= input.validRound || state.lockedValue === input.valueId; // L29
  return prevote(state, input.valid && lockAllows ? input.valueId : null); // L30 : L32
}

/** L36–L43. */
function acceptPolka(state: RoundState, valueId: ValueId): Transition {
  const accepted: RoundState = { ...state, polkaCurrentSeen: true, validValue: valueId, validRound: state.round }; // L42–L43
  if (state.step !== 'prevote') return [accepted, []]; // L37
  return precommit({ ...accepted, lockedValue: valueId, lockedRound: state.round }, valueId); // L38–L41
}

/** L34–L35. */
function schedulePrevoteTimeout(state: RoundState): Transition {
  return [{ ...state, polkaAnySeen: true }, [{ kind: 'scheduleTimeout', timeoutKind: 'prevote', round: state.round }]];
}

/** L47–L48. */
function schedulePrecommitTimeout(state: RoundState): Transition {
  return [{ ...state, precommitAnySeen: true }, [{ kind: 'scheduleTimeout', timeoutKind: 'precommit', round: state.round }]];
}

/** L24, L26, L30, L32, L59 with L27, L33, L60. */
function prevote(state: RoundState, valueId: ValueId | null): Transition {
  return [{ ...state, step: 'prevote', valueAwaited: false }, [{ kind: 'castVote', type: 'prevote', round: state.round, valueId }]];
}

/** L40, L45, L63 with L41, L46, L64. */
function precommit(state: RoundState, valueId: ValueId | null): Transition {
  return [{ ...state, step: 'precommit' }, [{ kind: 'castVote', type: 'precommit', round: state.round, valueId }]];
}

/** L49–L51, of any round of the height; L52–L54 are the next height's own record. */
function decide(state: RoundState, round: Round, valueId: ValueId): Transition {
  return [{ ...state, step: 'decided', valueAwaited: false, decision: { round, valueId } }, [{ kind: 'decide', round, valueId }]];
}
