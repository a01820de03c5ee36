/**
 * The contract of the FileSystem port (registry/ports.ts), as tests that every implementation passes: the one in memory and the one on a
 * real disk. Says nothing about crashes; the memory implementation has tests of its own for those.
 */

import type { Test } from 'tap';
import type { FileSystem } from '../../registry/index.ts';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

/** Runs the suite; `make` gives a file system with nothing in it. */
export function fileSystemContract(t: Test, make: () => Promise<FileSystem>): void {
  bytesContract(t, make);
  namesContract(t, make);
}

function bytesContract(t: Test, make: () => Promise<FileSystem>): void {
  t.test('open: read needs the file, create needs its absence, write takes both', async (t) => {
    const files = await make();
    await t.rejects(files.open('one', 'read'), { code: 'ENOENT' });
    const made = await files.open('one', 'create');
    await made.write(bytes(1, 2, 3), 0);
    await made.close();
    await t.rejects(files.open('one', 'create'), { code: 'EEXIST' });
    const kept = await files.open('one', 'write');
    t.equal((await kept.stat()).sizeBytes, 3, 'write keeps what is there');
    await kept.close();
    const other = await files.open('two', 'write');
    await other.close();
    t.same(await files.list(''), ['one', 'two']);
  });

  t.test('read and write go by position, and a read is short only at the end', async (t) => {
    const files = await make();
    const handle = await files.open('file', 'create');
    await handle.write(bytes(1, 2, 3, 4), 0);
    await handle.write(bytes(9), 2);
    await handle.write(bytes(7), 6);
    const target = new Uint8Array(16);
    t.equal(await handle.read(target, 0), 7);
    t.same([...target.subarray(0, 7)], [1, 2, 9, 4, 0, 0, 7], 'a gap reads as zeros');
    t.equal(await handle.read(target.subarray(0, 2), 1), 2);
    t.same([...target.subarray(0, 2)], [2, 9]);
    t.equal(await handle.read(target, 7), 0, 'nothing at the end');
    t.equal(await handle.read(target, 100), 0, 'nothing beyond the end');
    await handle.truncate(2);
    await handle.sync();
    t.equal((await handle.stat()).sizeBytes, 2);
    await handle.close();
    t.same(await files.readFile('file'), bytes(1, 2));
  });

  t.test('readFile and stat answer null for what is absent', async (t) => {
    const files = await make();
    t.equal(await files.readFile('absent'), null);
    t.equal(await files.stat('absent'), null);
    t.same(await files.list('absent'), []);
  });
}

function namesContract(t: Test, make: () => Promise<FileSystem>): void {
  t.test('makeFolder makes the parents and minds no folder that is there', async (t) => {
    const files = await make();
    await files.makeFolder('a/b/c');
    await files.makeFolder('a/b/c');
    await (await files.open('a/b/c/file', 'create')).close();
    await files.syncFolder('a/b/c');
    t.same(await files.list('a/b'), ['c']);
    t.same(await files.list('a/b/c'), ['file']);
    await t.rejects(files.open('x/y', 'create'), { code: 'ENOENT' }, 'a file needs its folder');
  });

  t.test('list is sorted by code unit', async (t) => {
    const files = await make();
    for (const name of ['b', 'B', 'a10', 'a2', '_']) await (await files.open(name, 'create')).close();
    t.same(await files.list(''), ['B', '_', 'a10', 'a2', 'b']);
  });

  t.test('rename replaces what stands at the new name and keeps the inode', async (t) => {
    const files = await make();
    await files.makeFolder('to');
    for (const [name, value] of [
      ['from', 1],
      ['to/name', 2],
    ] as const) {
      const handle = await files.open(name, 'create');
      await handle.write(bytes(value), 0);
      await handle.sync();
      await handle.close();
    }
    const before = await files.stat('from');
    await files.rename('from', 'to/name');
    await files.syncFolder('to');
    t.equal(await files.stat('from'), null);
    t.same(await files.readFile('to/name'), bytes(1));
    t.equal((await files.stat('to/name'))?.inode, before?.inode);
    await t.rejects(files.rename('from', 'to/other'), { code: 'ENOENT' });
  });

  t.test('an open handle outlives the rename and the removal of its name', async (t) => {
    const files = await make();
    const handle = await files.open('file', 'create');
    await handle.write(bytes(1, 2), 0);
    await files.rename('file', 'moved');
    await handle.write(bytes(3), 2);
    await files.remove('moved');
    const target = new Uint8Array(3);
    t.equal(await handle.read(target, 0), 3);
    t.same(target, bytes(1, 2, 3));
    await handle.close();
    t.equal(await files.stat('moved'), null);
  });

  t.test('remove minds no absent file', async (t) => {
    const files = await make();
    await files.remove('absent');
    await (await files.open('file', 'create')).close();
    await files.remove('file');
    t.same(await files.list(''), []);
  });
}
