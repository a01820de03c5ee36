/**
 * Who may connect: not a banned peer, not one with too many connections already, and not another node that holds this node's own key, which
 * is reported. Judges after encryption, when the peer's key is proven.
 */

import type { ConnectionGater, PeerId } from '@libp2p/interface';

export interface GaterDeps {
  readonly ownPeerId: string;
  readonly isBanned: (peerId: string) => boolean;
  readonly connectionsOf: (peerId: PeerId) => number;
  /** An address answered, or called, with this node's own key. */
  readonly metSelf: (address: string, direction: 'inbound' | 'outbound') => void;
}

/** Two nodes that dial each other at once hold two for a while; more is waste or worse. */
const CONNECTIONS_PER_PEER = 6;

export function makeGater(deps: GaterDeps): ConnectionGater {
  const refuses = (peerId: PeerId): boolean => deps.isBanned(peerId.toString()) || deps.connectionsOf(peerId) >= CONNECTIONS_PER_PEER;
  const isSelf = (peerId: PeerId): boolean => peerId.toString() === deps.ownPeerId;
  return {
    denyDialPeer: (peerId) => deps.isBanned(peerId.toString()),
    denyInboundEncryptedConnection: (peerId, connection) => {
      if (isSelf(peerId)) deps.metSelf(connection.remoteAddr.toString(), 'inbound');
      return isSelf(peerId) || refuses(peerId);
    },
    denyOutboundEncryptedConnection: (peerId, connection) => {
      if (isSelf(peerId)) deps.metSelf(connection.remoteAddr.toString(), 'outbound');
      return isSelf(peerId) || deps.isBanned(peerId.toString());
    },
  };
}
