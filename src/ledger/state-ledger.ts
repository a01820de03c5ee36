/**
 * What serving needs of the chain, answered from the committed state: is this version live, may this file be served, who promised to hold it.
 * SPEC §4.3, §12.2. Synchronous and never ahead of the disk.
 */

import {
  artifactClaim,
  artifactOf,
  type Coordinates,
  type Digest,
  type FileEntry,
  isBanned,
  nameKey,
  nameOf,
  type PackageName,
} from '../../chain/index.ts';
import type { Ledger, LedgerEntry, PageOptions } from '../../registry/index.ts';
import type { Clock } from '../ports.ts';
import type { Head } from './head.ts';
import type { Members } from './members.ts';

export interface StateLedgerDeps {
  readonly head: Head;
  readonly members: Members;
  readonly clock: Clock;
  /** Own peer id, left out of the endorsers. */
  readonly peerId: string;
}

export class StateLedger implements Ledger {
  readonly #deps: StateLedgerDeps;
  readonly #maxHeadAgeMs: number;

  constructor(options: { readonly maxHeadAgeMs: number }, deps: StateLedgerDeps) {
    this.#maxHeadAgeMs = options.maxHeadAgeMs;
    this.#deps = deps;
  }

  readonly epoch = (): number => this.#deps.head.height;

  readonly lookUp = (coordinates: Coordinates): LedgerEntry | null => {
    const { view, store } = this.#deps.head;
    const record = artifactOf(view.state, coordinates);
    if (record === null) return null;
    if (record.kind === 'tombstone') return { kind: 'removed', height: record.height, reason: record.reason };
    const { files, dependencies } = artifactClaim(record);
    const banned = files.find((file) => isBanned(view.state, file.digests.sha256));
    if (banned !== undefined) return { kind: 'removed', height: record.height, reason: `its file ${banned.name} is banned` };
    return { kind: 'live', height: record.height, committedMs: store.timeMsAt(record.height) ?? 0, files, dependencies };
  };

  readonly isServable = (sha256: Digest): boolean => this.file(sha256) !== null;

  readonly file = (sha256: Digest): FileEntry | null => this.#deps.head.store.servableFile(sha256);

  readonly isBanned = (sha256: Digest): boolean => isBanned(this.#deps.head.view.state, sha256);

  readonly name = (of: PackageName, label: string): Coordinates | null => nameOf(this.#deps.head.view.state, of, label)?.target ?? null;

  readonly labels = async (of: PackageName, options: PageOptions<string>): Promise<readonly string[]> => {
    const prefix = nameKey(of, '');
    const after = options.after === null ? {} : { after: prefix + options.after };
    const found = await this.#deps.head.store.records(prefix, { ...after, limit: options.limit });
    return found.map(([key]) => key.slice(prefix.length));
  };

  readonly versions = async (of: PackageName, options: PageOptions<Coordinates>): Promise<readonly Coordinates[]> =>
    await this.#deps.head.store.liveArtifacts({ of, ...options });

  readonly isFresh = (): boolean => this.#deps.clock.nowMs() - this.#deps.head.view.timeMs <= this.#maxHeadAgeMs;

  /** Until when the head will be fresh if no block comes. */
  readonly freshUntilMs = (): number => this.#deps.head.view.timeMs + this.#maxHeadAgeMs;

  readonly endorsers = (sha256: Digest): readonly string[] => {
    const { head, members, peerId } = this.#deps;
    const peers = head.store.endorsersOf(sha256).map((nodeId) => members.peerOf(nodeId));
    return peers.filter((peer) => peer !== null).filter((peer) => peer !== peerId);
  };

  readonly list = async (options: PageOptions<Coordinates>): Promise<readonly Coordinates[]> => {
    return await this.#deps.head.store.liveArtifacts(options);
  };
}
