/**
 * Replays four corpora of runs of a published Tendermint model (`../shared/itf`, see its README) against the consensus floor: every
 * transition is equal or its difference stands in the one table of `itf-deviations.ts`. Then shows that the replay can fail: mutants of
 * single rules, each caught by the corpora named beside it. Skipped where the data is absent.
 */

import t from 'tap';
import { createMachine, step } from '../../consensus/driver.ts';
import { transition } from '../../consensus/state-machine.ts';
import { addVote, createVoteKeeper } from '../../consensus/vote-keeper.ts';
import { readTraces } from './itf.ts';
import { DEVIATIONS } from './itf-deviations.ts';
import { CORPORA, type Corpus, MUTANTS } from './itf-mutants.ts';
import { replay } from './itf-replay.ts';
import { createReport, type Report, type Subject } from './itf-report.ts';
import { type Script, scriptsOf } from './itf-scripts.ts';

const ABSENT = 'the traces of ../shared/itf are not there';
const CONSENSUS: Subject = { transition, createVoteKeeper, addVote, createMachine, step };

interface Expectation {
  readonly traces: number;
  readonly total: number;
  readonly deviations: Readonly<Record<string, number>>;
}

/** What each corpus holds, so that nothing gets lost on the way here and no deviation grows; 29 of the directed traces have no variables. */
const EXPECTED: Readonly<Record<Corpus, Expectation>> = {
  'round-state-machine': {
    traces: 100,
    total: 6000,
    deviations: {
      'driver: unasked value': 317,
      'error: new round': 265,
      'pending: timer out of rounds': 134,
      'skip again': 209,
      'unstarted: L42': 88,
      'unstarted: first round': 40,
      'unstarted: next round': 369,
    },
  },
  'vote-keeper': { traces: 80, total: 2000, deviations: {} },
  'driver-directed': {
    traces: 63,
    total: 1384,
    deviations: {
      'pending: timer before polka': 70,
      'pending: timer out of rounds': 20,
      'start: decision at hand': 2,
      'start: later round': 2,
      'step change: from propose to propose': 1,
      'unstarted: next round': 2,
    },
  },
  'driver-guided': { traces: 6, total: 706, deviations: { 'driver: unasked value': 1, 'step change: timeout first': 1 } },
};

interface Loaded {
  readonly traces: number;
  readonly scripts: readonly Script[];
}

function load(corpus: Corpus): Loaded | null {
  const traces = readTraces(corpus, scriptsOf);
  return traces === null ? null : { traces: traces.length, scripts: traces.flat() };
}

function reportOf({ scripts }: Loaded, subject: Subject): Report {
  const report = createReport();
  for (const script of scripts) replay(script, subject, report);
  return report;
}

/** The first transition at which the subject is caught, or null. */
function catchOf({ scripts }: Loaded, subject: Subject): string | null {
  for (const script of scripts) {
    const report = createReport();
    replay(script, subject, report);
    const [failure] = report.failures;
    if (failure !== undefined) return failure;
  }
  return null;
}

function sumOf(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

const corpora = new Map<Corpus, Loaded>();
const seen = new Set<string>();

for (const corpus of CORPORA) {
  const loaded = load(corpus);
  t.test(
    `${corpus}: each transition of the model is ours, or a deviation in the table`,
    { skip: loaded === null ? ABSENT : false },
    (t) => {
      if (loaded === null) return t.end();
      corpora.set(corpus, loaded);
      const report = reportOf(loaded, CONSENSUS);
      const { total, equal, onTheWay, still, deviations, failures } = report;
      const percent = (100 * (equal + onTheWay + sumOf(deviations))) / total;
      t.comment(
        `${corpus}: ${total} transitions of ${loaded.traces} traces, ${percent} % compared (and ${still} states in which no driver acts)`,
      );
      t.comment(`  equal in outputs and state ${equal}; in outputs, the model's state between two of ours ${onTheWay}`);
      for (const [name, count] of deviations) t.comment(`  deviation "${name}" ${count}`);
      for (const failure of failures.slice(0, 10)) t.fail(failure);
      for (const name of deviations.keys()) seen.add(name);
      t.equal(failures.length, 0, 'no difference is outside the table');
      t.strictSame(
        { traces: loaded.traces, total, deviations: Object.fromEntries(deviations) },
        EXPECTED[corpus],
        'the whole corpus, as known',
      );
      t.equal(equal + onTheWay + sumOf(deviations), total, 'every transition was compared');
      return t.end();
    },
  );
}

t.test('the table of deviations has no idle row and no name twice', { skip: corpora.size < CORPORA.length ? ABSENT : false }, (t) => {
  t.strictSame([...seen].sort(), DEVIATIONS.map(({ name }) => name).sort());
  t.end();
});

t.test('mutants: each corpus can fail', { skip: corpora.size < CORPORA.length ? ABSENT : false }, (t) => {
  const catching = new Set<Corpus>();
  for (const { rule, mutate, caughtBy } of MUTANTS) {
    const catchers: Corpus[] = [];
    for (const [corpus, loaded] of corpora) {
      const failure = catchOf(loaded, mutate(CONSENSUS));
      if (failure === null) continue;
      catchers.push(corpus);
      catching.add(corpus);
      t.comment(`mutant "${rule}": ${corpus}, ${failure.slice(0, failure.indexOf(': '))}`);
    }
    t.strictSame(catchers, caughtBy, rule);
  }
  t.strictSame([...catching].sort(), [...CORPORA].sort(), 'each corpus catches a mutant');
  t.end();
});
