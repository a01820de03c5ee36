/**
 * Who may vote with what weight, who proposes, and the two thresholds of the protocol in exact integers.
 *
 * Follows arXiv:1807.04938 §2–3 with voting power in place of counts: "2f + 1" is more than two thirds, "f + 1" more than one third of the
 * whole power. It never divides, and never uses a fraction.
 */

import { invariant } from './invariant.ts';
import type { Height, NodeId, Round, TimeoutKind, TimeoutParameters, Validator, ValidatorSet } from './types.ts';

/** More than two thirds: 3w > 2W. Exact as long as the whole power stays below 2^51. */
export function isQuorum(power: number, totalPower: number): boolean {
  return 3 * power > 2 * totalPower;
}

/** More than one third: 3w > W, so at least one correct voter is among them. */
export function isSkip(power: number, totalPower: number): boolean {
  return 3 * power > totalPower;
}

/** Sum of the powers of a set. */
export function totalPowerOf(validators: ValidatorSet): number {
  return validators.reduce((sum, validator) => sum + validator.power, 0);
}

/** The proposer of a round: `validators[(height + round) mod n]`, computed so that no sum leaves the safe integers. */
export function proposerOf(validators: ValidatorSet, height: Height, round: Round): NodeId {
  const size = validators.length;
  const proposer: Validator | undefined = validators[((height % size) + (round % size)) % size];
  invariant(proposer !== undefined, 'a validator set is never empty');
  return proposer.nodeId;
}

/** How long a timeout of `round` runs: min(base + round · delta, cap), milliseconds. Linear, so that a healed network is not waited for by hours. */
export function timeoutMs(parameters: TimeoutParameters, kind: TimeoutKind, round: Round): number {
  const [base, delta] = linearParts(parameters, kind);
  return Math.min(base + round * delta, parameters.capMs);
}

function linearParts(parameters: TimeoutParameters, kind: TimeoutKind): readonly [base: number, delta: number] {
  switch (kind) {
    case 'propose':
      return [parameters.proposeMs, parameters.proposeDeltaMs];
    case 'prevote':
      return [parameters.prevoteMs, parameters.prevoteDeltaMs];
    case 'precommit':
      return [parameters.precommitMs, parameters.precommitDeltaMs];
  }
}
