/** What people read: log lines and package URLs, neither of which folds or hides anything. */

import fc from 'fast-check';
import t from 'tap';
import { type Coordinates, checkCoordinates } from '../../chain/index.ts';
import { formatBytes, formatCsv, formatDuration, formatTable, printable } from '../../src/cli/output.ts';
import { createLogger } from '../../src/logs/logger.ts';
import { describeCoordinates, formatPurl, parsePurl } from '../../src/purl.ts';

function logged(
  format: 'json' | 'text' | 'auto',
  isTTY: boolean,
): { readonly lines: string[]; readonly log: ReturnType<typeof createLogger> } {
  const lines: string[] = [];
  const log = createLogger({ level: 'info', format, name: 'node1', output: { write: (line) => lines.push(line), isTTY } });
  return { lines, log };
}

t.test('JSON lines carry level, time, node, message and fields', async (t) => {
  const { lines, log } = logged('auto', false);
  log.info({ height: 3 }, 'block committed');
  log.debug({}, 'below the level');
  log.error({ error: Object.assign(new Error('outer', { cause: new Error('inner') }), { code: 'ENOSPC' }) }, 'disk failed');
  t.equal(lines.length, 2);
  t.match(JSON.parse(lines[0] ?? ''), { level: 'info', time: /^\d{4}-/, node: 'node1', message: 'block committed', height: 3 });
  t.match(JSON.parse(lines[1] ?? ''), {
    level: 'error',
    error: { message: 'outer', code: 'ENOSPC', cause: 'inner', stack: /Error: outer/ },
  });
});

t.test('on a terminal a line is readable, and what a peer sent stays on it', async (t) => {
  for (const { lines, log } of [logged('auto', true), logged('text', false)]) {
    log.warn({ peer: '12D3KooW', detail: 'two\nlines \u001b[31m' }, 'peer penalized');
    log.error({ error: new Error('no space') }, 'disk failed');
    t.match(lines[0], /^\d\d:\d\d:\d\d\.\d{3} WARN {2}node1: peer penalized {2}peer=12D3KooW {2}detail="two\\nlines \\u001b\[31m"\n$/);
    t.match(lines[1], /ERROR node1: disk failed {2}error="no space"\n$/);
  }
  const { lines, log } = logged('json', true);
  log.info({}, 'x');
  t.doesNotThrow(() => JSON.parse(lines[0] ?? ''));
});

const GENERIC: Coordinates = { ecosystem: 'generic', registry: '', namespace: 'demo/sub', name: 'Hello', version: '1.0.0+build' };

t.test('a package URL names exactly one set of coordinates', async (t) => {
  const cases: readonly (readonly [Coordinates, string])[] = [
    [GENERIC, 'pkg:generic/demo/sub/Hello@1.0.0+build'],
    [{ ...GENERIC, ecosystem: 'npm', namespace: '@scope', name: 'left-pad', version: '1.0.0' }, 'pkg:npm/%40scope/left-pad@1.0.0'],
    [{ ...GENERIC, ecosystem: 'maven', namespace: 'org.example', name: 'lib', version: '1' }, 'pkg:maven/org.example/lib@1'],
    [{ ...GENERIC, ecosystem: 'cargo', namespace: '', name: 'serde', version: '1.0.0' }, 'pkg:cargo/serde@1.0.0'],
  ];
  for (const [coordinates, purl] of cases) {
    t.equal(formatPurl(coordinates), purl);
    t.same(parsePurl(purl), { ok: true, coordinates });
  }
});

t.test('what would be folded, or written twice, is refused', async (t) => {
  const folded: Coordinates = { ...GENERIC, ecosystem: 'npm', namespace: '', name: 'JSONStream', version: '1.0.0' };
  t.equal(checkCoordinates(folded), null, 'the chain knows this name');
  t.equal(formatPurl(folded), null, 'no package URL does');
  t.equal(describeCoordinates(folded), 'npm JSONStream 1.0.0');
  for (const text of [
    'pkg:npm/JSONStream@1.0.0',
    'pkg:Generic/demo/hello@1',
    'pkg:generic//demo/hello@1',
    'pkg:generic/demo/hello@1?',
    'pkg:generic/demo/%68ello@1',
    'pkg:generic/demo/hello@1.0.0%2Bbuild',
    'pkg:generic/demo/hello@1#sub',
    'pkg:generic/demo/hello@1?arch=x',
    'pkg:generic/demo/../hello@1',
    'pkg:generic/demo/%2e%2e/hello@1',
    'pkg:generic/demo/hello%00@1',
    'pkg:generic/hello@1',
    'pkg:generic/demo/hello',
    'pkg:unknown/demo/hello@1',
    'pkg:',
    '',
    `pkg:generic/demo/${'x'.repeat(2000)}@1`,
  ]) {
    const parsed = parsePurl(text);
    t.equal(parsed.ok, false, text.slice(0, 60));
    if (!parsed.ok) t.not(parsed.reason, '');
  }
});

t.test('any text is read or refused, and what is read is written the same', async () => {
  const part = fc.stringMatching(/^[a-zA-Z0-9@%.+/_-]{0,20}$/);
  fc.assert(
    fc.property(fc.constantFrom('generic', 'npm', 'maven', 'golang', 'pypi', 'docker'), part, part, (type, path, version) => {
      const text = `pkg:${type}/${path}@${version}`;
      const parsed = parsePurl(text);
      return !parsed.ok || (formatPurl(parsed.coordinates) === text && checkCoordinates(parsed.coordinates) === null);
    }),
    { numRuns: 2000 },
  );
});

t.test('sizes, durations, tables and CSV', async (t) => {
  t.same([0, 1023, 1024, 1_572_864, 2 ** 50].map(formatBytes), ['0 B', '1023 B', '1.0 KiB', '1.5 MiB', '1024.0 TiB']);
  t.same([0, 59_499, 61_000, 3_600_000, 3 * 86_400_000].map(formatDuration), ['0 s', '59 s', '1 min 1 s', '1 h 0 min', '3 days']);
  t.equal(formatTable({ head: ['a', 'bb'], rows: [['long', 'x\u202e']] }), 'a     bb\nlong  x\\u202e');
  t.equal(formatCsv({ head: ['a'], rows: [['x"y'], ['=1+1'], ['-5'], ['a\nb']] }), 'a\r\n"x""y"\r\n\'=1+1\r\n-5\r\n"a\nb"');
  t.equal(printable('a\u0000\u007f\u200eb'), 'a\\u0000\\u007f\\u200eb');
});
