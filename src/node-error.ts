/** Why a node of sound parts can't run as it was set up: each says what to do. */

export type NodeErrorCode = 'DUPLICATE_NODE' | 'WRONG_KEYS' | 'OUTDATED';

export class NodeError extends Error {
  readonly code: NodeErrorCode;

  constructor(code: NodeErrorCode, message: string) {
    super(message);
    this.name = 'NodeError';
    this.code = code;
  }
}
