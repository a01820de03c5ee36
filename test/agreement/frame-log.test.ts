/** Frames on the disk: what a crash tears is cut, what is damaged is refused, and bytes that only look like a frame fool nobody. SPEC §11. */

import t from 'tap';
import { DamagedLogError, FrameLog } from '../../src/agreement/frame-log.ts';
import { filled } from '../chain/arbitraries.ts';
import { type MemoryFileSystem, memoryFileSystem } from '../world/memory-file-system.ts';

const PATH = 'log';

async function framesOf(files: MemoryFileSystem): Promise<readonly string[]> {
  const { log, bodies } = await FrameLog.open(files, PATH);
  await log.close();
  return bodies.map((body) => Buffer.from(body).toString());
}

async function withFrames(...bodies: string[]): Promise<{ readonly files: MemoryFileSystem; readonly log: FrameLog }> {
  const files = memoryFileSystem();
  const { log } = await FrameLog.open(files, PATH);
  await files.syncFolder('');
  for (const body of bodies) log.append(Buffer.from(body));
  await log.sync();
  return { files, log };
}

async function overwrite(files: MemoryFileSystem, data: Uint8Array): Promise<void> {
  const handle = await files.open(PATH, 'write');
  await handle.truncate(0);
  await handle.write(data, 0);
  await handle.sync();
  await handle.close();
}

t.test('frames come back in order, over many openings; an empty file holds none', async (t) => {
  const { files, log } = await withFrames('one', 'two');
  log.append(Buffer.from('three'));
  await log.sync();
  await log.close();
  t.same(await framesOf(files), ['one', 'two', 'three']);
  await overwrite(files, new Uint8Array());
  t.same(await framesOf(files), []);
});

t.test('a tail cut at any byte is dropped, and work goes on behind the last whole frame', async (t) => {
  const { files, log } = await withFrames('first', 'second');
  await log.close();
  const whole = (await files.readFile(PATH)) ?? new Uint8Array();
  for (let length = 0; length < whole.length; length += 1) {
    await overwrite(files, whole.subarray(0, length));
    const { log: again, bodies } = await FrameLog.open(files, PATH);
    again.append(Buffer.from('after'));
    await again.sync();
    await again.close();
    const kept = length >= 13 ? ['first'] : [];
    t.same([bodies.length, await framesOf(files)], [kept.length, [...kept, 'after']], `cut at ${length}`);
  }
});

t.test('a tail of zeros, as a lost write leaves it, is cut', async (t) => {
  const { files, log } = await withFrames('first');
  await log.close();
  const whole = (await files.readFile(PATH)) ?? new Uint8Array();
  await overwrite(files, Buffer.concat([whole, new Uint8Array(4096)]));
  t.same(await framesOf(files), ['first']);
  t.equal((await files.stat(PATH))?.sizeBytes, whole.length);
});

t.test('any flipped bit before the last frame is damage, and the file stays as it is', async (t) => {
  const { files, log } = await withFrames('first', 'second', 'third');
  await log.close();
  const whole = (await files.readFile(PATH)) ?? new Uint8Array();
  const lastFrame = whole.length - 13;
  for (let bit = 0; bit < lastFrame * 8; bit += 1) {
    await overwrite(files, whole);
    files.flipBit(PATH, bit);
    const error: unknown = await FrameLog.open(files, PATH).catch((thrown: unknown) => thrown);
    t.ok(error instanceof DamagedLogError, `bit ${bit}`);
    t.equal((await files.stat(PATH))?.sizeBytes, whole.length);
  }
});

t.test('bytes inside a torn body that look like a frame make it no damage', async (t) => {
  const inner = await withFrames('a frame in a frame');
  await inner.log.close();
  const lookalike = (await inner.files.readFile(PATH)) ?? new Uint8Array();
  const { files, log } = await withFrames('first');
  log.append(Buffer.concat([filled(7, 50), lookalike, filled(9, 200)]));
  await log.sync();
  await log.close();
  const whole = (await files.readFile(PATH)) ?? new Uint8Array();
  await overwrite(files, whole.subarray(0, whole.length - 100));
  t.same(await framesOf(files), ['first']);
});

t.test('a torn block of crafted lengths is judged in linear time', async (t) => {
  const { files, log } = await withFrames('first');
  const crafted = Buffer.alloc(2 * 1024 * 1024);
  for (let offset = 0; offset < crafted.length; offset += 4) crafted.writeUInt32BE(offset % 3 === 0 ? 1 : 1_000_000, offset);
  log.append(crafted);
  await log.sync();
  await log.close();
  const whole = (await files.readFile(PATH)) ?? new Uint8Array();
  await overwrite(files, whole.subarray(0, whole.length - 1000));
  t.same(await framesOf(files), ['first']);
});

t.test('two syncs at a time write one behind the other', async (t) => {
  const { files, log } = await withFrames();
  log.append(Buffer.from('one'));
  const first = log.sync();
  log.append(Buffer.from('two'));
  await Promise.all([first, log.sync()]);
  await log.close();
  t.same(await framesOf(files), ['one', 'two']);
});

t.test('after a write that failed nothing more is written', async (t) => {
  const { files, log } = await withFrames('one');
  files.setSpace(4);
  log.append(Buffer.from('two'));
  await t.rejects(log.sync(), { code: 'ENOSPC' });
  files.setSpace(null);
  log.append(Buffer.from('three'));
  await t.rejects(log.sync(), { code: 'ENOSPC' });
  await log.close();
  t.same(await framesOf(files), ['one']);
});
