/** Why the HTTP servers could not start: one line that names the port and the key to change. */

import { environmentNameOf, flagNameOf } from '../config/index.ts';

export type HttpErrorCode = 'port-in-use' | 'port-forbidden' | 'address-unavailable' | 'listen-failed';

export class HttpStartError extends Error {
  readonly code: HttpErrorCode;
  readonly port: number;

  constructor(code: HttpErrorCode, message: string, options: { readonly port: number; readonly cause: unknown }) {
    super(message, { cause: options.cause });
    this.name = 'HttpStartError';
    this.code = code;
    this.port = options.port;
  }
}

/** What became of `listen`, as an error for the operator. */
export function describeListenError(
  cause: unknown,
  at: { readonly host: string; readonly port: number; readonly key: string },
): HttpStartError {
  const { host, port, key } = at;
  const change = `set ${key} (${environmentNameOf(key)}, --${flagNameOf(key)}) to another`;
  const hostKey = key.replace('.port', '.host');
  switch ((cause as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return new HttpStartError('port-in-use', `port ${port} on ${host} is in use, perhaps by a running node: ${change}`, { port, cause });
    case 'EACCES':
      return new HttpStartError('port-forbidden', `not allowed to listen on port ${port}: ${change}, 1024 or above`, { port, cause });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new HttpStartError('address-unavailable', `this machine has no address ${host}: correct ${hostKey}`, { port, cause });
    default:
      return new HttpStartError('listen-failed', `cannot listen on ${host} port ${port}: ${(cause as Error).message}`, { port, cause });
  }
}
