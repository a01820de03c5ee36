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
  type Endorsement,
  encode,
  helpResponse,
  MAX_PROPOSAL_MESSAGE_BYTES,
  proposalMessage,
  sealedTransaction,
  transactionId,
  voteMessage,
} from '../../chain/index.ts';
import type { TopicName } from '../../src/channels.ts';
import { topicOf } from '../../src/channels.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import { VerifierError } from '../../src/crypto/zip215.ts';
import type { SignatureVerifier, SignedItem } from '../../src/ports.ts';
import { digestOf, filled } from '../chain/arbitraries.ts';
import { candidateBytes, certificateBytes, Forge, flipped, HostilePeer, proposalBytes, sealedBytes, statusBytes } from './hostile-peer.ts';
import { disagreement, fatals, watchSignatures } from './watch.ts';
import { type Inhabitant, VirtualWorld } from './world.ts';

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

function first(world: VirtualWorld): Inhabitant {
  const [one] = world.inhabitants;
  if (one === undefined) throw new RangeError('an empty world');
  return one;
}

type Fate = 'pays' | 'is ignored';
type Message = readonly [what: string, topic: TopicName, fate: Fate, message: Uint8Array];

function votes(world: VirtualWorld): readonly Message[] {
  const forge = new Forge(world);
  const nodeId = first(world).nodeId;
  const content = { type: 'prevote', height: 2, round: 0, blockId: digestOf(1) } as const;
  const good = forge.signedVote(nodeId, content);
  const bytesOf = (vote: typeof good): Uint8Array => encode(voteMessage, { vote, attempt: 0 });
  return [
    ['garbage', 'vote', 'pays', filled(0xff, 100)],
    ['nothing at all', 'vote', 'pays', new Uint8Array()],
    ['more bytes than a vote has', 'vote', 'pays', filled(0x00, 600)],
    ['a forged signature', 'vote', 'pays', bytesOf({ ...good, signature: flipped(good.signature) })],
    ['a scalar above the group order', 'vote', 'pays', bytesOf({ ...good, signature: filled(0xff, 64) })],
    ["another chain's vote", 'vote', 'pays', new Forge(world, digestOf(0x77)).vote(nodeId, content)],
    ['a precommit out of a prevote', 'vote', 'pays', bytesOf({ ...good, type: 'precommit' })],
    ['the vote of nobody', 'vote', 'is ignored', bytesOf({ ...good, nodeId: digestOf(9) })],
    ['a vote of a far height', 'vote', 'is ignored', forge.vote(nodeId, { ...content, height: 1_000_000 })],
    ['a vote of a far round', 'vote', 'is ignored', forge.vote(nodeId, { ...content, round: 60_000 })],
    ['a vote of a decided height', 'vote', 'is ignored', forge.vote(nodeId, { ...content, height: 1 })],
  ];
}

function proposals(world: VirtualWorld): readonly Message[] {
  const forge = new Forge(world);
  const one = first(world);
  const block = forge.block(one, 0, [world.sealed('2.0.0')]);
  const good = forge.proposal(block);
  const other = world.authorities().find((authority) => digestToHex(authority.nodeId) !== digestToHex(block.header.proposer));
  const later = { ...block, header: { ...block.header, height: 3 } };
  const forged = { ...good.proposal, signature: flipped(good.proposal.signature) };
  const bytesOf = (change: Partial<typeof good>): Uint8Array => proposalBytes({ ...good, ...change });
  return [
    ['garbage', 'proposal', 'pays', filled(0xa6, 300)],
    ['a forged signature', 'proposal', 'pays', bytesOf({ proposal: forged })],
    ["another chain's proposal", 'proposal', 'pays', proposalBytes(new Forge(world, digestOf(0x77)).proposal(block))],
    ['one who is not the proposer', 'proposal', 'pays', proposalBytes(forge.proposal(block, {}, other?.nodeId))],
    ['a header of another block', 'proposal', 'pays', bytesOf({ header: { ...block.header, stateRoot: digestOf(5) } })],
    ['a header of another height', 'proposal', 'pays', proposalBytes({ ...good, header: later.header })],
    ['other transactions than the header commits to', 'proposal', 'pays', bytesOf({ sealedDigests: [digestOf(4)] })],
    ['no transactions where the header has one', 'proposal', 'pays', bytesOf({ sealedDigests: [] })],
    ['no certificate where the header has one', 'proposal', 'pays', bytesOf({ lastCommit: null })],
    ['a far height', 'proposal', 'is ignored', proposalBytes({ ...good, proposal: { ...good.proposal, height: 99 } })],
    ['a far round', 'proposal', 'is ignored', proposalBytes({ ...good, proposal: { ...good.proposal, round: 999 } })],
    ['nobody as proposer', 'proposal', 'is ignored', proposalBytes({ ...good, proposal: { ...good.proposal, nodeId: digestOf(9) } })],
  ];
}

function certificates(world: VirtualWorld): readonly Message[] {
  const forge = new Forge(world);
  const blockId = digestOf(1);
  const nodes = world.authorities().map((one) => one.nodeId);
  const cast = (nodeId: (typeof nodes)[number], type: 'prevote' | 'precommit') =>
    forge.signedVote(nodeId, { type, height: 2, round: 0, blockId });
  const polka = nodes.map((nodeId) => cast(nodeId, 'prevote'));
  const [one] = polka;
  if (one === undefined) throw new RangeError('no votes');
  const bytesOf = (kind: 'polka' | 'round' | 'commit', list: typeof polka, height = 2): Uint8Array =>
    certificateBytes({ kind, height, round: 0, votes: list, attempt: 0 });
  const forged = polka.map((vote) => ({ ...vote, signature: flipped(vote.signature) }));
  return [
    ['garbage', 'certificate', 'pays', filled(0xa5, 50)],
    ['no votes', 'certificate', 'pays', bytesOf('round', [])],
    ['too little power', 'certificate', 'pays', bytesOf('polka', polka.slice(0, 2))],
    ['one voter four times', 'certificate', 'pays', bytesOf('polka', [one, one, one, one])],
    ['forged votes', 'certificate', 'pays', bytesOf('polka', forged)],
    ['prevotes as a commit', 'certificate', 'pays', bytesOf('commit', polka)],
    ['another height', 'certificate', 'is ignored', bytesOf('polka', polka, 7)],
  ];
}

function claims(world: VirtualWorld): readonly Message[] {
  const forge = new Forge(world);
  const one = first(world);
  const claim = world.claim('3.0.0');
  const id = transactionId(sha256, [claim]);
  const candidate = forge.candidate(one, [claim]);
  const stranger = world.inhabitants.at(-1) ?? one;
  const sealed = world.sealed('4.0.0');
  const withEndorsements = (endorsements: readonly Endorsement[]): Uint8Array => sealedBytes({ ...sealed, endorsements });
  const nowMs = world.time.clock.nowMs();
  const foreign = new Forge(world, digestOf(0x77));
  return [
    ['garbage', 'candidate', 'pays', filled(0xa2, 64)],
    ['a forged candidate', 'candidate', 'pays', candidateBytes({ ...candidate, signature: flipped(candidate.signature) })],
    ["another chain's candidate", 'candidate', 'pays', candidateBytes(foreign.candidate(one, [claim]))],
    ['a candidate of nothing', 'candidate', 'pays', candidateBytes(forge.candidate(one, []))],
    ["a mirror's candidate", 'candidate', 'is ignored', candidateBytes(forge.candidate(stranger, [claim]))],
    ['a candidate that the chain has', 'candidate', 'is ignored', candidateBytes(forge.candidate(one, [world.claim('1.0.0')]))],
    ['garbage', 'endorsement', 'pays', filled(0xa2, 64)],
    ["another chain's endorsement", 'endorsement', 'pays', foreign.endorsement(one.nodeId, id, nowMs + 1)],
    ['garbage', 'refusal', 'pays', filled(0xa2, 64)],
    ["another chain's refusal", 'refusal', 'pays', foreign.refusal(one.nodeId, id)],
    ['garbage', 'transaction', 'pays', filled(0xa2, 64)],
    [
      'forged endorsements',
      'transaction',
      'pays',
      withEndorsements(sealed.endorsements.map((endorsement) => ({ ...endorsement, signature: flipped(endorsement.signature) }))),
    ],
    ['too few endorsements', 'transaction', 'is ignored', withEndorsements(sealed.endorsements.slice(0, 2))],
    ['an endorser twice', 'transaction', 'is ignored', withEndorsements([...sealed.endorsements, ...sealed.endorsements])],
    [
      'expired endorsements',
      'transaction',
      'is ignored',
      withEndorsements(sealed.endorsements.map((endorsement) => ({ ...endorsement, expiresMs: 5 }))),
    ],
    ['garbage', 'status', 'pays', filled(0xa2, 64)],
    ['a status of a great height', 'status', 'is ignored', statusBytes(Number.MAX_SAFE_INTEGER, digestOf(3))],
  ];
}

t.test('what a hostile peer says by gossip changes nothing; bad form and bad signatures are paid for, by nobody else', async (t) => {
  const world = await quietWorld(40);
  const one = first(world);
  for (const [what, topic, fate, message] of [...votes(world), ...proposals(world), ...certificates(world), ...claims(world)]) {
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
  const good = forge.signedVote(helper.nodeId, { type: 'prevote', height: 1, round: 0, blockId: null });
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
