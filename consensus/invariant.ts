/**
 * The two words for a bug: a broken invariant, and a case that can't be.
 *
 * They throw, and the node stops; a refusal that is to be expected is a returned value instead. Nothing here is ever caught in this floor.
 */

/** Throws an Error when `condition` is false: the program is wrong, not its input. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`consensus invariant broken: ${message}`);
}

/** Ends a `switch` over a tagged union: the compiler refuses it while a tag is missing. */
export function assertNever(value: never): never {
  throw new Error(`consensus invariant broken: unexpected case ${JSON.stringify(value)}`);
}
