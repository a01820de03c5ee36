/** How a command ends: its exit code, and the one line that says why. Follows docs/cli.md. */

export const EXIT = {
  ok: 0,
  /** The command could not do its work. */
  failed: 1,
  /** Wrong arguments or configuration. */
  usage: 2,
  /** No node answers where one was expected. */
  unreachable: 3,
  /** The node, or the network's rules, refused. */
  refused: 4,
  /** Accepted, but not yet committed. */
  pending: 5,
  /** The network obeys rules that this software doesn't know. */
  outdated: 6,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export class CliError extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.name = 'CliError';
    this.exitCode = exitCode;
  }
}
