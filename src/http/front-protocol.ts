/**
 * What the front's thread and the node's own say to each other (docs/adr/0018): headers on the requests and answers between them, and
 * messages beside. No header named here ever comes from a client or goes to one.
 */

import type { MessagePort } from 'node:worker_threads';
import { asDigest, digestFromHex, digestToHex, type FileEntry } from '../../chain/index.ts';
import type { FileIdentity, Finding, Logger, StoredPaths } from '../../registry/index.ts';
import type { RouteClass } from '../metrics/types.ts';

/** Headers that begin so are internal: cut off from what a client sends, and from what it gets. */
export const INTERNAL_PREFIX = 'x-cairn-';
/**
 * On a request: `hand-over` when the answer may be left to the front, `direct` when the app has to send all; `rest` when it is to send the
 * rest of an answer that the front has begun, and counts.
 */
export const MODE_HEADER = 'x-cairn-front';
/** On an answer: the front sends this stretch of a file (a HandOver). */
export const FILE_HEADER = 'x-cairn-file';
/** On an answer: until when (Unix time in ms) the front may give it again, unless a block is committed. */
export const REPEAT_HEADER = 'x-cairn-repeat-until';
/** On an answer that the front finishes or repeats: its class, for the metrics. */
export const ROUTE_HEADER = 'x-cairn-route';

export type Mode = 'hand-over' | 'direct' | 'rest';

/** A stretch of a stored file; `to` is exclusive. */
export interface HandOver {
  readonly file: FileIdentity;
  readonly paths: StoredPaths;
  readonly from: number;
  readonly to: number;
}

export interface FrontOptions {
  readonly host: string;
  readonly port: number;
  readonly maxConnections: number;
  /** A connection on which nothing moves for this long is closed. */
  readonly idleTimeoutMs: number;
  /** A client that takes nothing of a file for this long is cut off. */
  readonly clientStallMs: number;
  /** Root of the stored files. */
  readonly storage: string;
  readonly reverifyMs: number;
}

export interface FrontWorkerData extends FrontOptions {
  /** One Int32, counted up at every commit: what was answered before may no longer be true. */
  readonly epoch: SharedArrayBuffer;
}

/** To the front. `putAway`: the file that was reported with this id is dealt with. */
export type ToFront = { readonly kind: 'close'; readonly graceMs: number } | { readonly kind: 'putAway'; readonly id: number };

/** How many answers of one class were given, and how long each took. */
export interface AnswerCount {
  readonly route: RouteClass;
  readonly status: number;
  readonly durationsMs: readonly number[];
}

export type FromFront =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'refused'; readonly code: string | undefined; readonly message: string }
  /** A connection to the app; its other end is a LinkSocket. */
  | { readonly kind: 'connection'; readonly port: MessagePort }
  | { readonly kind: 'rotten'; readonly id: number; readonly file: FileIdentity; readonly finding: Finding }
  | { readonly kind: 'counted'; readonly sentBytes: number; readonly answers: readonly AnswerCount[] }
  | { readonly kind: 'log'; readonly level: keyof Logger; readonly fields: Readonly<Record<string, unknown>>; readonly message: string }
  | { readonly kind: 'closed' };

export function identityOf(entry: FileEntry): FileIdentity {
  return { sha256: asDigest(entry.digests.sha256), sizeBytes: entry.sizeBytes, piecesRoot: entry.piecesRoot };
}

export function formatHandOver({ file, paths, from, to }: HandOver): string {
  const { sha256, sizeBytes, piecesRoot } = file;
  const root = piecesRoot === null ? null : digestToHex(piecesRoot);
  return JSON.stringify({ sha256: digestToHex(sha256), sizeBytes, piecesRoot: root, ...paths, from, to });
}

/** Reads what `formatHandOver` wrote in the same process. */
export function parseHandOver(text: string): HandOver {
  const { sha256, sizeBytes, piecesRoot, bytes, leaves, from, to } = JSON.parse(text) as Omit<FileIdentity, 'sha256' | 'piecesRoot'> & {
    sha256: string;
    piecesRoot: string | null;
    from: number;
    to: number;
  } & StoredPaths;
  const root = piecesRoot === null ? null : digestFromHex(piecesRoot);
  return { file: { sha256: digestFromHex(sha256), sizeBytes, piecesRoot: root }, paths: { bytes, leaves }, from, to };
}
