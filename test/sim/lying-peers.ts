/** Authorities that lie where they are asked for blocks and for their height. */

import { asDigest, blocksResponse, decode, encode, MAX_BLOCKS_RESPONSE_BYTES, statusMessage } from '../../chain/index.ts';
import { protocolOf } from '../../src/channels.ts';
import type { Network } from '../../src/ports.ts';
import type { SeededRandom } from '../world/seeded-random.ts';
import type { Liar } from './liar.ts';

/** Claims heights up and down, gives pages that break off, that rot in the middle, or that begin elsewhere. */
export function lyingSyncPeer(liar: Liar): Partial<Network> {
  const twisted = (answer: Uint8Array): Uint8Array => {
    const read = decode(blocksResponse, answer, { maxBytes: MAX_BLOCKS_RESPONSE_BYTES });
    if (!read.ok) return answer;
    const { blocks, height } = read.value;
    const middle = blocks[blocks.length >> 1];
    switch (liar.random.below(5)) {
      case 0:
        return encode(blocksResponse, { blocks: [], height: height + 1 + liar.random.below(100) });
      case 1:
        return encode(blocksResponse, { blocks: blocks.slice(0, blocks.length >> 1), height: Math.max(0, height - 5) });
      case 2:
        return encode(blocksResponse, { blocks: blocks.slice(1), height });
      case 3:
        if (middle === undefined) return answer;
        return encode(blocksResponse, { blocks: blocks.map((one) => (one === middle ? rotten(one, liar.random) : one)), height });
      default:
        return answer;
    }
  };
  const blocks = protocolOf(liar.world.chainId, 'blocks');
  const status = protocolOf(liar.world.chainId, 'status');
  const falseHeight = (): number => Math.max(0, (liar.one.node?.head.height ?? 0) + liar.random.below(60) - 30);
  const falseStatus = (): Uint8Array =>
    encode(statusMessage, { height: falseHeight(), blockId: asDigest(liar.random.bytes(32)), timeMs: 0, nodeId: null });
  return {
    handle: (protocol, limits, handler) => {
      liar.network.handle(protocol, limits, async (peer, body) => {
        const answer = await handler(peer, body);
        if (protocol === blocks) return twisted(answer);
        return protocol === status ? falseStatus() : answer;
      });
    },
    publish: async (topic, message) => {
      if (liar.isTopic(topic, 'status')) liar.sayAll('status', liar.status(falseHeight()));
      else await liar.network.publish(topic, message);
    },
  };
}

function rotten(one: { readonly block: Uint8Array; readonly certificate: Uint8Array }, random: SeededRandom): typeof one {
  const rot = (bytes: Uint8Array): Uint8Array => {
    const changed = bytes.slice();
    const at = random.below(changed.length);
    changed[at] = (changed[at] ?? 0) ^ (1 << random.below(8));
    return changed;
  };
  return random.chance(0.5) ? { ...one, block: rot(one.block) } : { ...one, certificate: rot(one.certificate) };
}
