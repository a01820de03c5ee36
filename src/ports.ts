/**
 * What the node needs of the world: time, chance, files, peers, signatures. Real in src/world, src/network and src/crypto; virtual in the
 * test world, which drives this same node from a seed. Nothing below this line of ports names a socket, a clock or a disk.
 */

import type { KeyValueStore } from '../chain/store/index.ts';
import type { Clock, FileSystem, PeerJudge, PeerRequests, ProviderDirectory, Timers } from '../registry/index.ts';

export type { KeyRange, KeyValueStore, KeyValueWrite } from '../chain/store/index.ts';
export type {
  Clock,
  FileHandle,
  FileSystem,
  Logger,
  PeerFault,
  PeerJudge,
  PeerRequests,
  ProviderDirectory,
  RequestOptions,
  Timer,
  Timers,
  UpstreamHttp,
  UpstreamResponse,
} from '../registry/index.ts';

export interface Random {
  readonly bytes: (length: number) => Uint8Array;
  /** From 0, inclusive, to 1, exclusive. */
  readonly next: () => number;
}

export type KeyUse = 'network' | 'consensus' | 'checkpoint';

/** Holds this node's private keys and signs with them; Ed25519. */
export interface Signer {
  /** Raw public key, 32 bytes: the one in use, where a rotation has made a second. */
  readonly publicKey: (use: KeyUse) => Uint8Array;
  /** 64 bytes. `publicKey` picks one of two keys of a use; a RangeError for one that is not held. */
  readonly sign: (use: KeyUse, message: Uint8Array, publicKey?: Uint8Array) => Uint8Array;
  /** Whether the private half of that key is here. */
  readonly holds: (use: KeyUse, publicKey: Uint8Array) => boolean;
}

export interface SignedItem {
  /** Raw public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** The one Ed25519 rule: valid if and only if ZIP-215 says so. SPEC §7. */
export interface SignatureVerifier {
  readonly verify: (item: SignedItem) => Promise<boolean>;
  /** One verdict an item, in order. */
  readonly verifyMany: (items: readonly SignedItem[]) => Promise<readonly boolean[]>;
}

/** accept: relay it. ignore: drop it (old, early, unknown). reject: drop it and count it against the sender. */
export type MessageVerdict = 'accept' | 'ignore' | 'reject';

export interface PeerInfo {
  readonly peerId: string;
  readonly addresses: readonly string[];
  /** Smoothed round-trip time, or null before the first answer. */
  readonly rttMs: number | null;
  readonly direction: 'inbound' | 'outbound';
}

export interface Network extends PeerRequests, ProviderDirectory, PeerJudge {
  readonly peerId: string;
  /** The peer id of a raw Ed25519 network key. */
  readonly peerIdOf: (networkKey: Uint8Array) => string;
  readonly publish: (topic: string, message: Uint8Array) => Promise<void>;
  /** `receive` both validates and handles; it never sees this node's own messages. */
  readonly subscribe: (topic: string, receive: (from: string, message: Uint8Array) => Promise<MessageVerdict> | MessageVerdict) => void;
  readonly unsubscribe: (topic: string) => void;
  /** Ends what `handle` began. */
  readonly unhandle: (protocol: string) => void;
  /** These peers are to be kept connected too, at whatever address the network finds for them; in place of those named before. */
  readonly keepConnected: (peerIds: readonly string[]) => void;
  readonly peers: () => readonly PeerInfo[];
  readonly onPeerChange: (listener: (peerId: string, connected: boolean) => void) => void;
  /** Round-trip time in milliseconds. */
  readonly ping: (peerId: string, signal?: AbortSignal) => Promise<number>;
  /** Own multiaddrs, peer id included. */
  readonly addresses: () => readonly string[];
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** The whole world of one node. */
export interface World {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  /** Write-ahead log and sign state. A failure here is fatal. */
  readonly files: FileSystem;
  /** Stored packages. A failure here is an answer to a request. */
  readonly storage: FileSystem;
  /** Blocks, state and log. */
  readonly chainStore: KeyValueStore;
  /** This node's own notes: endorsements given, marks, staged publications. */
  readonly nodeStore: KeyValueStore;
  readonly network: Network;
  readonly signer: Signer;
  readonly verifier: SignatureVerifier;
}
