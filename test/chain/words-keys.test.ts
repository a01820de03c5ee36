/**
 * Key admission and canonical S: which public keys may enter the chain, against keys made to be refused. SPEC §7. The rule by which
 * signatures are verified is the shell's and has tests of its own.
 */

import { existsSync, readFileSync } from 'node:fs';
import { Point } from '@noble/ed25519';
import fc from 'fast-check';
import t from 'tap';
import { checkPublicKey, hasCanonicalS } from '../../chain/index.ts';
import { filled } from './arbitraries.ts';

const vectors = new URL('../../../../shared/vectors/', import.meta.url);
const ABSENT = 'the vectors of ../shared/vectors are not there';
const skip = existsSync(vectors) ? {} : { skip: ABSENT };

function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

function load(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`ed25519-${name}.json`, vectors), 'utf8'));
}

/** A point of order 8, and its multiples: the whole torsion subgroup. */
const ORDER_8 = Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a');
const TORSION = Array.from({ length: 8 }, (_, index) => Array.from({ length: index }).reduce<Point>((sum) => sum.add(ORDER_8), Point.ZERO));

t.test('keys of RFC 8032 are admitted', async (t) => {
  for (const key of [
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    '278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e',
  ]) {
    t.equal(checkPublicKey(fromHex(key)), null, key);
  }
});

t.test('points of small order are refused', async (t) => {
  t.equal(new Set(TORSION.map((point) => point.toHex())).size, 8);
  for (const point of TORSION) t.match(checkPublicKey(point.toBytes()), /small order/, point.toHex());
});

t.test('points with a torsion part are refused', async (t) => {
  const key = Point.fromHex('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
  t.equal(checkPublicKey(key.add(Point.ZERO).toBytes()), null);
  for (const point of TORSION.slice(1)) t.match(checkPublicKey(key.add(point).toBytes()), /torsion-free/, point.toHex());
});

t.test('what is no canonical point is refused', async (t) => {
  const table: readonly (readonly [string, string])[] = [
    ['y = p, a second spelling of y = 0', 'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
    ['y = p + 1, a second spelling of y = 1', 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
    ['y = 2^255 - 1', 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
    ['x = 0 with a sign', '0100000000000000000000000000000000000000000000000000000000000080'],
    ['y = -1 with a sign', 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff'],
    ['y = 2, which is not on the curve', '0200000000000000000000000000000000000000000000000000000000000000'],
  ];
  for (const [what, hex] of table) t.match(checkPublicKey(fromHex(hex)), /no canonical point/, what);
  for (const length of [0, 31, 33, 64]) t.match(checkPublicKey(filled(1, length)), /32 bytes/, `${length} bytes`);
});

t.test('every decoder of keys answers, whatever the bytes', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (raw) => {
      const answer = checkPublicKey(raw);
      return answer === null ? raw.length === 32 : answer.length > 0;
    }),
    { numRuns: 200 },
  );
  t.pass();
});

t.test('the keys of ZIP 215, made so that rules differ, are all refused', skip, async (t) => {
  const cases = load('zip215') as readonly { readonly vk_bytes: string }[];
  const keys = new Set(cases.map((one) => one.vk_bytes));
  t.equal(keys.size, 14);
  for (const key of keys) t.type(checkPublicKey(fromHex(key)), 'string', key);
});

t.test('so are the crafted keys of the taxonomy of "Taming the many EdDSAs"', skip, async (t) => {
  const cases = load('speccheck') as readonly { readonly pub_key: string }[];
  const admitted = new Set(cases.filter((one) => checkPublicKey(fromHex(one.pub_key)) === null).map((one) => one.pub_key));
  t.same([...admitted], ['442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623'], 'but for the one honest key among them');
});

t.test('the keys of Wycheproof are admitted', skip, async (t) => {
  const { testGroups } = load('wycheproof') as { readonly testGroups: readonly { readonly publicKey: { readonly pk: string } }[] };
  for (const key of new Set(testGroups.map((group) => group.publicKey.pk))) t.equal(checkPublicKey(fromHex(key)), null, key);
});

const { n: order } = Point.CURVE();

function signatureWith(s: bigint): Uint8Array {
  const bytes = Array.from({ length: 32 }, (_, index) => Number((s >> BigInt(8 * index)) & 0xffn));
  return Uint8Array.from([...filled(0x77), ...bytes]);
}

t.test('S is canonical below the group order only', async (t) => {
  const table: readonly (readonly [string, bigint, boolean])[] = [
    ['0', 0n, true],
    ['L - 1', order - 1n, true],
    ['L', order, false],
    ['L + 1', order + 1n, false],
    ['L + 2^8', order + 256n, false],
    ['2^252', 2n ** 252n, true],
    ['2^253 - 1', 2n ** 253n - 1n, false],
    ['2^256 - 1', 2n ** 256n - 1n, false],
  ];
  for (const [what, s, expected] of table) t.equal(hasCanonicalS(signatureWith(s)), expected, what);
  t.equal(hasCanonicalS(new Uint8Array(63)), false);
  t.equal(hasCanonicalS(new Uint8Array(65)), false);
  const near = fc.bigInt({ min: -(2n ** 130n), max: 2n ** 130n }).map((difference) => order + difference);
  fc.assert(fc.property(near, (s) => hasCanonicalS(signatureWith(s)) === s < order));
});

t.test('malleated signatures of Wycheproof have no canonical S', skip, async (t) => {
  type Case = { readonly sig: string; readonly flags: readonly string[]; readonly result: string };
  const { testGroups } = load('wycheproof') as { readonly testGroups: readonly { readonly tests: readonly Case[] }[] };
  const cases = testGroups.flatMap((group) => group.tests);
  const malleated = cases.filter((one) => one.flags.includes('SignatureMalleability'));
  t.ok(malleated.length > 0);
  for (const one of malleated) t.equal(hasCanonicalS(fromHex(one.sig)), false, one.sig);
  for (const one of cases.filter((valid) => valid.result === 'valid')) t.equal(hasCanonicalS(fromHex(one.sig)), true);
});
