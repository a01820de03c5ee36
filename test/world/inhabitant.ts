/** One node of a virtual world: its keys and disks outlive its process, and a test may put itself between the process and either. */

import { type Digest, type NodeRecord, nodeIdOf } from '../../chain/index.ts';
import type { NodeKeys } from '../../genesis/index.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { CairnNode } from '../../src/node.ts';
import type { FileSystem, Logger, Network, Signer } from '../../src/ports.ts';
import { type MemoryFileSystem, memoryFileSystem } from './memory-file-system.ts';
import { MemoryKeyValueStore } from './memory-key-value-store.ts';
import type { VirtualNetwork } from './virtual-network.ts';

export interface LogLine {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** One node of the world: its disks and keys outlive its process. */
export class Inhabitant {
  readonly name: string;
  readonly keys: NodeKeys;
  readonly files: MemoryFileSystem;
  readonly storage: MemoryFileSystem;
  readonly lines: LogLine[] = [];
  readonly fatals: unknown[] = [];
  chainStore: MemoryKeyValueStore;
  nodeStore: MemoryKeyValueStore;
  node: CairnNode | null = null;
  network: VirtualNetwork | null = null;
  life = 0;
  /** What its clock is off by, in milliseconds. */
  clockErrorMs: () => number = () => 0;
  /** What the node's process sees of its disk and network; a test may put itself in between. */
  seenFiles: (files: FileSystem) => FileSystem = (files) => files;
  seenNetwork: (network: VirtualNetwork) => Network = (network) => network;
  /** The chain's disk, for a new process. */
  openStore: (entries: ReadonlyMap<string, Uint8Array>) => MemoryKeyValueStore = (entries) => new MemoryKeyValueStore({}, entries);
  /** The disk of the node's own notes, for a new process. */
  openNodeStore: (entries: ReadonlyMap<string, Uint8Array>) => MemoryKeyValueStore = (entries) => new MemoryKeyValueStore({}, entries);
  readonly nodeId: Digest;
  /** With which it stands in genesis. */
  readonly record: NodeRecord;
  /** A rotation gives it another. */
  signer: Signer;
  /** Raw key that its address comes from: that of its record, but for a twin. */
  readonly address: Uint8Array;

  constructor(
    name: string,
    keys: NodeKeys,
    world: { readonly seed: number; readonly nowMs: () => number; readonly signer: Signer; readonly address?: Uint8Array },
  ) {
    const { seed, nowMs } = world;
    this.name = name;
    this.keys = keys;
    this.signer = world.signer;
    const [networkKey, consensusKey, checkpointKey] = (['network', 'consensus', 'checkpoint'] as const).map(world.signer.publicKey);
    if (networkKey === undefined || consensusKey === undefined || checkpointKey === undefined) throw new Error('expected three keys');
    this.nodeId = nodeIdOf(sha256, networkKey);
    this.record = { nodeId: this.nodeId, name, networkKey, consensusKey, checkpointKey };
    this.address = world.address ?? networkKey;
    this.files = memoryFileSystem({ seed, nowMs });
    this.storage = memoryFileSystem({ seed: seed + 1, nowMs });
    this.chainStore = new MemoryKeyValueStore();
    this.nodeStore = new MemoryKeyValueStore();
  }

  logger(): Logger {
    const note =
      (level: LogLine['level']) =>
      (fields: Readonly<Record<string, unknown>>, message: string): void => {
        this.lines.push({ level, fields, message });
      };
    return { error: note('error'), warn: note('warn'), info: note('info'), debug: note('debug') };
  }
}
