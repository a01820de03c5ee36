/**
 * How every adapter that has no error format of its own tells a client what went wrong: JSON `{error: {code, message}}`.
 * Follows docs/SPEC.md, "HTTP". Never tells more than one sentence, and never a path of this machine.
 */

import type { FastifyReply } from 'fastify';
import { REGISTRY_ERRORS, RegistryError } from './error.ts';
import type { Logger } from './ports.ts';

/** Seconds after which a client may come again. */
export const RETRY_AFTER_SECONDS = 5;

export interface HttpRefusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

/** Answers with the refusal; 503 and 507 say when to come again. */
export function sendRefusal(reply: FastifyReply, refusal: HttpRefusal): FastifyReply {
  if (refusal.status === 503 || refusal.status === 507) reply.header('retry-after', String(RETRY_AFTER_SECONDS));
  if (refusal.status === 401) reply.header('www-authenticate', 'Bearer');
  return reply.code(refusal.status).send({ error: { code: refusal.code, message: refusal.message } });
}

/** What a failure of the files or peers means to a client; anything else is a bug and is thrown on. */
export function refusalOfError(error: unknown, log: Logger): HttpRefusal {
  if (!(error instanceof RegistryError)) throw error;
  const { status, level } = REGISTRY_ERRORS[error.code];
  log[level]({ code: error.code, subject: error.subject, error: error.message }, 'a request could not be answered');
  const isOwnFault = error.code === 'DISK' || error.code === 'ROTTEN';
  return { status, code: error.code, message: isOwnFault ? 'the file could not be read here just now' : error.message };
}
