/**
 * The port to the front of a node: the thread that holds the clients' connections (docs/adr/0018). An adapter says to it what it may do by
 * itself: send the bytes of a stored file, give the same answer again. Without a front an adapter answers in full, always.
 */

import type { FastifyRequest } from 'fastify';
import type { FileEntry } from '../chain/index.ts';

/** Answers up to this long may be given again by the front. */
export const MAX_REPEATED_BYTES = 65_536;

export interface AnswerFront {
  /**
   * Headers of an answer without a body, by which the front sends [from, to) of the file, verified, in the place of the body. Null when it
   * can't: the file is not stored here, or the front has tried. Then the caller sends the bytes.
   */
  readonly handOver: (
    request: FastifyRequest,
    wanted: { readonly file: FileEntry; readonly from: number; readonly to: number },
  ) => Promise<Readonly<Record<string, string>> | null>;
  /**
   * Headers that let the front give this answer again until a block is committed or the head is no longer fresh. Only for a 200 of at most
   * MAX_REPEATED_BYTES that depends on nothing but the chain, the method, the target and the Accept lines.
   */
  readonly repeatable: (request: FastifyRequest) => Readonly<Record<string, string>>;
}
