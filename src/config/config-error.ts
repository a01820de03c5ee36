/** Errors of the configuration: each names the key, where it came from and what to do. */

export type ConfigErrorCode = 'unreadable' | 'bad-toml' | 'unknown-key' | 'bad-value' | 'not-set';

export class ConfigError extends Error {
  readonly code: ConfigErrorCode;
  readonly key: string | null;

  constructor(code: ConfigErrorCode, message: string, options: { readonly key?: string; readonly cause?: unknown } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {});
    this.name = 'ConfigError';
    this.code = code;
    this.key = options.key ?? null;
  }
}

/** The known name nearest to a misspelt one, or null when none is near. */
export function nearestName(name: string, known: readonly string[]): string | null {
  let best: { readonly name: string; readonly distance: number } | null = null;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (best === null || distance < best.distance) best = { name: candidate, distance };
  }
  return best !== null && best.distance <= Math.max(3, Math.floor(name.length / 2)) ? best.name : null;
}

/** Levenshtein's distance, row by row. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let line = 1; line <= left.length; line += 1) {
    const next = [line];
    for (let column = 1; column <= right.length; column += 1) {
      const substitution = (row[column - 1] ?? 0) + (left[line - 1] === right[column - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}
