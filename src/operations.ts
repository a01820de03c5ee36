/**
 * What an operator or an application may ask of a running node: the answers of `cairn status`, `list`, `ping`, `inspect-log`, `remove`.
 * The node implements `NodeOperations`; the admin API speaks it over HTTP, the command line prints it. Plain JSON values only.
 */

import type { Step } from '../consensus/index.ts';

export type NodeRole = 'authority' | 'mirror';

export interface PeerStatus {
  readonly peerId: string;
  /** Name in the set, or null for a mirror. */
  readonly name: string | null;
  readonly role: NodeRole;
  readonly addresses: readonly string[];
  readonly rttMs: number | null;
  readonly height: number | null;
}

export interface AuthorityStatus {
  readonly nodeId: string;
  readonly name: string;
  readonly peerId: string;
  readonly power: number;
  readonly connected: boolean;
}

export interface NodeStatus {
  readonly version: string;
  readonly name: string;
  readonly nodeId: string;
  readonly peerId: string;
  readonly role: NodeRole;
  readonly addresses: readonly string[];
  readonly startedMs: number;
  readonly chain: {
    readonly chainId: string;
    readonly height: number;
    readonly blockId: string;
    readonly timeMs: number;
    /** Head young enough to serve from (`maxHeadAgeMs`). */
    readonly fresh: boolean;
    /** Highest height that peers claim; above `height` while catching up. */
    readonly targetHeight: number;
    readonly syncing: boolean;
  };
  /** Null on a mirror. `silentBelow`: heights at which this node will not sign, or null. */
  readonly consensus: { readonly height: number; readonly round: number; readonly step: Step; readonly silentBelow: number | null } | null;
  readonly set: readonly AuthorityStatus[];
  readonly peers: number;
  readonly artifacts: number;
  readonly mempool: number;
  readonly candidates: number;
  /** Images that this node has asked the authorities for, and waits for. */
  readonly requests: number;
  /** Builds under way on this authority; 0 on a mirror. */
  readonly builds: number;
  /** As counted on the disk. */
  readonly disk: { readonly allocatedBytes: number; readonly usedBytes: number; readonly files: number; readonly quarantined: number };
}

export interface LogQuery {
  /** A state key, as in SPEC §4, or null for all. */
  readonly key: string | null;
  /** All keys of one package, written `ecosystem|registry|namespace|name`, or null for all. */
  readonly package: string | null;
  readonly fromHeight: number;
  readonly limit: number;
  /** Newest first. */
  readonly latest: boolean;
}

export interface LogEntry {
  readonly height: number;
  readonly timeMs: number;
  readonly index: number;
  readonly kind: string;
  readonly key: string;
  readonly transactionId: string;
  readonly endorsers: readonly string[];
  /** The claim itself as JSON; digests as `sha256:<hex>`. */
  readonly claim: unknown;
}

export interface ArtifactSummary {
  readonly purl: string;
  readonly files: readonly { readonly name: string; readonly sizeBytes: number; readonly sha256: string }[];
}

/** An admin's mark on this node: its authority endorses exactly this removal. */
export interface Mark {
  readonly key: string;
  /** The package URL, or `sha256:…` of a file. */
  readonly target: string;
  readonly reason: string | null;
  readonly markedMs: number;
}

export type MarkResult =
  | { readonly kind: 'marked'; readonly key: string; readonly waitingFor: string }
  | { readonly kind: 'committed'; readonly height: number }
  | { readonly kind: 'refused'; readonly reason: string };

/** One committed block, for comparing nodes with each other. Digests as 64 hex digits. */
export interface BlockSummary {
  readonly height: number;
  readonly blockId: string;
  readonly stateRoot: string;
  readonly logRoot: string;
  readonly timeMs: number;
  readonly operations: number;
  readonly proposer: string;
}

export type SubmitResult =
  | { readonly kind: 'committed'; readonly height: number; readonly latencyMs: number }
  | { readonly kind: 'refused'; readonly reason: string };

/** What became of asking for a build. `id`: 64 hex digits, the same whoever asks for the same thing. */
export type BuildResult =
  | { readonly kind: 'started' | 'running'; readonly id: string; readonly image: string }
  | { readonly kind: 'exists'; readonly id: string; readonly image: string; readonly height: number; readonly version: string }
  | { readonly kind: 'refused'; readonly reason: string };

/** One authority's verdict on one candidate, as it was heard. */
export interface BuildVerdict {
  readonly authority: string;
  readonly candidate: string;
  readonly verdict: 'endorsed' | 'refused' | 'silent';
  /** What it saw: what the candidate claims, or why it was refused. */
  readonly detail: string;
}

export interface BuildStatus {
  readonly id: string;
  readonly image: string | null;
  readonly state: 'running' | 'success' | 'failure' | 'unknown';
  readonly detail: string;
  readonly startedMs: number | null;
  /** Bytes that the authorities have fetched for it, each by itself: the most that one tells. */
  readonly fetchedBytes: number;
  /** Of the version on the chain, where it is there. */
  readonly height: number | null;
  readonly version: string | null;
  readonly verdicts: readonly BuildVerdict[];
}

export interface NodeOperations {
  readonly status: () => Promise<NodeStatus>;
  readonly peers: () => readonly PeerStatus[];
  readonly artifacts: (options: { readonly after: string | null; readonly limit: number }) => Promise<readonly ArtifactSummary[]>;
  /** Milliseconds; rejects when the peer does not answer. */
  readonly ping: (peerId: string) => Promise<number>;
  readonly log: (query: LogQuery) => Promise<readonly LogEntry[]>;
  /** Marks the removal of a version (package URL) or file (`sha256:…`); a quorum of marks seals it. */
  readonly markRemoval: (target: string, reason: string | null) => Promise<MarkResult>;
  readonly marks: () => Promise<readonly Mark[]>;
  readonly unmark: (target: string) => Promise<boolean>;
  /** Asks the authorities to fetch, check and commit an image, written as Docker users write it. */
  readonly build: (image: string) => BuildResult;
  /** Null for what is no id. */
  readonly buildStatus: (id: string) => Promise<BuildStatus | null>;
  readonly block: (height: number) => BlockSummary | null;
  /** Takes an endorsed transaction (canonical bytes of a sealed transaction), passes it on, and waits until it is committed here. */
  readonly submit: (sealed: Uint8Array) => Promise<SubmitResult>;
}
