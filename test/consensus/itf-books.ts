/**
 * The books of the model's vote keeper and of ours as one text: powers by value, voters and senders of every round. Only for comparison.
 */

import type { NodeId, ValueId } from '../../consensus/index.ts';
import type { ProposalKeeper } from '../../consensus/proposal-keeper.ts';
import { tallyOf, type VoteKeeper } from '../../consensus/vote-keeper.ts';
import { listOf, mapOf, numberOf, recordOf } from './itf.ts';
import { nodeOf, printEvidenceOf, printValue, valueIdOf } from './itf-words.ts';

/** Ours. */
export function printBooks(keeper: VoteKeeper): string {
  const lines: string[] = [];
  for (const [round, { senderPower }] of keeper.rounds) {
    for (const type of ['prevote', 'precommit'] as const) {
      const { powers, votes } = tallyOf(keeper, round, type);
      lines.push(line(round, type, powers, [...votes.keys()]));
    }
    lines.push(`${round} ${senderPower}`);
  }
  return lines.sort().join('\n');
}

/** The model's. */
export function printModelBooks(bookkeeper: Record<string, unknown>): string {
  const lines: string[] = [];
  for (const [round, entry] of mapOf(bookkeeper.rounds)) {
    const record = recordOf(entry);
    for (const type of ['prevote', 'precommit'] as const) {
      const { valuesWeights, votesAddresses } = recordOf(record[`${type}s`]);
      const powers = new Map([...mapOf(valuesWeights)].map(([valueId, weight]) => [valueIdOf(valueId), weight]));
      lines.push(line(numberOf(round), type, powers, listOf(votesAddresses).map(nodeOf)));
    }
    const weights = [...mapOf(record.votesAddressesWeights).values()].map(numberOf);
    lines.push(`${numberOf(round)} ${weights.reduce((sum, weight) => sum + weight, 0)}`);
  }
  return lines.sort().join('\n');
}

/** Slots with evidence; the model repeats itself where ours reports a slot once. */
export function modelEvidence(bookkeeper: Record<string, unknown>): ReadonlySet<string> {
  return new Set(listOf(bookkeeper.evidence).map(printEvidenceOf));
}

function line(round: number, type: string, powers: ReadonlyMap<ValueId | null, unknown>, voters: readonly NodeId[]): string {
  const values = [...powers].map(([valueId, power]) => `${valueId ?? 'nil'}=${String(power)}`).sort();
  return `${round} ${type} ${values.join(',')} by ${voters.toSorted().join(',')}`;
}

/** Our valid proposals of all rounds. */
export function printProposals(keeper: ProposalKeeper): string {
  const kept = [...keeper.rounds.values()].flat().filter(({ valid }) => valid);
  return kept
    .map(({ proposal }) => `${proposal.round} ${printValue(proposal.valueId)} ${proposal.validRound ?? -1}`)
    .sort()
    .join('\n');
}

/** The proposals of the model's driver, which drops invalid ones. */
export function printModelProposals(proposals: unknown): string {
  return listOf(proposals)
    .map(recordOf)
    .map(({ round, proposal, validRound }) => `${numberOf(round)} ${String(proposal)} ${numberOf(validRound)}`)
    .sort()
    .join('\n');
}
