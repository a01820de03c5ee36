/**
 * A program for the tests: `cairn start` with a tap on its line. Every vote and proposal that the node says or hears is written to a file of
 * its data folder first, so that what was signed can be compared by somebody who is no node.
 */

import { appendFileSync } from 'node:fs';
import path from 'node:path';
import {
  decode,
  digestToHex,
  MAX_PROPOSAL_MESSAGE_BYTES,
  MAX_VOTE_MESSAGE_BYTES,
  proposalMessage,
  voteMessage,
} from '../../chain/index.ts';
import type { World } from '../../src/ports.ts';
import { runSeenDaemon } from '../seen-daemon.ts';
import { TAPPED_FILE } from './tapped.ts';

/** `node kind height round: what`, or null for what is neither vote nor proposal. */
function lineOf(topic: string, message: Uint8Array): string | null {
  const [, , , name] = topic.split('/');
  if (name === 'vote') {
    const read = decode(voteMessage, message, { maxBytes: MAX_VOTE_MESSAGE_BYTES });
    if (!read.ok) return null;
    const { nodeId, type, height, round, blockId } = read.value.vote;
    return `${digestToHex(nodeId)} ${type} ${height} ${round}: ${blockId === null ? 'nil' : digestToHex(blockId)}`;
  }
  const read = name === 'proposal' ? decode(proposalMessage, message, { maxBytes: MAX_PROPOSAL_MESSAGE_BYTES }) : null;
  if (read?.ok !== true) return null;
  const { nodeId, height, round, blockId, validRound } = read.value.proposal;
  return `${digestToHex(nodeId)} proposal ${height} ${round}: ${digestToHex(blockId)} of ${validRound ?? 'this round'}`;
}

function tapped(world: World, dataDir: string): World {
  const { network } = world;
  const file = path.join(dataDir, TAPPED_FILE);
  const known = new Set<string>();
  const tap = (topic: string, message: Uint8Array): void => {
    const line = lineOf(topic, message);
    if (line === null || known.has(line)) return;
    known.add(line);
    appendFileSync(file, `${line}\n`);
  };
  return {
    ...world,
    network: {
      ...network,
      publish: async (topic, message) => {
        tap(topic, message);
        await network.publish(topic, message);
      },
      subscribe: (topic, receive) =>
        network.subscribe(topic, (from, message) => {
          tap(topic, message);
          return receive(from, message);
        }),
    },
  };
}

await runSeenDaemon(process.argv.slice(2), tapped);
