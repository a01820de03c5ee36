/** The parts of the endorsement flow one by one: book, marks, judge, a verifier without a verdict; members and ledger. SPEC §3.5. */

import t from 'tap';
import { type Claim, formatDigest, keyOf, transactionId } from '../../chain/index.ts';
import { localnetPolicy } from '../../genesis/index.ts';
import type { CheckVerdict } from '../../registry/index.ts';
import { EndorsementBook } from '../../src/claims/endorsement-book.ts';
import { FirstSeen } from '../../src/claims/first-seen.ts';
import { judge } from '../../src/claims/judge.ts';
import { Marks } from '../../src/claims/marks.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import { seedSigner } from '../../src/crypto/signer.ts';
import { verdictOn, verdictsOn } from '../../src/crypto/verdict.ts';
import { VerifierError } from '../../src/crypto/zip215.ts';
import { Members } from '../../src/ledger/members.ts';
import { StateLedger } from '../../src/ledger/state-ledger.ts';
import { digestOf, filled } from '../chain/arbitraries.ts';
import { MemoryKeyValueStore } from '../world/memory-key-value-store.ts';
import { Bench } from './bench.ts';

function bookOf(bench: Bench, store: MemoryKeyValueStore): EndorsementBook {
  const { one } = bench.member(0);
  return new EndorsementBook({
    chainId: bench.world.chainId,
    nodeId: one.nodeId,
    store,
    signer: seedSigner(one.keys),
    clock: bench.world.time.clock,
  });
}

function contents(bench: Bench): readonly [Claim, Claim] {
  const base = bench.world.claim('1.0.0');
  return [base, { ...base, files: base.files.map((file) => ({ ...file, name: 'other.bin' })) }];
}

t.test('book: a second content is refused until the first endorsement has expired by the own clock, over a restart too', async (t) => {
  const bench = await Bench.open();
  const store = new MemoryKeyValueStore();
  const [one, two] = contents(bench);
  const [first, second] = [transactionId(sha256, [one]), transactionId(sha256, [two])];
  t.equal((await bookOf(bench, store).endorse(first, [one], 60_000)).kind, 'endorsed');
  const untilMs = bench.world.time.clock.nowMs() + 60_000;
  t.same(await bookOf(bench, store).endorse(second, [two], 60_000), { kind: 'taken', key: `-|${keyOf(one)}`, untilMs });
  await bench.world.time.advance(30_000);
  const renewed = await bookOf(bench, store).endorse(first, [one], 60_000);
  t.match(renewed, { endorsement: { expiresMs: untilMs + 30_000 } }, 'the same content is endorsed again, for longer');
  t.match(
    await bookOf(bench, store).endorse(first, [one], 1_000),
    { endorsement: { expiresMs: untilMs + 30_000 } },
    'a promise never shrinks',
  );
  await bench.world.time.advance(59_999);
  t.equal((await bookOf(bench, store).endorse(second, [two], 60_000)).kind, 'taken');
  await bench.world.time.advance(1);
  t.equal((await bookOf(bench, store).endorse(second, [two], 60_000)).kind, 'endorsed');
  t.equal(
    (await bookOf(bench, store).endorse(first, [{ ...one, replaces: 3 }], 60_000)).kind,
    'endorsed',
    'another record to replace, another slot',
  );
  bench.close();
});

t.test('book: two contents at one time, one endorsement', async (t) => {
  const bench = await Bench.open();
  const book = bookOf(bench, new MemoryKeyValueStore({ beforeWrite: () => new Promise((resolve) => setImmediate(resolve)) }));
  const [one, two] = contents(bench);
  const both = await Promise.all([
    book.endorse(transactionId(sha256, [one]), [one], 60_000),
    book.endorse(transactionId(sha256, [two]), [two], 60_000),
  ]);
  t.same(
    both.map((result) => result.kind),
    ['endorsed', 'taken'],
  );
  bench.close();
});

t.test('book: written before it is signed, and nothing signed when the disk fails', async (t) => {
  const bench = await Bench.open();
  let signed = 0;
  let seenAtWrite = -1;
  const store = new MemoryKeyValueStore({
    beforeWrite: () => {
      seenAtWrite = signed;
      if (signed > 0) throw new Error('the disk failed');
    },
  });
  const { one } = bench.member(0);
  const signer = {
    publicKey: () => filled(1),
    sign: () => {
      signed += 1;
      return filled(2, 64);
    },
  };
  const book = new EndorsementBook({ chainId: bench.world.chainId, nodeId: one.nodeId, store, signer, clock: bench.world.time.clock });
  const [claim] = contents(bench);
  await book.endorse(transactionId(sha256, [claim]), [claim], 60_000);
  t.same([seenAtWrite, signed], [0, 1]);
  await t.rejects(book.endorse(transactionId(sha256, [claim]), [claim], 90_000));
  t.equal(signed, 1);
  bench.close();
});

t.test('book: forgets what is committed, and what has expired', async (t) => {
  const bench = await Bench.open();
  const store = new MemoryKeyValueStore();
  const book = bookOf(bench, store);
  const claims = ['1.0.0', '2.0.0', '3.0.0'].map((version) => bench.world.claim(version));
  for (const [index, claim] of claims.entries()) await book.endorse(digestOf(index), [claim], index === 2 ? 120_000 : 60_000);
  await book.forget(claims.slice(0, 1));
  t.equal(store.snapshot().size, 2);
  await book.dropExpired();
  t.equal(store.snapshot().size, 2, 'nothing has expired yet');
  await bench.world.time.advance(60_000);
  await book.dropExpired();
  t.equal(store.snapshot().size, 1);
  bench.close();
});

const removal: Claim = { kind: 'RemoveArtifact', target: { kind: 'file', sha256: digestOf(5) }, reason: 'poisoned', replaces: null };

t.test('marks: kept over a restart, listed, covering their key and reason alone', async (t) => {
  const bench = await Bench.open();
  const store = new MemoryKeyValueStore();
  const clock = bench.world.time.clock;
  const marks = new Marks({ store, clock });
  t.equal(marks.covers(removal), 'unmarked');
  await marks.put(keyOf(removal), 'poisoned');
  const again = new Marks({ store, clock });
  t.equal(again.covers(removal), 'yes');
  t.equal(again.covers({ ...removal, reason: 'another' }), 'other-reason');
  await again.put(keyOf(removal), null);
  t.equal(again.covers({ ...removal, reason: 'another' }), 'yes', 'a mark without a reason covers any');
  const target = formatDigest(digestOf(5));
  t.same(await again.list(), [{ key: keyOf(removal), target, reason: null, markedMs: clock.nowMs() }]);
  t.ok(await again.delete(keyOf(removal)));
  t.notOk(await again.delete(keyOf(removal)));
  await again.put(keyOf(removal), 'poisoned');
  await again.settle([removal]);
  t.same(await again.list(), [], 'a mark that a block has carried out is gone');
  t.same(await again.list(), []);
  bench.close();
});

t.test('judge: policy first, then the hand, then the bytes; the first claim that is not genuine decides', async (t) => {
  const bench = await Bench.open();
  const notes = { store: new MemoryKeyValueStore(), clock: bench.world.time.clock };
  const marks = new Marks(notes);
  let checked = 0;
  const checker = {
    check: async () => {
      checked += 1;
      return { kind: 'genuine' } as const;
    },
  };
  const deps = { head: bench.head, marks, firstSeen: new FirstSeen(notes), checkers: new Map([['generic', checker]]) };
  const context = { authorPeerId: 'x', signal: new AbortController().signal };
  const claim = bench.world.claim('1.0.0');
  t.same(await judge(deps, [claim], context), { kind: 'genuine' });
  t.match(await judge(deps, [{ ...claim, coordinates: { ...claim.coordinates, namespace: 'elsewhere' } }], context), { kind: 'refused' });
  t.equal(checked, 1, 'what policy refuses is not fetched');
  t.same(await judge(deps, [removal, claim], context), { kind: 'unmarked' });
  t.equal(checked, 1);
  t.match(await judge({ ...deps, checkers: new Map() }, [claim], context), { kind: 'refused', reason: /does not check generic/ });
  bench.close();
});

t.test('judge: a version grows old from when the upstream had it, not from when it was claimed', async (t) => {
  const bench = await Bench.open();
  const { clock } = bench.world.time;
  const notes = { store: new MemoryKeyValueStore(), clock };
  let isThere = false;
  const check = async (): Promise<CheckVerdict> => (isThere ? { kind: 'genuine' } : { kind: 'refused', reason: 'no such thing' });
  const policy = localnetPolicy([]).map((rule) => ({ ...rule, minimumAgeMs: 60_000 }));
  const deps = {
    head: { parameters: { ...bench.head.parameters, policy } },
    marks: new Marks(notes),
    firstSeen: new FirstSeen(notes),
    checkers: new Map([['docker', { check }]]),
  };
  const context = { authorPeerId: 'x', signal: new AbortController().signal };
  const version = `sha256:${'ab'.repeat(32)}`;
  const claim = {
    ...bench.world.claim('1.0.0'),
    coordinates: { ecosystem: 'docker', registry: 'docker.io', namespace: 'library', name: 'tool', version },
    source: { kind: 'upstream', id: 'docker-hub' },
    verification: 'mirrored',
  } as const;
  const reasons: unknown[] = [];
  const judged = async (): Promise<unknown> => reasons.push(await judge(deps, [claim], context));
  await judged();
  await bench.world.time.advance(120_000);
  isThere = true;
  await judged();
  await bench.world.time.advance(59_000);
  await judged();
  await bench.world.time.advance(1_000);
  await judged();
  t.match(reasons, [{ reason: 'no such thing' }, { reason: /in 60 s/ }, { reason: /in 1 s/ }, { kind: 'genuine' }]);
  bench.close();
});

t.test('a verifier that gives no verdict says nothing; any other failure is told', async (t) => {
  const item = { publicKey: filled(1), message: filled(2), signature: filled(3, 64) };
  for (const code of ['overloaded', 'broken', 'closed'] as const) {
    const failing = async (): Promise<never> => await Promise.reject(new VerifierError(code, code));
    t.equal(await verdictOn({ verify: failing, verifyMany: failing }, item), null);
    t.equal(await verdictsOn({ verify: failing, verifyMany: failing }, [item]), null);
  }
  const buggy = async (): Promise<never> => await Promise.reject(new TypeError('a bug'));
  await t.rejects(verdictOn({ verify: buggy, verifyMany: buggy }, item), TypeError);
});

t.test('members and ledger: who they are, and what may be served', async (t) => {
  const bench = await Bench.open();
  const { one } = bench.member(0);
  const peerIdOf = (key: Uint8Array): string => Buffer.from(key).toString('hex');
  const key = seedSigner(one.keys).publicKey('network');
  const members = new Members({ head: bench.head, network: { peerId: peerIdOf(key), peerIdOf } });
  t.equal(members.all().length, 4);
  t.equal(members.peerOf(one.nodeId), peerIdOf(key));
  t.equal(members.peerOf(digestOf(9)), null);
  t.equal(members.byPeer(peerIdOf(key))?.name, one.name);
  t.equal(members.byPeer('nobody'), null);
  t.equal(members.byNetworkKey(key)?.name, one.name);
  t.equal(members.byNetworkKey(filled(9)), null);
  t.equal(members.otherPeers().length, 3);
  t.notOk(members.otherPeers().includes(peerIdOf(key)));

  const ledger = new StateLedger(
    { maxHeadAgeMs: 1_000 },
    { head: bench.head, members, clock: bench.world.time.clock, peerId: peerIdOf(key) },
  );
  const claim = bench.world.claim('1.0.0');
  const [file] = claim.files;
  if (file === undefined) throw new Error('a claim has a file');
  t.equal(ledger.lookUp(claim.coordinates), null);
  t.notOk(ledger.isServable(file.digests.sha256));
  await bench.commit([bench.world.sealed('1.0.0')]);
  t.match(ledger.lookUp(claim.coordinates), { kind: 'live', height: 1 });
  t.ok(ledger.isServable(file.digests.sha256));
  t.equal(ledger.endorsers(file.digests.sha256).length, 3, 'all but this node');
  t.same(await ledger.list({ after: null, limit: 10 }), [claim.coordinates]);
  t.ok(ledger.isFresh());
  await bench.world.time.advance(2_000);
  t.notOk(ledger.isFresh());
  bench.close();
});
