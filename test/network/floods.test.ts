/**
 * Floods against a real authority of a real network: every topic, every direct protocol, what is far ahead, out of range, unknown or too
 * long. Whatever comes, the victim goes on voting and answering, its memory stays bounded, and who breaks the rules loses the connection. SPEC §8.
 */

import t, { type Test } from 'tap';
import {
  type CertificateMessage,
  certificateMessage,
  type Digest,
  digestFromHex,
  encode,
  endorsementMessage,
  helpRequest,
  proposalMessage,
  refusalMessage,
  type SignedVote,
  signedStatusMessage,
  voteMessage,
} from '../../chain/index.ts';
import { type ProtocolName, protocolOf, type TopicName, topicOf } from '../../src/channels.ts';
import type { LocalnetNode } from '../../src/localnet/index.ts';
import { digestOf, filled } from '../chain/arbitraries.ts';
import { confessions } from '../chaos/verdict.ts';
import { client } from '../clients.ts';
import { type Fixture, startNetwork, waitFor } from '../end-to-end/localnet-fixture.ts';
import { RawPeer } from './raw-peer.ts';

const MIB = 1024 * 1024;
/** Above what the victim took before the floods; V8 keeps what it once had for a while. */
const MOST_GROWTH_BYTES = 300 * MIB;
const PATIENCE_MS = 90_000;

interface Flood {
  readonly name: string;
  readonly topic: TopicName;
  readonly count: number;
  readonly messageOf: (nth: number, member: Digest) => Uint8Array;
  /** `away`: the first such message costs the connection. `borne`: it is dropped, and above the rate it costs the connection, too. */
  readonly fate: 'away' | 'borne';
}

function vote(change: Partial<SignedVote>): SignedVote {
  return { type: 'prevote', height: 2, round: 0, blockId: digestOf(1), nodeId: digestOf(9), signature: filled(1, 64), ...change };
}

function voteBytes(nth: number, change: Partial<SignedVote>): Uint8Array {
  return encode(voteMessage, { vote: vote(change), attempt: nth });
}

function certificateBytes(nth: number, change: Partial<CertificateMessage>): Uint8Array {
  const votes = Array.from({ length: 512 }, () => vote({ height: 1_000_000 }));
  return encode(certificateMessage, { kind: 'polka', height: 1_000_000, round: 0, votes, attempt: nth, ...change });
}

function proposalBytes(nth: number): Uint8Array {
  const proposal = { height: 1_000_000, round: 0, blockId: digestOf(1), validRound: null, nodeId: digestOf(9), signature: filled(1, 64) };
  const one = digestOf(2);
  const header = {
    version: 1,
    chainId: one,
    height: 1_000_000,
    round: 0,
    timeMs: 1,
    previousBlockId: one,
    transactionsRoot: one,
    logSize: 1,
    logRoot: one,
    stateRoot: one,
    setDigest: one,
    nextSetDigest: one,
    lastCommitDigest: null,
    evidenceRoot: one,
    proposer: one,
  };
  const sealedDigests = Array.from({ length: 2_000 }, () => one);
  return encode(proposalMessage, { proposal, header, sealedDigests, lastCommit: null, evidence: [], attempt: nth });
}

const FLOODS: readonly Flood[] = [
  {
    name: 'votes of future heights',
    topic: 'vote',
    count: 15_000,
    fate: 'borne',
    messageOf: (nth, nodeId) => voteBytes(nth, { height: 1_000 + nth, nodeId }),
  },
  {
    name: 'votes of far rounds',
    topic: 'vote',
    count: 15_000,
    fate: 'borne',
    messageOf: (nth, nodeId) => voteBytes(nth, { round: 60_000, nodeId }),
  },
  { name: 'votes of nodes in no set', topic: 'vote', count: 15_000, fate: 'borne', messageOf: (nth) => voteBytes(nth, {}) },
  { name: 'votes longer than a vote', topic: 'vote', count: 100, fate: 'away', messageOf: () => filled(0, 513) },
  { name: 'proposals of far heights, of 64 KiB each', topic: 'proposal', count: 500, fate: 'borne', messageOf: proposalBytes },
  {
    name: 'certificates of far heights, with 512 votes each',
    topic: 'certificate',
    count: 500,
    fate: 'borne',
    messageOf: (nth) => certificateBytes(nth, {}),
  },
  { name: 'certificates with more votes than a certificate has', topic: 'certificate', count: 10, fate: 'away', messageOf: tooManyVotes },
  { name: 'candidates that are none', topic: 'candidate', count: 100, fate: 'away', messageOf: () => filled(0xa2, 300 * 1024) },
  { name: 'endorsements of nodes in no set', topic: 'endorsement', count: 15_000, fate: 'borne', messageOf: endorsementBytes },
  { name: 'refusals of nodes in no set', topic: 'refusal', count: 15_000, fate: 'borne', messageOf: refusalBytes },
  { name: 'transactions that are none', topic: 'transaction', count: 100, fate: 'away', messageOf: () => filled(0xa2, 300 * 1024) },
  { name: 'statuses of nodes in no set', topic: 'status', count: 15_000, fate: 'borne', messageOf: statusBytes },
  { name: 'requests that are none', topic: 'request', count: 100, fate: 'away', messageOf: () => filled(0xa2, 4_000) },
];

/** Its bytes say 513 votes: a whole certificate, and one vote more behind a changed count. */
function tooManyVotes(nth: number): Uint8Array {
  const whole = Buffer.from(certificateBytes(nth, {}));
  const count = whole.indexOf(Buffer.of(0x99, 0x02, 0x00));
  whole.writeUInt16BE(0xffff, count + 1);
  return whole;
}

function endorsementBytes(nth: number): Uint8Array {
  const endorsement = { nodeId: digestOf(9), expiresMs: 1, signature: filled(1, 64) };
  return encode(endorsementMessage, { transactionId: digestOf(3), endorsement, publicKey: filled(2), attempt: nth });
}

function refusalBytes(nth: number): Uint8Array {
  const refusal = { transactionId: digestOf(3), nodeId: digestOf(9), reason: 'x'.repeat(500), timeMs: nth, signature: filled(1, 64) };
  return encode(refusalMessage, { refusal, publicKey: filled(2), attempt: nth });
}

function statusBytes(nth: number): Uint8Array {
  return encode(signedStatusMessage, {
    height: nth,
    blockId: digestOf(3),
    timeMs: nth,
    nodeId: digestOf(9),
    publicKey: filled(2),
    signature: filled(1, 64),
  });
}

const PROTOCOLS: readonly ProtocolName[] = ['status', 'blocks', 'transactions', 'help', 'build'];

/** The attacked authority, and what it is made of. */
interface Scene {
  readonly fixture: Fixture;
  readonly victim: LocalnetNode;
  readonly chainId: Digest;
  readonly member: Digest;
  readonly attack: (t: Test) => Promise<RawPeer>;
}

async function openScene(t: Test, curl: string): Promise<Scene> {
  const fixture = await startNetwork(t, { curl, mirrors: 0, startArgs: ['--publish-wait-ms', '30000'] });
  const victim = fixture.node('node1');
  const { chain, addresses, set } = await victim.admin.status();
  const address = addresses.find((one) => one.includes('/127.0.0.1/')) ?? '';
  const attack = async (test: Test): Promise<RawPeer> => {
    const peer = await RawPeer.dial({ chainTag: chain.chainId.slice(0, 16), address });
    test.teardown(() => peer.close());
    return peer;
  };
  return { fixture, victim, chainId: digestFromHex(chain.chainId), member: digestFromHex(set[1]?.nodeId ?? ''), attack };
}

async function memoryOf(scene: Scene): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${scene.victim.ports.metrics}/metrics`)).text();
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1]);
}

/** It commits what is published at it, and holds no more memory than it may. */
async function checkVictim(t: Test, scene: Scene, of: { readonly name: string; readonly beforeBytes: number }): Promise<void> {
  const target = `/generic/demo/${of.name.replaceAll(/[^a-z0-9]+/g, '-')}/1.0.0/file.txt`;
  t.equal((await scene.fixture.publish(scene.victim, target, Buffer.from(target))).status, 201, 'it commits what is published at it');
  const grownBytes = (await memoryOf(scene)) - of.beforeBytes;
  t.ok(grownBytes < MOST_GROWTH_BYTES, `its memory has grown by ${Math.round(grownBytes / MIB)} MiB of at most ${MOST_GROWTH_BYTES / MIB}`);
}

t.setTimeout(560_000);

t.test('an authority bears floods on every topic and protocol', async (t) => {
  const curl = client(t, 'curl');
  if (curl === null) return;
  const scene = await openScene(t, curl);
  const beforeBytes = await memoryOf(scene);
  for (const flood of FLOODS) {
    await t.test(`gossip: ${flood.name}`, async (t) => {
      const peer = await scene.attack(t);
      const said = await peer.flood(topicOf(scene.chainId, flood.topic), flood.count, (nth) => flood.messageOf(nth, scene.member));
      if (flood.fate === 'away') await waitFor('the offender is sent away', PATIENCE_MS, async () => !peer.isConnected);
      t.comment(`${said} said, then ${peer.isConnected ? 'still connected' : 'sent away'}`);
      await checkVictim(t, scene, { name: flood.name, beforeBytes });
    });
  }
  for (const protocol of PROTOCOLS) {
    await t.test(`direct: ${protocol}`, async (t) => {
      const name = protocolOf(scene.chainId, protocol);
      const long = await scene.attack(t);
      await long.announce(name, 64 * MIB);
      await waitFor('who announces too much is sent away', PATIENCE_MS, async () => !long.isConnected);
      const many = await scene.attack(t);
      await many.askAtOnce(name, 400, protocol === 'help' ? encode(helpRequest, { height: 1 }) : filled(0xff, 16));
      await waitFor('who asks without end is sent away', PATIENCE_MS, async () => !many.isConnected);
      await checkVictim(t, scene, { name: protocol, beforeBytes });
    });
  }
  const honest = scene.fixture.nodes.map(({ name }) => name);
  for (const node of scene.fixture.nodes) {
    t.same(
      confessions(node).filter((line) => !line.includes('peer sent away')),
      [],
      `${node.name} has nothing else to say`,
    );
  }
  const peers = await Promise.all(scene.fixture.nodes.map(async (node) => (await node.admin.status()).peers));
  t.ok(
    peers.every((count) => count >= honest.length - 1),
    'and the honest are connected as before',
  );
});
