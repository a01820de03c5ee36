/** The mempool: what it takes, what it holds, what it gives for a block. SPEC §3. */

import t from 'tap';
import { type Claim, type SealedTransaction, sealedDigest, transactionId } from '../../chain/index.ts';
import { Mempool, type MempoolLimits } from '../../src/claims/mempool.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import { VerifierError } from '../../src/crypto/zip215.ts';
import type { SignatureVerifier } from '../../src/ports.ts';
import { digestOf } from '../chain/arbitraries.ts';
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
