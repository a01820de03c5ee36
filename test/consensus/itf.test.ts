/**
 * Replays runs of a published Tendermint model (`../shared/itf`, see its README) against the round state machine and the vote keeper.
 * Where the model is peculiar, NOT_COMPARED says so in one table; the implementation is never bent to it. Skipped where the data is absent.
 */

import t from 'tap';
import { asHeight, asRound, type Round, type ValueId } from '../../consensus/index.ts';
import { initialRoundState, type RoundInput, type RoundOutput, type RoundState, transition } from '../../consensus/state-machine.ts';
import { addVote, createVoteKeeper, tallyOf, type VoteKeeper } from '../../consensus/vote-keeper.ts';
import { listOf, numberOf, readTraces, recordOf, type TraceState, type Variant, variantOf } from './itf.ts';
import { machine, node, value, votes } from './notation.ts';

const ABSENT = 'the traces of ../shared/itf are not there';

/** Input and step of the model that have no counterpart here, and why. */
const NOT_COMPARED: readonly (readonly [input: RegExp, step: RegExp, why: string])[] = [
  [/^NewRound/, /^(Propose|Prevote|Precommit)Step/, 'the model starts a round only from between rounds; a skip is an input of its own'],
  [/^ProposeValue/, /^(?!Propose)/, 'the model has no guard: it proposes in any step'],
  [/^PrecommitAny/, /^(No|Unstarted|Commit)Step/, 'the model has no guard: it starts the timer before a round and after the decision'],
  [/^(RoundSkip|TimeoutPrecommit)/, /^(No|Unstarted|Commit)Step/, 'the model skips from between rounds, and again after the decision'],
  [/^(?!NewRound|ProposalAndCommit)/, /^UnstartedStep/, 'the model has a step between two rounds; here the next one starts at once'],
];

const STEPS: Readonly<Record<string, RoundState['step']>> = {
  NoStep: 'waiting',
  ProposeStep: 'propose',
  PrevoteStep: 'prevote',
  PrecommitStep: 'precommit',
  CommitStep: 'decided',
  UnstartedStep: 'precommit',
};

function toValue(subject: unknown): ValueId | null {
  if (typeof subject === 'string') return value(subject);
  const variant = variantOf(subject);
  return variant.tag === 'Nil' ? null : value(String(variant.value));
}

function someValue(subject: unknown): ValueId {
  const found = toValue(subject);
  if (found === null) throw new Error('expected a value, got nil');
  return found;
}

function roundOf(subject: unknown): Round | null {
  const round = numberOf(subject);
  return round < 0 ? null : asRound(round);
}

/** A state of the model as ours; what is "for the first time" is not kept by the model, so it is taken as not yet had. */
function toRoundState(subject: unknown): RoundState {
  const st = recordOf(subject);
  const round = roundOf(st.round);
  const step = round === null && variantOf(st.step).tag !== 'CommitStep' ? 'waiting' : STEPS[variantOf(st.step).tag];
  if (step === undefined) throw new Error(`unknown step ${JSON.stringify(st.step)}`);
  return {
    ...initialRoundState(asHeight(numberOf(st.height))),
    round: round ?? asRound(0),
    step,
    valueAwaited: step === 'propose',
    lockedValue: toValue(st.lockedValue),
    lockedRound: roundOf(st.lockedRound),
    validValue: toValue(st.validValue),
    validRound: roundOf(st.validRound),
  };
}

function toRoundInput({ tag, value: content }: Variant, round: Round): RoundInput {
  const tuple = Array.isArray(content) ? listOf(content) : [content];
  switch (tag) {
    case 'NewRoundCInput':
    case 'NewRoundProposerCInput':
      return { kind: 'newRound', round: asRound(numberOf(content)), isProposer: tag === 'NewRoundProposerCInput' };
    case 'RoundSkipCInput':
      return { kind: 'newRound', round: asRound(numberOf(content)), isProposer: false };
    case 'ProposeValueCInput':
      return { kind: 'proposeValue', round, valueId: someValue(content) };
    case 'ProposalCInput':
      return { kind: 'proposal', round: asRound(numberOf(tuple[0])), valueId: someValue(tuple[1]), valid: true };
    case 'ProposalInvalidCInput':
      return { kind: 'proposal', round, valueId: value('x'), valid: false };
    case 'ProposalAndPolkaPreviousAndValidCInput': {
      const [valueId, validRound] = [someValue(tuple[0]), asRound(numberOf(tuple[1]))];
      return { kind: 'proposalAndPolkaPrevious', round, valueId, validRound, valid: true };
    }
    case 'ProposalAndPolkaAndValidCInput':
      return { kind: 'proposalAndPolkaCurrent', round, valueId: someValue(content) };
    case 'ProposalAndCommitAndValidCInput':
      return { kind: 'proposalAndPrecommitValue', round: asRound(numberOf(tuple[0])), valueId: someValue(tuple[1]) };
    case 'PolkaAnyCInput':
      return { kind: 'polkaAny', round };
    case 'PolkaNilCInput':
      return { kind: 'polkaNil', round };
    case 'PrecommitAnyCInput':
      return { kind: 'precommitAny', round };
    case 'TimeoutProposeCInput':
      return { kind: 'timeoutPropose', round: asRound(numberOf(tuple[1])) };
    case 'TimeoutPrevoteCInput':
      return { kind: 'timeoutPrevote', round: asRound(numberOf(tuple[1])) };
    case 'TimeoutPrecommitCInput':
      return { kind: 'timeoutPrecommit', round: asRound(numberOf(tuple[1])), isNextProposer: false };
    default:
      throw new Error(`unknown input ${tag}`);
  }
}

const TIMEOUT_KINDS = { ProposeTimeout: 'propose', PrevoteTimeout: 'prevote', PrecommitTimeout: 'precommit' } as const;

function isTimeout(tag: string): tag is keyof typeof TIMEOUT_KINDS {
  return Object.hasOwn(TIMEOUT_KINDS, tag);
}

/** The outputs of the model as ours. Ours also name the round started, and run the propose timer where a value is proposed again. */
function toOutputs(output: Variant, input: RoundInput): readonly RoundOutput[] {
  const content = output.value;
  const started: readonly RoundOutput[] = input.kind === 'newRound' ? [{ kind: 'roundStarted', round: input.round }] : [];
  const timer: readonly RoundOutput[] =
    input.kind === 'newRound' ? [{ kind: 'scheduleTimeout', timeoutKind: 'propose', round: input.round }] : [];
  switch (output.tag) {
    case 'ErrorOutput':
    case 'NoConsensusOutput':
      return [];
    case 'TimeoutOutput': {
      const [round, kind] = listOf(content);
      const { tag } = variantOf(kind);
      if (!isTimeout(tag)) throw new Error(`unknown timeout ${tag}`);
      return [...started, { kind: 'scheduleTimeout', timeoutKind: TIMEOUT_KINDS[tag], round: asRound(numberOf(round)) }];
    }
    case 'GetValueAndScheduleTimeoutOutput':
      return [...started, { kind: 'getValue', round: asRound(numberOf(listOf(content)[1])) }, ...timer];
    case 'ProposalOutput': {
      const { proposal, round, validRound } = recordOf(content);
      return [
        ...started,
        { kind: 'propose', round: asRound(numberOf(round)), valueId: someValue(proposal), validRound: roundOf(validRound) },
        ...timer,
      ];
    }
    case 'VoteOutput': {
      const { round, valueId, voteType } = recordOf(content);
      const type = variantOf(voteType).tag === 'Prevote' ? 'prevote' : 'precommit';
      return [{ kind: 'castVote', type, round: asRound(numberOf(round)), valueId: toValue(valueId) }];
    }
    case 'SkipRoundOutput': {
      const round = asRound(numberOf(content));
      return [
        { kind: 'roundStarted', round },
        { kind: 'scheduleTimeout', timeoutKind: 'propose', round },
      ];
    }
    case 'DecidedOutput': {
      const [round, decided] = listOf(content);
      return [{ kind: 'decide', round: asRound(numberOf(round)), valueId: someValue(decided) }];
    }
    default:
      throw new Error(`unknown output ${output.tag}`);
  }
}

/** What both keep, but for the step of a skip: the model stands between rounds where ours is in the next one. */
function kept(state: RoundState): readonly unknown[] {
  return [state.lockedValue, state.lockedRound, state.validValue, state.validRound];
}

/** Why a step of the model says nothing about ours, or null. */
function reasonNotToCompare(input: Variant, before: RoundState, modelStep: string): string | null {
  for (const [inputs, steps, why] of NOT_COMPARED) if (inputs.test(input.tag) && steps.test(modelStep)) return why;
  if (JSON.stringify(input.value).includes('-1')) return 'round −1 has no name here';
  if (input.tag === 'ProposeValueCInput' && before.validValue !== null)
    return 'the model asks no value in vain; here the random input does';
  return null;
}

const rounds = readTraces('round-state-machine');
t.test('round state machine: each step of the model', { skip: rounds === null ? ABSENT : false }, (t) => {
  const traces = rounds ?? [];
  let compared = 0;
  for (const { name, states } of traces) {
    states.slice(1).forEach((after, index) => {
      const previous = recordOf(states[index]?.st);
      const before = toRoundState(previous);
      const input = variantOf(after.inp);
      const output = variantOf(after.outp);
      if (reasonNotToCompare(input, before, variantOf(previous.step).tag) !== null) return;
      const ours = toRoundInput(input, before.round);
      const [next, outputs] = transition(before, ours);
      const expected = toRoundState(after.st);
      const isSkip = output.tag === 'SkipRoundOutput';
      const found = { outputs, kept: kept(next), at: isSkip ? null : [next.round, next.step] };
      const wanted = {
        outputs: isSkip ? toOutputs(output, { kind: 'polkaAny', round: before.round }) : toOutputs(output, ours),
        kept: kept(expected),
        at: isSkip ? null : [expected.round, expected.step],
      };
      compared++;
      if (JSON.stringify(found) !== JSON.stringify(wanted)) t.same(found, wanted, `${name}, step ${index + 1}, ${input.tag}`);
    });
  }
  t.ok(compared > 3000, `${compared} steps of ${traces.length} traces were compared`);
  t.end();
});

const MODEL_NAMES: Readonly<Record<string, string>> = { v1: 'A', v2: 'B', v3: 'C', v4: 'D' };

function nameOf(subject: unknown): string {
  const name = MODEL_NAMES[String(subject)];
  if (name === undefined) throw new Error(`unknown validator ${String(subject)}`);
  return name;
}

function fieldOf(state: TraceState, suffix: string): unknown {
  const key = Object.keys(state).find((candidate) => candidate.endsWith(`::${suffix}`));
  if (key === undefined) throw new Error(`no ${suffix} in the state`);
  return state[key];
}

function mapOf(subject: unknown): ReadonlyMap<unknown, unknown> {
  if (!(subject instanceof Map)) throw new Error('expected a map');
  return subject;
}

/** Our keeper after the vote that a state of the model has just counted. */
function applied(keeper: VoteKeeper, state: TraceState): VoteKeeper {
  const [vote] = listOf(variantOf(fieldOf(state, 'weightedVote')).value);
  const { round, srcAddress, valueId, voteType } = recordOf(vote);
  const type = variantOf(voteType).tag === 'Prevote' ? 'prevote' : 'precommit';
  const [cast] = votes(type, nameOf(srcAddress), numberOf(round), 'nil', { height: asHeight(1), valueId: toValue(valueId) });
  if (cast === undefined) throw new Error('one name makes one vote');
  return addVote(keeper, cast, asRound(0))[0];
}

/** Powers by value, voters and senders of every round, as text. */
function summary(keeper: VoteKeeper): string {
  const lines: string[] = [];
  for (const [round, { senderPower }] of keeper.rounds) {
    for (const type of ['prevote', 'precommit'] as const) {
      const { powers, votes: counted } = tallyOf(keeper, round, type);
      lines.push(line(round, type, powers, [...counted.keys()]));
    }
    lines.push(`${round} ${senderPower}`);
  }
  return lines.sort().join('\n');
}

function line(round: number, type: string, powers: ReadonlyMap<ValueId | null, unknown>, voters: readonly string[]): string {
  const values = [...powers].map(([valueId, power]) => `${valueId ?? 'nil'}=${String(power)}`).sort();
  return `${round} ${type} ${values.join(',')} by ${voters.toSorted().join(',')}`;
}

function modelSummary(bookkeeper: Record<string, unknown>): string {
  const lines: string[] = [];
  for (const [round, entry] of mapOf(bookkeeper.rounds)) {
    const record = recordOf(entry);
    for (const type of ['prevote', 'precommit'] as const) {
      const { valuesWeights, votesAddresses } = recordOf(record[`${type}s`]);
      const powers = new Map([...mapOf(valuesWeights)].map(([valueId, weight]) => [toValue(valueId), weight]));
      const voters = listOf(votesAddresses).map((address) => node(nameOf(address)));
      lines.push(line(numberOf(round), type, powers, voters));
    }
    const weights = [...mapOf(record.votesAddressesWeights).values()].map(numberOf);
    lines.push(`${numberOf(round)} ${weights.reduce((sum, weight) => sum + weight, 0)}`);
  }
  return lines.sort().join('\n');
}

/** Slots with evidence; the model repeats itself where ours reports a slot once. */
function modelEvidenceSlots(bookkeeper: Record<string, unknown>): number {
  const slots = listOf(bookkeeper.evidence).map((pair) => {
    const { round, srcAddress, voteType } = recordOf(listOf(pair)[0]);
    return `${numberOf(round)} ${String(srcAddress)} ${variantOf(voteType).tag}`;
  });
  return new Set(slots).size;
}

function evidenceSlots(keeper: VoteKeeper): number {
  return [...keeper.rounds.values()].reduce((sum, { prevote, precommit }) => sum + prevote.reported.size + precommit.reported.size, 0);
}

const books = readTraces('vote-keeper');
t.test('vote keeper: the books after each vote of the model', { skip: books === null ? ABSENT : false }, (t) => {
  const traces = books ?? [];
  let compared = 0;
  for (const { name, states } of traces) {
    let keeper = createVoteKeeper(asHeight(1), machine().validators);
    states.slice(1).forEach((state, index) => {
      keeper = applied(keeper, state);
      const bookkeeper = recordOf(fieldOf(state, 'bookkeeper'));
      const found = { books: summary(keeper), evidence: evidenceSlots(keeper) };
      const wanted = { books: modelSummary(bookkeeper), evidence: modelEvidenceSlots(bookkeeper) };
      compared++;
      if (JSON.stringify(found) !== JSON.stringify(wanted)) t.same(found, wanted, `${name}, vote ${index + 1}`);
    });
  }
  t.ok(compared >= 1000, `${compared} votes of ${traces.length} traces were compared`);
  t.end();
});
