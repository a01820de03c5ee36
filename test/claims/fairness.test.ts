/** No author takes all checks or all places of another authority's pool. SPEC §3.5, §8. */

import t from 'tap';
import { digestOf } from '../chain/arbitraries.ts';
import { Bench } from './bench.ts';

t.test('an author whose bytes never come does not hold up the candidates of another', async (t) => {
  const bench = await Bench.open();
  const [slow, good] = [bench.member(1), bench.member(2)];
  const checker = bench.member(0);
  checker.verdict = (claim) =>
    claim.kind === 'AddArtifact' && claim.coordinates.version.startsWith('9.') ? new Promise(() => {}) : { kind: 'genuine' };
  for (let one = 0; one < 20; one += 1) slow.pool.submit([bench.world.claim(`9.0.${one}`)], []);
  await bench.world.time.advance(10);
  good.pool.submit([bench.world.claim('1.0.0')], []);
  await bench.world.time.advance(10);
  t.equal(checker.said.endorsements, 1);
  bench.close();
});

t.test('at most eight checks at a time, four of one author', async (t) => {
  const bench = await Bench.open();
  const authors = [0, 1, 2].map((index) => bench.member(index));
  const checker = bench.member(3);
  const open: (() => void)[] = [];
  checker.verdict = () => new Promise((resolve) => open.push(() => resolve({ kind: 'genuine' })));
  for (const [at, author] of authors.entries()) {
    for (let index = 0; index < 10; index += 1) author.pool.submit([bench.world.claim(`1.${at}.${index}`)], []);
    await bench.world.time.advance(10);
    t.equal(open.length, [4, 8, 8][at]);
  }
  for (const finish of open.splice(0)) finish();
  await bench.world.time.advance(10);
  t.equal(checker.checks, 16);
  bench.close();
});

t.test('one author may not fill the pool', async (t) => {
  const bench = await Bench.open(4);
  const other = bench.member(1);
  other.verdict = () => new Promise(() => {});
  const take = (index: number, from: string): string =>
    other.pool.candidateReceived(
      { claims: [bench.world.claim(`1.0.${index}`)], consents: [], author: digestOf(1), signature: digestOf(2) },
      from,
    );
  for (let index = 0; index < 1024; index += 1) take(index, 'greedy');
  t.equal(take(2000, 'greedy'), 'full');
  t.equal(take(2001, 'modest'), 'taken');
  t.equal(other.pool.size, 1025);
  bench.close();
});
