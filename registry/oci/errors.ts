/**
 * How the OCI adapter tells a client what went wrong. Follows OCI distribution-spec 1.1, "Error codes", and for the codes that it left to
 * registries those of the widespread ones. Never tells more than one sentence, never a path of this machine, and never 429.
 */

import type { FastifyReply } from 'fastify';
import { type HttpRefusal, RETRY_AFTER_SECONDS } from '../http-errors.ts';

export type OciErrorCode =
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'TAG_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'PAGINATION_NUMBER_INVALID'
  | 'RANGE_INVALID'
  | 'DENIED'
  | 'UNSUPPORTED'
  | 'UNAVAILABLE'
  | 'UNKNOWN';

/** HTTP status of each code. */
const OCI_ERRORS: Readonly<Record<OciErrorCode, number>> = {
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  DIGEST_INVALID: 400,
  // The same as a tag that nobody has set: no manifest can be there.
  TAG_INVALID: 404,
  MANIFEST_UNKNOWN: 404,
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_UNKNOWN: 404,
  PAGINATION_NUMBER_INVALID: 400,
  RANGE_INVALID: 416,
  DENIED: 403,
  UNSUPPORTED: 405,
  UNAVAILABLE: 503,
  UNKNOWN: 500,
};

export interface OciRefusal {
  readonly code: OciErrorCode;
  readonly message: string;
  /** Where another status than the code's own says it better. */
  readonly status?: number;
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** Sent with every answer: by it old clients know a registry. */
export const API_VERSION_HEADER = 'docker-distribution-api-version';
export const API_VERSION = 'registry/2.0';

/** Answers with the envelope; 503 says when to come again. A HEAD gets the status and the headers. */
export function sendOciRefusal(reply: FastifyReply, refusal: OciRefusal): FastifyReply {
  const { code, message, status = OCI_ERRORS[code], detail = {} } = refusal;
  if (status === 503) reply.header('retry-after', String(RETRY_AFTER_SECONDS));
  reply.header(API_VERSION_HEADER, API_VERSION).header('x-content-type-options', 'nosniff').header('cache-control', 'no-store');
  return reply.code(status).send({ errors: [{ code, message, detail }] });
}

/** A refusal of the shared HTTP parts, in this protocol's words. */
export function sendAsOciRefusal(reply: FastifyReply, { status, message }: HttpRefusal): FastifyReply {
  return sendOciRefusal(reply, { code: codeOfStatus(status), message });
}

/** The shared parts refuse a range or fail to read; what they have no space for can't be had either. */
function codeOfStatus(status: number): OciErrorCode {
  return status === 416 ? 'RANGE_INVALID' : 'UNAVAILABLE';
}
