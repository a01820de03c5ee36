/** The parts of the endorsement flow one by one: mempool, book, marks, judge, and gossip that no verifier had time for. Design §4. */

import t from 'tap';
import { type Claim, keyOf, type SealedTransaction, sealedDigest, transactionId } from '../../chain/index.ts';
import { EndorsementBook } from '../../src/claims/endorsement-book.ts';
import { judge } from '../../src/claims/judge.ts';
import { Marks } from '../../src/claims/marks.ts';
import { Mempool, type MempoolLimits } from '../../src/claims/mempool.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import { seedSigner } from '../../src/crypto/signer.ts';
import { verdictOn, verdictsOn } from '../../src/crypto/verdict.ts';
import { VerifierError } from '../../src/crypto/zip215.ts';
import { Members } from '../../src/ledger/members.ts';
import { StateLedger } from '../../src/ledger/state-ledger.ts';
import type { SignatureVerifier } from '../../src/ports.ts';
import { digestOf, filled } from '../chain/arbitraries.ts';
import { MemoryKeyValueStore } from '../world/memory-key-value-store.ts';
import { Bench, trusting } from './bench.ts';

const BOUNDS = { maxBytes: 1_000_000, maxOperations: 2000 };

function mempoolOf(bench: Bench, limits: Partial<MempoolLimits> = {}, verifier: SignatureVerifier = trusting): Mempool {
  return new Mempool(
    { maxTransactions: 100, maxBytes: 1_000_000, ...limits },
    { head: bench.head, verifier, sha256, clock: bench.world.time.clock },
  );
}

/** A verifier whose answers wait until they are let go. */
function slowVerifier(verdict = true): { readonly verifier: SignatureVerifier; readonly release: () => void } {
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const verifyMany: SignatureVerifier['verifyMany'] = async (items) => {
    await gate;
    return items.map(() => verdict);
  };
  return { verifier: { verify: async () => verdict, verifyMany }, release: () => release() };
}

const overloaded: SignatureVerifier = {
  verify: async () => await Promise.reject(new VerifierError('overloaded', 'too many')),
  verifyMany: async () => await Promise.reject(new VerifierError('overloaded', 'too many')),
};

t.test('mempool: takes a transaction once, and says what it is of another', async (t) => {
  const bench = await Bench.open();
  const mempool = mempoolOf(bench);
  let added = 0;
  mempool.onAdd(() => {
    added += 1;
  });
  const sealed = bench.world.sealed('1.0.0');
  t.same(await mempool.add(sealed), { kind: 'added' });
  t.same(await mempool.add(sealed), { kind: 'known', same: true });
  const fewer: SealedTransaction = { ...sealed, endorsements: sealed.endorsements.slice(0, 3) };
  t.same(await mempool.add(fewer), { kind: 'known', same: false }, 'another sealing of it is not vouched for');
  t.equal(added, 1);
  t.ok(mempool.has(transactionId(sha256, sealed.claims)));
  t.same(mempool.sealed(sealedDigest(sha256, sealed)), sealed);
  t.match(await mempool.add({ ...bench.world.sealed('2.0.0'), endorsements: fewer.endorsements.slice(0, 2) }), { kind: 'stale' });
  const forging = mempoolOf(bench, {}, { verify: async () => false, verifyMany: async (items) => items.map(() => false) });
  t.match(await forging.add(sealed), { kind: 'forged' });
  t.same(await mempoolOf(bench, {}, overloaded).add(sealed), { kind: 'unknown' });
  bench.close();
});

t.test('mempool: holds so many and so much, also of what is being checked at one time', async (t) => {
  const bench = await Bench.open();
  const { verifier, release } = slowVerifier();
  const mempool = mempoolOf(bench, { maxTransactions: 3 }, verifier);
  const adding = Array.from({ length: 10 }, (_, index) => mempool.add(bench.world.sealed(`1.0.${index}`)));
  release();
  const results = (await Promise.all(adding)).map((result) => result.kind);
  t.equal(results.filter((kind) => kind === 'added').length, 3);
  t.equal(results.filter((kind) => kind === 'full').length, 7);
  t.equal(mempool.size, 3);
  const small = mempoolOf(bench, { maxBytes: 500 });
  t.same(await small.add(bench.world.sealed('2.0.0')), { kind: 'full' });
  bench.close();
});

t.test('mempool: what a block brought while it was checked is not taken any more', async (t) => {
  const bench = await Bench.open();
  const { verifier, release } = slowVerifier();
  const mempool = mempoolOf(bench, {}, verifier);
  const sealed = bench.world.sealed('1.0.0');
  const adding = mempool.add(sealed);
  await bench.commit([sealed]);
  release();
  t.match(await adding, { kind: 'stale' });
  t.equal(mempool.size, 0);
  bench.close();
});

t.test('mempool: expired transactions go, and none is picked for a block after its expiry', async (t) => {
  const bench = await Bench.open();
  const mempool = mempoolOf(bench);
  const { clock } = bench.world.time;
  await mempool.add(bench.world.sealed('1.0.0'));
  const { endorsementMs } = bench.head.parameters;
  t.equal(mempool.pick({ ...BOUNDS, timeMs: clock.nowMs() + endorsementMs - 1 }).length, 1);
  t.equal(mempool.pick({ ...BOUNDS, timeMs: clock.nowMs() + endorsementMs }).length, 0);
  await bench.world.time.advance(endorsementMs);
  mempool.dropExpired();
  t.equal(mempool.size, 0);
  bench.close();
});

t.test('mempool: the oldest first, within the bounds; what does not fit keeps back none behind it', async (t) => {
  const bench = await Bench.open();
  const mempool = mempoolOf(bench);
  const all = ['3.0.0', '1.0.0', '2.0.0'].map((version) => bench.world.sealed(version));
  const base = bench.world.claim('9.0.0');
  const large: Claim = {
    ...base,
    files: Array.from({ length: 40 }, (_, index) => ({ ...base.files[0], name: `file-${100 + index}` })) as never,
  };
  const [, one, two] = all;
  const sealedLarge = { ...(all[0] as SealedTransaction), claims: [large] };
  for (const sealed of [sealedLarge, ...all]) t.same(await mempool.add(sealed), { kind: 'added' });
  const timeMs = bench.world.time.clock.nowMs();
  t.same(mempool.pick({ ...BOUNDS, timeMs }), [sealedLarge, ...all]);
  t.same(mempool.pick({ ...BOUNDS, maxOperations: 2, timeMs }), [sealedLarge, all[0]]);
  t.same(mempool.pick({ maxBytes: 3_000, maxOperations: 10, timeMs }), all, 'the large one waits');
  t.same(mempool.oldest(2), [sealedLarge, all[0]]);
  await bench.commit([one as SealedTransaction]);
  const stored = bench.head.store.header(1);
  if (stored === null || two === undefined) throw new Error('committed');
  mempool.blockCommitted({ header: stored, transactions: [one as SealedTransaction], lastCommit: null, evidence: [] });
  t.equal(mempool.size, 3);
  mempool.blockCommitted({ header: { ...stored, nextSetDigest: digestOf(9) }, transactions: [], lastCommit: null, evidence: [] });
  t.equal(mempool.size, 0, 'a new set of endorsers: authors seal again');
  t.equal(mempool.sealed(sealedDigest(sha256, two)), null);
  bench.close();
});

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
  t.same(await again.list(), [{ key: keyOf(removal), reason: null, markedMs: clock.nowMs() }]);
  t.ok(await again.delete(keyOf(removal)));
  t.notOk(await again.delete(keyOf(removal)));
  t.same(await again.list(), []);
  bench.close();
});

t.test('judge: policy first, then the hand, then the bytes; the first claim that is not genuine decides', async (t) => {
  const bench = await Bench.open();
  const marks = new Marks({ store: new MemoryKeyValueStore(), clock: bench.world.time.clock });
  let checked = 0;
  const checker = {
    check: async () => {
      checked += 1;
      return { kind: 'genuine' } as const;
    },
  };
  const deps = { head: bench.head, marks, checkers: new Map([['generic', checker]]) };
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
