/**
 * What must hold of a network of whole nodes whatever happens to it: each rule judged from facts alone, holding its own memory, so that no
 * node is asked what it thinks of itself. Says null, or what is wrong.
 */

import { blockHeader, type Digest, digestToHex, encode, keyOf, transactionId, validatorSetDigest, votePayload } from '../../chain/index.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { SignedItem } from '../../src/ports.ts';
import type { Committed, Fact } from './facts.ts';
import { claimsCommitted, convergence, nothingLost, progress, promptDecision } from './liveness-invariants.ts';
import type { SetBook } from './set-book.ts';
import { versionFollows } from './version-invariant.ts';
import { lockDiscipline, singleEndorsement, singleSignature } from './vote-invariants.ts';

/** What is known of the network before it begins. */
export interface Terms {
  readonly chainId: Digest;
  /** Share of the default consensus timeouts. */
  readonly pace: number;
  /** Who may vote when. */
  readonly sets: SetBook;
  /** Names of the nodes that run as they should. */
  readonly honest: ReadonlySet<string>;
  /** Node ids, in hex, of the liars. */
  readonly guilty: ReadonlySet<string>;
  readonly isValid: (item: SignedItem) => boolean;
}

/** Whose failure is nobody's in particular. */
export const THE_WORLD = 'the world';

export type Judge = (fact: Fact) => string | null;

export interface Invariant {
  readonly name: string;
  readonly judge: Judge;
}

/** Every invariant, with an empty memory. */
export function invariants(terms: Terms): readonly Invariant[] {
  return Object.entries(JUDGES).map(([name, make]) => ({ name, judge: make(terms) }));
}

const JUDGES: Readonly<Record<string, (terms: Terms) => Judge>> = {
  agreement,
  'equal state': equalState,
  'sets follow the chain': setsFollow,
  'version follows the chain': versionFollows,
  integrity,
  'hash links': hashLinks,
  validity,
  'sound certificates': soundCertificates,
  'single signature': singleSignature,
  'single endorsement': singleEndorsement,
  'lock discipline': lockDiscipline,
  'synced before sent': syncedBeforeSent,
  'replay equals memory': replayEqualsMemory,
  monotone,
  'only the guilty accused': onlyTheGuilty,
  'bounded queues': boundedQueues,
  'no failure': noFailure,
  'no honest node sent away': noneSentAway,
  'nothing acknowledged lost': nothingLost,
  progress,
  'prompt decision': promptDecision,
  'claims committed': claimsCommitted,
  convergence,
};

export const INVARIANT_NAMES: readonly string[] = Object.keys(JUDGES);

/** No two nodes decide differently at a height, nor find another block there when they begin. */
function agreement(): Judge {
  const decided = new Map<number, string>();
  const judge = (name: string, height: number, here: string): string | null => {
    const there = decided.get(height) ?? here;
    decided.set(height, there);
    return here === there ? null : `${name} decided ${here} at ${height}, another ${there}`;
  };
  return (fact) => {
    if (fact.kind === 'committed') return judge(fact.name, fact.block.header.height, digestToHex(fact.blockId));
    if (fact.kind !== 'started') return null;
    return [...fact.tip.blocks].map(([height, id]) => judge(fact.name, height, id)).find((detail) => detail !== null) ?? null;
  };
}

/** Equal sets and state at equal heights, and they are what the header says. */
function equalState(): Judge {
  const seen = new Map<number, string>();
  return (fact) => {
    if (fact.kind !== 'committed') return null;
    const { header } = fact.block;
    const here = `${digestToHex(fact.stateRoot)}/${digestToHex(fact.nextSetDigest)}`;
    const written = `${digestToHex(header.stateRoot)}/${digestToHex(header.nextSetDigest)}`;
    const there = seen.get(header.height) ?? written;
    seen.set(header.height, there);
    return here === there && here === written
      ? null
      : `${fact.name} at ${header.height}: state ${here}, header ${written}, others ${there}`;
  };
}

/** Every header names the sets that the blocks before it have made. */
function setsFollow(terms: Terms): Judge {
  return (fact) => {
    if (fact.kind !== 'committed') return null;
    const { height, setDigest, nextSetDigest } = fact.block.header;
    const isRight = (named: Digest, at: number): boolean =>
      digestToHex(named) === digestToHex(validatorSetDigest(sha256, terms.sets.at(at)));
    if (!isRight(setDigest, height)) return `block ${height} names another set for its height`;
    return isRight(nextSetDigest, height + 1) ? null : `block ${height} names another set for the next height`;
  };
}

/** A chain never gets shorter and its blocks never change, whatever happens to the process of an honest node. */
function integrity(terms: Terms): Judge {
  const heights = new Map<string, number>();
  const blocks = new Map<string, string>();
  return (fact) => {
    if (!('name' in fact) || !terms.honest.has(fact.name)) return null;
    const { name } = fact;
    const height = heights.get(name) ?? 0;
    if (fact.kind === 'wiped' && fact.chainHeight !== null) heights.set(name, Math.min(height, fact.chainHeight));
    if (fact.kind === 'committed') {
      const next = fact.block.header.height;
      if (next !== height + 1) return `${name} committed ${next} after ${height}`;
      heights.set(name, next);
      blocks.set(`${name} ${next}`, digestToHex(fact.blockId));
    }
    if (fact.kind !== 'started') return null;
    const { tip } = fact;
    if (tip.height < height) return `${name} began at ${tip.height}, it was at ${height}`;
    // What was written the moment before the process died, a whole page of blocks perhaps, is there without anybody having been told.
    heights.set(name, tip.height);
    for (const [at, id] of tip.blocks) {
      const key = `${name} ${at}`;
      if ((blocks.get(key) ?? id) !== id) return `${name} has another block at ${at} than before`;
      blocks.set(key, id);
    }
    return null;
  };
}

function hashLinks(terms: Terms): Judge {
  const ids = new Map<number, Digest>([[0, terms.chainId]]);
  return (fact) => {
    if (fact.kind !== 'committed') return null;
    const { header } = fact.block;
    const id = sha256(encode(blockHeader, header));
    if (digestToHex(id) !== digestToHex(fact.blockId)) return `${fact.name}: the block of ${header.height} does not have its id`;
    const parent = ids.get(header.height - 1);
    if (!ids.has(header.height)) ids.set(header.height, id);
    if (parent === undefined || digestToHex(parent) === digestToHex(header.previousBlockId)) return null;
    return `${fact.name}: block ${header.height} does not follow the one before it`;
  };
}

/**
 * Only what was really submitted is committed, one claim for each record that it replaces; time grows; the proposer's turn; no empty block
 * in round 0 without a reason.
 */
function validity(terms: Terms): Judge {
  const submitted = new Set<string>();
  const heightOf = new Map<string, number>();
  const times = new Map<number, number>();
  return (fact) => {
    if (fact.kind === 'submitted' || fact.kind === 'candidate') submitted.add(fact.id);
    if (fact.kind !== 'committed') return null;
    const { header, transactions, evidence } = fact.block;
    const { height, round, timeMs } = header;
    const set = terms.sets.at(height);
    const turn = set[(height + round) % set.length];
    if (turn === undefined || digestToHex(turn.nodeId) !== digestToHex(header.proposer)) return `block ${height} is not of its proposer`;
    if (timeMs <= (times.get(height - 1) ?? 0)) return `the time of block ${height} does not grow`;
    const isSame = digestToHex(header.setDigest) === digestToHex(header.nextSetDigest);
    const quiet = transactions.length === 0 && evidence.length === 0 && round === 0 && isSame;
    if (quiet && timeMs - (times.get(height - 1) ?? 0) < 600_000) return `block ${height} is empty without a reason`;
    times.set(height, timeMs);
    for (const { claims } of transactions) {
      const id = digestToHex(transactionId(sha256, claims));
      if (!submitted.has(id)) return `block ${height} holds a transaction that nobody submitted`;
      for (const claim of claims) {
        const key = `${keyOf(claim)} for ${claim.replaces}`;
        const before = heightOf.get(key) ?? height;
        if (before !== height) return `${key} is in block ${before} and in ${height}`;
        heightOf.set(key, height);
      }
    }
    return null;
  };
}

/** More than two thirds of the set have signed exactly this block, by their own keys. */
function soundCertificates(terms: Terms): Judge {
  return (fact) => {
    if (fact.kind !== 'committed') return null;
    const { certificate, block } = fact;
    const { height, round, blockId } = certificate;
    if (height !== block.header.height || digestToHex(blockId) !== digestToHex(fact.blockId))
      return `the certificate of ${height} is of another block`;
    if (round < block.header.round) return `the certificate of ${height} is older than its block`;
    const signers = validSigners(terms, fact);
    const set = terms.sets.at(height);
    const power = set.filter(({ nodeId }) => signers.has(digestToHex(nodeId))).reduce((sum, one) => sum + one.power, 0);
    const total = set.reduce((sum, one) => sum + one.power, 0);
    return 3 * power > 2 * total ? null : `the certificate of ${height} holds ${power} of ${total}`;
  };
}

function validSigners(terms: Terms, { certificate }: Committed): ReadonlySet<string> {
  const { height, round, blockId, signatures } = certificate;
  const message = votePayload(terms.chainId, { type: 'precommit', height, round, blockId });
  const valid = new Set<string>();
  for (const { nodeId, signature } of signatures) {
    const member = terms.sets.at(height).find((one) => digestToHex(one.nodeId) === digestToHex(nodeId));
    if (member !== undefined && terms.isValid({ publicKey: member.consensusKey, message, signature })) valid.add(digestToHex(nodeId));
  }
  return valid;
}

/** No signature leaves a node before it is safe on its disk. */
function syncedBeforeSent(terms: Terms): Judge {
  return (fact) => {
    if ('name' in fact && !terms.honest.has(fact.name)) return null;
    if (fact.kind === 'vote' && !fact.isSynced)
      return `${fact.name} sent a ${fact.vote.type} of ${fact.vote.height}/${fact.vote.round} too early`;
    if (fact.kind === 'proposal' && !fact.isSynced) return `${fact.name} sent its proposal of ${fact.message.proposal.height} too early`;
    return null;
  };
}

/** The log on the disk leads to the vote that was just said; and a process that begins again is bound by the lock it had. */
function replayEqualsMemory(terms: Terms): Judge {
  const locks = new Map<string, { readonly height: number; readonly round: number }>();
  return (fact) => {
    if ('name' in fact && !terms.honest.has(fact.name)) return null;
    if (fact.kind === 'wiped') locks.delete(fact.name);
    if (fact.kind === 'vote' && fact.vote.type === 'precommit' && fact.vote.blockId !== null) {
      const lock = locks.get(fact.name);
      const { height, round } = fact.vote;
      if (lock === undefined || height > lock.height || (height === lock.height && round > lock.round))
        locks.set(fact.name, { height, round });
    }
    if (fact.kind === 'started') {
      const before = locks.get(fact.name);
      const { lock } = fact;
      if (before === undefined || lock === null || before.height !== lock.height || lock.round >= before.round) return null;
      return `${fact.name} was locked in ${before.height}/${before.round} and has forgotten it`;
    }
    if (fact.kind !== 'replayed' || fact.said === fact.replayed) return null;
    return `${fact.name} said ${fact.said} in ${fact.slot}, its log replays to ${fact.replayed}`;
  };
}

const STEPS = ['waiting', 'propose', 'prevote', 'precommit', 'decided'];

/** (height, round, step) of a process never goes back. */
function monotone(): Judge {
  const places = new Map<string, readonly [life: number, height: number, round: number, step: number]>();
  return (fact) => {
    if (fact.kind !== 'position') return null;
    const here = [fact.life, fact.height, fact.round, STEPS.indexOf(fact.step)] as const;
    const before = places.get(fact.name) ?? here;
    places.set(fact.name, here);
    const first = here.findIndex((value, index) => value !== before[index]);
    return first < 0 || (here[first] ?? 0) > (before[first] ?? 0)
      ? null
      : `${fact.name} went from ${before.join('/')} to ${here.join('/')}`;
  };
}

function onlyTheGuilty(terms: Terms): Judge {
  return (fact) => {
    if (fact.kind === 'accused' && !terms.guilty.has(fact.nodeId))
      return `${fact.name}: evidence (${fact.where}) against the honest ${fact.nodeId}`;
    if (fact.kind !== 'committed') return null;
    const wrong = fact.block.evidence.map((one) => digestToHex(one.first.nodeId)).find((one) => !terms.guilty.has(one));
    return wrong === undefined ? null : `block ${fact.block.header.height} accuses the honest ${wrong}`;
  };
}

function boundedQueues(): Judge {
  return (fact) => {
    if (fact.kind !== 'queues') return null;
    const over = Object.entries(fact.sizes).find(([, [size, limit]]) => size > limit);
    return over === undefined ? null : `${fact.name}: ${over[0]} holds ${over[1][0]}, at most ${over[1][1]} are allowed`;
  };
}

function noFailure(terms: Terms): Judge {
  return (fact) =>
    fact.kind === 'failed' && (terms.honest.has(fact.name) || fact.name === THE_WORLD) ? `${fact.name}: ${fact.error}` : null;
}

function noneSentAway(terms: Terms): Judge {
  return (fact) => {
    if (fact.kind !== 'penalty' || !terms.honest.has(fact.by) || !terms.honest.has(fact.against)) return null;
    return `${fact.by} sends ${fact.against} away: ${fact.detail}`;
  };
}
