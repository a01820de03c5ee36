/** Authorities that lie when it is their turn to propose: two blocks, a bad one, or one that nobody can put together. */

import {
  asDigest,
  type Block,
  type BlockHeader,
  certificateDigest,
  type Digest,
  executeBlock,
  merkleRoot,
  type ProposalMessage,
  rootOfLeafHashes,
} from '../../chain/index.ts';
import { topicOf } from '../../src/channels.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { Network } from '../../src/ports.ts';
import { proposalBytes } from '../world/hostile-peer.ts';
import { type Liar, slotOf } from './liar.ts';

/** Two blocks in one round, each proposed to half of the others, and votes for each to those who have seen it. */
export function equivocator(liar: Liar): Partial<Network> {
  const seconds = new Map<string, Digest>();
  return {
    publish: liar.publish({
      proposal: (message, bytes) => {
        const { height, round, validRound } = message.proposal;
        const block = validRound === null ? secondBlock(liar, message) : null;
        if (block === null) return void liar.network.publish(topicOf(liar.world.chainId, 'proposal'), bytes);
        seconds.set(slotOf({ height, round }), liar.forge.idOf(block.header));
        const second = proposalBytes(liar.forge.proposal(block, {}, liar.one.nodeId));
        for (const to of liar.others) liar.say(to, 'proposal', liar.isFooled(to, height) ? second : bytes);
      },
      vote: (vote, bytes) => {
        const other = liar.ownVote(vote, bytes, seconds);
        for (const to of liar.others) liar.say(to, 'vote', liar.isFooled(to, vote.height) ? other : bytes);
      },
    }),
  };
}

/** The same block a millisecond later; now and then with a state that does not follow from it. */
function secondBlock(liar: Liar, { header, lastCommit, evidence, sealedDigests }: ProposalMessage): Block | null {
  const { node } = liar.one;
  if (node === null || node.head.height + 1 !== header.height) return null;
  const transactions = sealedDigests.flatMap((one) => node.mempool.sealed(one) ?? []);
  const { height, round, proposer } = header;
  const made = executeBlock(
    node.head.view,
    { height, round, timeMs: header.timeMs + 1, transactions, lastCommit, evidence, proposer },
    sha256,
  );
  if (!made.ok) return null;
  const stateRoot = liar.random.chance(0.3) ? asDigest(liar.random.bytes(32)) : made.header.stateRoot;
  return { header: { ...made.header, stateRoot }, transactions, lastCommit, evidence };
}

type Change = (liar: Liar, message: ProposalMessage) => ProposalMessage;

/** What a block must not be, each in another way; all but the first and the last are refused by `checkBlock` alone. */
const FAULTS: readonly Change[] = [
  (_liar, message) => withHeader(message, { timeMs: message.header.timeMs + 3_600_000 }),
  (liar, message) => withHeader(message, { stateRoot: asDigest(liar.random.bytes(32)) }),
  (liar, message) => withHeader(message, { previousBlockId: asDigest(liar.random.bytes(32)) }),
  (liar, message) => withHeader(message, { nextSetDigest: asDigest(liar.random.bytes(32)) }),
  (_liar, message) => withHeader(message, { logSize: message.header.logSize + 1 }),
  (_liar, message) => ({ ...withHeader(message, { transactionsRoot: merkleRoot(sha256, []) }), sealedDigests: [] }),
  (_liar, message) => {
    const { lastCommit } = message;
    if (lastCommit === null) return withHeader(message, { version: 2 });
    const poor = { ...lastCommit, signatures: lastCommit.signatures.slice(1) };
    return { ...withHeader(message, { lastCommitDigest: certificateDigest(sha256, poor) }), lastCommit: poor };
  },
  (_liar, message) => withHeader(message, { round: message.header.round + 1 }),
];

/** Proposes blocks that are whole and signed, and wrong; and votes for them. */
export function badProposer(liar: Liar): Partial<Network> {
  return proposing(liar, (message) => FAULTS[liar.random.below(FAULTS.length)]?.(liar, message) ?? message);
}

/** Its proposals name a transaction that nobody has, and that it never gives. */
export function bodyWithholder(liar: Liar): Partial<Network> {
  return proposing(liar, (message) => {
    const sealedDigests = [...message.sealedDigests, asDigest(liar.random.bytes(32))];
    return { ...withHeader(message, { transactionsRoot: rootOfLeafHashes(sha256, sealedDigests) }), sealedDigests };
  });
}

/** Proposes something else than its node, now and then, and votes for it. */
function proposing(liar: Liar, change: (message: ProposalMessage) => ProposalMessage): Partial<Network> {
  const proposed = new Map<string, Digest>();
  return {
    publish: liar.publish({
      proposal: (message, bytes) => {
        const isFresh = message.proposal.validRound === null && message.attempt === 0;
        if (!isFresh || liar.random.chance(0.3)) return void liar.network.publish(topicOf(liar.world.chainId, 'proposal'), bytes);
        const { header, sealedDigests, lastCommit, evidence } = change(message);
        const signed = liar.forge.proposal({ header, transactions: [], lastCommit, evidence }, { sealedDigests }, liar.one.nodeId);
        const { height, round } = message.proposal;
        proposed.set(slotOf({ height, round }), signed.proposal.blockId);
        liar.sayAll('proposal', proposalBytes(signed));
      },
      vote: (vote, bytes) => liar.sayAll('vote', liar.ownVote(vote, bytes, proposed)),
    }),
  };
}

function withHeader(message: ProposalMessage, change: Partial<BlockHeader>): ProposalMessage {
  return { ...message, header: { ...message.header, ...change } };
}
