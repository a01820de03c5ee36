/**
 * Everything bad that can be said by gossip to a quiet network at height 1, and what each deserves: bad form and bad signatures are paid for,
 * what is old, early or strange is ignored. SPEC §9.
 */

import { digestToHex, type Endorsement, encode, transactionId, voteMessage } from '../../chain/index.ts';
import type { TopicName } from '../../src/channels.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import { digestOf, filled } from '../chain/arbitraries.ts';
import { candidateBytes, certificateBytes, Forge, flipped, proposalBytes, sealedBytes, statusBytes } from './hostile-peer.ts';
import type { Inhabitant } from './inhabitant.ts';
import type { VirtualWorld } from './world.ts';

export type Fate = 'pays' | 'is ignored';
export type Message = readonly [what: string, topic: TopicName, fate: Fate, message: Uint8Array];

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
    ["another chain's endorsement", 'endorsement', 'pays', foreign.endorsement(one.nodeId, id, nowMs + 60_000)],
    ['garbage', 'refusal', 'pays', filled(0xa2, 64)],
    ["another chain's refusal", 'refusal', 'pays', foreign.refusal(one.nodeId, id, nowMs)],
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
    ['an unsigned status', 'status', 'pays', statusBytes(Number.MAX_SAFE_INTEGER, digestOf(3))],
    ["a mirror's status", 'status', 'is ignored', forge.status(stranger.nodeId, Number.MAX_SAFE_INTEGER, nowMs + 1)],
    ["another chain's status", 'status', 'pays', foreign.status(one.nodeId, Number.MAX_SAFE_INTEGER, nowMs + 60_000)],
  ];
}

export function hostileMessages(world: VirtualWorld): readonly Message[] {
  return [...votes(world), ...proposals(world), ...certificates(world), ...claims(world)];
}

/** The first node of a world. */
export function first(world: VirtualWorld): Inhabitant {
  const [one] = world.inhabitants;
  if (one === undefined) throw new RangeError('an empty world');
  return one;
}
