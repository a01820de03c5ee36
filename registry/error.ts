/**
 * What can go wrong with files and peers, as one error class and one table: HTTP status and log level are read from the table by code.
 * Follows the house rule that the world's failures carry a code and fields. Never used for bugs: those throw plain errors.
 */

export type RegistryErrorCode =
  /** A file of this node's own store no longer matches its digest; it has been moved to quarantine. */
  | 'ROTTEN'
  /** The disk, or the space allocated on it, is full. */
  | 'NO_SPACE'
  /** The disk can't be written to. */
  | 'READ_ONLY'
  /** Any other failure of the disk. */
  | 'DISK'
  /** More bytes came than allowed. */
  | 'TOO_LARGE'
  /** The bytes aren't those that were announced. */
  | 'MISMATCH'
  /** Every piece fits the record and the flat digest doesn't: the record itself is wrong. */
  | 'BAD_RECORD'
  /** On the chain, and nobody can give it just now. */
  | 'UNAVAILABLE'
  /** The quota of uncommitted bytes is used up. */
  | 'STAGING_FULL'
  /** The upstream has no such thing. */
  | 'UPSTREAM_ABSENT'
  /** The upstream refuses this node: wrong or missing credentials. */
  | 'UPSTREAM_DENIED'
  /** The upstream is down, slow, overloaded, or says what can't be. */
  | 'UPSTREAM_FAILED'
  /** The one who asked went away. */
  | 'ABORTED';

interface CodeMeaning {
  readonly status: number;
  readonly level: 'error' | 'warn' | 'info' | 'debug';
}

/** How each code is told to an HTTP client and to the log. */
export const REGISTRY_ERRORS: Readonly<Record<RegistryErrorCode, CodeMeaning>> = {
  ROTTEN: { status: 503, level: 'error' },
  NO_SPACE: { status: 507, level: 'error' },
  READ_ONLY: { status: 507, level: 'error' },
  DISK: { status: 503, level: 'error' },
  TOO_LARGE: { status: 413, level: 'info' },
  MISMATCH: { status: 400, level: 'info' },
  BAD_RECORD: { status: 503, level: 'error' },
  UNAVAILABLE: { status: 503, level: 'warn' },
  STAGING_FULL: { status: 507, level: 'warn' },
  UPSTREAM_ABSENT: { status: 404, level: 'info' },
  UPSTREAM_DENIED: { status: 503, level: 'warn' },
  UPSTREAM_FAILED: { status: 503, level: 'warn' },
  ABORTED: { status: 499, level: 'debug' },
};

export class RegistryError extends Error {
  readonly code: RegistryErrorCode;
  /** Digest (`sha256:…`), path or peer the error is about. */
  readonly subject: string;

  constructor(code: RegistryErrorCode, subject: string, options: { readonly message: string; readonly cause?: unknown }) {
    super(options.message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'RegistryError';
    this.code = code;
    this.subject = subject;
  }
}

/** A disk's failure as a typed error; a RegistryError passes through. */
export function diskError(error: unknown, subject: string): RegistryError {
  if (error instanceof RegistryError) return error;
  const code = errnoOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new RegistryError('NO_SPACE', subject, {
      message: `no space left on the disk (${code}): free some or move the data directory`,
      cause: error,
    });
  }
  if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') {
    return new RegistryError('READ_ONLY', subject, {
      message: `the data directory can't be written (${code}): check mount and owner`,
      cause: error,
    });
  }
  return new RegistryError('DISK', subject, { message: `the disk failed (${code ?? String(error)})`, cause: error });
}

/** Node's error code, or null. */
export function errnoOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

/** Throws ABORTED once the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined, subject: string): void {
  if (signal?.aborted === true)
    throw new RegistryError('ABORTED', subject, { message: 'given up: nobody waits any more', cause: signal.reason });
}
