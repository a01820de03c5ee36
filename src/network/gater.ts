/**
 * Who may connect: not a banned peer, and not one with too many connections already. Judges after encryption, when the peer's key is proven.
 * A node's own key is refused by libp2p itself; twin-watch.ts tells of it.
 */

import type { ConnectionGater, PeerId } from '@libp2p/interface';

export interface GaterDeps {
  readonly isBanned: (peerId: string) => boolean;
  readonly connectionsOf: (peerId: PeerId) => number;
}

/** Two nodes that dial each other at once hold two for a while; more is waste or worse. */
const CONNECTIONS_PER_PEER = 6;

export function makeGater(deps: GaterDeps): ConnectionGater {
  const isBanned = (peerId: PeerId): boolean => deps.isBanned(peerId.toString());
  return {
    denyDialPeer: isBanned,
    denyInboundEncryptedConnection: (peerId) => isBanned(peerId) || deps.connectionsOf(peerId) >= CONNECTIONS_PER_PEER,
    denyOutboundEncryptedConnection: isBanned,
  };
}
