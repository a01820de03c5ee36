/** What an authority remembers of verdicts: each node's newest word, and nothing that a liar can push out. SPEC §3.5. */

import t from 'tap';
import { asDigest, type Digest, type ValidatorSetRecord } from '../../chain/index.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import { VerdictBook } from '../../src/requests/verdict-book.ts';
import { digestOf, filled } from '../chain/arbitraries.ts';
import { VirtualWorld } from '../world/world.ts';

const START_MS = 1_000_000;
const NODES = [digestOf(1), digestOf(2), digestOf(3), digestOf(4)];
const SET: ValidatorSetRecord = NODES.map((nodeId) => ({ nodeId, consensusKey: filled(9), power: 1 }));
const ID = digestOf(0x77);

type Say = (at: number, timeMs: number) => void;

function open(): { readonly book: VerdictBook; readonly refuse: Say; readonly endorse: Say } {
  const book = new VerdictBook({ clock: { nowMs: () => START_MS }, sha256, endorsementMs: () => 60_000 });
  const node = (at: number): Digest => NODES[at] ?? ID;
  return {
    book,
    refuse: (at, timeMs) => book.refused({ transactionId: ID, nodeId: node(at), reason: 'no', timeMs }),
    endorse: (at, timeMs) => book.endorsed(ID, { nodeId: node(at), expiresMs: timeMs + 60_000 }),
  };
}

t.test('refusals from before a build say nothing of it, however often they are said', async (t) => {
  const { book, refuse } = open();
  for (const at of [0, 1, 0, 1]) refuse(at, START_MS - 30_000);
  t.notOk(book.isHopeless(ID, SET, START_MS));
  t.ok(book.isHopeless(ID, SET, START_MS - 30_000));
});

t.test("a node's newest word holds, in whatever order its words are heard", async (t) => {
  const { book, refuse, endorse } = open();
  refuse(0, START_MS);
  refuse(1, START_MS);
  endorse(1, START_MS - 10_000);
  t.ok(book.isHopeless(ID, SET, START_MS), 'an old endorsement takes back nothing');
  endorse(1, START_MS + 1_000);
  refuse(1, START_MS);
  t.notOk(book.isHopeless(ID, SET, START_MS), 'a new one does');
});

t.test('words about what nobody claimed push out none about what was claimed', async (t) => {
  const { book, refuse } = open();
  const world = new VirtualWorld({ seed: 3, authorities: 4, mirrors: 0 });
  t.teardown(() => world.close());
  book.candidate(ID, [world.claim('1.0.0')]);
  refuse(0, START_MS);
  for (let one = 0; one < 5_000; one += 1) {
    const made = asDigest(sha256(new TextEncoder().encode(String(one))));
    book.endorsed(made, { nodeId: digestOf(2), expiresMs: START_MS + 60_000 });
  }
  t.equal(book.get(ID)?.verdicts.size, 1);
});
