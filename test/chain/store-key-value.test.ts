/** The key-value contract on a real LevelDB folder and in the test world's memory, and what each says when the disk fails. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { KeyValueError, openLevelStore } from '../../chain/store/index.ts';
import { MemoryKeyValueStore } from '../world/memory-key-value-store.ts';
import { checkKeyValueStore } from './store-contract.ts';

t.test('LevelDB', async (t) => {
  const root = t.testdir({});
  const folders = new Map<unknown, string>();
  let count = 0;
  const openAt = async (folder: string) => {
    const store = await openLevelStore(folder);
    folders.set(store, folder);
    return store;
  };
  await checkKeyValueStore(t, {
    open: () => openAt(join(root, `${count++}`)),
    reopen: (store) => openAt(folders.get(store) ?? ''),
  });

  await t.test('a folder is held by one at a time, and the error says what to do', async (t) => {
    const folder = join(root, 'held');
    const store = await openLevelStore(folder);
    await t.rejects(openLevelStore(folder), { name: 'KeyValueError', code: 'STORE_LOCKED', path: folder, message: /another process/ });
    await store.close();
    t.throws(() => store.get('k'), { code: 'STORE_CLOSED' });
    await (await openLevelStore(folder)).close();
  });

  await t.test('a list that is being read when the store is closed comes, or says that it is closed', async (t) => {
    const store = await openLevelStore(join(root, 'closing'));
    await store.write(Array.from({ length: 500 }, (_, index) => ({ key: `k${index}`, value: new Uint8Array(100) })));
    const reads = Array.from({ length: 50 }, async () => await store.range({ from: 'k', to: 'l' }));
    const settled = Promise.allSettled(reads);
    await store.close();
    const late = store.range({ from: 'k', to: 'l' });
    await t.rejects(late, { code: 'STORE_CLOSED' });
    for (const one of await settled) if (one.status === 'rejected') t.match(one.reason, { code: 'STORE_CLOSED' });
  });

  await t.test('a folder that cannot be made or read is an error with a code', async (t) => {
    const file = join(root, 'file');
    await writeFile(file, 'not a folder');
    await t.rejects(openLevelStore(join(file, 'below')), KeyValueError);
    const folder = join(root, 'broken');
    await mkdir(folder);
    await writeFile(join(folder, 'CURRENT'), 'MANIFEST-000099\n');
    await t.rejects(openLevelStore(folder), { name: 'KeyValueError', code: /STORE_(DAMAGED|IO)/ });
  });
});

t.test('memory', async (t) => {
  await checkKeyValueStore(t, {
    open: async () => new MemoryKeyValueStore(),
    reopen: async (store) => {
      (store as MemoryKeyValueStore).reopen();
      return store;
    },
  });

  await t.test('a crash loses a batch under way as a whole', async (t) => {
    let release = (): void => {};
    let held = 0;
    const store = new MemoryKeyValueStore({
      beforeWrite: () => {
        held += 1;
        return held === 1 ? undefined : new Promise<void>((resolve) => (release = resolve));
      },
    });
    await store.write([{ key: 'a', value: Uint8Array.of(1) }]);
    const before = store.snapshot();
    const lost = store.write([
      { key: 'a', value: null },
      { key: 'b', value: Uint8Array.of(2) },
    ]);
    t.ok(store.get('a'), 'an unsynced batch is never visible');
    store.crash();
    release();
    await t.rejects(lost);
    t.same([...store.snapshot()], [...before]);
    store.restore(new Map());
    t.equal(store.get('a'), null);
  });
});
