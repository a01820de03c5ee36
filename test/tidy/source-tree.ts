/**
 * Reads the project's own tree for the tidy test: which files there are, their text, their code without comments and strings, and what they
 * import. Never reads what is generated or installed.
 */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export const ROOT: string = path.resolve(import.meta.dirname, '..', '..', '..');
const GENERATED = new Set(['node_modules', 'dist', '.git', '.tap', '.cairn']);
const BINARY = /\.(png|ico|gz|tgz|cbor|bin)$/;

export interface Import {
  readonly specifier: string;
  /** `import type`, gone at run time. */
  readonly typeOnly: boolean;
}

export interface SourceFile {
  /** From the root of the project, with `/`. */
  readonly path: string;
  readonly text: string;
  /** Comments and the contents of strings blanked out; same length and lines as the text. */
  readonly code: string;
  readonly imports: readonly Import[];
}

/** Every text file of the project, sorted. */
export function listFiles(folder = ''): readonly string[] {
  return readdirSync(path.join(ROOT, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const name = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (GENERATED.has(entry.name)) return [];
      return entry.isDirectory() ? listFiles(name) : BINARY.test(entry.name) ? [] : [name];
    })
    .sort();
}

export function readText(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8');
}

export function readSources(): readonly SourceFile[] {
  return listFiles()
    .filter((file) => file.endsWith('.ts'))
    .map((file) => {
      const text = readText(file);
      const code = blank(text);
      return { path: file, text, code, imports: importsOf(text, code) };
    });
}

/** Found where the code has the words, read where the text has the string. */
function importsOf(text: string, code: string): readonly Import[] {
  return [...code.matchAll(/(?:\b(import|export)\s+(type\s)?[^;'"()]*?\bfrom\s*|\bimport\s*\(?\s*)(['"])/g)].map((found) => {
    const start = found.index + found[0].length;
    return { specifier: text.slice(start, text.indexOf(found[3] ?? "'", start)), typeOnly: found[2] !== undefined };
  });
}

/** A scanner for comments, strings, template literals and regular expressions; code inside `${…}` stays. */
export function blank(text: string): string {
  const out = text.split('');
  const braces: number[] = [];
  let depth = 0;
  let index = 0;
  const erase = (from: number, to: number): void => {
    for (let at = from; at < to; at += 1) if (out[at] !== '\n') out[at] = ' ';
  };
  const template = (from: number): number => {
    let at = from;
    while (at < text.length && text[at] !== '`' && !text.startsWith('${', at)) at += text[at] === '\\' ? 2 : 1;
    erase(from, at);
    if (!text.startsWith('${', at)) return at + 1;
    braces.push(depth);
    depth += 1;
    return at + 2;
  };
  while (index < text.length) {
    const char = text[index] ?? '';
    const plain = /^(?:\/\/[^\n]*|\/\*[\s\S]*?\*\/)/.exec(text.slice(index, index + 20_000))?.[0];
    if (char === '/' && plain !== undefined) {
      erase(index, index + plain.length);
      index += plain.length;
    } else if (char === '/' && /(?:[=(,:[!&|?{};\n]|\breturn|=>)\s*$/.test(text.slice(Math.max(0, index - 20), index))) {
      const end = endOfPattern(text, index);
      erase(index + 1, end - 1);
      index = end;
    } else if (char === "'" || char === '"') {
      const end = endOfString(text, index);
      erase(index + 1, end - 1);
      index = end;
    } else if (char === '`') index = template(index + 1);
    else if (char === '}' && braces.at(-1) === depth - 1) {
      braces.pop();
      depth -= 1;
      index = template(index + 1);
    } else {
      if (char === '{') depth += 1;
      if (char === '}') depth -= 1;
      index += 1;
    }
  }
  return out.join('');
}

/** Past the closing quote. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== text[start] && text[at] !== '\n') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

/** Past the closing slash of a regular expression. */
function endOfPattern(text: string, start: number): number {
  let at = start + 1;
  let inClass = false;
  while (at < text.length && text[at] !== '\n' && (inClass || text[at] !== '/')) {
    if (text[at] === '[') inClass = true;
    if (text[at] === ']') inClass = false;
    at += text[at] === '\\' ? 2 : 1;
  }
  return at + 1;
}
