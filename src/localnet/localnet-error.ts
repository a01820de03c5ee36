/** What can go wrong with a localnet; the message is meant for the person who started it. */

export type LocalnetErrorCode =
  | 'foreign-folder'
  | 'running'
  | 'command-failed'
  | 'ports-busy'
  | 'node-died'
  | 'timeout'
  | 'publication'
  | 'usage';

export class LocalnetError extends Error {
  readonly code: LocalnetErrorCode;

  constructor(code: LocalnetErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.name = 'LocalnetError';
    this.code = code;
  }
}
