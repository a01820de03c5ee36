/**
 * Reads the raw request target of an HTTP request into path segments, by an allow-list of characters. Follows docs/SPEC.md, "HTTP names".
 * URL parsers fold `..`, `%2e%2e` and `\` silently, so none is used: whatever is not plainly a name is refused with 400, and nothing is
 * ever decoded, folded or repaired; what an ecosystem decodes in its query is that ecosystem's rule.
 */

/** A target longer than this is refused. */
export const MAX_TARGET_LENGTH = 1024;
/** A segment longer than this is refused. */
export const MAX_SEGMENT_LENGTH = 200;

export interface Target {
  readonly segments: readonly string[];
  /** True when the path ended in `/`. */
  readonly isFolder: boolean;
  /** What follows the `?`, undecoded; empty when there is none. */
  readonly query: string;
}

export type ParsedTarget = { readonly ok: true; readonly target: Target } | { readonly ok: false; readonly reason: string };

/** Letters, digits and `. _ + - ~ @ : ,`; every ecosystem's own grammar is narrower. */
const SEGMENT = /^[A-Za-z0-9._+~@:,-]+$/;
const QUERY = /^[A-Za-z0-9._~=&+-]*$/;

/** `rawTarget` is Node's `request.url`, untouched. `query`: what an ecosystem admits in a query instead of the usual. */
export function parseTarget(rawTarget: string, options: { readonly query?: RegExp } = {}): ParsedTarget {
  if (rawTarget.length > MAX_TARGET_LENGTH) return refused(`the target is longer than ${MAX_TARGET_LENGTH} characters`);
  const mark = rawTarget.indexOf('?');
  const path = mark < 0 ? rawTarget : rawTarget.slice(0, mark);
  const query = mark < 0 ? '' : rawTarget.slice(mark + 1);
  if (!path.startsWith('/')) return refused('the path must begin with /');
  if (!(options.query ?? QUERY).test(query)) return refused('the query holds a character that is not allowed');
  const isFolder = path.length > 1 && path.endsWith('/');
  const inner = path.slice(1, isFolder ? -1 : undefined);
  const segments = inner === '' ? [] : inner.split('/');
  for (const segment of segments) {
    const reason = checkSegment(segment);
    if (reason !== null) return refused(reason);
  }
  return { ok: true, target: { segments, isFolder, query } };
}

function checkSegment(segment: string): string | null {
  if (segment === '') return 'the path holds an empty segment';
  if (segment.length > MAX_SEGMENT_LENGTH) return `a path segment is longer than ${MAX_SEGMENT_LENGTH} characters`;
  if (!SEGMENT.test(segment)) return 'the path holds a character that is not allowed';
  return segment.includes('..') || segment === '.' ? 'the path holds dots that lead elsewhere' : null;
}

function refused(reason: string): ParsedTarget {
  return { ok: false, reason };
}
