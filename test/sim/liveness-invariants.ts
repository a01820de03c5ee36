/** What must come about once all faults have ended, and what must not be lost until then. Judged from facts alone. */

import { digestToHex, transactionId } from '../../chain/index.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { Judge, Terms } from './invariants.ts';

/** Rounds beyond the one in work that the first decision after healing may take, and one more for each liar. Mostly none or one. */
const MAX_ROUNDS_TO_HEAL = 3;
/** Where rounds are much shorter than by default, some go by until a node that was away has the blocks that it lacks: it takes a second. */
const MAX_SHORT_ROUNDS = 6;
const SHORT_PACE = 0.1;

/** What a client was told to be committed is on the chain. */
export function nothingLost(): Judge {
  const committed = new Set<string>();
  return (fact) => {
    if (fact.kind === 'committed')
      for (const { claims } of fact.block.transactions) committed.add(digestToHex(transactionId(sha256, claims)));
    return fact.kind === 'acknowledged' && !committed.has(fact.id) ? `${fact.name} acknowledged ${fact.id}, which no block holds` : null;
  };
}

export function progress(): Judge {
  return (fact) => {
    if (fact.kind !== 'healed') return null;
    const highest = Math.max(...Object.values(fact.heights));
    return highest >= fact.wanted ? null : `${fact.afterMs} ms after healing the highest is at ${highest} of ${fact.wanted}`;
  };
}

/** Once all hear each other, the height in work is decided within a few rounds. */
export function promptDecision({ pace, guilty }: Pick<Terms, 'pace' | 'guilty'>): Judge {
  const most = pace <= SHORT_PACE ? MAX_SHORT_ROUNDS : MAX_ROUNDS_TO_HEAL + guilty.size;
  return (fact) => (fact.kind === 'healed' && fact.rounds > most ? `${fact.rounds} rounds went by after healing before a decision` : null);
}

export function convergence(): Judge {
  return (fact) => {
    if (fact.kind !== 'healed') return null;
    const heights = Object.values(fact.heights);
    const spread = Math.max(...heights) - Math.min(...heights);
    return spread === 0 ? null : `${fact.afterMs} ms after healing: ${JSON.stringify(fact.heights)}`;
  };
}

export function claimsCommitted(): Judge {
  return (fact) =>
    fact.kind === 'healed' && fact.open.length > 0 ? `${fact.afterMs} ms after healing these wait: ${fact.open.join(', ')}` : null;
}
