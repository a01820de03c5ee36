/** The chain store: what it answers after each block, what survives a crash, and what it says of damage. SPEC §5. */

import { join } from 'node:path';
import t from 'tap';
import {
  type Block,
  type BlockContent,
  block as blockSchema,
  blockSignatures,
  type Claim,
  checkBlock,
  commitCertificate,
  digestToHex,
  encode,
  heightOf,
  logLeafHash,
  logRoot,
  makeConsistencyProof,
  makeInclusionProof,
  proveKey,
  stateRecord,
  transactionId,
  verifyConsistency,
  verifyInclusion,
  verifyKeyProof,
} from '../../chain/index.ts';
import { type ChainStore, ChainStoreError, type KeyValueStore, openChainStore, openLevelStore } from '../../chain/store/index.ts';
import { MemoryKeyValueStore } from '../world/memory-key-value-store.ts';
import { coordinatesOf, digestOf, fileOf, GENESIS_MS, sha256, TestNetwork, verdictsOn } from './state-fixture.ts';

const network = new TestNetwork();

const open = (kv: KeyValueStore, of: TestNetwork = network): Promise<ChainStore> => openChainStore({ kv, sha256 }, of.genesis);

function nextBlock(
  store: ChainStore,
  claims: readonly Claim[],
  changes: Partial<BlockContent> = {},
): { block: Block; commit: Parameters<ChainStore['commit']>[0] } {
  const transactions = claims.map((claim) => network.seal([claim]));
  const { block, effects } = network.block(store.view(), { transactions, ...changes });
  const certificate = encode(
    commitCertificate,
    network.commit({ height: effects.height, blockId: effects.blockId }, { round: block.header.round }),
  );
  return { block, commit: { block: encode(blockSchema, block), certificate, effects } };
}

async function commitAll(store: ChainStore, ...blocks: readonly (readonly Claim[])[]): Promise<void> {
  for (const claims of blocks) await store.commit(nextBlock(store, claims, claims.length === 0 ? { round: 1 } : {}).commit);
}

const remove = (name: string, replaces: number): Claim => ({
  kind: 'RemoveArtifact',
  target: { kind: 'artifact', coordinates: coordinatesOf(name) },
  reason: 'malware',
  replaces,
});
const ban = (content: string): Claim => ({
  kind: 'RemoveArtifact',
  target: { kind: 'file', sha256: digestOf(content) },
  reason: 'malware',
  replaces: null,
});
const sharing = (name: string, ...contents: readonly string[]): Claim =>
  network.artifact(name, { files: contents.map((content) => fileOf(content)) });

t.test('a new store begins at genesis, and opens again there', async (t) => {
  const kv = new MemoryKeyValueStore();
  const store = await open(kv);
  const view = store.view();
  t.same([view.height, view.timeMs, digestToHex(view.blockId)], [0, GENESIS_MS, digestToHex(network.chainId)]);
  t.equal(digestToHex(view.stateRoot), digestToHex(network.view().stateRoot));
  t.equal(digestToHex((await open(kv)).view().stateRoot), digestToHex(view.stateRoot));
  t.equal(store.block(0), null);
  t.equal(digestToHex(store.blockIdAt(0) ?? digestOf('')), digestToHex(network.chainId));
});

t.test('blocks, headers, ids, transactions and the log can be read back, now and after opening again', async (t) => {
  const kv = new MemoryKeyValueStore();
  const written = await open(kv);
  const first = nextBlock(written, [network.artifact('a'), network.artifact('b')]);
  await written.commit(first.commit);
  await commitAll(written, [network.artifact('c')]);
  for (const store of [written, await open(kv)]) {
    t.equal(store.height, 2);
    t.same(store.block(1)?.block, first.commit.block);
    t.same(store.certificate(1), first.commit.certificate);
    t.same(store.header(1), first.block.header);
    t.same(store.blockIdAt(1), first.commit.effects.blockId);
    t.equal(store.blockIdAt(3), null);
    t.equal(store.timeMsAt(1), first.block.header.timeMs);
    const id = transactionId(sha256, [network.artifact('b')]);
    t.match(store.transaction(id), { height: 1, index: 1 });
    t.equal(store.transaction(id)?.endorsers.length, 4);
    t.equal(store.transactionHeight(digestOf('none')), null);
    t.same(store.leaf(1), first.commit.effects.logLeaves[1]?.leaf);
    t.equal(store.leaf(3), null);
    t.same(store.counts, { artifacts: 3, files: 3, names: 0, bans: 0, transactions: 3 });
  }
});

t.test('the view of the tip builds and checks the next block, and its tree proves every record', async (t) => {
  const kv = new MemoryKeyValueStore();
  const store = await open(kv);
  await commitAll(store, [network.artifact('a'), network.artifact('b')], [network.artifact('c')], [remove('a', 1)]);
  const view = (await open(kv)).view();
  const { block } = nextBlock(store, [network.artifact('d')]);
  t.ok(checkBlock(view, block, verdictsOn(blockSignatures(view, block, sha256)), { sha256 }).ok);
  const records = await store.records('', { limit: 1000 });
  t.ok(records.length > 8);
  for (const [key, record] of records) {
    const proof = proveKey({ sha256, reader: view.tree }, view.stateRoot, key);
    if (!verifyKeyProof(sha256, { root: view.stateRoot, key, value: encode(stateRecord, record) }, proof)) t.fail(`no proof of ${key}`);
    if ((heightOf(record) ?? 0) > 3) t.fail(`${key} is of the future`);
  }
  const nodes = [...kv.snapshot().keys()].filter((key) => key.startsWith('n|'));
  const leaves = records.length;
  t.ok(nodes.length >= 2 * leaves - 1 && nodes.length < 4 * leaves, 'nodes of old trees are gone');
});

t.test('log proofs come out of the store', async (t) => {
  const store = await open(new MemoryKeyValueStore());
  const sizes = [0];
  const roots = [logRoot(sha256, store.view().logRange)];
  for (let index = 0; index < 7; index += 1) {
    await commitAll(store, [network.artifact(`x${index}`), network.artifact(`y${index}`)]);
    sizes.push(store.view().logRange.size);
    roots.push(logRoot(sha256, store.view().logRange));
  }
  const size = sizes.at(-1) ?? 0;
  const root = roots.at(-1) ?? digestOf('');
  for (let index = 0; index < size; index += 1) {
    const leafHash = logLeafHash(sha256, store.leafBytes(index) ?? new Uint8Array(0));
    const proof = makeInclusionProof(sha256, store.logNode, { index, size });
    if (!verifyInclusion(sha256, { leafHash, index, size, root }, proof)) t.fail(`leaf ${index}`);
  }
  for (const [at, oldSize] of sizes.entries()) {
    const proof = makeConsistencyProof(sha256, store.logNode, { oldSize, newSize: size });
    t.ok(verifyConsistency(sha256, { oldSize, newSize: size, oldRoot: roots[at] ?? root, newRoot: root }, proof), `from ${oldSize}`);
  }
});

t.test('files: a digest is in use while some live artifact has it, and servable while it is not banned', async (t) => {
  const kv = new MemoryKeyValueStore();
  const store = await open(kv);
  const shared = digestOf('shared');
  const users = (): Promise<readonly string[]> => store.usersOf(shared, { limit: 10 });
  t.equal(store.fileUse(shared), null);
  await commitAll(store, [sharing('a', 'own-a', 'shared'), sharing('b', 'shared')]);
  t.match(store.fileUse(shared), { references: 2, coordinates: coordinatesOf('b'), height: 1 });
  t.match(store.servableFile(shared), { name: 'shared.bin' });
  t.same(await users(), ['artifact|generic||demo/x|a|1.0', 'artifact|generic||demo/x|b|1.0']);
  t.equal(store.endorsersOf(shared).length, 4);
  t.same(store.counts, { artifacts: 2, files: 2, names: 0, bans: 0, transactions: 2 });

  await commitAll(store, [remove('b', 1)]);
  t.match(store.fileUse(shared), { references: 1, coordinates: coordinatesOf('a') }, 'the other user speaks for it now');
  t.equal(store.endorsersOf(shared).length, 4, 'and its endorsers have it');
  await commitAll(store, [sharing('c', 'shared')], [remove('a', 1), remove('c', 3)]);
  t.equal(store.fileUse(shared), null);
  t.equal(store.servableFile(shared), null);
  t.same(await users(), []);
  t.same(store.counts, { artifacts: 0, files: 0, names: 0, bans: 0, transactions: 6 });

  await commitAll(store, [network.artifact('a', { files: [fileOf('shared')], replaces: 4 })]);
  t.match(store.fileUse(shared), { references: 1, height: 5 });
  await commitAll(store, [ban('shared')]);
  t.equal(store.servableFile(shared), null, 'a banned file is not served, whoever uses it');
  t.match(store.counts, { artifacts: 1, bans: 1 });
  t.same((await open(kv)).counts, store.counts);
});

t.test('files: one version may hold the same content under two names', async (t) => {
  const store = await open(new MemoryKeyValueStore());
  await commitAll(store, [network.artifact('a', { files: [fileOf('same', 'one'), fileOf('same', 'two')] })]);
  t.match(store.fileUse(digestOf('same')), { references: 1, entry: { name: 'one' } });
  await commitAll(store, [remove('a', 1)]);
  t.equal(store.fileUse(digestOf('same')), null);
});

t.test('lists: live artifacts in key order, in pages, of one package; histories newest first', async (t) => {
  const store = await open(new MemoryKeyValueStore());
  const version = (name: string, at: string): Claim =>
    network.artifact(name, { coordinates: coordinatesOf(name, at), files: [fileOf(name + at)] });
  await commitAll(store, [version('b', '1.0'), version('a', '2.0'), version('a', '1.0')], [version('ab', '1.0')], [remove('b', 1)]);
  const names = async (options: Parameters<ChainStore['liveArtifacts']>[0]): Promise<string[]> =>
    (await store.liveArtifacts(options)).map(({ name, version: at }) => `${name} ${at}`);
  t.same(
    await names({ limit: 10 }),
    ['ab 1.0', 'a 1.0', 'a 2.0'].sort((left, right) => (keyText(left) < keyText(right) ? -1 : 1)),
  );
  const page = await store.liveArtifacts({ limit: 2 });
  const rest = await store.liveArtifacts({ limit: 2, after: page.at(-1) ?? null });
  t.same([page.length, rest.length], [2, 1]);
  const { version: _version, ...of } = coordinatesOf('a');
  t.same(await names({ of, limit: 10 }), ['a 1.0', 'a 2.0']);
  t.same(await names({ of, after: coordinatesOf('a', '1.0'), limit: 10 }), ['a 2.0']);
  t.same(await names({ of: { ...of, name: 'none' }, limit: 10 }), []);

  const key = 'artifact|generic||demo/x|b|1.0';
  const history = await store.history(key, { limit: 10 });
  t.same(history, [
    { height: 3, logIndex: 4 },
    { height: 1, logIndex: 0 },
  ]);
  t.same(await store.history(key, { before: 3, limit: 10 }), [{ height: 1, logIndex: 0 }]);
  t.equal(store.leaf(4)?.kind, 'RemoveArtifact');
  t.same(
    (await store.records('artifact|', { after: 'artifact|generic||demo/x|a|2.0', limit: 10 })).map(([one]) => one).includes(key),
    true,
  );
});

const keyText = (text: string): string => text.replace(' ', '|');

t.test('a view stays right while the next blocks are written, and says when it is too old', async (t) => {
  let release: (() => void) | null = null;
  const kv = new MemoryKeyValueStore({
    beforeWrite: () => (release === null ? undefined : new Promise<void>((resolve) => (release = resolve))),
  });
  const store = await open(kv);
  await commitAll(store, [network.artifact('a')]);
  const view = store.view();
  const root = digestToHex(view.stateRoot);
  const stands = (): boolean => {
    const proof = proveKey({ sha256, reader: view.tree }, view.stateRoot, 'artifact|generic||demo/x|a|1.0');
    return (
      view.state.get('artifact|generic||demo/x|a|1.0')?.kind === 'artifact' &&
      view.state.get('artifact|generic||demo/x|b|1.0') === null &&
      proof.leaf !== null
    );
  };
  release = () => undefined;
  const writing = store.commit(nextBlock(store, [network.artifact('b'), remove('a', 1)]).commit);
  await new Promise((resolve) => setImmediate(resolve));
  t.ok(stands(), 'during the write');
  t.equal(store.view(), view, 'the tip moves when the disk has it');
  await t.rejects(store.commit(nextBlock(store, [network.artifact('z')]).commit), TypeError, 'one commit at a time');
  (release as () => void)();
  release = null;
  await writing;
  t.ok(stands(), 'after the write');
  t.equal(digestToHex(store.view().stateRoot) === root, false);
  t.equal(store.view().state.get('artifact|generic||demo/x|a|1.0')?.kind, 'tombstone');
  await commitAll(store, [network.artifact('c')], [network.artifact('d')], [network.artifact('e')]);
  t.ok(stands(), 'four commits later');
  await commitAll(store, [network.artifact('f')]);
  t.throws(stands, TypeError, 'then it is refused, never wrong');
});

t.test('a commit that is not of the tip is a bug, and changes nothing', async (t) => {
  const store = await open(new MemoryKeyValueStore());
  const { commit } = nextBlock(store, [network.artifact('a')]);
  await store.commit(commit);
  await t.rejects(store.commit(commit), TypeError);
  t.equal(store.height, 1);
});

t.test('a crash within a commit leaves the old tip or the new one, whole', async (t) => {
  for (const onDisk of [false, true]) {
    let crash = false;
    const kv: MemoryKeyValueStore = new MemoryKeyValueStore({ beforeWrite: () => (crash && !onDisk ? kv.crash() : undefined) });
    const store = await open(kv);
    await commitAll(store, [network.artifact('a')]);
    crash = true;
    const { commit } = nextBlock(store, [network.artifact('b')]);
    const outcome = await store.commit(commit).then(
      () => 'written',
      (error: unknown) => (error instanceof ChainStoreError ? error.code : 'another error'),
    );
    t.equal(outcome, onDisk ? 'written' : 'WRITE_FAILED');
    crash = false;
    const again = await open(kv);
    t.equal(again.height, onDisk ? 2 : 1);
    await commitAll(again, [network.artifact('c')]);
    t.equal((await open(kv)).height, again.height, 'and it goes on');
  }
});

t.test('a failing disk is an error with a code and a cause', async (t) => {
  let fails = false;
  const store = await open(
    new MemoryKeyValueStore({
      beforeWrite: () => {
        if (fails) throw new Error('ENOSPC: no space left on device');
      },
    }),
  );
  fails = true;
  await t.rejects(store.commit(nextBlock(store, [network.artifact('a')]).commit), { code: 'WRITE_FAILED', message: /ENOSPC.*room/s });
});

t.test('opening: another network, another format and damage have their codes', async (t) => {
  const kv = new MemoryKeyValueStore();
  await commitAll(await open(kv), [network.artifact('a')], [network.artifact('b')]);
  const good = kv.snapshot();
  const other = Object.assign(new TestNetwork(), { chainId: digestOf('another') });
  await t.rejects(open(kv, other), { name: 'ChainStoreError', code: 'WRONG_GENESIS', message: /another network/ });

  const broken = (key: string, change: (value: Uint8Array) => Uint8Array | null): MemoryKeyValueStore => {
    const entries = new Map(good);
    const value = entries.get(key);
    if (value === undefined) throw new Error(`no entry ${key}`);
    const changed = change(value.slice());
    if (changed === null) entries.delete(key);
    else entries.set(key, changed);
    return new MemoryKeyValueStore({}, entries);
  };
  const flip = (value: Uint8Array): Uint8Array => {
    value[value.length - 1] = (value.at(-1) ?? 0) ^ 1;
    return value;
  };
  const at2 = '0000000000000002';
  const rootNode = `n|${digestToHex((await open(kv)).view().stateRoot)}`;
  for (const key of ['tip', 'format', `b|${at2}`, `c|${at2}`, 's|sets', 's|parameters', rootNode]) {
    await t.rejects(open(broken(key, flip)), { name: 'ChainStoreError', code: 'DAMAGED' }, `a bit flipped in ${key}`);
    await t.rejects(open(broken(key, () => null)), { name: 'ChainStoreError', code: 'DAMAGED' }, `${key} gone`);
    await t.rejects(open(broken(key, (value) => value.subarray(0, 4))), { name: 'ChainStoreError', code: 'DAMAGED' }, `${key} cut short`);
  }
  const moved = new Map(good);
  moved.set(`b|${at2}`, good.get('b|0000000000000001') ?? new Uint8Array(0));
  await t.rejects(open(new MemoryKeyValueStore({}, moved)), { code: 'DAMAGED' }, 'a value under another key');
  const store = await open(broken('h|0000000000000001', flip));
  t.throws(() => store.header(1), { code: 'DAMAGED' }, 'older damage is found when it is read');
  const holed = new Map(good);
  for (const key of ['b|0000000000000001', 'c|0000000000000001']) holed.delete(key);
  const told: unknown[] = [];
  const withHole = await openChainStore(
    { kv: new MemoryKeyValueStore({}, holed), sha256, onFailure: (error) => told.push(error) },
    network.genesis,
  );
  t.throws(() => withHole.block(1), { code: 'DAMAGED' }, 'a block that is gone with its certificate');
  t.match(told, [{ code: 'DAMAGED' }], 'is told to whom the store belongs');
  t.equal(withHole.block(withHole.height + 1), null, 'what is not yet there is no damage');
});

t.test('the same chain on LevelDB, closed and opened between blocks', async (t) => {
  const folder = join(t.testdir({}), 'chain');
  const memory = await open(new MemoryKeyValueStore());
  for (let round = 0; round < 4; round += 1) {
    const kv = await openLevelStore(folder);
    const store = await open(kv);
    t.equal(store.height, round);
    const claims = [network.artifact(`p${round}`), ...(round === 3 ? [remove('p0', 1)] : [])];
    await commitAll(store, claims);
    await commitAll(memory, claims);
    t.equal(digestToHex(store.view().stateRoot), digestToHex(memory.view().stateRoot));
    t.same(await store.liveArtifacts({ limit: 10 }), await memory.liveArtifacts({ limit: 10 }));
    t.same(store.counts, memory.counts);
    await kv.close();
  }
});
