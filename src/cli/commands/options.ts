/** Options and arguments that several commands share, and how their text becomes a value. */

import { InvalidArgumentError, Option } from 'commander';
import { artifactKey, banKey, parseDigest } from '../../../chain/index.ts';
import { parsePurl } from '../../purl.ts';
import { CliError, EXIT } from '../cli-error.ts';

/** Reads an integer within bounds; a usage error otherwise. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) throw new InvalidArgumentError(`expected an integer from ${min} to ${max}`);
    return value;
  };
}

export function limitOption(description: string): Option {
  return new Option('--limit <count>', description).argParser(integer(1, 1000)).default(100);
}

/** The state key that a package URL or `sha256:…` is about; throws a usage error for anything else. */
export function stateKeyOf(target: string): string {
  const digest = parseDigest(target);
  if (digest !== null) return banKey(digest);
  const parsed = parsePurl(target);
  if (parsed.ok) return artifactKey(parsed.coordinates);
  throw new CliError(EXIT.usage, `${target}: ${parsed.reason}`);
}
