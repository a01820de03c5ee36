/** Quantiles and a plain table for the benchmark. A figure says what it is, in which unit, and, where it has one, the floor it is a ratio to. */

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What the same run measured as the least, or the most, that can be. */
  readonly floor?: { readonly name: string; readonly value: number };
  /** Of the value, or of its ratio to the floor. */
  readonly wish?:
    | { readonly atMost: number }
    | { readonly atLeast: number }
    | { readonly ratioAtMost: number }
    | { readonly ratioAtLeast: number };
}

/** Of the values, at q from 0 to 1; NaN for none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

export function formatFigures(figures: readonly Figure[]): string {
  const head = ['figure', 'value', 'ratio', 'to', 'wish'];
  const rows = figures.map((figure) => [
    figure.name,
    `${rounded(figure.value)} ${figure.unit}`,
    figure.floor === undefined ? '' : `${rounded(figure.value / figure.floor.value)} ×`,
    figure.floor === undefined ? '' : `${figure.floor.name}, ${rounded(figure.floor.value)} ${figure.unit}`,
    wishOf(figure),
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

function wishOf({ wish, value, floor }: Figure): string {
  if (wish === undefined) return '';
  const ratio = floor === undefined ? Number.NaN : value / floor.value;
  if ('atMost' in wish) return told(`≤ ${wish.atMost}`, value <= wish.atMost, value);
  if ('atLeast' in wish) return told(`≥ ${wish.atLeast}`, value >= wish.atLeast, value);
  if ('ratioAtMost' in wish) return told(`≤ ${wish.ratioAtMost} ×`, ratio <= wish.ratioAtMost, ratio);
  return told(`≥ ${wish.ratioAtLeast} ×`, ratio >= wish.ratioAtLeast, ratio);
}

function told(bound: string, isReached: boolean, found: number): string {
  return `${bound}: ${Number.isNaN(found) ? 'unknown' : isReached ? 'reached' : 'not reached'}`;
}

function rounded(value: number): string {
  if (!Number.isFinite(value)) return 'unknown';
  if (value >= 1000) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}
