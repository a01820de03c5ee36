/**
 * Reads the project's own tree and holds it to docs/ARCHITECTURE.md and CONTRIBUTING.md: who may import whom and what, which names the pure
 * floors may not speak, how long files and functions may be, and what no file may contain. Every exception listed here must be needed.
 */

import { execFileSync } from 'node:child_process';
import path from 'node:path';
import t from 'tap';
import { blank, type Import, listFiles, ROOT, readSources, readText, type SourceFile } from './tidy/source-tree.ts';

const FLOORS = ['consensus', 'chain/store', 'chain', 'genesis', 'registry', 'src', 'bench', 'test'] as const;
type Floor = (typeof FLOORS)[number];

/** Which floors a floor may import. */
const BELOW: Readonly<Record<Floor, readonly Floor[]>> = {
  consensus: [],
  chain: ['consensus'],
  'chain/store': ['consensus', 'chain'],
  genesis: ['consensus', 'chain', 'chain/store'],
  registry: ['consensus', 'chain', 'chain/store'],
  src: ['consensus', 'chain', 'chain/store', 'genesis', 'registry'],
  bench: ['consensus', 'chain', 'chain/store', 'genesis', 'registry', 'src'],
  test: ['consensus', 'chain', 'chain/store', 'genesis', 'registry', 'src', 'bench'],
};

/** Packages that the lower floors may import, `node:` standing for Node's own modules; src, bench and test may import what is installed. */
const PACKAGES: Readonly<Partial<Record<Floor, readonly string[]>>> = {
  consensus: [],
  chain: ['@noble/ed25519', '@noble/hashes'],
  'chain/store': ['level'],
  genesis: ['node:', 'multiformats'],
  registry: ['node:', 'fastify'],
};

/** What neither `types: []` nor `lib` can refuse in consensus and chain. */
const IMPURE =
  /(?<![\w$.])(?:Date|Intl|globalThis|process|Buffer|console|performance|crypto|fetch|eval|require|setTimeout|setInterval|setImmediate|queueMicrotask|TextEncoder|TextDecoder|WeakRef|FinalizationRegistry|Atomics|SharedArrayBuffer)\b(?!\s*[:?]?:)|Math\s*\.\s*random|\.\s*localeCompare|\.\s*toLocale\w+|\bimport\s*\(/g;

/** Lines a file, lines a function without blank lines and comments. No exception to the limit; what is above the wish may only become less. */
const WISH = { file: 300, function: 40 };
const LIMIT = { file: 500, function: 70 };
const OVER_WISH = { files: 16, functions: 26 };
/** A number that is so much too high is stale. */
const SLACK = 6;

const sources = readSources();

function floorOf(file: string): Floor | null {
  return FLOORS.find((floor) => file.startsWith(`${floor}/`)) ?? null;
}

/** The file that a relative import names, from the root of the project. */
function resolveImport(from: SourceFile, specifier: string): string {
  return path.posix.normalize(path.posix.join(path.posix.dirname(from.path), specifier));
}

function relativeImports(file: SourceFile, kept: (found: Import) => boolean = () => true): readonly string[] {
  return file.imports
    .filter((found) => found.specifier.startsWith('.') && kept(found))
    .map(({ specifier }) => resolveImport(file, specifier));
}

function packageOf(specifier: string): string {
  if (specifier.startsWith('node:')) return 'node:';
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

function packagesOf(file: SourceFile): readonly string[] {
  return file.imports.filter(({ specifier }) => !specifier.startsWith('.')).map(({ specifier }) => packageOf(specifier));
}

t.test('the scanner tells code from comments, strings and patterns', async (t) => {
  t.equal(blank("a('Date') // Date"), "a('    ')        ");
  t.equal(blank(['`x$', '{Date + `y`}z` /* Date */'].join('')), ['` $', '{Date + ` `} `           '].join(''));
  t.equal(blank("const p = /'[/]Date/g; Date"), 'const p = /        /g; Date');
  t.match('new Date()', IMPURE);
  t.notMatch('{ process: 1 }', IMPURE);
  t.ok(sources.flatMap((file) => file.imports).length > 3 * sources.length, 'it found the imports');
  t.ok(sources.length > 50 && sources.every((file) => file.code.length === file.text.length), 'it read the whole tree');
});

t.test('a floor imports only floors below it, and those by their index.ts', async (t) => {
  for (const file of sources) {
    const floor = floorOf(file.path);
    if (floor === null) {
      t.fail(`${file.path} stands on no floor`);
      continue;
    }
    for (const target of relativeImports(file)) {
      const other = floorOf(target);
      if (other === floor) continue;
      if (other === null || !BELOW[floor].includes(other)) t.fail(`${file.path} imports ${target}: ${floor} may not import ${other}`);
      else if (other !== 'src' && target !== `${other}/index.ts` && floor !== 'test')
        t.fail(`${file.path} imports ${target} past ${other}/index.ts`);
    }
  }
});

t.test('the lower floors import only the packages on their list, and need each of them', async (t) => {
  for (const floor of FLOORS) {
    const allowed = PACKAGES[floor];
    const used = new Map(
      sources.filter((file) => floorOf(file.path) === floor).flatMap((file) => packagesOf(file).map((name) => [name, file.path])),
    );
    if (allowed === undefined) continue;
    for (const [name, file] of used) if (!allowed.includes(name)) t.fail(`${file} imports ${name}, which is not on the list of ${floor}`);
    for (const name of allowed) t.ok(used.has(name), `${floor} uses ${name}`);
  }
});

t.test('every package that is imported is in package.json, and production code needs no development package', async (t) => {
  const manifest = JSON.parse(readText('package.json')) as {
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
  for (const file of sources) {
    const floor = floorOf(file.path);
    const known = floor === 'test' || floor === 'bench' ? { ...manifest.dependencies, ...manifest.devDependencies } : manifest.dependencies;
    for (const name of packagesOf(file)) if (name !== 'node:' && !Object.hasOwn(known, name)) t.fail(`${file.path} imports ${name}`);
  }
});

t.test('consensus and chain name no clock, chance, timer, socket or locale', async (t) => {
  for (const file of sources) {
    const floor = floorOf(file.path);
    if (floor !== 'consensus' && floor !== 'chain') continue;
    for (const found of file.code.matchAll(IMPURE)) t.fail(`${file.path}:${lineAt(file.code, found.index)} names ${found[0]}`);
  }
});

t.test('no module imports itself by a detour; types may', async (t) => {
  const edges = new Map(sources.map((file) => [file.path, relativeImports(file, ({ typeOnly }) => !typeOnly)]));
  const done = new Set<string>();
  const visit = (file: string, trail: readonly string[]): void => {
    if (trail.includes(file)) return void t.fail(`cycle: ${[...trail.slice(trail.indexOf(file)), file].join(' → ')}`);
    if (done.has(file)) return;
    for (const next of edges.get(file) ?? []) visit(next, [...trail, file]);
    done.add(file);
  };
  for (const file of edges.keys()) visit(file, []);
});

t.test('files and functions stay short', async (t) => {
  const lengths = sources.map((file) => ({ path: file.path, lines: file.text.trimEnd().split('\n').length }));
  for (const { path: file, lines } of lengths) if (lines > LIMIT.file) t.fail(`${file} has ${lines} lines; the limit is ${LIMIT.file}`);
  const functions = longFunctions(t.testdir({ 'oxlint.json': JSON.stringify(lengthRules()) }));
  for (const { where, lines } of functions)
    if (lines > LIMIT.function) t.fail(`${where} has ${lines} lines; the limit is ${LIMIT.function}`);
  const longFiles = lengths.filter(({ lines }) => lines > WISH.file);
  for (const [what, count, most] of [
    [`files above ${WISH.file} lines`, longFiles.length, OVER_WISH.files],
    [`functions above ${WISH.function} lines`, functions.length, OVER_WISH.functions],
  ] as const) {
    t.ok(count <= most, `${what}: ${count} of at most ${most}`);
    t.ok(count > most - SLACK, `${what}: ${count}; lower the number in OVER_WISH`);
  }
});

function lengthRules(): unknown {
  const rule = ['error', { max: WISH.function, skipBlankLines: true, skipComments: true }];
  return {
    plugins: [],
    categories: { correctness: 'off' },
    rules: { 'max-lines-per-function': rule },
    ignorePatterns: ['dist/**', '.tap/**'],
  };
}

interface Span {
  readonly offset: number;
  readonly length: number;
  readonly line: number;
}

interface LintReport {
  readonly diagnostics: readonly {
    readonly message: string;
    readonly filename: string;
    readonly labels: readonly { readonly span: Span }[];
  }[];
}

/** Functions above the wish, measured by oxlint; a suite that only holds tests is measured by its tests. */
function longFunctions(folder: string): readonly { readonly where: string; readonly lines: number }[] {
  // tap puts its loader into every child's NODE_OPTIONS, and oxlint's launcher does not bear it.
  const args = [
    '-u',
    'NODE_OPTIONS',
    process.execPath,
    path.join(ROOT, 'node_modules/oxlint/bin/oxlint'),
    '--config',
    path.join(folder, 'oxlint.json'),
    '--format',
    'json',
    ...FLOORS,
  ];
  let output: string;
  try {
    output = execFileSync('env', args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    if (!(error instanceof Error && 'stdout' in error)) throw error;
    output = String(error.stdout);
  }
  return (JSON.parse(output) as LintReport).diagnostics.flatMap(({ message, filename, labels: [label] }) => {
    const body = Buffer.from(readText(filename)).subarray(label?.span.offset, (label?.span.offset ?? 0) + (label?.span.length ?? 0));
    if (/\.test\(/.test(body.toString('utf8'))) return [];
    return [{ where: `${filename}:${label?.span.line}`, lines: Number(/too many lines \((\d+)\)/.exec(message)?.[1]) }];
  });
}

t.test('every source file opens by saying what it is', async (t) => {
  for (const file of sources) if (!/^(?:#![^\n]*\n)?\/\*\*/.test(file.text)) t.fail(`${file.path} opens without a paragraph`);
});

t.test('no loose type, promise of later work, default export or silenced check', async (t) => {
  const inCode: readonly (readonly [RegExp, string])[] = [
    [/\bas\s+any\b|:\s*any\b|<any\b|\bany\[\]/, 'any'],
    [/\bexport\s+default\b/, 'a default export'],
    [/^\s*(?:const\s+)?enum\s/m, 'an enum'],
    [/\bt\.only\s*\(|\bonly:\s*true/, 'an exclusive test'],
  ];
  const later = new RegExp(
    `\\b(?:${['TO', 'FIX', 'HA'].map((start, index) => start + ['DO', 'ME', 'CK'][index]).join('|')})\\b|@ts-(?:ignore|nocheck)`,
  );
  for (const file of sources) {
    for (const [pattern, what] of inCode)
      if (pattern.test(file.code)) t.fail(`${file.path}:${lineAt(file.code, file.code.search(pattern))} has ${what}`);
    const found = file.text.search(later);
    if (found >= 0) t.fail(`${file.path}:${lineAt(file.text, found)} promises later work or silences the compiler`);
  }
});

t.test('no registry host, resolved URL or path of one machine is in the tree', async (t) => {
  const hosts = [
    'registry npmjs org',
    'registry-1 docker io',
    'repo1 maven org',
    'repo maven apache org',
    'files pythonhosted org',
    'proxy golang org',
  ];
  const patterns = [
    ...hosts.map((host) => host.replaceAll(' ', '\\.')),
    '"resolved":\\s*"https?:',
    '(?<![\\w.])/(?:work|root|home|Users)/\\w',
  ];
  const forbidden = new RegExp(patterns.join('|'));
  for (const file of listFiles()) {
    const text = readText(file);
    const found = text.search(forbidden);
    if (found >= 0) t.fail(`${file}:${lineAt(text, found)} names a registry host, a resolved URL or a machine's own path`);
  }
  t.match(readText('.npmrc'), 'omit-lockfile-registry-resolved=true');
});

t.test('the lockfile holds the packages of every platform, so that npm ci takes it everywhere', async (t) => {
  const { packages } = JSON.parse(readText('package-lock.json')) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  const names = Object.values(packages).flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}));
  t.ok(names.length > 0);
  for (const name of names) {
    const held = Object.keys(packages).some((place) => place.endsWith(`node_modules/${name}`));
    if (!held) t.fail(`${name} is missing; run \`node deploy/complete-lockfile.mjs\` after npm install`);
  }
});

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}
