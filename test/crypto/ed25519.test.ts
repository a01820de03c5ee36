/**
 * The one Ed25519 rule against the published vectors and against signatures crafted with torsion points, where libraries disagree.
 * Vectors lie beside the working tree; without them those parts are skipped and the crafted ones still run.
 */

import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { hashes, verify as nobleVerify, Point } from '@noble/ed25519';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { type Ed25519Verifier, openEd25519Verifier } from '../../src/crypto/ed25519.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import { publicKeyOfSeed, seedSigner } from '../../src/crypto/signer.ts';
import type { SignedItem } from '../../src/ports.ts';
import { systemClock, systemRandom, systemTimers } from '../../src/world/clock.ts';

hashes.sha512 = (message) => new Uint8Array(createHash('sha512').update(message).digest());

const VECTORS = new URL('../../../../shared/vectors/', import.meta.url);

function openVerifier(t: Test, options: Parameters<typeof openEd25519Verifier>[0] = {}): Ed25519Verifier {
  const verifier = openEd25519Verifier(options, { clock: systemClock, timers: systemTimers });
  t.teardown(() => verifier.close());
  return verifier;
}

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));

function item(publicKey: string, message: string, signature: string): SignedItem {
  return { publicKey: bytes(publicKey), message: bytes(message), signature: bytes(signature) };
}

/** The file's content, or null (and the test is marked skipped) when the vectors are not here. */
function vectors(t: Test, name: string): unknown {
  const file = new URL(name, VECTORS);
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'));
  t.pass(name, { skip: 'not beside this working tree' });
  return null;
}

t.test('ZIP-215: every vector of the proposal is valid', async (t) => {
  const found = vectors(t, 'ed25519-zip215.json') as readonly { vk_bytes: string; sig_bytes: string; valid_zip215: boolean }[] | null;
  if (found === null) return;
  const verifier = openVerifier(t);
  const message = Buffer.from('Zcash').toString('hex');
  const verdicts = await verifier.verifyMany(found.map((entry) => item(entry.vk_bytes, message, entry.sig_bytes)));
  t.same(
    verdicts,
    found.map((entry) => entry.valid_zip215),
  );
  t.equal(verdicts.length, 196);
});

t.test('Wycheproof: valid stays valid, and what is invalid here is invalid to ZIP-215 too', async (t) => {
  interface Group {
    readonly key?: { readonly pk: string };
    readonly publicKey?: { readonly pk: string };
    readonly tests: readonly { readonly tcId: number; readonly msg: string; readonly sig: string; readonly result: string }[];
  }
  const found = vectors(t, 'ed25519-wycheproof.json') as { readonly testGroups: readonly Group[] } | null;
  if (found === null) return;
  const cases = found.testGroups.flatMap((group) =>
    group.tests.map((test) => ({ ...test, signed: item((group.publicKey ?? group.key)?.pk ?? '', test.msg, test.sig) })),
  );
  const verdicts = await openVerifier(t).verifyMany(cases.map((entry) => entry.signed));
  for (const [index, entry] of cases.entries()) {
    if (entry.result === 'valid') t.equal(verdicts[index], true, `case ${entry.tcId} is valid`);
    else t.equal(verdicts[index], nobleAccepts(entry.signed), `case ${entry.tcId} as ZIP-215 says`);
  }
  t.equal(cases.length, 150);
});

t.test('speccheck: the twelve edge cases come out as ZIP-215 says', async (t) => {
  const found = vectors(t, 'ed25519-speccheck.json') as readonly { message: string; pub_key: string; signature: string }[] | null;
  if (found === null) return;
  const verdicts = await openVerifier(t).verifyMany(found.map((entry) => item(entry.pub_key, entry.message, entry.signature)));
  // Cases 6 and 7 have S ≥ L; 8 is refused for no key or R; the rest satisfy the equation with its cofactor.
  t.same(
    verdicts,
    found.map((entry) => nobleAccepts(item(entry.pub_key, entry.message, entry.signature))),
  );
  t.equal(verdicts[6], false, 'S ≥ L');
  t.equal(verdicts[7], false, 'S far above L');
  t.equal(verdicts[4], true, 'only the equation with cofactor holds');
});

t.test('torsion: whatever noble accepts under ZIP-215 is accepted, whatever it refuses is refused', async (t) => {
  const verifier = openVerifier(t, { secondOpinionsPerSecond: 10_000 });
  const crafted = fc.record({
    scalar: fc.bigInt({ min: 1n, max: Point.CURVE().n - 1n }),
    nonce: fc.bigInt({ min: 1n, max: Point.CURVE().n - 1n }),
    torsionOfKey: fc.nat(7),
    torsionOfR: fc.nat(7),
    message: fc.uint8Array({ maxLength: 64 }),
    spoil: fc.boolean(),
  });
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(crafted, async (given) => {
      const signed = craft(given);
      const expected = nobleAccepts(signed);
      accepted += expected ? 1 : 0;
      return (await verifier.verify(signed)) === expected;
    }),
    { numRuns: 150 },
  );
  t.ok(accepted > 20, `${accepted} crafted signatures were accepted`);
});

interface Craft {
  readonly scalar: bigint;
  readonly nonce: bigint;
  readonly torsionOfKey: number;
  readonly torsionOfR: number;
  readonly message: Uint8Array;
  readonly spoil: boolean;
}

/** A generator of the eight small-order points: a point of order 8 (ZIP-215 test vectors). */
const TORSION = Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05');

/** A = a·B + T₁, R = r·B + T₂, S = r + k·a: right but for torsion, which the cofactor kills. */
function craft(given: Craft): SignedItem {
  const order = Point.CURVE().n;
  const publicKey = Point.BASE.multiply(given.scalar)
    .add(TORSION.multiply(BigInt(given.torsionOfKey), false))
    .toBytes();
  const r = Point.BASE.multiply(given.nonce)
    .add(TORSION.multiply(BigInt(given.torsionOfR), false))
    .toBytes();
  const digest = createHash('sha512').update(r).update(publicKey).update(given.message).digest();
  const k = littleEndian(digest) % order;
  const s = (given.nonce + k * given.scalar + (given.spoil ? 1n : 0n)) % order;
  return { publicKey, message: given.message, signature: new Uint8Array([...r, ...toLittleEndian(s)]) };
}

function littleEndian(digits: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(digits).reverse().toString('hex')}`);
}

function toLittleEndian(value: bigint): Uint8Array {
  return new Uint8Array(Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse());
}

function nobleAccepts(signed: SignedItem): boolean {
  try {
    return nobleVerify(signed.signature, signed.message, signed.publicKey, { zip215: true });
  } catch {
    return false;
  }
}

t.test('signer: what it signs verifies, one by one and in bulk, and nothing else does', async (t) => {
  const seeds = { network: systemRandom.bytes(32), consensus: systemRandom.bytes(32), checkpoint: systemRandom.bytes(32) };
  const signer = seedSigner(seeds);
  const verifier = openVerifier(t, { maxKeys: 2 });
  const items = (['network', 'consensus', 'checkpoint'] as const).flatMap((use) =>
    [0, 1, 2, 100].map((length) => {
      const message = systemRandom.bytes(length);
      return { publicKey: signer.publicKey(use), message, signature: signer.sign(use, message) };
    }),
  );
  const forged = items.map((entry) => ({ ...entry, message: new Uint8Array([...entry.message, 1]) }));
  t.same(
    await verifier.verifyMany([...items, ...forged]),
    [...items, ...forged].map((_, index) => index < items.length),
  );
  t.same(
    await Promise.all(items.map(verifier.verify)),
    items.map(() => true),
  );
  t.same(signer.publicKey('network'), publicKeyOfSeed(seeds.network));
  t.throws(() => publicKeyOfSeed(new Uint8Array(31)), RangeError);
});

t.test('form: wrong lengths and S ≥ L are refused without a second opinion', async (t) => {
  const verifier = openVerifier(t, { maxWaiting: 0 });
  const seed = systemRandom.bytes(32);
  const signer = seedSigner({ network: seed, consensus: seed, checkpoint: seed });
  const message = bytes('00');
  const good = { publicKey: signer.publicKey('network'), message, signature: signer.sign('network', message) };
  const order = Point.CURVE().n;
  const raised = toLittleEndian(littleEndian(good.signature.subarray(32)) + order);
  const malleable = { ...good, signature: new Uint8Array([...good.signature.subarray(0, 32), ...raised]) };
  t.equal(await verifier.verify(good), true);
  t.equal(await verifier.verify(malleable), false);
  t.equal(await verifier.verify({ ...good, signature: good.signature.subarray(1) }), false);
  t.equal(await verifier.verify({ ...good, publicKey: new Uint8Array(33) }), false);
});

t.test('overload: the queue is bounded and says so; a closed verifier says so; neither guesses', async (t) => {
  const verifier = openVerifier(t, { maxWaiting: 2 });
  const forged = { publicKey: publicKeyOfSeed(systemRandom.bytes(32)), message: bytes('01'), signature: new Uint8Array(64) };
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => verifier.verify(forged)));
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
  t.ok(refused.length > 0);
  t.ok(refused.every((outcome) => outcome.reason.code === 'overloaded'));
  t.ok(outcomes.every((outcome) => outcome.status === 'rejected' || outcome.value === false));
  await verifier.close();
  await t.rejects(verifier.verify(forged), { code: 'closed' });
});

t.test('rate: second opinions wait for their turn on the given clock', async (t) => {
  let nowMs = 0;
  const due: (() => void)[] = [];
  const verifier = openEd25519Verifier(
    { secondOpinionsPerSecond: 1 },
    {
      clock: { nowMs: () => nowMs },
      timers: {
        set: (_delayMs, callback) => {
          due.push(callback);
          return { cancel: () => {} };
        },
      },
    },
  );
  t.teardown(() => verifier.close());
  const forged = { publicKey: publicKeyOfSeed(systemRandom.bytes(32)), message: bytes('01'), signature: new Uint8Array(64) };
  const burst = [verifier.verify(forged), verifier.verify(forged)];
  let thirdCame = false;
  const third = verifier.verify(forged).then((verdict) => {
    thirdCame = true;
    return verdict;
  });
  t.same(await Promise.all(burst), [false, false]);
  t.notOk(thirdCame, 'two at once are the burst');
  nowMs += 1000;
  due.shift()?.();
  t.equal(await third, false);
});

t.test('sha256: the known answer, as a plain array', async (t) => {
  const digest = sha256(new Uint8Array(Buffer.from('abc')));
  t.equal(Buffer.from(digest).toString('hex'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  t.notOk(Buffer.isBuffer(digest));
});
