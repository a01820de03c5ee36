/**
 * Reads a node's configuration: defaults < cairn.toml < `CAIRN_*` environment < flags. Follows docs/cli.md; what isn't known is an error that
 * names the nearest known key. Never writes.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { ConfigError, nearestName } from './config-error.ts';
import {
  CONFIG_KEYS,
  type Config,
  type ConfigKey,
  environmentNameOf,
  expectationOf,
  flagNameOf,
  isConfigKey,
  isSettingValue,
  parseSettingText,
  SETTINGS,
} from './settings.ts';

export const CONFIG_FILE_NAME = 'cairn.toml';

/** Environment names that are no settings: where the data lies, and whether errors print their stack. */
const OTHER_ENVIRONMENT = ['CAIRN_DATA', 'CAIRN_VERBOSE'];

export type ConfigOrigin = 'default' | 'file' | 'environment' | 'flag';

export interface LoadedConfig {
  readonly config: Config;
  readonly origins: Readonly<Record<ConfigKey, ConfigOrigin>>;
  /** Path of cairn.toml, whether or not it exists. */
  readonly path: string;
}

export interface ConfigSources {
  /** Text of cairn.toml, or null when there is none. */
  readonly file: string | null;
  /** Shown in errors. */
  readonly path: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** By key (`http.port`), as text. */
  readonly flags: Readonly<Record<string, string>>;
}

/** Reads the data folder's cairn.toml and puts everything together; throws a ConfigError. */
export async function loadConfig(options: {
  readonly dataDir: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly flags: Readonly<Record<string, string>>;
}): Promise<LoadedConfig> {
  const path = join(options.dataDir, CONFIG_FILE_NAME);
  const file = await readConfigFile(path);
  return resolveConfig({ file, path, environment: options.environment, flags: options.flags });
}

/** The file's text, or null when there is none; throws a ConfigError when it can't be read. */
export async function readConfigFile(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new ConfigError('unreadable', `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** The pure part of `loadConfig`. */
export function resolveConfig(sources: ConfigSources): LoadedConfig {
  const values: Record<string, unknown> = {};
  const origins: Record<string, ConfigOrigin> = {};
  for (const key of CONFIG_KEYS) {
    values[key] = SETTINGS[key].default;
    origins[key] = 'default';
  }
  const take = (key: ConfigKey, value: unknown, origin: ConfigOrigin): void => {
    values[key] = value;
    origins[key] = origin;
  };
  for (const [key, value] of sources.file === null ? [] : flattenToml(sources.file, sources.path)) {
    const known = knownKey(key, sources.path);
    if (!isSettingValue(SETTINGS[known].type, value)) throw badValue(known, value, `${sources.path}: ${key}`);
    take(known, value, 'file');
  }
  const environmentKeys = new Map(CONFIG_KEYS.map((key) => [environmentNameOf(key), key]));
  for (const [name, text] of Object.entries(sources.environment)) {
    if (!name.startsWith('CAIRN_') || text === undefined || OTHER_ENVIRONMENT.includes(name)) continue;
    const key = environmentKeys.get(name);
    if (key === undefined) throw unknownKey(name, [...environmentKeys.keys(), ...OTHER_ENVIRONMENT], 'the environment');
    take(key, readSettingText(key, text, name), 'environment');
  }
  for (const [name, text] of Object.entries(sources.flags)) {
    const key = knownKey(name, 'the flags');
    take(key, readSettingText(key, text, `--${flagNameOf(key)}`), 'flag');
  }
  return { config: Object.freeze(values) as unknown as Config, origins: origins as Record<ConfigKey, ConfigOrigin>, path: sources.path };
}

/** The value that a text of the environment, a flag or `config set` means; throws a ConfigError that calls the key by `spelling`. */
export function readSettingText(key: ConfigKey, text: string, spelling: string): unknown {
  const { type } = SETTINGS[key];
  const value = parseSettingText(type, text);
  if (value === undefined || !isSettingValue(type, value)) throw badValue(key, value ?? text, spelling);
  return value;
}

/** Settings that must fit the network's own parameters; throws a ConfigError. */
export function checkAgainstNetwork(config: Config, parameters: { readonly heartbeatMs: number }): void {
  const least = 3 * parameters.heartbeatMs;
  if (config['serve.maxHeadAgeMs'] < least) {
    throw new ConfigError(
      'bad-value',
      `serve.maxHeadAgeMs: expected at least ${least} (three heartbeats of this network), got ${config['serve.maxHeadAgeMs']}`,
      { key: 'serve.maxHeadAgeMs' },
    );
  }
}

/** Dotted keys and values of a TOML text, in order; throws a ConfigError naming line and column. */
export function flattenToml(text: string, path: string): readonly (readonly [string, unknown])[] {
  let table: Record<string, unknown>;
  try {
    table = parse(text) as Record<string, unknown>;
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const reason = cause.message.split('\n')[0] ?? 'not TOML';
    throw new ConfigError('bad-toml', `${path}: line ${cause.line}, column ${cause.column}: ${reason}`, { cause });
  }
  const entries: (readonly [string, unknown])[] = [];
  const walk = (prefix: string, level: Readonly<Record<string, unknown>>): void => {
    for (const [name, value] of Object.entries(level)) {
      const key = prefix === '' ? name : `${prefix}.${name}`;
      if (isTable(value) && !isConfigKey(key)) walk(key, value);
      else entries.push([key, value]);
    }
  };
  walk('', table);
  return entries;
}

/** The key itself; throws a ConfigError naming the nearest one when there is none such, and where it stands unless that is plain. */
export function knownKey(key: string, where: string | null): ConfigKey {
  if (isConfigKey(key)) return key;
  throw unknownKey(key, CONFIG_KEYS, where);
}

function unknownKey(name: string, known: readonly string[], where: string | null): ConfigError {
  const nearest = nearestName(name, known);
  const hint = nearest === null ? "see 'cairn config show' for all keys" : `did you mean ${nearest}?`;
  return new ConfigError('unknown-key', `unknown key ${name}${where === null ? '' : ` in ${where}`}: ${hint}`, { key: name });
}

function badValue(key: ConfigKey, value: unknown, spelling: string): ConfigError {
  const { type, secret } = SETTINGS[key];
  const got = secret ? 'something else' : JSON.stringify(Array.isArray(value) ? worst(key, value) : value);
  return new ConfigError('bad-value', `${spelling}: expected ${expectationOf(type)}, got ${got}`, { key });
}

/** The first item of a list that doesn't fit, or the list when it is the length that doesn't. */
function worst(key: ConfigKey, list: readonly unknown[]): unknown {
  const found = list.findIndex((item) => !isSettingValue(SETTINGS[key].type, [item]));
  return found < 0 ? list : list[found];
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
