/**
 * Authorities that have gone over to the other side. Each runs the node's real code, so that it keeps up with the chain, behind a network
 * that twists what it says; what it adds it signs with its own real keys. SPEC §9 calls none of this valid, and Tendermint bears less than a
 * third of it.
 */

import {
  asDigest,
  candidateMessage,
  decode,
  digestToHex,
  encode,
  MAX_CANDIDATE_MESSAGE_BYTES,
  MAX_PROPOSAL_MESSAGE_BYTES,
  proposalMessage,
  transactionId,
  voteMessage,
} from '../../chain/index.ts';
import { topicOf } from '../../src/channels.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { Network } from '../../src/ports.ts';
import { certificateBytes, Forge, flipped } from '../world/hostile-peer.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import type { SeededRandom } from '../world/seeded-random.ts';
import type { VirtualWorld } from '../world/world.ts';
import { Liar, type Twist } from './liar.ts';
import { putOnLyingDisk } from './lying-disk.ts';
import { lyingSyncPeer } from './lying-peers.ts';
import { badProposer, bodyWithholder, equivocator } from './lying-proposers.ts';
import type { LiarKind } from './plan.ts';

/** Forgeries and floods come with every so many words of the liar's own. */
const FORGE_EVERY = 10;
const FLOOD_VOTES = 30;
/** Mean delay of a vote that is to come too late. */
const LATE_MS = 1_500;
const FALSE_HEIGHT = 1_000_000;

/** Turns a node that does not run yet; a twin is added to the world. */
export function corrupt(world: VirtualWorld, one: Inhabitant, how: { readonly kind: LiarKind; readonly random: SeededRandom }): void {
  if (how.kind === 'twin') world.addTwin(one);
  if (how.kind === 'time liar') {
    const errorMs = (how.random.next() - 0.5) * 10_000;
    one.clockErrorMs = () => errorMs;
  }
  if (how.kind === 'lying disk') putOnLyingDisk(world, one, how.random);
  const twist = TWISTS[how.kind];
  if (twist === undefined) return;
  one.seenNetwork = (network) => ({ ...network, ...twist(new Liar(world, one, { network, random: how.random })) });
}

const TWISTS: Readonly<Partial<Record<LiarKind, Twist>>> = {
  silent: (liar) => ({ publish: liar.publish({ vote: () => {}, proposal: () => {} }) }),
  'nil voter': (liar) => ({ publish: liar.publish({ vote: (vote) => liar.sayAll('vote', liar.vote({ ...vote, blockId: null })) }) }),
  'double voter': doubleVoter,
  'equivocating proposer': equivocator,
  withholder: (liar) => ({
    publish: liar.publish({
      vote: (_vote, bytes) => liar.say(oneOf(liar), 'vote', bytes),
      proposal: (_message, bytes) => liar.say(oneOf(liar), 'proposal', bytes),
    }),
  }),
  'hidden lock': hiddenLock,
  amnesiac,
  'bad proposer': badProposer,
  'body withholder': bodyWithholder,
  echo,
  forger,
  spammer,
  'lying sync peer': lyingSyncPeer,
  'removed voter': removedVoter,
  'double endorser': doubleEndorser,
};

function oneOf(liar: Liar): string {
  return liar.others[liar.random.below(liar.others.length)] ?? '';
}

/** Votes for the value to one half, and for nil or something made up to the other. */
function doubleVoter(liar: Liar): Partial<Network> {
  return {
    publish: liar.publish({
      vote: (vote, bytes) => {
        const madeUp = liar.random.chance(0.3) ? asDigest(liar.random.bytes(32)) : null;
        const other = liar.vote({ ...vote, blockId: vote.blockId === null ? asDigest(liar.random.bytes(32)) : madeUp });
        for (const to of liar.others) liar.say(to, 'vote', liar.isFooled(to, vote.height) ? other : bytes);
      },
    }),
  };
}

/** Has no lock: votes for whatever is proposed, at once and twice, and says nothing else. */
function amnesiac(liar: Liar): Partial<Network> {
  return { publish: liar.publish({ vote: () => {} }), ...liar.listening((topic, bytes) => voteForProposal(liar, topic, bytes)) };
}

/** Does its duty as long as it is in the set; once it is out it votes on, for whatever is proposed. */
function removedVoter(liar: Liar): Partial<Network> {
  return liar.listening((topic, bytes) => {
    if (liar.isRemoved) voteForProposal(liar, topic, bytes);
  });
}

/** Endorses whatever anybody wants endorsed, unchecked, two claims for one key as well. */
function doubleEndorser(liar: Liar): Partial<Network> {
  return liar.listening((topic, bytes) => {
    if (!liar.isTopic(topic, 'candidate')) return;
    const read = decode(candidateMessage, bytes, { maxBytes: MAX_CANDIDATE_MESSAGE_BYTES });
    if (!read.ok || read.value.attempt > 0) return;
    liar.sayAll('endorsement', liar.endorsement(transactionId(sha256, read.value.candidate.claims)));
  });
}

function voteForProposal(liar: Liar, topic: string, bytes: Uint8Array): void {
  if (!liar.isTopic(topic, 'proposal')) return;
  const read = decode(proposalMessage, bytes, { maxBytes: MAX_PROPOSAL_MESSAGE_BYTES });
  if (!read.ok || read.value.attempt > 0) return;
  const { height, round, blockId } = read.value.proposal;
  for (const type of ['prevote', 'precommit'] as const) liar.sayAll('vote', liar.vote({ type, height, round, blockId }));
}

/** Shows its votes to one node at once and to the others much later: the one may lock on a polka that nobody else has seen. */
function hiddenLock(liar: Liar): Partial<Network> {
  return {
    publish: liar.publish({
      vote: (vote, bytes) => {
        const chosen = liar.others[(vote.height + vote.round) % liar.others.length];
        for (const to of liar.others) {
          if (to === chosen) liar.say(to, 'vote', bytes);
          else liar.sayLater(liar.random.exponential(LATE_MS), to, { name: 'vote', message: bytes });
        }
      },
    }),
  };
}

/** Says the votes and proposals of others again and again, under attempt numbers of its own choice, which nobody has signed. */
function echo(liar: Liar): Partial<Network> {
  const again = (topic: string, bytes: Uint8Array): void => {
    if (!liar.random.chance(0.3)) return;
    const attempt = liar.random.below(1_000);
    if (liar.isTopic(topic, 'vote')) {
      const read = decode(voteMessage, bytes, { maxBytes: 512 });
      if (read.ok) liar.sayAll('vote', encode(voteMessage, { ...read.value, attempt }));
    } else if (liar.isTopic(topic, 'proposal')) {
      const read = decode(proposalMessage, bytes, { maxBytes: MAX_PROPOSAL_MESSAGE_BYTES });
      if (read.ok) liar.sayAll('proposal', encode(proposalMessage, { ...read.value, attempt }));
    }
  };
  return liar.listening(again);
}

/** Between its honest words: votes in others' names, and certificates made of them or of another chain's. */
function forger(liar: Liar): Partial<Network> {
  const foreign = new Forge(liar.world, asDigest(liar.random.bytes(32)));
  const publish = liar.publish({
    vote: (vote, bytes) => {
      void liar.network.publish(topicOf(liar.world.chainId, 'vote'), bytes);
      liar.words += 1;
      if (liar.words % FORGE_EVERY !== 0) return;
      const blockId = asDigest(liar.random.bytes(32));
      const { height, round } = vote;
      const nodes = [...liar.world.genesis.nodes];
      const cast = (by: Forge) => nodes.map((node) => by.signedVote(node.nodeId, { type: 'prevote', height, round, blockId }));
      const polka = liar.random.chance(0.5)
        ? cast(foreign)
        : cast(liar.forge).map((one) => ({ ...one, signature: flipped(one.signature) }));
      const [first] = polka;
      if (first !== undefined) liar.say(oneOf(liar), 'vote', encode(voteMessage, { vote: first, attempt: 0 }));
      const kind = liar.random.chance(0.5) ? 'polka' : 'commit';
      const votes = kind === 'polka' ? polka : polka.map((one) => ({ ...one, type: 'precommit' as const }));
      liar.say(oneOf(liar), 'certificate', certificateBytes({ kind, height, round, votes, attempt: liar.words }));
    },
  });
  return { publish };
}

/** Votes of its own for far heights and rounds, and statuses beyond belief. */
function spammer(liar: Liar): Partial<Network> {
  const publish = liar.publish({
    vote: (vote, bytes) => {
      void liar.network.publish(topicOf(liar.world.chainId, 'vote'), bytes);
      liar.words += 1;
      if (liar.words % FORGE_EVERY !== 0) return;
      for (let index = 0; index < FLOOD_VOTES; index += 1) {
        const isHeight = liar.random.chance(0.5);
        const height = vote.height + (isHeight ? liar.random.below(1000) : 1);
        const round = isHeight ? 0 : liar.random.below(60_000);
        const content = { type: 'prevote', height, round, blockId: asDigest(liar.random.bytes(32)) } as const;
        liar.say(oneOf(liar), 'vote', liar.vote(content));
      }
      liar.sayAll('status', liar.status(FALSE_HEIGHT + liar.words));
    },
  });
  return { publish };
}

/** Node ids of the liars among the inhabitants, in hex. */
export function idsOf(liars: readonly Inhabitant[]): ReadonlySet<string> {
  return new Set(liars.map((one) => digestToHex(one.nodeId)));
}
