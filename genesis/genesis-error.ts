/** Errors of genesis documents and key files: each says what was expected, what came, and what to do. */

export type GenesisErrorCode =
  | 'missing'
  | 'unreadable'
  | 'damaged-genesis'
  | 'invalid-genesis'
  | 'exists'
  | 'keys-readable-by-others'
  | 'damaged-key'
  | 'bad-option';

export class GenesisError extends Error {
  readonly code: GenesisErrorCode;
  readonly path: string | null;

  constructor(code: GenesisErrorCode, message: string, options: { readonly path?: string; readonly cause?: unknown } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {});
    this.name = 'GenesisError';
    this.code = code;
    this.path = options.path ?? null;
  }
}
