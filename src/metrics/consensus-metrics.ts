/** Metrics of the voting: round, step, votes, timeouts, evidence. Follows metrics.ts; never decides anything. */

import { Counter, Gauge, type Registry } from 'prom-client';
import type { Step } from '../../consensus/index.ts';
import type { GaugeReading, Metrics } from './types.ts';

const STEPS: readonly Step[] = ['waiting', 'propose', 'prevote', 'precommit', 'decided'];

export function consensusMetrics(registry: Registry): {
  counters: Pick<Metrics, 'roundStarted' | 'consensusTimeout' | 'voteReceived' | 'evidenceSeen' | 'untimelyProposal'>;
  set: (reading: GaugeReading) => void;
} {
  const registers = [registry];
  const round = new Gauge({ name: 'cairn_consensus_round', help: 'Round of the height being decided.', registers });
  const step = new Gauge({ name: 'cairn_consensus_step', help: '1 for the step this node is in.', labelNames: ['step'], registers });
  const validators = new Gauge({ name: 'cairn_consensus_validators', help: 'Authorities in the current set.', registers });
  const rounds = new Counter({ name: 'cairn_consensus_rounds_total', help: 'Rounds started.', registers });
  const timeouts = new Counter({
    name: 'cairn_consensus_timeouts_total',
    help: 'Timeouts that fired in time.',
    labelNames: ['kind'],
    registers,
  });
  const votes = new Counter({ name: 'cairn_consensus_votes_total', help: 'Votes received and counted.', labelNames: ['type'], registers });
  const evidence = new Counter({
    name: 'cairn_consensus_evidence_total',
    help: 'Double signatures seen.',
    labelNames: ['kind'],
    registers,
  });
  const untimely = new Counter({
    name: 'cairn_consensus_untimely_proposals_total',
    help: 'Fresh proposals outside the time bounds.',
    registers,
  });
  for (const kind of ['propose', 'prevote', 'precommit']) timeouts.inc({ kind }, 0);
  for (const type of ['prevote', 'precommit']) votes.inc({ type }, 0);
  for (const kind of ['duplicateVote', 'duplicateProposal']) evidence.inc({ kind }, 0);
  return {
    counters: {
      roundStarted: () => rounds.inc(),
      consensusTimeout: (kind) => timeouts.inc({ kind }),
      voteReceived: (type) => votes.inc({ type }),
      evidenceSeen: (kind) => evidence.inc({ kind }),
      untimelyProposal: () => untimely.inc(),
    },
    set: (reading) => {
      round.set(reading.round);
      validators.set(reading.validators);
      for (const name of STEPS) step.set({ step: name }, reading.step === name ? 1 : 0);
    },
  };
}
