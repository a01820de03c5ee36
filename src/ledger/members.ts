/**
 * Who the authorities are, seen from the network: node ids, network keys and peer ids of the sets in the state.
 */

import { activeNodes, type Digest, type NodeRecord, nodeOf, sameBytes } from '../../chain/index.ts';
import type { Network } from '../ports.ts';
import type { Head } from './head.ts';

export class Members {
  readonly #head: Head;
  readonly #network: Pick<Network, 'peerIdOf' | 'peerId'>;

  constructor(deps: { readonly head: Head; readonly network: Pick<Network, 'peerIdOf' | 'peerId'> }) {
    this.#head = deps.head;
    this.#network = deps.network;
  }

  /** Records of the authorities, in the order of the set. */
  all(): readonly NodeRecord[] {
    return activeNodes(this.#head.view.state);
  }

  /** The authority's peer id, or null when the node is none. */
  peerOf(nodeId: Digest): string | null {
    const record = nodeOf(this.#head.view.state, nodeId);
    return record === null ? null : this.#network.peerIdOf(record.node.networkKey);
  }

  /** The authority behind a peer id, or null: then it is a mirror. */
  byPeer(peerId: string): NodeRecord | null {
    return this.all().find((node) => this.#network.peerIdOf(node.networkKey) === peerId) ?? null;
  }

  byNetworkKey(networkKey: Uint8Array): NodeRecord | null {
    return this.all().find((node) => sameBytes(node.networkKey, networkKey)) ?? null;
  }

  /** Peer ids of the authorities, this node left out. */
  otherPeers(): readonly string[] {
    return this.all()
      .map((node) => this.#network.peerIdOf(node.networkKey))
      .filter((peerId) => peerId !== this.#network.peerId);
  }
}
