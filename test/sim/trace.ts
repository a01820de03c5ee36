/** One readable line for a fact; what only repeats or measures has none. The lines are also what the trace's hash covers. */

import { digestToHex } from '../../chain/index.ts';
import type { Fact } from './facts.ts';
import { saidValue } from './vote-invariants.ts';

export function tell(fact: Fact): string | null {
  switch (fact.kind) {
    case 'vote': {
      const { type, height, round } = fact.vote;
      return `${fact.name} ${type} ${height}/${round} ${saidValue(fact.vote).slice(0, 8)}`;
    }
    case 'proposal': {
      const { height, round, blockId, validRound } = fact.message.proposal;
      const again = validRound === null ? '' : ` of round ${validRound}`;
      return `${fact.name} proposes ${height}/${round} ${digestToHex(blockId).slice(0, 8)}${again} (attempt ${fact.message.attempt})`;
    }
    case 'committed': {
      const { header, transactions, evidence } = fact.block;
      const what = `${transactions.length} transactions${evidence.length > 0 ? `, ${evidence.length} evidence` : ''}`;
      return `${fact.name} COMMITS ${header.height} ${digestToHex(fact.blockId).slice(0, 8)} of round ${fact.certificate.round}: ${what}`;
    }
    case 'started':
    case 'wiped':
    case 'position':
    case 'failed':
      return tellProcess(fact);
    case 'penalty':
      return `${fact.by} sends ${fact.against.slice(0, 16)} away: ${fact.detail}`;
    case 'accused':
      return `${fact.name} has evidence against ${fact.nodeId.slice(0, 8)}`;
    case 'logged':
      return fact.message === 'block committed' ? null : `${fact.name} logs: ${fact.message}`;
    case 'submitted':
    case 'candidate':
    case 'endorsement':
    case 'acknowledged':
      return tellClaim(fact);
    case 'healed':
      return `${fact.afterMs.toFixed(0)} ms after healing: ${JSON.stringify(fact.heights)}, waiting ${fact.open.length}`;
    case 'prevote signed':
    case 'queues':
    case 'replayed':
      return null;
  }
}

function tellClaim(fact: Extract<Fact, { readonly kind: 'submitted' | 'candidate' | 'endorsement' | 'acknowledged' }>): string | null {
  const id = fact.id.slice(0, 8);
  if (fact.kind === 'submitted') return `submitted ${id}`;
  if (fact.kind === 'acknowledged') return `${fact.name} acknowledges ${id}`;
  if (fact.kind === 'endorsement') return `${fact.name} endorses ${id}`;
  return fact.attempt > 0 ? null : `${fact.name} asks for endorsements of ${id}`;
}

function tellProcess(fact: Extract<Fact, { readonly kind: 'started' | 'wiped' | 'position' | 'failed' }>): string {
  const { name } = fact;
  if (fact.kind === 'failed') return `${name} FAILS: ${fact.error}`;
  if (fact.kind === 'position') return `${name} is at ${fact.height}/${fact.round} ${fact.step}`;
  if (fact.kind === 'wiped') return `${name} is emptied${fact.chainHeight === null ? '' : `, its chain down to ${fact.chainHeight}`}`;
  const { tip, lock } = fact;
  return `${name} starts at ${tip.height}${lock === null || lock.round < 0 ? '' : `, locked in ${lock.height}/${lock.round}`}`;
}
