/**
 * Our own model of what Cairn adds to Tendermint, in Quint (test/model/additions.qnt): its invariants hold in runs from a fixed seed, the same
 * runs are replayed against the consensus floor with every transition compared, and mutants show that the replay can fail.
 */

import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { createMachine, step } from '../../consensus/driver.ts';
import { commitCertificate, latestPolka, ownLastVotes, roundCertificate } from '../../consensus/index.ts';
import { parseTrace, type Trace } from './itf.ts';
import { MODEL_MUTANTS } from './model-mutants.ts';
import { type ModelReport, type ModelSubject, replayTrace, setAt } from './model-replay.ts';

/** By chance of this seed the runs come by all that is asked for below. */
const SEED = 31;
const TRACES = 6;
const STEPS = 120;
const WITNESSES = ['someSecondVoteCounts', 'someLaterRound', 'someDecision', 'someCommitHelped', 'someOtherSet', 'someDecisionOfOtherSet'];
const KINDS = [
  'valueWanted',
  'proposeValue',
  'proposal',
  'vote',
  'timeout',
  'polkaCertificate',
  'roundCertificate',
  'commitCertificate',
  'sayAgain',
  'lose',
  'advance',
];
const CONSENSUS: ModelSubject = { createMachine, step, latestPolka, roundCertificate, commitCertificate, ownLastVotes, setAt };

t.setTimeout(560_000);

/** Runs the model as another process, without the loader that tap puts into the environment of its children. */
async function quint(command: 'run' | 'test', args: readonly string[]): Promise<string> {
  const manifest = createRequire(import.meta.url).resolve('@informalsystems/quint/package.json');
  const model = fileURLToPath(new URL('../../../test/model/additions.qnt', import.meta.url));
  const all = [
    path.join(path.dirname(manifest), 'dist/src/cli.js'),
    command,
    model,
    '--backend',
    'typescript',
    '--verbosity',
    '1',
    ...args,
  ];
  const { NODE_OPTIONS: _loader, ...env } = process.env;
  return (await promisify(execFile)(process.execPath, all, { env })).stdout;
}

async function runModel(folder: string): Promise<{ readonly said: string; readonly traces: readonly Trace[] }> {
  const checks = ['--invariant', 'safe', '--witnesses', ...WITNESSES];
  const bounds = ['--seed', String(SEED), '--max-samples', String(TRACES), '--n-traces', String(TRACES), '--max-steps', String(STEPS)];
  const said = await quint('run', [...checks, ...bounds, '--out-itf', path.join(folder, '{seq}.itf.json')]);
  const files = readdirSync(folder).filter((name) => name.endsWith('.itf.json'));
  return { said, traces: files.sort().map((name) => parseTrace(name, readFileSync(path.join(folder, name), 'utf8'))) };
}

function reportOf(traces: readonly Trace[], subject: ModelSubject): ModelReport {
  const report: ModelReport = { compared: new Map(), failures: [] };
  for (const trace of traces) replayTrace(trace, subject, report);
  return report;
}

t.test('agreement, silence while waiting, lock discipline, whole certificates and equal sets hold in the model', async (t) => {
  const { said, traces } = await runModel(t.testdir({}));
  t.match(said, /No violation found/);
  for (const witness of WITNESSES) t.match(said, new RegExp(`${witness} was witnessed in [1-9]`), `the runs come by: ${witness}`);
  t.equal(traces.length, TRACES);

  await t.test('each transition of the model is ours', async (t) => {
    const { compared, failures } = reportOf(traces, CONSENSUS);
    for (const failure of failures) t.fail(failure);
    const total = [...compared.values()].reduce((sum, count) => sum + count, 0);
    t.comment(`${total} transitions of ${traces.length} traces: ${[...compared].map(([kind, count]) => `${kind} ${count}`).join(', ')}`);
    t.equal(total, TRACES * STEPS, 'all were compared');
    for (const kind of KINDS) t.ok(compared.has(kind), `met: ${kind}`);
  });

  await t.test('mutants: the replay can fail', async (t) => {
    for (const { rule, mutate } of MODEL_MUTANTS) {
      const [failure] = reportOf(traces, mutate(CONSENSUS)).failures;
      t.ok(failure !== undefined, rule);
      if (failure !== undefined) t.comment(`mutant "${rule}": ${failure.slice(0, 120)}`);
    }
  });
});

t.test('in the model a proposer says what a late polka is for (ADR 21)', async (t) => {
  t.match(await quint('test', ['--main', 'additions']), /2 passing/);
});
