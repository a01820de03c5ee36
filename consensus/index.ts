/**
 * What the consensus floor shows: the words, the machine (`createMachine`, `step`), the questions one may ask it, and the thresholds.
 *
 * Follows arXiv:1807.04938. Other floors import this file only. It imports nothing outside this floor, and nothing here touches the world.
 */

export { isCommitCertificate, isPolkaCertificate, isRoundCertificate } from './certificates.ts';
export { createMachine, type MachineOptions, type MachineState, type StepResult, step } from './driver.ts';
export { assertNever } from './invariant.ts';
export { MAX_PROPOSALS_PER_ROUND } from './proposal-keeper.ts';
export {
  commitCertificate,
  currentProposals,
  knownVotes,
  latestPolka,
  type MachineStatus,
  type MissingValue,
  missingValue,
  ownLastVotes,
  polkaBehind,
  provenValue,
  roundCertificate,
  statusOf,
} from './queries.ts';
export { isQuorum, isSkip, proposerOf, timeoutMs } from './thresholds.ts';
export {
  asHeight,
  asNodeId,
  asRound,
  asValueId,
  asVotingPower,
  type CommitCertificate,
  type Evidence,
  type Height,
  type Input,
  type NodeId,
  type Output,
  type PolkaCertificate,
  type Proposal,
  type Round,
  type RoundCertificate,
  type Step,
  type Timeout,
  type TimeoutKind,
  type TimeoutParameters,
  type Validator,
  type ValidatorSet,
  type ValueId,
  type Vote,
  type VoteType,
  type VotingPower,
} from './types.ts';
export { hasQuorumFor, MAX_FUTURE_ROUNDS } from './vote-keeper.ts';
