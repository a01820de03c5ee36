/**
 * Finds out that another running node holds this node's network key, by asking peers, since two such nodes can't connect with each other.
 * Follows docs/SPEC.md on the peer protocols.
 *
 * At each new connection, and every minute on those that last, a node says `here` with its session, 16 random bytes made at start. Whoever
 * hears it asks the other connections of that peer id `who`; a different session behind one of them answers with its own, its uptime and a
 * signature over all, which goes back as the proof; the younger of the two takes it to heart, or both where they began within one question. So no
 * peer can make up a twin, nor replay one of an earlier session, and a connection left over from before a restart proves nothing. Best
 * effort: it sees twins with a common peer.
 */

import type { Connection, Libp2p, PrivateKey, Stream } from '@libp2p/interface';
import { asDigest, decode, digest, encode, fixedBytes, nullable, oneOf, sameBytes, tuple, uint } from '../../chain/index.ts';
import type { Clock, Logger, Random, Timer, Timers } from '../ports.ts';
import { withDeadline } from './deadline.ts';
import { readFrame, writeFrame } from './stream-exchange.ts';

export interface TwinWatch {
  readonly attach: (node: Libp2p) => Promise<void>;
  /** Says nothing more until attached again. */
  readonly detach: () => void;
}

export interface TwinWatchDeps {
  readonly privateKey: PrivateKey;
  /** 32 raw bytes. */
  readonly chainId: Uint8Array;
  readonly protocol: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  /** Proven: a twin that runs for longer than this node is connected to the peer at this address. */
  readonly metTwin: (address: string) => void;
}

const SESSION_BYTES = 16;
const questionSchema = tuple(oneOf('here', 'who'), fixedBytes(SESSION_BYTES));
const proofSchema = tuple(fixedBytes(SESSION_BYTES), uint(), fixedBytes(64));
const answerSchema = nullable(proofSchema);
const payloadSchema = tuple(oneOf('cairn/session/1'), digest, fixedBytes(SESSION_BYTES), uint(), fixedBytes(SESSION_BYTES));

const MAX_BYTES = 256;
const SCAN_LIMITS = { maxBytes: MAX_BYTES, maxItems: 16 } as const;
const WHO_TIMEOUT_MS = 3_000;
const HERE_TIMEOUT_MS = 10_000;
const CONNECTIONS_ASKED = 4;
/** A question can fail, and the older twin can be the later one at the common peer: only asking again finds out. */
export const HERE_AGAIN_MS = 60_000;

type Proof = readonly [session: Uint8Array, uptimeMs: number, signature: Uint8Array];

export function openTwinWatch(deps: TwinWatchDeps): TwinWatch {
  const session = deps.random.bytes(SESSION_BYTES);
  const openedMs = deps.clock.nowMs();
  const uptimeMs = (): number => Math.max(0, deps.clock.nowMs() - openedMs);
  const payload = (mine: Uint8Array, mineMs: number, other: Uint8Array): Uint8Array =>
    encode(payloadSchema, ['cairn/session/1', asDigest(deps.chainId), mine, mineMs, other]);

  /** Null when it is this very session that is asked about. */
  async function proveSelf(other: Uint8Array): Promise<Proof | null> {
    if (sameBytes(other, session)) return null;
    const ms = uptimeMs();
    return [session, ms, await deps.privateKey.sign(payload(session, ms, other))];
  }

  /** True for a twin that was there first; of two that began within one question both are told, rather than none. */
  async function isOlderTwin([other, ms, signature]: Proof, askedMs: number): Promise<boolean> {
    if (sameBytes(other, session) || ms < askedMs) return false;
    return await deps.privateKey.publicKey.verify(payload(other, ms, session), signature);
  }

  async function askAt(connection: Connection): Promise<void> {
    const askedMs = uptimeMs();
    const proof = await ask(connection, { word: 'here', session, timeoutMs: HERE_TIMEOUT_MS }, deps);
    if (proof !== null && (await isOlderTwin(proof, askedMs))) deps.metTwin(connection.remoteAddr.toString());
  }

  function sayHere(connection: Connection): void {
    askAt(connection).catch((error: unknown) => deps.logger.debug({ error }, 'peer not asked about twins'));
  }

  let again: Timer | null = null;
  function sayAgain(node: Libp2p): void {
    again = deps.timers.set(HERE_AGAIN_MS, () => {
      for (const connection of node.getConnections()) if (connection.status === 'open') sayHere(connection);
      sayAgain(node);
    });
  }

  async function serve(node: Libp2p, stream: Stream, connection: Connection): Promise<void> {
    await withDeadline({ timeoutMs: HERE_TIMEOUT_MS, timers: deps.timers }, async (signal) => {
      const question = decode(questionSchema, await readFrame(stream, MAX_BYTES, signal), SCAN_LIMITS);
      if (!question.ok) throw new Error(`expected a question about sessions: ${question.reason}`);
      const [word, asked] = question.value;
      const proof = word === 'who' ? await proveSelf(asked) : await askOthers(node, { connection, session: asked }, deps);
      await writeFrame(stream, encode(answerSchema, proof), signal);
      await stream.close({ signal });
    });
  }

  return {
    attach: async (node) => {
      const serveQuietly = (stream: Stream, connection: Connection): Promise<void> =>
        serve(node, stream, connection).catch((error: unknown) => {
          deps.logger.debug({ error }, 'question about sessions failed');
          stream.abort(error instanceof Error ? error : new Error('question failed'));
        });
      await node.handle(deps.protocol, serveQuietly, { maxInboundStreams: 4, maxOutboundStreams: 4 });
      node.addEventListener('connection:open', (event) => sayHere(event.detail));
      sayAgain(node);
    },
    detach: () => again?.cancel(),
  };
}

/** The first proof of another session behind the same peer id, or null. */
async function askOthers(
  node: Libp2p,
  about: { readonly connection: Connection; readonly session: Uint8Array },
  deps: TwinWatchDeps,
): Promise<Proof | null> {
  const others = node.getConnections(about.connection.remotePeer).filter((other) => other.id !== about.connection.id);
  const question = { word: 'who', session: about.session, timeoutMs: WHO_TIMEOUT_MS } as const;
  const answers = await Promise.all(
    others.slice(0, CONNECTIONS_ASKED).map((other) => ask(other, question, deps).catch(() => null)), // A dead connection proves nothing.
  );
  return answers.find((answer) => answer !== null) ?? null;
}

interface Question {
  readonly word: 'here' | 'who';
  readonly session: Uint8Array;
  readonly timeoutMs: number;
}

function ask(connection: Connection, question: Question, deps: TwinWatchDeps): Promise<Proof | null> {
  return withDeadline({ timeoutMs: question.timeoutMs, timers: deps.timers }, async (signal) => {
    const stream = await connection.newStream(deps.protocol, { signal });
    try {
      const answer = readFrame(stream, MAX_BYTES, signal);
      const written = writeFrame(stream, encode(questionSchema, [question.word, question.session]), signal);
      const [bytes] = await Promise.all([answer, written.then(() => stream.close({ signal }))]);
      const decoded = decode(answerSchema, bytes, SCAN_LIMITS);
      if (!decoded.ok) throw new Error(`expected an answer about sessions: ${decoded.reason}`);
      return decoded.value;
    } catch (error) {
      stream.abort(error instanceof Error ? error : new Error('question failed'));
      throw error;
    }
  });
}
