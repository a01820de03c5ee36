/**
 * The real clock, timers, randomness, disk and folder lock, each against what its port promises.
 */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { systemClock, systemRandom, systemTimers } from '../src/world/clock.ts';
import { openDisk } from '../src/world/disk.ts';
import { lockFolder } from '../src/world/instance-lock.ts';

t.test('timers: they call back once, in order of time, and not when cancelled', async (t) => {
  const calls: string[] = [];
  await new Promise<void>((resolve) => {
    const cancelled = systemTimers.set(1, () => calls.push('cancelled'));
    systemTimers.set(20, resolve);
    systemTimers.set(5, () => calls.push('second'));
    systemTimers.set(0, () => calls.push('first'));
    cancelled.cancel();
  });
  t.same(calls, ['first', 'second']);
});

t.test('clock and random: whole milliseconds, fractions below one, distinct bytes', async (t) => {
  t.ok(Number.isInteger(systemClock.nowMs()));
  const numbers = Array.from({ length: 100 }, () => systemRandom.next());
  t.ok(numbers.every((value) => value >= 0 && value < 1));
  t.ok(new Set(numbers).size > 90);
  t.not(Buffer.from(systemRandom.bytes(16)).toString('hex'), Buffer.from(systemRandom.bytes(16)).toString('hex'));
});

t.test('disk: positioned writes and reads, truncate, sync, stat', async (t) => {
  const root = t.testdir({});
  const disk = openDisk(root);
  await disk.makeFolder('deep/er');
  const file = await disk.open('deep/er/file', 'create');
  await file.write(Buffer.from('world'), 6);
  await file.write(Buffer.from('hello '), 0);
  await file.sync();
  const target = new Uint8Array(20);
  t.equal(await file.read(target, 3), 8, 'fewer only at the end');
  t.equal(Buffer.from(target.subarray(0, 8)).toString(), 'lo world');
  t.equal(await file.read(target, 11), 0, 'nothing at the end');
  const before = await file.stat();
  await file.truncate(5);
  const after = await file.stat();
  t.equal(before.sizeBytes, 11);
  t.equal(after.sizeBytes, 5);
  t.equal(after.inode, before.inode);
  t.same(await disk.stat('deep/er/file'), after);
  await file.close();
  await disk.syncFolder('deep/er');
  t.equal(statSync(join(root, 'deep/er/file')).mode & 0o777, 0o600);
});

t.test('disk: modes do what they say, and errors keep their code', async (t) => {
  const disk = openDisk(t.testdir({ there: 'kept' }));
  const kept = await disk.open('there', 'write');
  await kept.write(Buffer.from('K'), 0);
  await kept.close();
  t.equal(Buffer.from((await disk.readFile('there')) ?? []).toString(), 'Kept');
  const made = await disk.open('made', 'write');
  await made.write(Buffer.from('new'), 0);
  await made.close();
  await t.rejects(disk.open('there', 'create'), { code: 'EEXIST' });
  await t.rejects(disk.open('absent', 'read'), { code: 'ENOENT' });
  await t.rejects(disk.open('there/below', 'write'), { code: 'ENOTDIR' });
  const reader = await disk.open('there', 'read');
  await t.rejects(reader.write(Buffer.from('x'), 0), { code: 'EBADF' });
  await reader.close();
});

t.test('disk: absent is null or empty, names are sorted, rename replaces, remove is calm', async (t) => {
  const disk = openDisk(t.testdir({ b: '2', a: '1' }));
  t.equal(await disk.readFile('absent'), null);
  t.equal(await disk.stat('absent'), null);
  t.same(await disk.list('absent'), []);
  t.same(await disk.list('.'), ['a', 'b']);
  await disk.rename('a', 'b');
  t.same(await disk.list('.'), ['b']);
  t.equal(Buffer.from((await disk.readFile('b')) ?? []).toString(), '1');
  await disk.remove('b');
  await disk.remove('b');
  t.same(await disk.list('.'), []);
});

t.test('disk: a path never leaves the root', async (t) => {
  const disk = openDisk(t.testdir({}));
  for (const path of ['../out', '/etc/passwd', 'a/../../b', 'nul\0']) {
    await t.rejects(disk.open(path, 'write'), RangeError, JSON.stringify(path));
  }
});

t.test('lock: one holder a folder, free again after release', async (t) => {
  const folder = join(t.testdir({}), 'data');
  const lock = await lockFolder(folder);
  await t.rejects(lockFolder(folder), { code: 'FOLDER_IN_USE', processId: process.pid });
  await lock.release();
  const again = await lockFolder(folder);
  await again.release();
  t.same(readdirSync(folder), []);
});

t.test('lock: a dead process, a reused id or a foul file holds nothing', async (t) => {
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  for (const stale of [`${dead} 1 -\n`, `${process.pid} 1 another-boot\n`, 'foul', '']) {
    const folder = t.testdir({});
    mkdirSync(join(folder, 'data'));
    writeFileSync(join(folder, 'data', 'lock'), stale);
    const lock = await lockFolder(join(folder, 'data'));
    t.match(readFileSync(join(folder, 'data', 'lock'), 'utf8'), new RegExp(`^${process.pid} `), JSON.stringify(stale));
    await lock.release();
  }
});

t.test('lock: a killed process that nobody has taken note of holds nothing', { skip: !existsSync('/proc/self/stat') }, async (t) => {
  const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.teardown(() => parent.kill('SIGKILL'));
  const [output] = (await once(parent.stdout, 'data')) as [Buffer];
  const processId = Number.parseInt(output.toString(), 10);
  const stat = (): readonly string[] =>
    readFileSync(`/proc/${processId}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
  while (stat()[0] !== 'Z') await new Promise(setImmediate);
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const folder = t.testdir({ lock: `${processId} ${stat()[19]} ${bootId}\n` });
  const lock = await lockFolder(folder);
  await lock.release();
});

t.test('lock: of many that want a stale lock at once, one gets it', async (t) => {
  const folder = t.testdir({ lock: '999999999 1 -\n' });
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(folder)));
  const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
  t.equal(won.length, 1);
  await won[0]?.value.release();
});
