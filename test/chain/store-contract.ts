/** What every key-value store must do; run against LevelDB and against the test world's memory. Follows chain/store/key-value-store.ts. */

import fc from 'fast-check';
import type { Test } from 'tap';
import type { KeyValueStore, KeyValueWrite } from '../../chain/store/index.ts';

const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);
const END = '\x7f';

/** `open` gives a fresh, empty store; `reopen` one with the same contents after the given one was closed. */
export interface StoreUnderTest {
  readonly open: () => Promise<KeyValueStore>;
  readonly reopen: (store: KeyValueStore) => Promise<KeyValueStore>;
}

export async function checkKeyValueStore(t: Test, subject: StoreUnderTest): Promise<void> {
  await t.test('get: null before a write, the bytes after it, null after a deletion', async (t) => {
    const store = await subject.open();
    t.equal(store.get('a'), null);
    await store.write([{ key: 'a', value: bytes(1, 2) }]);
    t.same([...(store.get('a') ?? [])], [1, 2]);
    t.equal(Object.getPrototypeOf(store.get('a')), Uint8Array.prototype, 'plain byte arrays');
    await store.write([{ key: 'a', value: bytes() }]);
    t.equal(store.get('a')?.length, 0, 'empty is not absent');
    await store.write([{ key: 'a', value: null }]);
    t.equal(store.get('a'), null);
    await store.close();
  });

  await t.test('write: later writes of a batch win over earlier ones of the same key', async (t) => {
    const store = await subject.open();
    await store.write([
      { key: 'k', value: bytes(1) },
      { key: 'k', value: null },
      { key: 'k', value: bytes(2) },
    ]);
    t.same([...(store.get('k') ?? [])], [2]);
    await store.close();
  });

  await t.test('write: neither the caller nor the reader can change what is stored', async (t) => {
    const store = await subject.open();
    const given = bytes(1);
    await store.write([{ key: 'k', value: given }]);
    given[0] = 9;
    store.get('k')?.fill(9);
    t.same([...(store.get('k') ?? [])], [1]);
    await store.close();
  });

  await t.test('range: from inclusive, to exclusive, in order of code units, limited, both ways', async (t) => {
    const store = await subject.open();
    await store.write(['b', 'a', 'a/1', 'a/', 'a/Z', 'c', 'B'].map((key) => ({ key, value: bytes(key.length) })));
    const keys = async (from: string, to: string, more = {}): Promise<string[]> =>
      (await store.range({ from, to, ...more })).map(([key]) => key);
    t.same(await keys('', END), ['B', 'a', 'a/', 'a/1', 'a/Z', 'b', 'c']);
    t.same(await keys('a', 'b'), ['a', 'a/', 'a/1', 'a/Z']);
    t.same(await keys('a/', END, { limit: 2 }), ['a/', 'a/1']);
    t.same(await keys('a', 'c', { reverse: true, limit: 2 }), ['b', 'a/Z']);
    t.same(await keys('x', 'y'), []);
    t.same(
      (await store.range({ from: 'a/', to: 'a/1' })).map(([, value]) => [...value]),
      [[2]],
    );
    await store.close();
  });

  await t.test('range: at most 1,000 entries unless told', async (t) => {
    const store = await subject.open();
    await store.write(Array.from({ length: 1100 }, (_, index) => ({ key: `k${String(index).padStart(4, '0')}`, value: bytes(1) })));
    t.equal((await store.range({ from: 'k', to: 'l' })).length, 1000);
    t.equal((await store.range({ from: 'k', to: 'l', limit: 1100 })).length, 1100);
    await store.close();
  });

  await t.test('what was written is there after closing and opening again', async (t) => {
    const store = await subject.open();
    await store.write([{ key: 'k', value: bytes(7) }]);
    await store.close();
    const again = await subject.reopen(store);
    t.same([...(again.get('k') ?? [])], [7]);
    await again.close();
  });

  await t.test('any sequence of batches leaves what a map would hold', async (t) => {
    const anyWrite = fc.record<KeyValueWrite>({
      key: fc.string({ unit: fc.constantFrom('a', 'b', '/', 'Z', '0'), minLength: 1, maxLength: 3 }),
      value: fc.option(fc.uint8Array({ maxLength: 4 }), { nil: null }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(anyWrite, { maxLength: 6 }), { maxLength: 6 }), (batches) => holdsWhatAMapWould(subject, batches)),
      { numRuns: 25 },
    );
    t.pass();
  });
}

async function holdsWhatAMapWould(subject: StoreUnderTest, batches: readonly (readonly KeyValueWrite[])[]): Promise<boolean> {
  const store = await subject.open();
  const model = new Map<string, Uint8Array>();
  for (const batch of batches) {
    await store.write(batch);
    for (const { key, value } of batch) {
      if (value === null) model.delete(key);
      else model.set(key, value);
    }
  }
  const held = (await store.range({ from: '', to: END })).map(([key, value]) => `${key}=${value.join()}`);
  await store.close();
  const wanted = [...model].map(([key, value]) => `${key}=${value.join()}`).sort();
  return held.length === wanted.length && [...held].sort().every((entry, index) => entry === wanted[index]);
}
