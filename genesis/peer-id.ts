/** A node's libp2p name from its network key, as text: the identity multihash of the key's protobuf, in base58. libp2p peer-id specification. */

import { base58btc } from 'multiformats/bases/base58';

/** identity (0x00), 36 bytes; PublicKey { Type: Ed25519 (1), Data: 32 bytes }. */
const PREFIX = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/** From the raw Ed25519 public key, 32 bytes. */
export function peerIdOfKey(networkKey: Uint8Array): string {
  return base58btc.baseEncode(new Uint8Array([...PREFIX, ...networkKey]));
}
