/**
 * What consensus keeps on the disk, the write-ahead log first of all, with every crash the disk in memory can think of.
 * SPEC §11.
 */

import fc from 'fast-check';
import t from 'tap';
import type { Block } from '../../chain/index.ts';
import { asHeight, asRound, type Input, type Vote } from '../../consensus/index.ts';
import { nodeIdOfDigest, valueIdOfDigest } from '../../src/agreement/records.ts';
import { isTimely } from '../../src/agreement/time.ts';
import { Values } from '../../src/agreement/values.ts';
import { Wal } from '../../src/agreement/wal.ts';
import { digestOf, filled, sampleParameters } from '../chain/arbitraries.ts';
import { memoryFileSystem } from '../world/memory-file-system.ts';

const [height, round] = [asHeight(7), asRound(1)];
const valueId = valueIdOfDigest(digestOf(0xb1));
const nodeId = nodeIdOfDigest(digestOf(1));
const signature = filled(0x51, 64);
const vote = (type: Vote['type'], value: Vote['valueId']): Vote => ({ type, height, round, valueId: value, nodeId, signature });

const INPUTS: readonly Input[] = [
  { kind: 'valueWanted' },
  { kind: 'proposeValue', round, valueId },
  { kind: 'proposal', proposal: { height, round, valueId, validRound: null, nodeId, signature }, valid: true },
  { kind: 'proposal', proposal: { height, round, valueId, validRound: asRound(0), nodeId, signature }, valid: false },
  { kind: 'vote', vote: vote('prevote', null) },
  { kind: 'vote', vote: vote('precommit', valueId) },
  { kind: 'polkaCertificate', certificate: { height, round, valueId, votes: [vote('prevote', valueId)] } },
  { kind: 'commitCertificate', certificate: { height, round, valueId, votes: [vote('precommit', valueId)] } },
  { kind: 'roundCertificate', certificate: { height, round, votes: [vote('precommit', null), vote('prevote', valueId)] } },
  { kind: 'timeout', timeout: { kind: 'propose', height, round } },
  { kind: 'timeout', timeout: { kind: 'prevote', height, round } },
  { kind: 'timeout', timeout: { kind: 'precommit', height, round } },
];

const block: Block = {
  header: {
    version: 1,
    chainId: digestOf(0xc1),
    height: 7,
    round: 0,
    timeMs: 1_700_000_000_000,
    previousBlockId: digestOf(0xb0),
    transactionsRoot: digestOf(0xa1),
    logSize: 3,
    logRoot: digestOf(0xa2),
    stateRoot: digestOf(0xa3),
    setDigest: digestOf(0xa4),
    nextSetDigest: digestOf(0xa4),
    lastCommitDigest: digestOf(0xa5),
    evidenceRoot: digestOf(0xa6),
    proposer: digestOf(1),
  },
  evidence: [],
  lastCommit: null,
  transactions: [],
};

t.test('every kind of input and a value come back from the write-ahead log as they went in', async (t) => {
  const files = memoryFileSystem();
  const { wal, replay } = await Wal.open(files, 7);
  t.same(replay, []);
  wal.appendValue(block);
  for (const input of INPUTS) wal.appendInput(input);
  await wal.close();
  files.crash();
  const again = await Wal.open(files, 7);
  t.same(again.replay, [{ kind: 'value', block }, ...INPUTS.map((input) => ({ kind: 'input', input }))]);
  await again.wal.close();
});

t.test('what was synced survives a crash in order; of what was not, at most a first part does', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.nat({ max: INPUTS.length }), async (seed, synced) => {
      const files = memoryFileSystem({ seed });
      const { wal } = await Wal.open(files, 7);
      for (const input of INPUTS.slice(0, synced)) wal.appendInput(input);
      await wal.sync();
      for (const input of INPUTS.slice(synced)) wal.appendInput(input);
      void wal.sync().catch(() => undefined);
      files.crash();
      const { wal: again, replay } = await Wal.open(files, 7);
      await again.close();
      const kinds = replay.map((entry) => (entry.kind === 'input' ? entry.input.kind : 'value'));
      return kinds.length >= synced && kinds.every((kind, index) => kind === INPUTS[index]?.kind);
    }),
  );
});

t.test('a new height begins an empty log, the old one is gone, and so is any other', async (t) => {
  const files = memoryFileSystem();
  const { wal } = await Wal.open(files, 7);
  wal.appendInput({ kind: 'valueWanted' });
  await wal.sync();
  await wal.advance(9);
  wal.appendInput({ kind: 'proposeValue', round, valueId });
  await wal.close();
  t.equal((await files.list('wal')).length, 1);
  const again = await Wal.open(files, 9);
  t.equal(again.replay.length, 1);
  await again.wal.close();
  const later = await Wal.open(files, 12);
  t.same(later.replay, []);
  t.equal((await files.list('wal')).length, 1);
  await later.wal.close();
});

t.test('what is no log stays in the folder of logs, as lost+found does on a disk of its own', async (t) => {
  const files = memoryFileSystem({ seed: 3, nowMs: () => 0 });
  await files.makeFolder('wal');
  for (const name of ['lost+found', '0000000000000001.wal']) await (await files.open(`wal/${name}`, 'create')).close();
  const { wal } = await Wal.open(files, 7);
  await wal.close();
  t.same(await files.list('wal'), ['0000000000000007.wal', 'lost+found']);
});

t.test('a fresh proposal is timely within precision and delay, which grows with the round', async (t) => {
  const parameters = sampleParameters();
  const at = (timeMs: number, atRound: number, receivedMs: number): boolean =>
    isTimely(parameters, { ...block.header, timeMs }, atRound, receivedMs);
  t.ok(at(1_000_500, 0, 1_000_000), 'ahead by the precision');
  t.notOk(at(1_000_501, 0, 1_000_000));
  t.ok(at(1_000_000, 0, 1_002_500), 'late by delay and precision');
  t.notOk(at(1_000_000, 0, 1_002_501));
  t.ok(at(1_000_000, 4, 1_004_500), 'round 4 may be 2 s later');
  t.notOk(at(1_000_000, 4, 1_004_501));
});

t.test('values: the oldest goes first, but never one that is to be kept', async (t) => {
  const values = new Values();
  const ids = Array.from({ length: 40 }, (_, index) => valueIdOfDigest(digestOf(index)));
  for (const id of ids) values.put(id, block, [ids[0] ?? null, null]);
  t.ok(values.has(ids[0] ?? valueId), 'kept');
  t.notOk(values.has(ids[1] ?? valueId), 'the oldest other one is gone');
  t.ok(values.has(ids[39] ?? valueId));
  t.equal([...values.all()].length, 32);
  values.clear();
  t.equal(values.get(ids[39] ?? valueId), null);
});
