/**
 * Changes single keys of cairn.toml and keeps its comments: it edits lines, reads the outcome back, and only where that isn't what was
 * wanted writes the whole file anew. Never writes a file that `loadConfig` would refuse.
 */

import { randomUUID } from 'node:crypto';
import { chmod, rename, stat, writeFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { parse, stringify } from 'smol-toml';
import { ConfigError } from './config-error.ts';
import { flattenToml, readSettingText, resolveConfig } from './load.ts';
import type { ConfigKey } from './settings.ts';

type Table = Record<string, unknown>;

/** The file's text with the key set to the value given as text; throws a ConfigError when the value doesn't fit. */
export function setConfigText(file: string, key: ConfigKey, text: string, path: string): string {
  const value = readSettingText(key, text, key);
  if (value === null) return hasKey(file, key, path) ? removeConfigText(file, key, path) : file;
  const wanted = withKey(parseFile(file, path), key, value);
  const [section, name] = splitKey(key);
  const line = `${name} = ${tomlValue(value)}`;
  const edited = replaceKey(file, { section, name, line, wanted }) ?? insertKey(file, { section, line, wanted });
  return edited ?? stringify(wanted);
}

/** The file's text without the key; throws a ConfigError (`not-set`) when the file doesn't set it. */
export function removeConfigText(file: string, key: ConfigKey, path: string): string {
  if (!hasKey(file, key, path)) throw new ConfigError('not-set', `${key} is not set in ${path}`, { key });
  const wanted = withKey(parseFile(file, path), key, undefined);
  const [section, name] = splitKey(key);
  return replaceKey(file, { section, name, line: null, wanted }) ?? stringify(wanted);
}

/** Checks the text as cairn.toml and puts it in place in one step, with the rights of the file it replaces. */
export async function saveConfigText(path: string, text: string): Promise<void> {
  resolveConfig({ file: text, path, environment: {}, flags: {} });
  const mode = await stat(path).then(
    (found) => found.mode & 0o777,
    () => 0o600,
  );
  const draft = `${path}.${randomUUID().slice(0, 8)}.new`;
  await writeFile(draft, text, { mode });
  await chmod(draft, mode);
  await rename(draft, path);
}

function parseFile(file: string, path: string): Table {
  flattenToml(file, path);
  return parse(file) as Table;
}

function hasKey(file: string, key: ConfigKey, path: string): boolean {
  return flattenToml(file, path).some(([name]) => name === key);
}

function splitKey(key: string): readonly [string, string] {
  const dot = key.lastIndexOf('.');
  return dot < 0 ? ['', key] : [key.slice(0, dot), key.slice(dot + 1)];
}

/** A copy of the table with the key set, or removed where the value is undefined; a section left empty goes too. */
function withKey(table: Table, key: string, value: unknown): Table {
  const [section, name] = splitKey(key);
  const copy = structuredClone(table);
  const target = section === '' ? copy : { ...(copy[section] as Table | undefined) };
  if (value === undefined) delete target[name];
  else target[name] = value;
  return section === '' ? target : { ...copy, [section]: target };
}

function tomlValue(value: unknown): string {
  return stringify({ value }).trim().slice('value = '.length);
}

/** Puts `line` (or nothing) in the place of the key's lines, however many it spans; null when no such cut gives what is wanted. */
function replaceKey(
  file: string,
  edit: { readonly section: string; readonly name: string; readonly line: string | null; readonly wanted: Table },
): string | null {
  const lines = file.split('\n');
  for (const [index, line] of lines.entries()) {
    if (!line.includes(edit.name)) continue;
    for (let span = 1; span <= 64 && index + span <= lines.length; span += 1) {
      const comment = span === 1 && edit.line !== null ? trailingComment(line) : '';
      const replacement = edit.line === null ? [] : [edit.line + comment];
      const candidate = [...lines.slice(0, index), ...replacement, ...lines.slice(index + span)].join('\n');
      if (gives(candidate, edit.wanted)) return candidate;
    }
  }
  return null;
}

function trailingComment(line: string): string {
  const found = /\s+#[^"']*$/.exec(line);
  return found === null ? '' : found[0];
}

function insertKey(file: string, edit: { readonly section: string; readonly line: string; readonly wanted: Table }): string | null {
  const lines = file.split('\n');
  for (let index = 0; index <= lines.length; index += 1) {
    const isElsewhere =
      edit.section === '' ? (lines[index] ?? '').startsWith('#') : (lines[index - 1] ?? '').trim() !== `[${edit.section}]`;
    if (isElsewhere) continue;
    const candidate = [...lines.slice(0, index), edit.line, ...lines.slice(index)].join('\n');
    if (gives(candidate, edit.wanted)) return candidate;
  }
  const gap = file === '' || file.endsWith('\n\n') ? '' : file.endsWith('\n') ? '\n' : '\n\n';
  const appended = `${file}${gap}[${edit.section}]\n${edit.line}\n`;
  return gives(appended, edit.wanted) ? appended : null;
}

/** True when the text parses to the table, empty sections aside. */
function gives(text: string, wanted: Table): boolean {
  try {
    return isDeepStrictEqual(withoutEmpty(parse(text) as Table), withoutEmpty(wanted));
  } catch {
    return false;
  }
}

function withoutEmpty(table: Table): unknown {
  const kept = Object.entries(table).filter(([, value]) => !(isPlain(value) && Object.keys(value).length === 0));
  return JSON.parse(JSON.stringify(Object.fromEntries(kept)));
}

function isPlain(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
