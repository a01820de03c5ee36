/**
 * Who else has a file, by the DHT: a file's SHA-256 is its key (a raw CID). Bounded in number and time, because mirrors announce thousands of
 * files. What the table says is a hint and nothing more: whoever is named may have the file, and what it sends is checked elsewhere.
 */

import type { Libp2p } from '@libp2p/interface';
import { CID } from 'multiformats/cid';
import * as raw from 'multiformats/codecs/raw';
import { create as createMultihash } from 'multiformats/hashes/digest';
import type { Logger, ProviderDirectory, Timers } from '../ports.ts';
import { type Admission, openAdmission } from './admission.ts';
import { withDeadline } from './deadline.ts';
import { NetworkError } from './errors.ts';

export interface Providers extends ProviderDirectory {
  readonly attach: (node: Libp2p) => void;
  readonly detach: () => void;
}

/** Multihash code of SHA-256 (multicodec table). */
const SHA2_256 = 0x12;
const PROVIDE_TIMEOUT_MS = 30_000;
const FIND_TIMEOUT_MS = 10_000;
const ANNOUNCING = { maxRunning: 8, maxRunningPerPeer: 8, maxWaiting: 8192, maxWaitingPerPeer: 8192 } as const;

export function openProviders(deps: { readonly timers: Timers; readonly logger: Logger; readonly ownPeerId: string }): Providers {
  const { timers } = deps;
  const admission: Admission = openAdmission(ANNOUNCING);
  let attached: Libp2p | null = null;

  return {
    attach: (node) => {
      attached = node;
    },
    detach: () => {
      attached = null;
    },
    provide: async (sha256) => {
      const leave = await admission.enter('');
      if (leave === null) throw new NetworkError('busy', 'expected fewer files to announce at once');
      try {
        const node = attached;
        if (node === null) throw new NetworkError('stopped', 'expected a running network to announce to');
        if (node.getPeers().length === 0) throw new NetworkError('unreachable', 'expected a connected peer to announce to');
        await withDeadline({ timeoutMs: PROVIDE_TIMEOUT_MS, timers }, (signal) => node.contentRouting.provide(keyOf(sha256), { signal }));
      } finally {
        leave();
      }
    },
    findProviders: (sha256, options) => {
      const node = attached;
      if (node === null) return Promise.reject(new NetworkError('stopped', 'expected a running network to ask'));
      if (node.getPeers().length === 0) return Promise.resolve([]);
      const found = new Set<string>();
      return withDeadline({ timeoutMs: FIND_TIMEOUT_MS, signal: options.signal, timers }, async (signal) => {
        try {
          for await (const provider of node.contentRouting.findProviders(keyOf(sha256), { signal })) {
            const peerId = provider.id.toString();
            if (peerId !== deps.ownPeerId) found.add(peerId);
            if (found.size >= options.limit) break;
          }
        } catch (error) {
          // A table without peers, or one that answers slowly, knows no more than what was found.
          deps.logger.debug({ error, found: found.size }, 'provider search ended early');
        }
        return [...found];
      });
    },
  };
}

function keyOf(sha256: Uint8Array): CID {
  return CID.createV1(raw.code, createMultihash(SHA2_256, sha256));
}
