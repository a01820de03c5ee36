/**
 * Blocks written together: the store is to the byte what it is when each is written alone, a crash leaves all of them or none, and views of
 * the time before stay readable. SPEC §5.
 */

import fc from 'fast-check';
import t from 'tap';
import { block as blockSchema, type Claim, commitCertificate, digestToHex, encode } from '../../chain/index.ts';
import { type ChainStore, type CommittedBytes, type KeyValueStore, openChainStore } from '../../chain/store/index.ts';
import { MemoryKeyValueStore } from '../world/memory-key-value-store.ts';
import { coordinatesOf, digestOf, fileOf, sha256, TestNetwork } from './state-fixture.ts';

const network = new TestNetwork();
const open = (kv: KeyValueStore): Promise<ChainStore> => openChainStore({ kv, sha256 }, network.genesis);

const add = (name: string, replaces: number | null, ...contents: readonly string[]): Claim =>
  network.artifact(name, { replaces, files: contents.map((content) => fileOf(content)) });
const remove = (name: string, replaces: number): Claim => ({
  kind: 'RemoveArtifact',
  target: { kind: 'artifact', coordinates: coordinatesOf(name) },
  reason: 'malware',
  replaces,
});
const ban = (content: string, replaces: number | null = null): Claim => ({
  kind: 'RemoveArtifact',
  target: { kind: 'file', sha256: digestOf(content) },
  reason: 'malware',
  replaces,
});
const lift = (content: string, replaces: number): Claim => ({ kind: 'LiftBan', sha256: digestOf(content), reason: 'mistake', replaces });

/** Files shared, given up, taken over by another version, banned; versions removed and added again: each reads what one before it wrote. */
const HISTORY: readonly (readonly Claim[])[] = [
  [add('a', null, 'one', 'two'), add('b', null, 'two')],
  [add('c', null, 'three', 'two')],
  [remove('c', 2)],
  [remove('a', 1)],
  [ban('one')],
  [lift('one', 5)],
  [add('a', 4, 'one', 'three')],
  [remove('b', 1), ban('two')],
  [add('d', null, 'three')],
  [remove('a', 7)],
];

/** The blocks, and what the disk holds after each when they are written one by one. */
async function oneByOne(): Promise<{ readonly blocks: readonly CommittedBytes[]; readonly disks: readonly (readonly unknown[])[] }> {
  const kv = new MemoryKeyValueStore();
  const store = await open(kv);
  const blocks: CommittedBytes[] = [];
  const disks = [entriesOf(kv)];
  for (const claims of HISTORY) {
    const { block, effects } = network.block(store.view(), { transactions: claims.map((claim) => network.seal([claim])) });
    const certificate = encode(commitCertificate, network.commit({ height: effects.height, blockId: effects.blockId }));
    const committed = { block: encode(blockSchema, block), certificate, effects };
    await store.commit(committed);
    blocks.push(committed);
    disks.push(entriesOf(kv));
  }
  return { blocks, disks };
}

function entriesOf(kv: MemoryKeyValueStore): readonly unknown[] {
  return [...kv.snapshot()].map(([key, value]) => `${key} ${Buffer.from(value).toString('hex')}`).sort();
}

const { blocks, disks } = await oneByOne();

t.test('however blocks are put together, the disk holds the same', async (t) => {
  const cuts = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: HISTORY.length, maxLength: HISTORY.length });
  await fc.assert(
    fc.asyncProperty(cuts, async (lengths) => {
      const kv = new MemoryKeyValueStore();
      const store = await open(kv);
      for (const length of lengths) {
        const page = blocks.slice(store.height, store.height + length);
        if (page.length === 0) break;
        await store.commitAll(page);
        t.same(entriesOf(kv), disks[store.height]);
      }
      t.equal(digestToHex(store.view().stateRoot), digestToHex(blocks.at(-1)?.effects.stateRoot ?? digestOf('')));
    }),
    { numRuns: 30 },
  );
});

t.test('a crash within a page leaves all of its blocks or none', async (t) => {
  for (const onDisk of [false, true]) {
    let crash = false;
    const kv: MemoryKeyValueStore = new MemoryKeyValueStore({ beforeWrite: () => (crash && !onDisk ? kv.crash() : undefined) });
    const store = await open(kv);
    await store.commitAll(blocks.slice(0, 3));
    crash = true;
    const writing = store.commitAll(blocks.slice(3, 8));
    if (onDisk) await writing;
    else await t.rejects(writing, { code: 'WRITE_FAILED' });
    crash = false;
    const again = await open(kv);
    t.equal(again.height, onDisk ? 8 : 3);
    t.same(entriesOf(kv), disks[again.height]);
    await again.commitAll(blocks.slice(again.height));
    t.same(entriesOf(kv), disks.at(-1), 'and it goes on');
  }
});

t.test('a view of the time before a page stays right, however long the page, and for four commits', async (t) => {
  const store = await open(new MemoryKeyValueStore());
  await store.commit(blocks[0] as CommittedBytes);
  const view = store.view();
  const stands = (): boolean => view.state.get('artifact|generic||demo/x|c|1.0') === null && view.tree.get(view.stateRoot) !== null;
  await store.commitAll(blocks.slice(1, 7));
  t.equal(store.view().state.get('artifact|generic||demo/x|c|1.0')?.kind, 'tombstone');
  t.ok(stands(), 'six blocks later');
  for (const one of blocks.slice(7)) await store.commit(one);
  t.ok(stands(), 'after three commits more');
});

t.test('a page that is not of the tip, or has a gap, is a bug, and changes nothing', async (t) => {
  const kv = new MemoryKeyValueStore();
  const store = await open(kv);
  await t.rejects(store.commitAll(blocks.slice(1, 3)), TypeError);
  await t.rejects(store.commitAll([blocks[0], blocks[2]] as readonly CommittedBytes[]), TypeError);
  t.same(entriesOf(kv), disks[0]);
  await store.commitAll(blocks);
  t.same(entriesOf(kv), disks.at(-1));
});
