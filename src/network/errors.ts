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
  | 'stopped'
  /** The port is taken, or the address isn't this machine's. */
  | 'cannot-listen';

export class NetworkError extends Error {
  readonly code: NetworkErrorCode;

  constructor(code: NetworkErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'NetworkError';
    this.code = code;
  }
}

const LISTEN_REASONS: ReadonlyMap<string, string> = new Map([
  ['EADDRINUSE', 'another process holds that port; stop it or listen elsewhere'],
  ['EADDRNOTAVAIL', 'this machine has no such address; listen on one of its own'],
  ['EACCES', 'this account may not use that port; choose one from 1024 on'],
]);

/** libp2p's many lines on why it can't listen as one; any other error as it is. */
export function explainStartError(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'UnsupportedListenAddressesError') return error;
  const [, address, code] = /^ {2}(\S+): .*\b(E[A-Z]{3,})\b/m.exec(error.message) ?? [];
  const reason = LISTEN_REASONS.get(code ?? '') ?? error.message.replace(/\s+/g, ' ');
  return new NetworkError('cannot-listen', `expected to listen for peers on ${address ?? 'the given addresses'}, but ${reason}`, error);
}
