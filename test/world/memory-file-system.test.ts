/** The file system in memory keeps the port's contract, and forgets at a crash exactly what was not synced. */

import fc from 'fast-check';
import t from 'tap';
import { fileSystemContract } from './file-system-contract.ts';
import { memoryFileSystem } from './memory-file-system.ts';

t.test('contract', async (t) => fileSystemContract(t, async () => memoryFileSystem()));

t.test('a synced file in a synced folder survives every crash', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.uint8Array({ maxLength: 64 }), async (seed, data) => {
      const files = memoryFileSystem({ seed });
      const handle = await files.open('file', 'create');
      await handle.write(data, 0);
      await handle.sync();
      await files.syncFolder('');
      files.crash();
      const kept = await files.readFile('file');
      return kept !== null && Buffer.from(kept).equals(Buffer.from(data));
    }),
  );
});

t.test('without the syncs, some seed loses the name, some the data, some a part of it', async (t) => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 200; seed += 1) {
    const files = memoryFileSystem({ seed });
    const handle = await files.open('file', 'create');
    await handle.write(new Uint8Array(100).fill(1), 0);
    files.crash();
    const kept = await files.readFile('file');
    seen.add(kept === null ? 'no name' : kept.length === 0 ? 'empty' : kept.length === 100 ? 'whole' : 'torn');
    await t.rejects(handle.sync(), { code: 'EBADF' });
  }
  t.same([...seen].sort(), ['empty', 'no name', 'torn', 'whole']);
});

t.test('a rename is never half done', async (t) => {
  for (let seed = 0; seed < 100; seed += 1) {
    const files = memoryFileSystem({ seed });
    await files.makeFolder('a');
    await files.makeFolder('b');
    const handle = await files.open('a/file', 'create');
    await handle.sync();
    await files.syncFolder('a');
    await files.rename('a/file', 'b/file');
    files.crash();
    t.equal(files.paths().length, 1);
  }
});

t.test('full and read-only disks answer with the codes of Node', async (t) => {
  const files = memoryFileSystem();
  const handle = await files.open('file', 'create');
  files.setSpace(10);
  await handle.write(new Uint8Array(10), 0);
  await t.rejects(handle.write(new Uint8Array(1), 10), { code: 'ENOSPC' });
  await handle.write(new Uint8Array(10), 0);
  files.setReadOnly(true);
  await t.rejects(handle.write(new Uint8Array(1), 0), { code: 'EROFS' });
  await t.rejects(files.open('other', 'create'), { code: 'EROFS' });
  await t.rejects(files.rename('file', 'other'), { code: 'EROFS' });
  await t.rejects(files.remove('file'), { code: 'EROFS' });
  await (await files.open('file', 'read')).close();
});
