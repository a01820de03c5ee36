/** Files between peers: every piece verified before it is written or sent, liars named, slow and dying peers replaced, one fetch for all. */

import fc from 'fast-check';
import t from 'tap';
import { asDigest, digestToHex, formatDigest } from '../../chain/index.ts';
import { addArtifactClaim, BLOCK_BYTES, type FileIdentity, fetchFile, genericChecker, transferProtocol } from '../../registry/index.ts';
import { decodeRunAnswer, decodeRunRequest, encodeRunAnswer, encodeRunRequest } from '../../registry/transfer-messages.ts';
import {
  blobPath,
  CHAIN_ID,
  entryOf,
  generic,
  identify,
  MapLedger,
  PeerWorld,
  put,
  readAll,
  someBytes,
  stage,
  type TestNode,
  testNode,
} from './fixture.ts';

const SIZE = 3 * 1_048_576 + 2 * BLOCK_BYTES + 5;
const BYTES = someBytes(SIZE);
const FILE = entryOf('file.bin', BYTES);

/** A ledger with one live file, peers that hold it, and a node that doesn't. */
async function network(
  peers: readonly string[],
  options: { providers?: readonly string[] } = {},
): Promise<{
  world: PeerWorld;
  ledger: MapLedger;
  nodes: Map<string, TestNode>;
  me: TestNode;
}> {
  const world = new PeerWorld();
  const ledger = new MapLedger();
  ledger.commit(generic('1.0'), [FILE]);
  const nodes = new Map<string, TestNode>();
  for (const id of peers) {
    const node = await testNode(id, { world, ledger });
    await put(node, BYTES);
    nodes.set(id, node);
  }
  ledger.endorsersOf.push(...peers.filter((id) => !(options.providers ?? []).includes(id)));
  const me = await testNode('me', { world, ledger, ...(options.providers === undefined ? {} : { providers: options.providers }) });
  return { world, ledger, nodes, me };
}

async function fetchAll(me: TestNode): Promise<Uint8Array> {
  const source = await me.library.open(FILE);
  try {
    return await readAll(source);
  } finally {
    await source.close();
  }
}

t.test('several honest peers: the file comes from all of them, and is announced', async (t) => {
  const { world, me } = await network(['a', 'b', 'c']);
  t.ok(Buffer.from(BYTES).equals(await fetchAll(me)));
  await new Promise((resolve) => setImmediate(resolve));
  t.ok(me.blobs.has({ sha256: FILE.digests.sha256, sizeBytes: SIZE }));
  t.same([...new Set(world.asked.map((one) => one.peerId))].sort(), ['a', 'b', 'c']);
  t.ok(world.maxInFlight <= 8);
  t.same(me.provided, [digestToHex(FILE.digests.sha256)]);
  t.same(me.faults, []);
  t.equal(me.files.openHandles(), 0);
});

t.test('liars are named, and the fetch succeeds elsewhere', async (t) => {
  const change = (
    body: Uint8Array,
    how: (bytes: Uint8Array, proof: readonly Uint8Array[]) => { bytes: Uint8Array; proof: readonly Uint8Array[] },
  ): Uint8Array => {
    const answer = decodeRunAnswer(body);
    if (!answer.ok || answer.value.kind !== 'run') throw new Error('expected a run');
    return encodeRunAnswer({ kind: 'run', ...how(answer.value.bytes, answer.value.proof) });
  };
  const lies: readonly (readonly [string, (body: Uint8Array) => Uint8Array])[] = [
    [
      'a flipped bit',
      (body) => change(body, (bytes, proof) => ({ bytes: Uint8Array.from(bytes, (byte, at) => (at === 9 ? byte ^ 1 : byte)), proof })),
    ],
    ['a short run', (body) => change(body, (bytes, proof) => ({ bytes: bytes.slice(0, -1), proof }))],
    ['a proof too long', (body) => change(body, (bytes, proof) => ({ bytes, proof: [...proof, new Uint8Array(32)] }))],
    ['a bent proof', (body) => change(body, (bytes, proof) => ({ bytes, proof: proof.map(() => new Uint8Array(32)) }))],
    ['nonsense', () => Uint8Array.from([1, 2, 3])],
    ['nothing', () => new Uint8Array()],
  ];
  for (const [title, lie] of lies) {
    const { world, me } = await network(['liar', 'honest']);
    world.behaviours.set('liar', async (honest) => lie(await honest()));
    t.ok(Buffer.from(BYTES).equals(await fetchAll(me)), title);
    t.ok(
      me.faults.length > 0 && me.faults.every((one) => one.peerId === 'liar' && one.fault === 'bad-bytes'),
      `${title}: the liar is named`,
    );
    t.ok(
      me.lines.some((line) => line.level === 'warn' && line.fields.peer === 'liar'),
      `${title}: and logged`,
    );
  }
});

t.test('slow, dying and empty-handed peers are replaced and not blamed', async (t) => {
  const { world, ledger, me } = await network(['slow', 'dying', 'honest']);
  await testNode('empty', { world, ledger });
  ledger.endorsersOf.unshift('unknown', 'empty');
  let answers = 0;
  world.behaviours.set('slow', () => Promise.reject(new Error('no answer in time')));
  world.behaviours.set('dying', (honest) => {
    answers += 1;
    return answers > 1 ? Promise.reject(new Error('the stream ended')) : honest();
  });
  t.ok(Buffer.from(BYTES).equals(await fetchAll(me)));
  t.same(me.faults, []);
});

t.test('the DHT is asked when no endorser is left', async (t) => {
  const { world, me } = await network(['endorser', 'mirror'], { providers: ['mirror'] });
  world.behaviours.set('endorser', () => Promise.reject(new Error('gone')));
  t.ok(Buffer.from(BYTES).equals(await fetchAll(me)));
  t.ok(world.asked.some((one) => one.peerId === 'mirror'));
});

t.test('nobody has it: UNAVAILABLE, nothing left behind', async (t) => {
  const { world, me } = await network(['a']);
  world.behaviours.set('a', () => Promise.reject(new Error('gone')));
  await t.rejects(me.library.open(FILE), { code: 'UNAVAILABLE' });
  t.same(me.files.paths(), []);
  t.ok(me.lines.some((line) => line.fields.step === 'refused'));
});

t.test('a crowd of clients makes one fetch; the second time it is local', async (t) => {
  const { world, me } = await network(['a']);
  const all = await Promise.all(Array.from({ length: 20 }, () => fetchAll(me)));
  t.ok(all.every((bytes) => Buffer.from(BYTES).equals(bytes)));
  t.equal(world.asked.length, 4, 'four runs, each asked once');
  await fetchAll(me);
  t.equal(world.asked.length, 4);
  t.ok(me.lines.some((line) => line.fields.step === 'network') && me.lines.some((line) => line.fields.step === 'local'));
});

t.test('the first bytes are readable before the last have come, and the last block only after the commit', async (t) => {
  const { world, me } = await network(['a']);
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  world.behaviours.set('a', async (honest, request) => {
    const run = decodeRunRequest(request);
    if (run.ok && run.value.index >= 128) await gate;
    return honest();
  });
  const source = await me.library.open(FILE);
  t.ok((await source.read(new Uint8Array(1000), 1_048_576)) > 0, 'the second run');
  t.equal(me.blobs.has({ sha256: FILE.digests.sha256, sizeBytes: SIZE }), false);
  const last = source.read(new Uint8Array(10), SIZE - 5);
  release();
  t.equal(await last, 5);
  t.equal(me.blobs.has({ sha256: FILE.digests.sha256, sizeBytes: SIZE }), true);
  await source.close();
});

t.test('pieces fit and the flat digest does not: no peer is blamed, the record is', async (t) => {
  const { me, ledger, nodes } = await network(['a']);
  const wrong = { ...FILE, digests: { ...FILE.digests, sha256: asDigest(new Uint8Array(32).fill(1)) } };
  ledger.commit(generic('2.0'), [wrong]);
  const a = nodes.get('a');
  if (a === undefined) throw new Error('expected a peer');
  // The peer's store was made by the same wrong record: the bytes lie under the wrong digest.
  await a.files.makeFolder('temporary');
  await a.blobs.adopt(
    { sha256: wrong.digests.sha256, sizeBytes: SIZE, piecesRoot: wrong.piecesRoot },
    await copy(a, blobPath({ ...identify(BYTES) })),
  );
  const source = await me.library.open(wrong);
  await t.rejects(readAll(source), { code: 'BAD_RECORD' });
  await source.close();
  t.same(me.faults, []);
  t.ok(me.lines.some((line) => line.level === 'error' && line.fields.sha256 === formatDigest(wrong.digests.sha256)));
  await t.rejects(me.library.open(wrong), { code: 'BAD_RECORD' }, 'and is not fetched again');
  t.same(me.files.paths(), []);
});

async function copy(node: TestNode, path: string): Promise<{ bytes: string; leaves: string }> {
  for (const [from, to] of [
    [path, 'temporary/x'],
    [`${path}.leaves`, 'temporary/x.leaves'],
  ] as const) {
    const handle = await node.files.open(to, 'create');
    await handle.write((await node.files.readFile(from)) ?? new Uint8Array(), 0);
    await handle.close();
  }
  return { bytes: 'temporary/x', leaves: 'temporary/x.leaves' };
}

t.test('a file that rots while it is read goes on from the network at the same offset', async (t) => {
  const { me } = await network(['a']);
  await put(me, BYTES);
  const source = await me.library.open(FILE);
  const first = new Uint8Array(1_048_576);
  t.equal(await source.read(first, 0), 1_048_576);
  me.files.flipBit(blobPath(identify(BYTES)), 2 * 1_048_576 * 8);
  const rest = await readAll({ read: (target, position) => source.read(target, position + 1_048_576) });
  t.ok(Buffer.from(BYTES).equals(Buffer.concat([first, rest])));
  await source.close();
  t.equal((await me.files.list('quarantine')).length, 1);
  t.equal(me.files.openHandles(), 0);
});

t.test('heal replaces a rotten file; a disk that is full is a typed error', async (t) => {
  const { me } = await network(['a']);
  await me.library.heal(FILE.digests.sha256);
  t.ok(me.blobs.has({ sha256: FILE.digests.sha256, sizeBytes: SIZE }));
  await me.blobs.remove(FILE.digests.sha256);
  me.files.setSpace(2_000_000);
  await t.rejects(me.library.hold(FILE), { code: 'NO_SPACE' });
  me.files.setSpace(null);
  await me.library.hold(FILE);
  me.provided.length = 0;
  const provided = me.library.provideAll();
  for (let turn = 0; turn < 10; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    me.clock.advance(50);
  }
  t.equal(await provided, 1);
  t.same(me.provided, [digestToHex(FILE.digests.sha256)], 'everything held is announced at boot');
});

t.test('a server sends nothing that rotted, was removed, or that a stale node can not vouch for', async (t) => {
  const { ledger, nodes, me } = await network(['a']);
  const a = nodes.get('a');
  if (a === undefined) throw new Error('expected a peer');
  const ask = async (): Promise<string> => {
    const message = encodeRunRequest({ sha256: FILE.digests.sha256, sizeBytes: SIZE, index: 0, count: 64 });
    const answer = decodeRunAnswer(
      await me.requests.request('a', transferProtocol(CHAIN_ID, 'files'), message, { timeoutMs: 1, maxResponseBytes: 2e6 }),
    );
    return answer.ok ? answer.value.kind : answer.reason;
  };
  t.equal(await ask(), 'run');
  ledger.fresh = false;
  t.equal(await ask(), 'absent', 'stale');
  ledger.fresh = true;
  ledger.banned.add(digestToHex(FILE.digests.sha256));
  t.equal(await ask(), 'absent', 'banned');
  ledger.banned.clear();
  a.files.flipBit(blobPath(identify(BYTES)), 5);
  t.equal(await ask(), 'absent', 'rotten');
  t.equal((await a.files.list('quarantine')).length, 1);
});

t.test('staged bytes go to authorities alone', async (t) => {
  const world = new PeerWorld();
  const ledger = new MapLedger();
  const author = await testNode('author', { world, ledger, authorities: ['authority'] });
  await stage(author, BYTES);
  for (const [id, allowed] of [
    ['authority', true],
    ['mirror', false],
  ] as const) {
    const node = await testNode(id, { world, ledger });
    const request = {
      file: identify(BYTES),
      kind: 'staged',
      providers: ['author'],
      into: await node.staging.write({ maxBytes: SIZE }),
    } as const;
    const fetched = fetchFile({ chainId: CHAIN_ID }, node, request);
    if (allowed) t.same(await fetched, ['author']);
    else await t.rejects(fetched, { code: 'UNAVAILABLE' });
    t.equal(node.staging.get(FILE.digests.sha256) !== null, allowed, id);
    await t.rejects(
      fetchFile({ chainId: CHAIN_ID }, node, { ...request, kind: 'files', into: await node.staging.write({ maxBytes: SIZE }) }),
      { code: 'UNAVAILABLE' },
      'never as a committed file',
    );
  }
});

t.test('hostile requests cost their sender its score and the server nothing', async (t) => {
  const { nodes, me } = await network(['a']);
  const options = { timeoutMs: 1, maxResponseBytes: 2e6 };
  const good = encodeRunRequest({ sha256: FILE.digests.sha256, sizeBytes: SIZE, index: 0, count: 64 });
  const bad: readonly (readonly [string, Uint8Array])[] = [
    ['nothing', new Uint8Array()],
    ['torn', good.slice(0, -1)],
    ['a tail', Uint8Array.from([...good, 0])],
    ['not aligned', encodeRunRequest({ sha256: FILE.digests.sha256, sizeBytes: SIZE, index: 1, count: 64 })],
    ['count 0', encodeRunRequest({ sha256: FILE.digests.sha256, sizeBytes: SIZE, index: 0, count: 0 })],
    ['beyond the end', encodeRunRequest({ sha256: FILE.digests.sha256, sizeBytes: SIZE, index: 6400, count: 64 })],
  ];
  for (const [title, body] of bad) await t.rejects(me.requests.request('a', transferProtocol(CHAIN_ID, 'files'), body, options), title);
  t.same(
    nodes.get('a')?.faults,
    bad.map(() => ({ peerId: 'me', fault: 'bad-message' })),
  );
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (body) => {
      decodeRunAnswer(body);
      const decoded = decodeRunRequest(body);
      return !decoded.ok || Buffer.from(encodeRunRequest(decoded.value)).equals(Buffer.from(body));
    }),
  );
});

t.test('an authority checks a generic claim with its own eyes', async (t) => {
  const publisher = asDigest(new Uint8Array(32).fill(9));
  const small = entryOf('a.txt', someBytes(10, 3));
  const genuine = addArtifactClaim(generic('1.0'), [FILE, small], { publisher, replaces: null });
  const swap = (change: Partial<typeof FILE>): typeof genuine => ({ ...genuine, files: [small, { ...FILE, ...change }] });
  const signal = new AbortController().signal;
  const check = async (
    claim: typeof genuine | Parameters<ReturnType<typeof genericChecker>['check']>[0],
  ): Promise<{ verdict: unknown; node: TestNode }> => {
    const world = new PeerWorld();
    const ledger = new MapLedger();
    const author = await testNode('author', { world, ledger, authorities: ['me'] });
    await stage(author, BYTES);
    await stage(author, someBytes(10, 3));
    const node = await testNode('me', { world, ledger });
    const verdict = await genericChecker({ transfer: { chainId: CHAIN_ID } }, node).check(claim, { authorPeerId: 'author', signal });
    return { verdict, node };
  };
  t.same(
    genuine.files.map((file) => file.name),
    ['a.txt', 'file.bin'],
    'sorted',
  );
  const { verdict, node } = await check(genuine);
  t.same(verdict, { kind: 'genuine' });
  for (const file of genuine.files) t.ok(node.staging.get(file.digests.sha256), 'held before it is endorsed');
  const refused: readonly (readonly [string, Parameters<typeof check>[0]])[] = [
    ['sha512 of something else', swap({ digests: { ...FILE.digests, sha512: new Uint8Array(64) } })],
    ['sha1 of something else', swap({ digests: { ...FILE.digests, sha1: new Uint8Array(20) } })],
    ['an h1', swap({ digests: { ...FILE.digests, h1: publisher } })],
    ['no root', swap({ piecesRoot: null })],
    ['unsorted', { ...genuine, files: [FILE, small] }],
    ['doubled', { ...genuine, files: [small, small] }],
    ['no files', { ...genuine, files: [] }],
    ['a hostile name', swap({ name: '../x' })],
    ['mirrored', { ...genuine, verification: 'mirrored' }],
    ['an upstream', { ...genuine, source: { kind: 'upstream', id: 'x' } }],
    ['another ecosystem', { ...genuine, coordinates: { ...genuine.coordinates, ecosystem: 'npm' } }],
    ['another operation', { kind: 'LiftBan', sha256: publisher, reason: '', replaces: null }],
  ];
  for (const [title, claim] of refused) t.match((await check(claim)).verdict, { kind: 'refused', reason: /./ }, title);
  await t.rejects(
    check(swap({ digests: { ...FILE.digests, sha256: publisher } })),
    { code: 'UNAVAILABLE' },
    'what nobody gives says nothing about the claim',
  );
  await t.rejects(check(swap({ piecesRoot: publisher })), { code: 'UNAVAILABLE' }, 'a root that no bytes have');
});

t.test('a fetch keeps the bytes of only so many runs in memory', async (t) => {
  const world = new PeerWorld();
  const ledger = new MapLedger();
  const bytes = someBytes(40 * 1_048_576);
  const big = entryOf('big', bytes);
  ledger.commit(generic('3.0'), [big]);
  ledger.endorsersOf.push('a', 'b', 'c');
  for (const id of ['a', 'b', 'c']) await put(await testNode(id, { world, ledger }), bytes);
  let highest = 0;
  let first: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    first = resolve;
  });
  for (const id of ['a', 'b', 'c']) {
    world.behaviours.set(id, async (honest, request) => {
      const run = decodeRunRequest(request);
      const number = run.ok ? run.value.index / 64 : 0;
      highest = Math.max(highest, number);
      if (number === 0) await gate;
      else if (number === 15) setImmediate(first);
      return honest();
    });
  }
  const me = await testNode('me', { world, ledger });
  const source = await me.library.open(big);
  t.ok(highest <= 16 + 8, 'no further ahead than the window while the first run is missing');
  const file: FileIdentity = identify(bytes);
  await me.library.hold(big);
  t.ok(me.blobs.has(file));
  await source.close();
});
