/** The store and staging: nothing enters unverified, nothing acknowledged is lost, nothing rotten is read, and no disk error ends the node. */

import fc from 'fast-check';
import t from 'tap';
import { digestToHex } from '../../chain/index.ts';
import { BLOCK_BYTES, BlobStore, Staging } from '../../registry/index.ts';
import { memoryFileSystem } from '../world/memory-file-system.ts';
import {
  blobPath,
  HandClock,
  identify,
  keptLog,
  MapLedger,
  PeerWorld,
  put,
  readAll,
  someBytes,
  stage,
  type TestNode,
  testNode,
} from './fixture.ts';

const newNode = (files = memoryFileSystem()): Promise<TestNode> =>
  testNode('me', { world: new PeerWorld(), ledger: new MapLedger(), files });
const sizes = [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, 64 * BLOCK_BYTES, 70 * BLOCK_BYTES + 5];

t.test('what was committed is read back, verified, at any size', async (t) => {
  const node = await newNode();
  for (const size of sizes) {
    const bytes = someBytes(size);
    const file = await put(node, bytes);
    const reader = await node.blobs.openReader(file);
    if (reader === null) throw new Error('expected a reader');
    t.ok(Buffer.from(bytes).equals(await readAll(reader)), `${size} bytes`);
    await reader.close();
  }
  t.equal(node.files.openHandles(), 0);
  t.same(await node.files.list('temporary'), []);
});

t.test('a commit that is not what was expected leaves nothing', async (t) => {
  const bytes = someBytes(40_000);
  const file = identify(bytes);
  const cases: readonly (readonly [string, Partial<typeof file>, string])[] = [
    ['another file', identify(someBytes(40_000, 1)), 'MISMATCH'],
    ['another size and root', { sizeBytes: 39_999, piecesRoot: identify(someBytes(9)).piecesRoot }, 'BAD_RECORD'],
    ['another digest over the same pieces', { sha256: identify(someBytes(9)).sha256 }, 'BAD_RECORD'],
  ];
  for (const [title, change, code] of cases) {
    const node = await newNode();
    const writer = await node.blobs.write({ maxBytes: 40_000 });
    await writer.write(bytes);
    await t.rejects(writer.commit({ ...file, ...change }), { code }, title);
    t.same(node.files.paths(), [], title);
    t.equal(node.files.openHandles(), 0, title);
  }
});

t.test('the size bound, cancel and the budget', async (t) => {
  const node = await newNode();
  const writer = await node.blobs.write({ maxBytes: 10 });
  await writer.write(someBytes(10));
  await t.rejects(writer.write(someBytes(1)), { code: 'TOO_LARGE' });
  const cancelled = await node.blobs.write({ maxBytes: 10 });
  await cancelled.write(someBytes(10));
  await cancelled.cancel();
  await cancelled.cancel();
  t.same(node.files.paths(), []);
  const clock = new HandClock();
  const small = await BlobStore.open({ allocatedBytes: 100 }, { files: memoryFileSystem(), clock, timers: clock, log: keptLog().log });
  await put({ blobs: small }, someBytes(60));
  await t.rejects(put({ blobs: small }, someBytes(60, 1)), { code: 'NO_SPACE' });
  await small.remove(identify(someBytes(60)).sha256);
  await put({ blobs: small }, someBytes(60, 1));
});

t.test('two writers of one digest: both commit, one file', async (t) => {
  const node = await newNode();
  const bytes = someBytes(50_000);
  const file = identify(bytes);
  const writers = await Promise.all([node.blobs.write({ maxBytes: 50_000 }), node.blobs.write({ maxBytes: 50_000 })]);
  await Promise.all(
    writers.map(async (writer) => {
      await writer.write(bytes);
      await writer.commit(file);
    }),
  );
  t.same(await node.blobs.usage(), { allocatedBytes: 1e9, usedBytes: 50_000 + 4 * 32, files: 1, quarantined: 0 });
});

t.test('a crash at any moment loses no committed file and keeps no half one', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.integer({ min: 0, max: 40_000 }), fc.integer({ min: 0, max: 120 }), async (seed, size, steps) => {
      const files = memoryFileSystem({ seed });
      const node = await newNode(files);
      const kept = await put(node, someBytes(size, 1));
      const pinned = await put(node, someBytes(size, 3));
      await node.blobs.pin(pinned.sha256);
      const staged = await stage(node, someBytes(size, 4));
      const racing = identify(someBytes(20_000, 2));
      let committed = false;
      const work = put(node, someBytes(20_000, 2)).then(() => {
        committed = true;
      });
      work.catch(() => undefined);
      for (let step = 0; step < steps; step += 1) await Promise.resolve();
      const acknowledged = committed;
      files.crash();
      const again = await newNode(files);
      const names = [...files.paths()].filter((path) => path.startsWith('temporary/'));
      const reader = await again.blobs.openReader(kept);
      const sound = reader !== null && Buffer.from(someBytes(size, 1)).equals(await readAll(reader));
      if (acknowledged && !again.blobs.has(racing)) return false;
      const racer = again.blobs.has(racing) ? await again.blobs.openReader(racing) : null;
      if (racer !== null && (await readAll(racer)).length !== 20_000) return false;
      return sound && names.length === 0 && again.blobs.isPinned(pinned.sha256) && again.staging.get(staged.sha256) !== null;
    }),
    { numRuns: 60 },
  );
});

t.test('a flipped bit is found, logged, put into quarantine, and never read', async (t) => {
  const bytes = someBytes(70 * BLOCK_BYTES);
  for (const when of ['before the first read', 'after reads, the stat moved', 'after reads, unseen until reverifyMs'] as const) {
    const node = await newNode();
    const file = await put(node, bytes);
    const quiet = when === 'after reads, unseen until reverifyMs';
    if (when !== 'before the first read') {
      const reader = await node.blobs.openReader(file);
      if (reader !== null) await readAll(reader);
      await reader?.close();
    }
    node.files.flipBit(blobPath(file), 65 * BLOCK_BYTES * 8, { quiet });
    if (quiet) node.clock.advance(24 * 3_600_000);
    const reader = await node.blobs.openReader(file);
    if (reader === null) throw new Error('expected a reader');
    t.equal(await reader.read(new Uint8Array(100), 0), 100, `${when}: a sound run is still read`);
    await t.rejects(reader.read(new Uint8Array(10), 66 * BLOCK_BYTES), { code: 'ROTTEN' }, when);
    await reader.close();
    t.equal(node.blobs.has(file), false);
    t.equal(await node.blobs.openReader(file), null);
    t.same((await node.files.list('quarantine')).length, 1);
    t.same(node.rotten, [digestToHex(file.sha256)]);
    t.equal(node.lines.filter((line) => line.level === 'error').length, 1);
    await put(node, bytes);
    t.ok(node.blobs.has(file), 'and a sound copy may come again');
  }
});

t.test('truncated, unreadable or lengthened files are rotten too', async (t) => {
  for (const harm of ['truncated', 'longer', 'unreadable'] as const) {
    const node = await newNode();
    const file = await put(node, someBytes(50_000));
    const handle = await node.files.open(blobPath(file), 'write');
    if (harm === 'truncated') await handle.truncate(40_000);
    if (harm === 'longer') await handle.write(someBytes(1), 50_000);
    await handle.close();
    if (harm === 'unreadable') node.files.setUnreadable(blobPath(file));
    await t.rejects(
      (async () => {
        const reader = await node.blobs.openReader(file);
        try {
          await reader?.read(new Uint8Array(10), 0);
        } finally {
          await reader?.close();
        }
      })(),
      { code: 'ROTTEN' },
      harm,
    );
    t.equal(node.blobs.has(file), false, harm);
  }
});

t.test('a damaged leaf layer over sound bytes is made anew', async (t) => {
  const node = await newNode();
  const bytes = someBytes(70 * BLOCK_BYTES);
  const file = await put(node, bytes);
  const leaves = `${blobPath(file)}.leaves`;
  const before = await node.files.readFile(leaves);
  for (const harm of ['flip', 'remove'] as const) {
    if (harm === 'flip') node.files.flipBit(leaves, 77);
    else await node.files.remove(leaves);
    const again = await newNode(node.files);
    const reader = await again.blobs.openReader(file);
    t.ok(reader !== null && Buffer.from(bytes).equals(await readAll(reader)), harm);
    await reader?.close();
    t.same(await node.files.readFile(leaves), before, harm);
    t.equal(again.lines.filter((line) => line.level === 'warn').length, 1, harm);
  }
});

t.test('a reader that finds an old file rotten spares the sound one that took its place', async (t) => {
  const node = await newNode();
  const bytes = someBytes(2 * 64 * BLOCK_BYTES);
  const file = await put(node, bytes);
  const first = await node.blobs.openReader(file);
  const second = await node.blobs.openReader(file);
  node.files.flipBit(blobPath(file), 8);
  await t.rejects(Promise.resolve(first?.read(new Uint8Array(10), 0)), { code: 'ROTTEN' });
  await put(node, bytes);
  await t.rejects(Promise.resolve(second?.read(new Uint8Array(10), 0)), { code: 'ROTTEN' });
  t.ok(node.blobs.has(file));
  t.equal((await node.files.list('quarantine')).length, 1);
});

t.test('a full or read-only disk: a typed error, no file left, and the node goes on', async (t) => {
  for (const [code, harm] of [
    ['NO_SPACE', 'full'],
    ['READ_ONLY', 'read-only'],
  ] as const) {
    const files = memoryFileSystem();
    const node = await newNode(files);
    const held = await put(node, someBytes(30_000));
    const before = files.paths();
    for (let room = 0; room < 30_000 + 64; room += 5_000) {
      if (harm === 'full') files.setSpace(room);
      else files.setReadOnly(true);
      await t.rejects(put(node, someBytes(30_000, 1)), { code }, `${harm}, room for ${room}`);
      files.setReadOnly(false);
      t.same(files.paths(), before);
      const reader = await node.blobs.openReader(held);
      t.equal((await readAll(reader ?? (t.fail('expected a reader') as never))).length, 30_000);
      await reader?.close();
    }
    files.setSpace(null);
    await put(node, someBytes(30_000, 1));
    t.equal(files.openHandles(), 0);
  }
});

t.test('usage counts the disk; remove spares what is pinned', async (t) => {
  const node = await newNode();
  const files = [await put(node, someBytes(100)), await put(node, someBytes(BLOCK_BYTES * 2, 1)), await put(node, someBytes(0))];
  t.same(await node.blobs.usage(), { allocatedBytes: 1e9, usedBytes: 100 + 32 + BLOCK_BYTES * 2 + 64, files: 3, quarantined: 0 });
  const [first] = files;
  if (first === undefined) throw new Error('expected a file');
  await node.blobs.pin(first.sha256);
  t.equal(await node.blobs.remove(first.sha256), 'pinned');
  await node.blobs.unpin(first.sha256);
  t.equal(await node.blobs.remove(first.sha256), 'removed');
  t.equal(await node.blobs.remove(first.sha256), 'absent');
  t.equal((await node.blobs.usage()).files, 2);
  t.equal(node.blobs.list().length, 2);
});

t.test('the scrub finds silent decay, at bounded speed', async (t) => {
  const node = await newNode();
  const sound = await put(node, someBytes(100));
  const decayed = await put(node, someBytes(3 * 1_048_576, 1));
  node.files.flipBit(blobPath(decayed), 12_345, { quiet: true });
  const start = node.clock.nowMs();
  const unreadable = await put(node, someBytes(200, 2));
  node.files.setUnreadable(blobPath(unreadable));
  const scrub = node.blobs.scrub();
  let done = false;
  void scrub.finally(() => {
    done = true;
  });
  while (!done) {
    await new Promise((resolve) => setImmediate(resolve));
    node.clock.advance(10);
  }
  t.same(await scrub, { checked: 3, rotten: 2 });
  t.ok(node.clock.nowMs() - start >= 375, '3 MiB at 8 MiB/s');
  t.ok(node.blobs.has(sound));
  t.equal(node.blobs.has(decayed), false);
});

t.test('staging: promoted by two at once, the file is moved once and both have it', async (t) => {
  const node = await testNode('a', { world: new PeerWorld(), ledger: new MapLedger() });
  const file = await stage(node, someBytes(40_000));
  t.same(await Promise.all([node.staging.promote(file), node.staging.promote(file), node.staging.promote(file)]), [true, true, true]);
  t.ok(node.blobs.has(file));
});

t.test('staging: promote, drop, quota, expiry and hold', async (t) => {
  const node = await testNode('me', { world: new PeerWorld(), ledger: new MapLedger(), quotaBytes: 100_000 });
  const file = await stage(node, someBytes(60_000));
  t.equal(node.blobs.has(file), false);
  await t.rejects(stage(node, someBytes(60_000, 1)), { code: 'STAGING_FULL' });
  t.equal(await node.staging.promote(file), true);
  t.equal(await node.staging.promote(file), true, 'twice');
  t.equal(await node.staging.promote(identify(someBytes(5))), false, 'what was never staged');
  t.same(await node.files.list('staging'), []);
  const reader = await node.blobs.openReader(file);
  t.equal((await readAll(reader ?? (t.fail('expected a reader') as never))).length, 60_000);
  await reader?.close();
  const [held, forgotten] = [await stage(node, someBytes(10, 2)), await stage(node, someBytes(10, 3))];
  node.staging.hold(held.sha256, node.clock.nowMs() + 7_200_000);
  node.clock.advance(3_600_000);
  t.equal(await node.staging.expire(), 1);
  t.ok(node.staging.get(held.sha256));
  t.equal(node.staging.get(forgotten.sha256), null);
  await node.staging.drop(held.sha256);
  t.same(node.staging.usage(), { quotaBytes: 100_000, usedBytes: 0, files: 0 });
  await stage(node, someBytes(60_000, 1));
});

t.test('staged bytes without their leaf layer are dropped at open', async (t) => {
  const node = await newNode();
  const file = await stage(node, someBytes(60_000));
  await node.files.remove(`staging/${digestToHex(file.sha256)}.leaves`);
  const again = await Staging.open({ quotaBytes: 1e6, expiryMs: 1000 }, node);
  t.equal(again.get(file.sha256), null);
  t.same(node.files.paths(), []);
});
