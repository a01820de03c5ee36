/**
 * Decisions over gossip that is not enough: rings, stars and single links, loss, and re-sends that never arrive. Whole nodes on virtual time;
 * each world has to decide several heights within a bound of rounds and of time, for every seed. SPEC §9.4.
 */

import t from 'tap';
import { decode, encode, MAX_PROPOSAL_MESSAGE_BYTES, proposalMessage, sealedTransaction, voteMessage } from '../../chain/index.ts';
import { topicOf } from '../../src/channels.ts';
import { keyedHashes } from './signatures.ts';
import type { Passage } from './virtual-air.ts';
import { disagreement, fatals } from './watch.ts';
import { VirtualWorld } from './world.ts';

t.setTimeout(560_000);

const HEIGHTS = 4;
/** On the worst ground, one height in a hundred takes five minutes. */
const NEVER_MS = 900_000;
const SEEDS = [1, 2, 3, 4, 5, 6];

interface Ground {
  readonly name: string;
  /** Pairs that see each other; null: all do. */
  readonly links: readonly (readonly [number, number])[] | null;
  readonly loss: number;
  /** What is lost besides. */
  readonly swallows?: (world: VirtualWorld, passage: Passage) => boolean;
  /**
   * What the worst height of a seed may take: rounds at the worst of all seeds, seconds on their average, since how often one message is lost
   * in a row is chance and has no bound.
   */
  readonly most: { readonly rounds: number; readonly seconds: number };
}

const RING = [
  [0, 1],
  [1, 2],
  [2, 3],
  [3, 0],
] as const;
const STAR = [
  [0, 1],
  [0, 2],
  [0, 3],
] as const;
const LINE = [
  [0, 1],
  [1, 2],
  [2, 3],
] as const;
const ONE_LINK = [
  [0, 1],
  [0, 2],
  [1, 2],
  [2, 3],
] as const;

const GROUNDS: readonly Ground[] = [
  { name: 'a ring of four', links: RING, loss: 0, most: { rounds: 1, seconds: 5 } },
  { name: 'a star', links: STAR, loss: 0, most: { rounds: 1, seconds: 5 } },
  { name: 'a line', links: LINE, loss: 0, most: { rounds: 1, seconds: 5 } },
  { name: 'one authority on a single link', links: ONE_LINK, loss: 0, most: { rounds: 1, seconds: 5 } },
  { name: '30 % of all messages lost', links: null, loss: 0.3, most: { rounds: 3, seconds: 10 } },
  { name: 'a ring that loses 30 %', links: RING, loss: 0.3, most: { rounds: 3, seconds: 15 } },
  { name: 'a star that loses 30 %', links: STAR, loss: 0.3, most: { rounds: 3, seconds: 25 } },
  { name: 'a line that loses 30 %', links: LINE, loss: 0.3, most: { rounds: 3, seconds: 40 } },
  { name: '30 % lost, and every re-send', links: null, loss: 0.3, swallows: isResend, most: { rounds: 4, seconds: 30 } },
  { name: 'a line that loses 30 % and every re-send', links: LINE, loss: 0.3, swallows: isResend, most: { rounds: 14, seconds: 220 } },
];

/** Of votes and proposals: then only certificates and direct help are left. */
function isResend({ chainId }: VirtualWorld, { topic, message }: Passage): boolean {
  const limits = { maxBytes: MAX_PROPOSAL_MESSAGE_BYTES };
  if (topic === topicOf(chainId, 'vote')) {
    const vote = decode(voteMessage, message, limits);
    return vote.ok && vote.value.attempt > 0;
  }
  const proposal = topic === topicOf(chainId, 'proposal') ? decode(proposalMessage, message, limits) : null;
  return proposal?.ok === true && proposal.value.attempt > 0;
}

interface Course {
  readonly rounds: number;
  readonly seconds: number;
  readonly problem: string | null;
}

/** The most rounds and seconds that any height took to be with everybody. */
async function course(ground: Ground, seed: number): Promise<Course> {
  const world = new VirtualWorld({ seed: 9_000 + seed, authorities: 4, mirrors: 0, signatures: keyedHashes() });
  await world.startAll();
  const { route } = world.air;
  world.air.weather.loss = ground.loss;
  world.air.route = (passage) => (ground.swallows?.(world, passage) === true ? [] : route(passage));
  const addresses = world.inhabitants.map((one) => one.network?.peerId ?? '');
  if (ground.links !== null) world.air.partition(ground.links.map((pair) => pair.map((index) => addresses[index] ?? '')));
  let [rounds, longestMs, missed] = [0, 0, 0];
  for (let height = 1; height <= HEIGHTS && missed === 0; height += 1) {
    const startMs = world.time.nowMs;
    for (const one of world.inhabitants) void one.node?.operations.submit(encode(sealedTransaction, world.sealed(`1.${height}.0`)));
    if (!(await world.time.until(() => world.heights().every((one) => one >= height), NEVER_MS))) missed = height;
    longestMs = Math.max(longestMs, world.time.nowMs - startMs);
    rounds = Math.max(rounds, ...world.running.map((node) => node.head.certificate?.round ?? 0));
  }
  const problem =
    disagreement(world) ?? fatals(world)[0] ?? (missed === 0 ? null : `height ${missed} was never decided: ${world.heights().join()}`);
  await world.close();
  return { rounds, seconds: longestMs / 1000, problem };
}

for (const ground of GROUNDS) {
  t.test(`decides on: ${ground.name}`, async (t) => {
    const courses: Course[] = [];
    for (const seed of SEEDS) {
      const found = await course(ground, seed);
      t.equal(found.problem, null, `seed ${seed}`);
      courses.push(found);
    }
    const rounds = Math.max(...courses.map((one) => one.rounds));
    const seconds = courses.reduce((sum, one) => sum + one.seconds, 0) / courses.length;
    t.ok(rounds <= ground.most.rounds, `round ${rounds} of at most ${ground.most.rounds}`);
    t.ok(seconds <= ground.most.seconds, `${seconds.toFixed(1)} s of at most ${ground.most.seconds}, on average`);
  });
}
