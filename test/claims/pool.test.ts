/** From candidate to sealed transaction, rule by rule. SPEC §3.5, §9. */

import t from 'tap';
import { type Claim, keyOf, transactionId } from '../../chain/index.ts';
import { RegistryError } from '../../registry/index.ts';
import type { Outcome } from '../../src/claims/pending.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import { digestOf } from '../chain/arbitraries.ts';
import { Bench } from './bench.ts';

const SECOND_MS = 1_000;

/** The outcome once it is there, while virtual time goes by. */
async function outcomeOf(bench: Bench, asked: Promise<Outcome>, limitMs: number): Promise<Outcome | null> {
  let found: Outcome | null = null;
  void asked.then((outcome) => {
    found = outcome;
  });
  await bench.world.time.until(() => found !== null, limitMs);
  return found;
}

t.test('all check and endorse, the author seals at once, the commit settles it for everybody', async (t) => {
  const bench = await Bench.open();
  const author = bench.member(0);
  const claim = bench.world.claim('1.0.0');
  const id = author.pool.submit([claim], []);
  if (id === null) throw new Error('there is room');
  t.same(author.pool.submit([claim], []), id, 'the same claims are the same candidate');
  const waiting = author.pool.outcome(id, 60 * SECOND_MS);
  await bench.world.time.advance(10);
  t.same(
    bench.members.map((member) => member.checks),
    [1, 1, 1, 1],
  );
  const [sealed] = author.said.sealed;
  t.ok((sealed?.endorsements.length ?? 0) >= 3);
  t.ok(
    bench.members.slice(1).every((member) => member.said.sealed.length === 0),
    'nobody else',
  );
  if (sealed === undefined) throw new Error('nothing was sealed');
  await bench.commit([sealed]);
  t.same(await waiting, { kind: 'committed', height: 1 });
  t.same(await author.pool.outcome(id, 1), { kind: 'committed', height: 1 }, 'and for whoever asks later');
  t.ok(bench.members.every((member) => member.pool.size === 0));
  t.equal(author.pool.candidateReceived({ claims: [claim], consents: [], author: digestOf(1), signature: digestOf(2) }, 'x'), 'stale');
  bench.close();
});

t.test('a refusal by one of four hinders nothing; by two, the waiting author hears the reason', async (t) => {
  const bench = await Bench.open();
  const author = bench.member(0);
  bench.member(1).verdict = () => ({ kind: 'refused', reason: 'other bytes' });
  const one = author.pool.submit([bench.world.claim('1.0.0')], []);
  await bench.world.time.advance(10);
  t.equal(author.said.sealed.length, 1);
  bench.member(2).verdict = () => ({ kind: 'refused', reason: 'other bytes' });
  const two = author.pool.submit([bench.world.claim('2.0.0')], []);
  if (one === null || two === null) throw new Error('there is room');
  t.same(await outcomeOf(bench, author.pool.outcome(two, 60 * SECOND_MS), SECOND_MS), { kind: 'refused', reason: 'other bytes' });
  t.same(await author.pool.outcome(two, 1), { kind: 'refused', reason: 'other bytes' }, 'whoever asks later hears it too');
  t.equal(author.said.sealed.length, 1, 'two endorsements seal nothing');
  bench.close();
});

t.test('an author refuses its own candidate when its own check does', async (t) => {
  const bench = await Bench.open();
  const author = bench.member(0);
  author.verdict = () => ({ kind: 'refused', reason: 'rotten' });
  const id = author.pool.submit([bench.world.claim('1.0.0')], []);
  if (id === null) throw new Error('there is room');
  t.same(await outcomeOf(bench, author.pool.outcome(id, 60 * SECOND_MS), SECOND_MS), { kind: 'refused', reason: 'rotten' });
  bench.close();
});

t.test('an old refusal told again takes nothing back from an endorsement that stands', async (t) => {
  const bench = await Bench.open();
  const author = bench.member(0);
  const id = author.pool.submit([bench.world.claim('1.0.0')], []);
  if (id === null) throw new Error('there is room');
  await bench.world.time.advance(10);
  for (const index of [1, 2, 3]) t.notOk(author.pool.refusalReceived(id, bench.member(index).one.nodeId, 'an old one'));
  t.same(await outcomeOf(bench, author.pool.outcome(id, SECOND_MS), 2 * SECOND_MS), { kind: 'pending' });
  bench.close();
});

t.test('an author that falls silent is replaced by whoever has the endorsements', async (t) => {
  const bench = await Bench.open();
  const author = bench.member(0);
  author.pool.submit([bench.world.claim('1.0.0')], []);
  author.heard = false;
  author.pool.stop();
  await bench.world.time.advance(2 * SECOND_MS);
  t.ok(
    bench.members.slice(1).every((member) => member.said.sealed.length === 0),
    'not at once',
  );
  await bench.world.time.advance(3 * SECOND_MS);
  t.ok(bench.members.slice(1).some((member) => member.said.sealed.length > 0));
  bench.close();
});

t.test('an endorsement that was lost is said again when the author asks again, and renewed before it expires', async (t) => {
  const bench = await Bench.open();
  const [author, other] = [bench.member(0), bench.member(1)];
  for (const member of bench.members.slice(1)) member.heard = false;
  const id = author.pool.submit([bench.world.claim('1.0.0')], []);
  if (id === null) throw new Error('there is room');
  await bench.world.time.advance(4 * SECOND_MS);
  t.equal(author.said.sealed.length, 0);
  for (const member of bench.members.slice(1)) member.heard = true;
  await bench.world.time.advance(4 * SECOND_MS);
  t.equal(author.said.sealed.length, 1, 'the second asking was answered');
  await bench.world.time.advance(120 * SECOND_MS);
  const last = author.said.sealed.at(-1);
  t.ok(
    last?.endorsements.every((endorsement) => endorsement.expiresMs > bench.world.time.clock.nowMs()),
    'none of them is expired',
  );
  t.ok(other.said.endorsements < 40, `answered now and then: ${other.said.endorsements} times`);
  t.equal(other.checks, 1, 'from the verdict that was kept');
  bench.close();
});

t.test('a candidate told again at will costs an answer now and then', async (t) => {
  const bench = await Bench.open();
  const [author, other] = [bench.member(0), bench.member(1)];
  const claims = [bench.world.claim('1.0.0')];
  author.pool.submit(claims, []);
  await bench.world.time.advance(10);
  const before = other.said.endorsements;
  for (let index = 0; index < 100; index += 1) {
    t.equal(other.pool.candidateReceived({ claims, consents: [], author: digestOf(1), signature: digestOf(2) }, author.one.name), 'again');
  }
  t.ok(other.said.endorsements - before <= 1);
  bench.close();
});

t.test('a check that could not be made is made again when the author asks again', async (t) => {
  const bench = await Bench.open();
  const [author, other] = [bench.member(0), bench.member(1)];
  bench.member(2).heard = false;
  other.verdict = () => {
    throw new RegistryError('NO_SPACE', 'x', { message: 'the disk is full' });
  };
  author.pool.submit([bench.world.claim('1.0.0')], []);
  await bench.world.time.advance(SECOND_MS);
  t.same([other.said.endorsements, other.said.refusals, author.said.sealed], [0, [], []]);
  other.verdict = () => ({ kind: 'genuine' });
  await bench.world.time.advance(6 * SECOND_MS);
  t.equal(author.said.sealed.length, 1);
  t.same(bench.fatals, []);
  bench.close();
});

t.test('of two contents for one key each authority endorses one, and a split vote comes unstuck', async (t) => {
  const bench = await Bench.open();
  const [left, right] = [bench.member(0), bench.member(1)];
  const base = bench.world.claim('1.0.0');
  const other: Claim = { ...base, files: base.files.map((file) => ({ ...file, name: 'other.bin' })) };
  // Each hears its own first: two endorse the one, two the other.
  for (const member of bench.members) member.heard = false;
  left.pool.submit([base], []);
  right.pool.submit([other], []);
  const candidate = (claim: Claim) => ({ claims: [claim], consents: [], author: digestOf(1), signature: digestOf(2) });
  bench.member(2).pool.candidateReceived(candidate(base), left.one.name);
  bench.member(3).pool.candidateReceived(candidate(other), right.one.name);
  await bench.world.time.advance(10);
  for (const member of bench.members) member.heard = true;
  await bench.world.time.advance(30 * SECOND_MS);
  t.equal(left.said.sealed.length + right.said.sealed.length, 0, 'split');
  await bench.world.time.advance(180 * SECOND_MS);
  const sealed = [...left.said.sealed, ...right.said.sealed];
  t.ok(sealed.length > 0, 'one of them came through');
  t.equal(new Set(sealed.map((one) => Buffer.from(transactionId(sha256, one.claims)).toString('hex'))).size, 1, 'and not the other');
  t.same(bench.fatals, []);
  bench.close();
});

t.test('what a block has overtaken is settled as refused', async (t) => {
  const bench = await Bench.open();
  const author = bench.member(0);
  const base = bench.world.claim('1.0.0');
  for (const member of bench.members) member.verdict = () => new Promise(() => {});
  const id = author.pool.submit([{ ...base, files: base.files.map((file) => ({ ...file, name: 'slow.bin' })) }], []);
  if (id === null) throw new Error('there is room');
  const waiting = author.pool.outcome(id, 60 * SECOND_MS);
  await bench.commit([bench.world.sealed('1.0.0')]);
  const outcome = await waiting;
  t.equal(outcome.kind, 'refused');
  t.match(outcome, { reason: /overtaken/ });
  t.equal(author.pool.size, 0);
  bench.close();
});

t.test('a candidate that finds no quorum is forgotten after ten minutes; waiters go with it', async (t) => {
  const bench = await Bench.open();
  const author = bench.member(0);
  for (const member of bench.members.slice(1)) member.heard = false;
  const id = author.pool.submit([bench.world.claim('1.0.0')], []);
  if (id === null) throw new Error('there is room');
  const short = author.pool.outcome(id, SECOND_MS);
  const long = author.pool.outcome(id, 3_600 * SECOND_MS);
  await bench.world.time.advance(2 * SECOND_MS);
  t.same(await short, { kind: 'pending' });
  await bench.world.time.advance(610 * SECOND_MS);
  t.equal((await long).kind, 'refused');
  t.equal(author.pool.size, 0);
  bench.close();
});

t.test('what needs a human hand waits for the mark of each admin, and a mark with another reason refuses', async (t) => {
  const bench = await Bench.open();
  await bench.commit([bench.world.sealed('1.0.0')]);
  const removal: Claim = {
    kind: 'RemoveArtifact',
    target: { kind: 'artifact', coordinates: bench.world.claim('1.0.0').coordinates },
    reason: 'poisoned',
    replaces: 1,
  };
  const author = bench.member(0);
  const mark = async (index: number, reason: string | null): Promise<void> => {
    await bench.member(index).marks.put(keyOf(removal), reason);
    bench.member(index).pool.marksChanged();
    await bench.world.time.advance(10);
  };
  await mark(0, 'poisoned');
  author.pool.submit([removal], []);
  await bench.world.time.advance(SECOND_MS);
  t.same([author.said.sealed.length, author.pool.pendingFor(keyOf(removal))?.endorsements], [0, 1]);
  await mark(1, 'something else');
  t.equal(bench.member(1).said.refusals.length, 1);
  await mark(1, 'poisoned');
  t.equal(author.pool.pendingFor(keyOf(removal))?.endorsements, 2);
  t.equal(author.said.sealed.length, 0, 'two of four are no quorum');
  await bench.world.time.advance(15 * 60 * SECOND_MS);
  t.equal(author.pool.size, 1, 'a mark is patient');
  await mark(2, null);
  await bench.world.time.advance(10 * SECOND_MS);
  const sealed = author.said.sealed.at(-1);
  t.equal(sealed?.endorsements.length, 3);
  if (sealed === undefined) throw new Error('nothing was sealed');
  await bench.commit([sealed]);
  t.equal(author.pool.size, 0);
  t.same(bench.fatals, []);
  bench.close();
});

t.test('a disk that fails under the book of endorsements is fatal, unless the node is stopping', async (t) => {
  const bench = await Bench.open(1);
  const author = bench.member(0);
  await author.store.close();
  author.pool.submit([bench.world.claim('1.0.0')], []);
  await bench.world.time.advance(10);
  t.equal(bench.fatals.length, 1);
  const other = await Bench.open(1);
  other.member(0).pool.submit([other.world.claim('1.0.0')], []);
  other.close();
  await other.member(0).store.close();
  await other.world.time.advance(10);
  t.same(other.fatals, []);
});
