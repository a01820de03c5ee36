/** What a node has signed, as its disk keeps it: never two signatures for one slot, over crashes, rot and full disks. SPEC §11.2. */

import t from 'tap';
import { sameBytes } from '../../chain/index.ts';
import { SIGN_STATE_FILE } from '../../genesis/index.ts';
import { SignState, type Slot } from '../../src/agreement/sign-state.ts';
import type { Signer } from '../../src/ports.ts';
import { filled } from '../chain/arbitraries.ts';
import { type MemoryFileSystem, memoryFileSystem } from '../world/memory-file-system.ts';

/** Signs with a counter in it, so that no two signatures are alike. */
function countingSigner(): Signer {
  let count = 0;
  return {
    publicKey: () => filled(0x12),
    holds: () => true,
    sign: () => {
      count += 1;
      return filled(count, 64);
    },
  };
}

async function withEmptyState(seed = 1): Promise<MemoryFileSystem> {
  const files = memoryFileSystem({ seed });
  const handle = await files.open(SIGN_STATE_FILE, 'create');
  await handle.sync();
  await handle.close();
  await files.syncFolder('');
  return files;
}

const slot = (atHeight: number, atRound: number, step: Slot['step']): Slot => ({ height: atHeight, round: atRound, step });
const said = (byte: number): Uint8Array => filled(byte, 8);

t.test('the same slot and bytes get the same signature, other bytes none; slots never go back', async (t) => {
  const files = await withEmptyState();
  const signer = countingSigner();
  let state = await SignState.open(files, signer);
  const first = await state.sign(slot(5, 1, 'prevote'), said(1));
  for (const life of ['this', 'the next']) {
    t.same(await state.sign(slot(5, 1, 'prevote'), said(1)), first, `${life} life: the same again`);
    t.equal(await state.sign(slot(5, 1, 'prevote'), said(2)), null, `${life} life: other bytes`);
    t.equal(await state.sign(slot(5, 1, 'proposal'), said(3)), null, `${life} life: an earlier step`);
    t.equal(await state.sign(slot(5, 0, 'precommit'), said(3)), null, `${life} life: an earlier round`);
    t.equal(await state.sign(slot(4, 9, 'precommit'), said(3)), null, `${life} life: an earlier height`);
    await state.close();
    state = await SignState.open(files, signer);
  }
  t.not(await state.sign(slot(5, 1, 'precommit'), said(3)), null);
  t.not(await state.sign(slot(5, 2, 'prevote'), said(3)), null);
  t.same(await state.sign(slot(5, 1, 'prevote'), said(1)), first, 'an earlier slot of the height, as it was signed');
  t.not(await state.sign(slot(6, 0, 'proposal'), said(3)), null);
  t.equal(await state.sign(slot(5, 1, 'prevote'), said(1)), null, 'of an earlier height nothing is known');
  t.equal(state.height, 6);
});

t.test('a signature that was handed out is there after any crash; two are never given for one slot', async (t) => {
  for (let seed = 0; seed < 200; seed += 1) {
    const files = await withEmptyState(seed);
    const handedOut = new Map<string, Uint8Array>();
    const signer = countingSigner();
    for (let life = 0; life < 4; life += 1) {
      const state = await SignState.open(files, signer);
      for (let index = 0; index < 3; index += 1) {
        const where = slot(1, index, 'prevote');
        const signed = await state.sign(where, said(seed % 2 === 0 ? life : 1));
        if (signed === null) continue;
        const before = handedOut.get(JSON.stringify(where)) ?? signed;
        if (!sameBytes(before, signed)) t.fail(`seed ${seed}: two signatures for ${JSON.stringify(where)}`);
        handedOut.set(JSON.stringify(where), signed);
      }
      // The machine dies while one more is being written.
      state.sign(slot(1, 3 + life, 'precommit'), said(life)).catch(() => undefined);
      for (let turns = 0; turns < seed % 5; turns += 1) await Promise.resolve();
      files.crash();
    }
    t.equal(handedOut.size, 3);
  }
});

t.test('the file is rewritten when it has grown, and forgets nothing of its height', async (t) => {
  const files = await withEmptyState();
  const signer = countingSigner();
  const state = await SignState.open(files, signer);
  await state.keepSilentThrough(3);
  for (let at = 4; at < 270; at += 1) await state.sign(slot(at, 0, 'prevote'), filled(at % 256, 4096));
  const last = await state.sign(slot(300, 0, 'prevote'), said(1));
  await state.close();
  const size = (await files.stat(SIGN_STATE_FILE))?.sizeBytes ?? 0;
  t.ok(size < 600_000, `${size} bytes after more than a megabyte`);
  files.crash();
  const again = await SignState.open(files, signer);
  t.same(await again.sign(slot(300, 0, 'prevote'), said(1)), last);
  t.equal(await again.sign(slot(300, 0, 'prevote'), said(2)), null);
  t.equal(again.silentThrough, 3);
  t.ok(again.remembered);
});

t.test('silence and a signature at one time are both remembered', async (t) => {
  const files = await withEmptyState();
  const state = await SignState.open(files, countingSigner());
  await Promise.all([state.sign(slot(9, 0, 'prevote'), said(1)), state.keepSilentThrough(4), state.sign(slot(9, 0, 'precommit'), said(1))]);
  await state.close();
  const again = await SignState.open(files, countingSigner());
  t.equal(again.silentThrough, 4);
  t.not(again.signed(slot(9, 0, 'prevote')), null);
  t.not(again.signed(slot(9, 0, 'precommit')), null);
});

t.test('a missing file is a forgotten past until something is signed, however often the node starts', async (t) => {
  const files = memoryFileSystem();
  for (let life = 0; life < 3; life += 1) {
    const state = await SignState.open(files, countingSigner());
    t.notOk(state.remembered, `life ${life}: before the silence is written`);
    await state.close();
    files.crash();
  }
  let state = await SignState.open(files, countingSigner());
  await state.keepSilentThrough(12);
  await state.close();
  files.crash();
  state = await SignState.open(files, countingSigner());
  t.notOk(state.remembered, 'silence alone is no memory of what was signed');
  t.equal(state.silentThrough, 12);
  await state.sign(slot(13, 0, 'prevote'), said(1));
  t.ok(state.remembered);
  await state.close();
  state = await SignState.open(files, countingSigner());
  t.ok(state.remembered);
  t.ok((await SignState.open(await withEmptyState(), countingSigner())).remembered, 'an empty file remembers that nothing was signed');
});

t.test('a rotten first entry is damage at every start, and never the memory of having signed nothing', async (t) => {
  for (const first of ['signature', 'silence'] as const) {
    const files = first === 'signature' ? await withEmptyState() : memoryFileSystem();
    const state = await SignState.open(files, countingSigner());
    if (first === 'signature') await state.sign(slot(5, 1, 'prevote'), said(1));
    else await state.keepSilentThrough(12);
    await state.close();
    const whole = (await files.readFile(SIGN_STATE_FILE)) ?? new Uint8Array();
    for (let bit = 0; bit < whole.length * 8; bit += 1) {
      files.flipBit(SIGN_STATE_FILE, bit);
      for (const start of ['first', 'second'] as const)
        await t.rejects(SignState.open(files, countingSigner()), { code: 'DAMAGED_LOG' }, `${first}, bit ${bit}, ${start} start`);
      files.flipBit(SIGN_STATE_FILE, bit);
    }
    files.crash();
  }
});

t.test('a silence that was added is not at the end, where rot would pass for a torn write', async (t) => {
  const files = await withEmptyState();
  const state = await SignState.open(files, countingSigner());
  await state.sign(slot(5, 1, 'prevote'), said(1));
  await state.keepSilentThrough(12);
  await state.close();
  const { length } = (await files.readFile(SIGN_STATE_FILE)) ?? new Uint8Array();
  files.flipBit(SIGN_STATE_FILE, length * 8 - 1);
  t.equal((await SignState.open(files, countingSigner())).silentThrough, 12);
});

t.test('a full disk gives no signature, and none after it', async (t) => {
  const files = await withEmptyState();
  const state = await SignState.open(files, countingSigner());
  files.setSpace(3);
  await t.rejects(state.sign(slot(1, 0, 'prevote'), said(1)), { code: 'ENOSPC' });
  files.setSpace(null);
  await t.rejects(state.sign(slot(1, 0, 'prevote'), said(2)), { code: 'ENOSPC' });
  await state.close();
});
