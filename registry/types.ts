/**
 * The edges of the registry floor: what an ecosystem's adapter asks of the chain, of the files and of the endorsement flow.
 */

import type { AddArtifact, Claim, Coordinates, Digest, FileEntry, PackageName, PolicyRule, RequestSubject } from '../chain/index.ts';

/** What the chain says of one package version. */
export type LedgerEntry =
  | {
      readonly kind: 'live';
      readonly height: number;
      readonly committedMs: number;
      readonly files: readonly FileEntry[];
      readonly dependencies: readonly Coordinates[];
    }
  | { readonly kind: 'removed'; readonly height: number; readonly reason: string };

export interface PageOptions<T> {
  readonly after: T | null;
  readonly limit: number;
}

/** The chain, as far as serving needs it. Synchronous: it reads the committed state. */
export interface Ledger {
  /** Changes with every commit: while it stays the same, so do all synchronous answers but `isFresh`, and may be remembered. */
  readonly epoch: () => number;
  readonly lookUp: (coordinates: Coordinates) => LedgerEntry | null;
  /** True while some live record references the file and its digest is not banned. */
  readonly isServable: (sha256: Digest) => boolean;
  /** The committed entry of a servable file, or null. */
  readonly file: (sha256: Digest) => FileEntry | null;
  /** True for a file that was removed wherever it is used. */
  readonly isBanned: (sha256: Digest) => boolean;
  /** What a label (a Docker tag) points to, live or not; or null. */
  readonly name: (of: PackageName, label: string) => Coordinates | null;
  /** Labels of a package in ascending order, after `after` (exclusive). */
  readonly labels: (of: PackageName, options: PageOptions<string>) => Promise<readonly string[]>;
  /** Versions of a package whose records are live, in ascending order, after `after` (exclusive). */
  readonly versions: (of: PackageName, options: PageOptions<Coordinates>) => Promise<readonly Coordinates[]>;
  /** False when the head is older than `maxHeadAgeMs`: a cut-off node must not serve what may have been removed. */
  readonly isFresh: () => boolean;
  /** Peer ids of the authorities that endorsed a version with this file, this node left out: each promised to hold it. */
  readonly endorsers: (sha256: Digest) => readonly string[];
  /** Coordinates of live versions whose files are committed, in key order, after `after` (exclusive). */
  readonly list: (options: PageOptions<Coordinates>) => Promise<readonly Coordinates[]>;
}

/** What became of a publication. */
export type PublishResult =
  | { readonly kind: 'committed'; readonly height: number; readonly transactionId: Digest }
  | { readonly kind: 'pending'; readonly transactionId: Digest }
  | { readonly kind: 'exists'; readonly height: number }
  | { readonly kind: 'removed'; readonly height: number }
  | { readonly kind: 'refused'; readonly reason: string };

/** The endorsement flow, as far as publishing needs it. */
export interface Publishing {
  /** Null when this node may publish these coordinates now, else why not, in one sentence for the client. */
  readonly mayPublish: (coordinates: Coordinates) => PublishResult | null;
  readonly maxFileBytes: (coordinates: Coordinates) => number;
  /** Claims the staged files as one version and waits for the outcome, at most `waitMs`. The files lie committed in staging. */
  readonly publish: (
    coordinates: Coordinates,
    files: readonly FileEntry[],
    options: { readonly waitMs: number; readonly signal?: AbortSignal },
  ) => Promise<PublishResult>;
}

/** What became of a request for something that the chain did not have. */
export type RequestOutcome =
  /** It is on the chain, as seen here. */
  | { readonly kind: 'committed' }
  /** More than a third of the authorities say that the upstream has no such thing. */
  | { readonly kind: 'absent'; readonly reason: string }
  /** More than a third of the authorities refused it, or policy does. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Under way, or nobody answered in time: come again. */
  | { readonly kind: 'pending'; readonly reason: string };

/** Asking the authorities for what the chain does not have. Design: one signed request however many clients wait. */
export interface Requesting {
  /** Null when this node may ask for it, else why not: then a miss is the protocol's own "not found". */
  readonly mayRequest: (subject: RequestSubject) => string | null;
  /** Resolves with the outcome, at the latest after the network's `requestOnMissMs`; the request goes on when `signal` fires. */
  readonly request: (subject: RequestSubject, options: { readonly signal: AbortSignal }) => Promise<RequestOutcome>;
}

/** What an authority's own check of a claim found. `holds`: the files whose bytes now lie verified on its disk. */
export type CheckVerdict = { readonly kind: 'genuine' } | { readonly kind: 'refused'; readonly reason: string };

/** How an ecosystem checks a claim by this node's own means (fetching staged bytes from the author, or an upstream). */
export interface ClaimChecker {
  readonly check: (claim: Claim, context: { readonly authorPeerId: string; readonly signal: AbortSignal }) => Promise<CheckVerdict>;
}

/** What an authority found at the upstream for a request, with all its bytes on its own disk. */
export type Resolution =
  /** `parts`: what belongs to it and is to be fetched too, each by itself (the images of an index). */
  | { readonly kind: 'found'; readonly artifact: AddArtifact; readonly parts: readonly RequestSubject[] }
  | { readonly kind: 'refused'; readonly reason: string };

/** How an ecosystem finds what is asked for at its upstream. All reject with a RegistryError: UPSTREAM_ABSENT where there is no such thing. */
export interface Resolver {
  readonly resolve: (subject: RequestSubject, context: { readonly rule: PolicyRule; readonly signal: AbortSignal }) => Promise<Resolution>;
  /** The version that a label names at the upstream now; cheap. */
  readonly peek: (subject: RequestSubject, context: { readonly rule: PolicyRule; readonly signal: AbortSignal }) => Promise<string>;
  /** Bytes fetched so far for the artifact. */
  readonly fetchedBytes: (subject: RequestSubject) => number;
  /** Null when requests may use the rule's upstream on this node, else why not. */
  readonly mayUse: (rule: PolicyRule) => string | null;
}
