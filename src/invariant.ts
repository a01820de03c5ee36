/** A broken invariant is a bug: it throws, nobody catches it, and the node stops rather than go on wrongly. */

/** Throws unless the condition holds. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** For the end of a `switch` over a tag: the compiler proves that it is never reached. */
export function assertNever(value: never): never {
  throw new InvariantError(`unexpected value ${JSON.stringify(value)}`);
}

export class InvariantError extends Error {
  readonly code = 'INVARIANT';

  constructor(message: string) {
    super(`this is a bug in Cairn: ${message}`);
    this.name = 'InvariantError';
  }
}
