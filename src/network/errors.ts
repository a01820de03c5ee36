/**
 * What can go wrong between peers, by code. Never carries bytes of the other side.
 */

export type NetworkErrorCode =
  /** The peer can't be dialled, or doesn't speak the protocol. */
  | 'unreachable'
  | 'timeout'
  /** The caller's signal. */
  | 'aborted'
  /** A message over its limit. */
  | 'too-large'
  /** The stream or connection ended before the answer was whole. */
  | 'closed'
  /** Bytes that aren't one frame. */
  | 'malformed'
  /** Too much is waiting already. */
  | 'busy'
  | 'stopped';

export class NetworkError extends Error {
  readonly code: NetworkErrorCode;

  constructor(code: NetworkErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'NetworkError';
    this.code = code;
  }
}
