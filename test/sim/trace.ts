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
      return `${fact.name} starts at ${fact.tip.height}${fact.lock === null || fact.lock.round < 0 ? '' : `, locked in ${fact.lock.height}/${fact.lock.round}`}`;
    case 'wiped':
      return `${fact.name} is emptied${fact.chainHeight === null ? '' : `, its chain down to ${fact.chainHeight}`}`;
    case 'position':
      return `${fact.name} is at ${fact.height}/${fact.round} ${fact.step}`;
    case 'failed':
      return `${fact.name} FAILS: ${fact.error}`;
    case 'penalty':
      return `${fact.by} sends ${fact.against.slice(0, 16)} away: ${fact.detail}`;
    case 'accused':
      return `${fact.name} has evidence against ${fact.nodeId.slice(0, 8)}`;
    case 'logged':
      return fact.message === 'block committed' ? null : `${fact.name} logs: ${fact.message}`;
    case 'submitted':
      return `submitted ${fact.id.slice(0, 8)}`;
    case 'acknowledged':
      return `${fact.name} acknowledges ${fact.id.slice(0, 8)}`;
    case 'healed':
      return `${fact.afterMs.toFixed(0)} ms after healing: ${JSON.stringify(fact.heights)}, waiting ${fact.open.length}`;
    case 'prevote signed':
    case 'queues':
    case 'replayed':
      return null;
  }
}
