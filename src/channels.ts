/**
 * Names of the gossip topics and direct protocols. Each holds the first 16 hex digits of the chain id, so that networks never mix. SPEC §9.1.
 */

import { type Digest, digestToHex } from '../chain/index.ts';

export type TopicName =
  | 'vote'
  | 'proposal'
  | 'certificate'
  | 'candidate'
  | 'endorsement'
  | 'refusal'
  | 'transaction'
  | 'status'
  | 'request';
export type ProtocolName = 'transactions' | 'help' | 'blocks' | 'status' | 'build';

export function topicOf(chainId: Digest, name: TopicName): string {
  return channel(chainId, name);
}

export function protocolOf(chainId: Digest, name: ProtocolName): string {
  return channel(chainId, `direct/${name}`);
}

function channel(chainId: Digest, name: string): string {
  return `/cairn/${digestToHex(chainId).slice(0, 16)}/${name}/1`;
}
