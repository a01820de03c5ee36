/**
 * The edges of the registry floor: what an ecosystem's adapter asks of the chain, of the files and of the endorsement flow.
 */

import type { Claim, Coordinates, Digest, FileEntry } from '../chain/index.ts';

/** What the chain says of one package version. */
export type LedgerEntry =
  | { readonly kind: 'live'; readonly height: number; readonly committedMs: number; readonly files: readonly FileEntry[] }
  | { readonly kind: 'removed'; readonly height: number; readonly reason: string };

/** The chain, as far as serving needs it. Synchronous: it reads the committed state. */
export interface Ledger {
  readonly lookUp: (coordinates: Coordinates) => LedgerEntry | null;
  /** True while some live record references the file and its digest is not banned. */
  readonly isServable: (sha256: Digest) => boolean;
  /** The committed entry of a servable file, or null. */
  readonly file: (sha256: Digest) => FileEntry | null;
  /** False when the head is older than `maxHeadAgeMs`: a cut-off node must not serve what may have been removed. */
  readonly isFresh: () => boolean;
  /** Peer ids of the authorities that endorsed a version with this file, this node left out: each promised to hold it. */
  readonly endorsers: (sha256: Digest) => readonly string[];
  /** Coordinates of live versions whose files are committed, in key order, after `after` (exclusive). */
  readonly list: (options: { readonly after: Coordinates | null; readonly limit: number }) => Promise<readonly Coordinates[]>;
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

/** What an authority's own check of a claim found. `holds`: the files whose bytes now lie verified on its disk. */
export type CheckVerdict = { readonly kind: 'genuine' } | { readonly kind: 'refused'; readonly reason: string };

/** How an ecosystem checks a claim by this node's own means (fetching staged bytes from the author, or an upstream). */
export interface ClaimChecker {
  readonly check: (claim: Claim, context: { readonly authorPeerId: string; readonly signal: AbortSignal }) => Promise<CheckVerdict>;
}
