/**
 * A hostile peer in a world of whole nodes: nothing of what it says changes anything, nobody falls over, it pays for bad form and bad
 * signatures, and no honest node ever pays for passing something on. SPEC §9.
 */

import { createPublicKey, verify } from 'node:crypto';
import t from 'tap';
import {
  asDigest,
  type Block,
  blocksResponse,
  decode,
  digestToHex,
  encode,
  helpResponse,
  MAX_PROPOSAL_MESSAGE_BYTES,
  proposalMessage,
  sealedTransaction,
  voteMessage,
} from '../../chain/index.ts';
import { topicOf } from '../../src/channels.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import { VerifierError } from '../../src/crypto/zip215.ts';
import type { SignatureVerifier, SignedItem } from '../../src/ports.ts';
import { digestOf, filled } from '../chain/arbitraries.ts';
import { first, hostileMessages } from './hostile-messages.ts';
import { Forge, flipped, HostilePeer, proposalBytes, statusBytes } from './hostile-peer.ts';
import { disagreement, fatals, watchSignatures } from './watch.ts';
import { VirtualWorld } from './world.ts';

/** On the spot, so that a forgery's verdict needs no thread. Nothing here is crafted to divide verifiers. */
function plainVerifier(): SignatureVerifier {
  const check = ({ publicKey, message, signature }: SignedItem): boolean => {
    const x = Buffer.from(publicKey).toString('base64url');
    return verify(null, message, createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }), signature);
  };
  return { verify: async (item) => check(item), verifyMany: async (items) => items.map(check) };
}

function submit(world: VirtualWorld, version: string): void {
  for (const one of world.authorities()) void one.node?.operations.submit(encode(sealedTransaction, world.sealed(version)));
}

async function reach(world: VirtualWorld, height: number): Promise<boolean> {
  return await world.time.until(() => world.heights().every((one) => one >= height), 60_000);
}

/** Four authorities and a mirror at height 1, idle. */
async function quietWorld(seed: number): Promise<VirtualWorld> {
  const world = new VirtualWorld({ seed, authorities: 4, mirrors: 1, verifier: plainVerifier() });
  await world.startAll();
  submit(world, '1.0.0');
  await reach(world, 1);
  await world.time.advance(3_000);
  return world;
}

t.test('what a hostile peer says by gossip changes nothing; bad form and bad signatures are paid for, by nobody else', async (t) => {
  const world = await quietWorld(40);
  const one = first(world);
  for (const [what, topic, fate, message] of hostileMessages(world)) {
    const before = world.air.penalties.length;
    const peer = await HostilePeer.join(world, [one]);
    await peer.say(topic, message);
    await world.time.advance(100);
    t.same(peer.penalties(), { own: fate === 'pays' ? 1 : 0, others: before }, `${topic}: ${what} ${fate}`);
    await peer.leave();
    world.air.penalties.length = 0;
  }
  t.same(world.heights(), [1, 1, 1, 1, 1]);
  for (const node of world.running) t.equal(node.mempool.size, 0);
  submit(world, '5.0.0');
  t.ok(await reach(world, 2), 'and the network goes on');
  t.equal(disagreement(world), null);
  t.same(fatals(world), []);
  await world.close();
});

t.test('a block whose state is wrong is refused by all, and only its round is lost', async (t) => {
  const world = await quietWorld(41);
  const forge = new Forge(world);
  const good = forge.block(first(world), 0, []);
  const bad: Block = { ...good, header: { ...good.header, stateRoot: digestOf(6) } };
  const peer = await HostilePeer.join(world, [first(world)]);
  await peer.say('proposal', proposalBytes(forge.proposal(bad)));
  await world.time.advance(500);
  t.equal(world.air.penalties.length, 0, 'signed by its proposer: whoever passes it on is honest');
  submit(world, '2.0.0');
  t.ok(await reach(world, 2));
  t.equal(disagreement(world), null);
  t.same(fatals(world), []);
  await world.close();
});

t.test('replays of every message of a life, with other attempts, cost nobody but time', async (t) => {
  const world = new VirtualWorld({ seed: 42, authorities: 4, mirrors: 0, verifier: plainVerifier() });
  const heard: { readonly topic: string; readonly message: Uint8Array }[] = [];
  world.air.overheard = (_from, topic, message) => heard.push({ topic, message });
  await world.startAll();
  submit(world, '1.0.0');
  await reach(world, 1);
  const peer = await HostilePeer.join(world, null);
  for (const { topic, message } of heard.splice(0)) await peer.network.publish(topic, again(world, topic, message));
  await world.time.advance(5_000);
  t.equal(peer.penalties().others, 0);
  submit(world, '2.0.0');
  t.ok(await reach(world, 2));
  t.same(fatals(world), []);
  t.equal(disagreement(world), null);
  await world.close();
});

/** A vote or proposal with another attempt, so that gossip does not know it; anything else as it is. */
function again(world: VirtualWorld, topic: string, message: Uint8Array): Uint8Array {
  if (topic === topicOf(world.chainId, 'vote')) {
    const vote = decode(voteMessage, message, { maxBytes: 512 });
    if (vote.ok) return encode(voteMessage, { ...vote.value, attempt: vote.value.attempt + 1000 });
  }
  if (topic === topicOf(world.chainId, 'proposal')) {
    const proposal = decode(proposalMessage, message, { maxBytes: MAX_PROPOSAL_MESSAGE_BYTES });
    if (proposal.ok) return proposalBytes({ ...proposal.value, attempt: proposal.value.attempt + 1000 });
  }
  return message;
}

t.test('a validator gone bad fills neither memory nor disk, and the others go on without it', async (t) => {
  const world = await quietWorld(43);
  const forge = new Forge(world);
  const traitor = world
    .authorities()
    .find((one) => digestToHex(one.nodeId) === digestToHex(forge.block(first(world), 0, []).header.proposer));
  if (traitor === undefined) throw new RangeError('somebody is the proposer');
  world.crash(traitor);
  const honest = world.authorities().filter((one) => one !== traitor);
  const peer = await HostilePeer.join(world, null);
  const base = forge.block(honest[0] ?? traitor, 0, []);
  for (let index = 0; index < 100; index += 1) {
    const blockId = asDigest(sha256(Uint8Array.of(index & 255, index >> 8)));
    await peer.say('vote', forge.vote(traitor.nodeId, { type: 'prevote', height: 2, round: index % 3, blockId }));
    await peer.say('vote', forge.vote(traitor.nodeId, { type: 'precommit', height: 3, round: index % 3, blockId }));
    const block: Block = { ...base, header: { ...base.header, timeMs: base.header.timeMs + index } };
    await peer.say('proposal', proposalBytes(forge.proposal(block)));
  }
  await world.time.advance(2_000);
  for (const one of honest) {
    const [log] = await one.files.list('wal');
    const machine = one.node?.engine?.machine;
    t.ok((machine?.proposals.rounds.get(base.header.round as never)?.length ?? 0) <= 2, 'two proposals of a round');
    t.ok([...(one.node?.engine?.values() ?? [])].length <= 2, 'and their values alone are kept');
    t.ok(((await one.files.stat(`wal/${log}`))?.sizeBytes ?? 0) < 20_000, 'the log stays small');
  }
  t.equal(world.air.penalties.filter((penalty) => penalty.against !== peer.peerId).length, 0, 'no honest node pays');
  for (const one of honest) void one.node?.operations.submit(encode(sealedTransaction, world.sealed('6.0.0')));
  t.ok(await reach(world, 2), 'three of four decide');
  t.equal(disagreement(world), null);
  t.same(fatals(world), []);
  await world.close();
});

t.test('help with forged messages costs the helper its place; whoever asked asks another', async (t) => {
  const world = new VirtualWorld({ seed: 45, authorities: 4, mirrors: 0, verifier: plainVerifier() });
  await world.startAll();
  const [asker, helper, third, traitor] = world.authorities();
  if (asker === undefined || helper === undefined || third === undefined || traitor === undefined) throw new RangeError('expected four');
  world.crash(traitor);
  world.crash(third);
  const forge = new Forge(world);
  const good = forge.signedVote(helper.nodeId, { type: 'prevote', height: 1, round: 4, blockId: null });
  const votes = [{ ...good, signature: flipped(good.signature) }];
  const peer = await HostilePeer.join(world, null, traitor);
  peer.answer('help', () => encode(helpResponse, { votes, proposals: [] }));
  submit(world, '1.0.0');
  await world.time.advance(30_000);
  t.ok(peer.penalties().own > 0, 'the liar pays');
  t.equal(peer.penalties().others, 0, 'nobody else does');
  await peer.leave();
  await world.start(third);
  t.ok(await reach(world, 1), 'and with a third node they decide');
  t.equal(disagreement(world), null);
  t.same(fatals(world), []);
  await world.close();
});

t.test('an overloaded verifier: nobody pays for what was not looked at, and all goes on when it is well again', async (t) => {
  let isOverloaded = false;
  const plain = plainVerifier();
  const orFail = async <T>(answer: () => Promise<T>): Promise<T> => {
    if (isOverloaded) throw new VerifierError('overloaded', 'too many');
    return await answer();
  };
  const verifier: SignatureVerifier = {
    verify: (item) => orFail(() => plain.verify(item)),
    verifyMany: (items) => orFail(() => plain.verifyMany(items)),
  };
  const world = new VirtualWorld({ seed: 46, authorities: 4, mirrors: 1, verifier });
  await world.startAll();
  submit(world, '1.0.0');
  await world.time.advance(3);
  isOverloaded = true;
  await world.time.advance(10_000);
  isOverloaded = false;
  submit(world, '1.0.1');
  t.ok(await reach(world, 1));
  t.equal(world.air.penalties.length, 0);
  t.equal(disagreement(world), null);
  t.same(fatals(world), []);
  await world.close();
});

t.test('requests of a bad form end without an answer, and are paid for', async (t) => {
  const world = await quietWorld(44);
  const one = first(world);
  for (const protocol of ['transactions', 'help', 'blocks', 'status'] as const) {
    const peer = await HostilePeer.join(world, [one]);
    const asked = peer.ask(one, protocol, filled(0xa2, 64)).then(
      () => 'an answer',
      () => 'none',
    );
    await world.time.advance(2_000);
    if (protocol !== 'status') t.equal(await asked, 'none', protocol);
    t.equal(peer.penalties().own, 1, protocol);
    await peer.leave();
  }
  t.same(fatals(world), []);
  await world.close();
});

/** In these worlds the liar is asked. */
const SEEDS = [50, 51, 52, 54];

t.test('lies about heights and bad blocks keep nobody from catching up, and only the liar pays', async (t) => {
  const answers: readonly (readonly [string, boolean, (good: Uint8Array) => Uint8Array])[] = [
    ['garbage', true, () => filled(0xa2, 64)],
    ['no blocks and a great height', false, () => encode(blocksResponse, { blocks: [], height: Number.MAX_SAFE_INTEGER })],
    [
      'blocks that do not decode',
      true,
      () => encode(blocksResponse, { blocks: [{ block: filled(1), certificate: filled(1) }], height: 9 }),
    ],
    ["one block with another's certificate", true, mixed],
  ];
  for (const [index, [what, pays, give]] of answers.entries()) {
    const world = await quietWorld(SEEDS[index] ?? 0);
    const sleeper = world.inhabitants.at(-1);
    if (sleeper === undefined) throw new RangeError('no mirror');
    world.crash(sleeper);
    for (let height = 2; height <= 4; height += 1) {
      submit(world, `1.0.${height}`);
      await reach(world, height);
    }
    const peer = await HostilePeer.join(world, null);
    const pages = [2, 3].map((height) => first(world).node?.head.store.block(height) ?? null).filter((page) => page !== null);
    const good = encode(blocksResponse, { blocks: pages, height: 4 });
    peer.answer('status', () => statusBytes(1_000_000, digestOf(3)));
    let asked = 0;
    peer.answer('blocks', () => {
      asked += 1;
      return give(good);
    });
    await world.start(sleeper);
    t.ok(await world.time.until(() => sleeper.node?.head.height === 4, 60_000), `${what}: the mirror catches up`);
    await world.time.advance(5_000);
    const against = new Set(world.air.penalties.map((penalty) => penalty.against));
    t.ok(asked > 0, `${what}: it was asked`);
    t.same([...against], pays ? [peer.peerId] : [], `${what}: ${pays ? 'only the liar pays' : 'nobody pays'}`);
    t.same(fatals(world), []);
    await world.close();
  }
});

/** The first block of a page with the certificate of the second. */
function mixed(good: Uint8Array): Uint8Array {
  const page = decode(blocksResponse, good, { maxBytes: 10_000_000 });
  const [one, two] = page.ok ? page.value.blocks : [];
  if (one === undefined || two === undefined) throw new RangeError('expected two blocks');
  return encode(blocksResponse, { blocks: [{ block: one.block, certificate: two.certificate }], height: 4 });
}

t.test('the watch on signatures sees who signs twice', async (t) => {
  const world = new VirtualWorld({ seed: 60, authorities: 4, mirrors: 0, verifier: plainVerifier() });
  const watch = watchSignatures(world);
  await world.startAll();
  const forge = new Forge(world);
  const peer = await HostilePeer.join(world, null);
  const content = { type: 'prevote', height: 1, round: 0 } as const;
  await peer.say('vote', forge.vote(first(world).nodeId, { ...content, blockId: digestOf(1) }));
  await peer.say('vote', forge.vote(first(world).nodeId, { ...content, blockId: digestOf(1) }, 1));
  t.same(watch.doubles, []);
  await peer.say('vote', forge.vote(first(world).nodeId, { ...content, blockId: digestOf(2) }));
  t.equal(watch.doubles.length, 1);
  await world.close();
});
