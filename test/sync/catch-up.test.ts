/**
 * Catching up from several peers of which one lies, lags or dawdles: the follower gets the chain all the same, only who said something that
 * no honest peer says is sent away, and nobody can make it ask without end. Most cases are failures known of other engines. SPEC §9.4.
 */

import t from 'tap';
import { blocksResponse, encode, type SealedTransaction } from '../../chain/index.ts';
import { digestOf, nodeNamed, TestNetwork, type TestNode, withKeyOf } from '../chain/state-fixture.ts';
import { bytesOf, FollowerWorld, honest, type MadeBlock, madeChain, type PeerScript, type PlayedPeer, pageOf } from './follower.ts';

const network = new TestNetwork();
const GREAT = Number.MAX_SAFE_INTEGER;
const BLOCKS = 200;
const claims = (height: number): readonly SealedTransaction[] =>
  height % 10 === 0 ? ['a', 'b'].map((name) => network.seal([network.artifact(`${name}${height}`)], { expiresMs: GREAT })) : [];
const chain = await madeChain(network, BLOCKS, (height) => ({ transactions: claims(height), by: network.nodes }));

/** A follower beside one honest peer and this one, which it asks first. */
async function beside(seed: number, script: PeerScript, good: PeerScript = honest(chain)): Promise<readonly [FollowerWorld, PlayedPeer]> {
  const world = new FollowerWorld(network, seed);
  const peer = await world.play(script);
  await world.start();
  await world.time.until(() => peer.asked.length > 0, 10_000);
  await world.play(good);
  return [world, peer];
}

/** An answer with one block replaced. */
function withBlock(height: number, change: (good: MadeBlock) => ReturnType<typeof bytesOf>): PeerScript {
  return {
    status: () => BLOCKS,
    blocks: (from, max) => {
      const blocks = chain.slice(from - 1, from - 1 + max).map((one) => (one.block.header.height === height ? change(one) : bytesOf(one)));
      return encode(blocksResponse, { blocks, height: BLOCKS });
    },
  };
}

t.test('an honest chain comes in pages, each in one synced batch, from several peers at once', async (t) => {
  const world = new FollowerWorld(network, 1);
  const peers = [await world.play(honest(chain)), await world.play(honest(chain)), await world.play(honest(chain))];
  await world.start();
  t.ok(await world.reaches(chain, 5_000));
  t.ok(peers.filter(({ asked }) => asked.length > 0).length >= 2, 'more than one was asked');
  t.same(
    peers.flatMap(({ asked }) => asked).sort((left, right) => left - right),
    [1, 65, 129, 193],
    'each page once',
  );
  t.equal(world.writes.length, 1 + 4, 'genesis and four pages');
  t.same(world.punished(), []);
  t.same(world.fatals, []);
});

t.test('each signature is verified once, though it stands beside its block and in the next', async (t) => {
  const world = new FollowerWorld(network, 2);
  await world.play(honest(chain));
  await world.start();
  t.ok(await world.reaches(chain, 5_000));
  const endorsements = chain.flatMap(({ block }) => block.transactions).length * network.nodes.length;
  t.equal(world.verified, BLOCKS * network.nodes.length + endorsements);
});

t.test('keys that change in the middle of a page: blocks before and after are verified each with their own set', async (t) => {
  let [first, ...others] = network.nodes as [TestNode, ...TestNode[]];
  const sets = [network.nodes];
  const rotated = await madeChain(network, 60, (height) => {
    const by = sets[height - 1] ?? sets.at(-1) ?? [];
    sets[height] ??= by;
    if (height % 7 !== 0) return { transactions: [], by };
    const next = withKeyOf(first, 'consensus', nodeNamed(`rotated-${height}`));
    const { consensusKey: publicKey, nodeId } = next.record;
    const claim = { kind: 'RotateKey', nodeId, use: 'consensus', publicKey, replaces: height === 7 ? 0 : height - 7 } as const;
    const consents = [network.consent(claim, next, ['consensus'])];
    const sealed = network.seal([claim], { by, consents, expiresMs: GREAT });
    first = next;
    others = [...others];
    sets[height + 1] = [next, ...others];
    return { transactions: [sealed], by };
  });
  const world = new FollowerWorld(network, 3);
  await world.play(honest(rotated));
  await world.start();
  t.ok(await world.reaches(rotated, 5_000));
  t.equal(world.writes.length, 2, 'in one page');
  t.same(world.punished(), []);
});

t.test('a peer that lowers its height, or raises and lowers it, is not waited for', async (t) => {
  const stories: readonly (readonly [string, () => number])[] = [
    [
      'high once, then low',
      (
        (said) => () =>
          said++ === 0 ? BLOCKS : 3
      )(0),
    ],
    [
      'up and down',
      (
        (said) => () =>
          said++ % 2 === 0 ? GREAT : 3
      )(0),
    ],
    [
      'up for ever',
      (
        (said) => () =>
          BLOCKS + 1_000 * said++
      )(1),
    ],
  ];
  for (const [index, [what, status]] of stories.entries()) {
    const blocks = (): Uint8Array => encode(blocksResponse, { blocks: [], height: status() });
    const [world, peer] = await beside(10 + index, { status, blocks });
    t.ok(await world.reaches(chain, 20_000), what);
    await world.time.advance(60_000);
    t.notOk(world.own.sync.syncing, `${what}: nothing is left to wait for`);
    t.equal(world.own.sync.targetHeight, BLOCKS, `${what}: nor shown`);
    t.ok(peer.asked.length < 40, `${what}: asked ${peer.asked.length} times in a minute`);
    t.same(world.punished(), [], `${what}: a height is no proof of anything`);
    t.same(world.fatals, []);
  }
});

t.test('what is no block of this chain ends the page there: those before stay, its giver alone is sent away', async (t) => {
  const other = chain[30] as MadeBlock;
  const [signed] = other.certificate.signatures;
  if (signed === undefined) throw new RangeError('expected signatures');
  const stranger = { nodeId: nodeNamed('stranger').record.nodeId, signature: signed.signature };
  const signatures = (change: (good: MadeBlock['certificate']['signatures']) => MadeBlock['certificate']['signatures']) =>
    withBlock(30, (good) => bytesOf({ ...good, certificate: { ...good.certificate, signatures: change(good.certificate.signatures) } }));
  const header = (change: Partial<MadeBlock['block']['header']>): PeerScript =>
    withBlock(30, (good) => bytesOf({ ...good, block: { ...good.block, header: { ...good.block.header, ...change } } }));
  const cases: readonly (readonly [string, PeerScript])[] = [
    ['a bad block in the middle of a page', header({ stateRoot: digestOf('bad') })],
    ['a block whose certificate is for another block', withBlock(30, (good) => bytesOf({ ...good, certificate: other.certificate }))],
    ['a certificate of another height', withBlock(30, (g) => bytesOf({ ...g, certificate: { ...g.certificate, height: 31 } }))],
    ['bytes that are no block', withBlock(30, (good) => ({ ...bytesOf(good), block: new Uint8Array(300).fill(7) }))],
    ['a block of another height in its place (elsewhere: part index against proof)', withBlock(30, () => bytesOf(other))],
    [
      'transactions in another order than their root (elsewhere: part proof mismatch)',
      withBlock(30, (g) => bytesOf({ ...g, block: { ...g.block, transactions: g.block.transactions.toReversed() } })),
    ],
    // Certificates name their signers: there is no bit array. What a bit array of a wrong length is elsewhere, these four are here.
    ['a certificate with more signatures than the set has members', signatures((good) => [...good, ...good])],
    ['a certificate whose signers are out of order', signatures((good) => good.toReversed())],
    ['a certificate with too few signers', signatures((good) => good.slice(2))],
    ['a signer outside the set (elsewhere: validator index out of range)', signatures((good) => byId([...good.slice(1), stranger]))],
    [
      'an over-long certificate: 257 signatures',
      withBlock(30, (g) => ({ ...bytesOf(g), certificate: overLong(bytesOf(g).certificate, g.certificate.signatures.length) })),
    ],
    [
      'a certificate with a forged signature',
      signatures(([one, ...rest]) => (one ? [{ ...one, signature: signed.signature }, ...rest] : [])),
    ],
  ];
  for (const [index, [what, script]] of cases.entries()) {
    const [world, peer] = await beside(20 + index, script, { ...honest(chain), answerMs: 50 });
    await world.time.until(() => world.own.head.height >= 29, 1_000);
    t.ok(world.holds(29, (chain[28] as MadeBlock).block), `${what}: the blocks before it are taken`);
    t.ok(await world.reaches(chain, 20_000), `${what}: the rest comes from another`);
    t.same([world.punished(), world.fatals], [[peer.peerId], []], `${what}: paid for by its giver`);
  }
});

function byId(signatures: MadeBlock['certificate']['signatures']): MadeBlock['certificate']['signatures'] {
  return signatures.toSorted((left, right) => Buffer.compare(left.nodeId, right.nodeId));
}

/** The encoding of a certificate with its list of signatures said, and made, 257 long. */
function overLong(certificate: Uint8Array, count: number): Uint8Array {
  const bytes = Buffer.from(certificate);
  const list = bytes.indexOf('signatures') + 'signatures'.length;
  if (bytes[list] !== 0x80 + count) throw new RangeError('expected a short list of signatures');
  const one = bytes.subarray(list + 1, list + 1 + (bytes.length - list - 1) / count);
  return Buffer.concat([bytes.subarray(0, list), Buffer.from([0x99, 0x01, 0x01]), ...Array.from({ length: 257 }, () => one)]);
}

t.test('a forged page costs a bounded number of verifications', async (t) => {
  const forged = chain.map(({ block, certificate }) => ({
    block,
    certificate: { ...certificate, signatures: certificate.signatures.map((one) => ({ ...one, signature: new Uint8Array(64) })) },
  }));
  const [world, peer] = await beside(40, honest(forged), { status: () => 0, blocks: () => pageOf([], 1, 0) });
  await world.time.advance(10_000);
  t.equal(world.own.head.height, 0);
  t.same(world.punished(), [peer.peerId]);
  t.ok(world.verified < 4 * 300, `${world.verified} signatures of ${BLOCKS * network.nodes.length * 2} were looked at`);
});

t.test(
  'future-height floods: many that claim great heights and give nothing, or blocks from there, cost a few requests each',
  async (t) => {
    const world = new FollowerWorld(network, 50);
    const empty = (): Uint8Array => encode(blocksResponse, { blocks: [], height: GREAT });
    const ahead = (): Uint8Array => encode(blocksResponse, { blocks: chain.slice(100, 164).map(bytesOf), height: GREAT });
    const flood: PlayedPeer[] = [];
    for (let count = 0; count < 20; count += 1) {
      flood.push(await world.play({ status: () => GREAT - count, blocks: count % 2 === 0 ? empty : ahead }));
    }
    await world.play(honest(chain));
    await world.start();
    t.ok(await world.reaches(chain, 30_000));
    await world.time.advance(30_000);
    t.ok(
      flood.every(({ asked }) => asked.length <= 30),
      `${Math.max(...flood.map(({ asked }) => asked.length))} requests at the most`,
    );
    t.equal(world.own.sync.targetHeight, BLOCKS, 'and no height of theirs is shown');
    t.same(new Set(world.punished()), new Set(flood.filter((_, index) => index % 2 === 1).map(({ peerId }) => peerId)));
  },
);

t.test('a peer that answers with empty pages for ever is left alone for the run', async (t) => {
  const [world, peer] = await beside(60, { status: () => BLOCKS, blocks: () => encode(blocksResponse, { blocks: [], height: BLOCKS }) });
  t.ok(await world.reaches(chain, 10_000));
  t.ok(peer.asked.length <= 4, `asked ${peer.asked.length} times`);
});

t.test('a peer that gives one block at a time is no brake: the others are asked for the rest', async (t) => {
  const [world] = await beside(65, { status: () => BLOCKS, blocks: (from) => pageOf(chain, from, 1) });
  t.ok(await world.reaches(chain, 10_000));
  t.same(world.punished(), []);
});

t.test('a peer that never answers, or slowly, is overtaken within seconds; alone, it is waited for', async (t) => {
  const silent: PeerScript = { status: () => BLOCKS, blocks: () => null };
  const [world] = await beside(70, silent);
  const startedMs = world.time.nowMs;
  t.ok(await world.reaches(chain, 30_000));
  t.ok(world.time.nowMs - startedMs < 9_000, `after ${world.time.nowMs - startedMs} ms, before its time-out`);
  const alone = new FollowerWorld(network, 71);
  await alone.play({ ...honest(chain), answerMs: 4_000 });
  await alone.start();
  t.ok(await alone.reaches(chain, 60_000), 'a slow peer is better than none');
  t.same(alone.punished(), []);
});

t.test('who has caught up gives what it has to the next one, even while it is catching up itself', async (t) => {
  const world = new FollowerWorld(network, 80);
  await world.play({ ...honest(chain), answerMs: 50 });
  await world.start();
  const asker = await world.play({ status: () => 0, blocks: () => null });
  await world.time.until(() => world.own.head.height > 0, 10_000);
  const page = await world.ask(asker, { from: 1, max: 64 });
  t.ok(page.height > 0 && world.own.sync.syncing, 'it answers in the middle of its run');
  t.same(page.blocks[0], bytesOf(chain[0] as MadeBlock));
  t.ok(await world.reaches(chain, 10_000));
  t.equal((await world.ask(asker, { from: 150, max: 64 })).blocks.length, 51);
});
