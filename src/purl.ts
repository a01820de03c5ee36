/**
 * Package URLs (ECMA-427) to and from the chain's coordinates, for people and APIs. Follows docs/SPEC.md §2. The purl library folds names
 * that are different packages (`JSONStream`, `jsonstream`); here nothing is folded: what doesn't come back as it was written is refused.
 */

import { PackageURL } from 'packageurl-js';
import { type Coordinates, checkCoordinates, type EcosystemName } from '../chain/index.ts';

const TYPES: Readonly<Record<EcosystemName, string>> = {
  generic: 'generic',
  docker: 'docker',
  maven: 'maven',
  npm: 'npm',
  pypi: 'pypi',
  cargo: 'cargo',
  go: 'golang',
};

export type ParsedPurl = { readonly ok: true; readonly coordinates: Coordinates } | { readonly ok: false; readonly reason: string };

/** Reads a package URL of one version, as `pkg:generic/demo/hello@1.0.0`. Never throws. */
export function parsePurl(text: string): ParsedPurl {
  if (text.length > 1024) return refused('expected at most 1024 characters');
  if (!text.startsWith('pkg:')) return refused('expected a package URL such as pkg:generic/demo/hello@1.0.0');
  let purl: PackageURL;
  try {
    purl = PackageURL.fromString(text);
  } catch (error) {
    return refused(error instanceof Error ? error.message : 'not a package URL');
  }
  const ecosystem = (Object.keys(TYPES) as EcosystemName[]).find((name) => TYPES[name] === purl.type);
  if (ecosystem === undefined) return refused(`expected a type out of ${Object.values(TYPES).join(', ')}, got ${purl.type}`);
  if (purl.subpath !== undefined && purl.subpath !== null) return refused('a subpath names no package');
  const { repository_url: registry = '', ...others } = purl.qualifiers ?? {};
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) return refused(`unknown qualifier ${unknown}; only repository_url is known`);
  if (!purl.version) return refused('expected a version, as in …@1.0.0');
  const coordinates = { ecosystem, registry, namespace: purl.namespace ?? '', name: purl.name, version: purl.version };
  const refusal = checkCoordinates(coordinates);
  if (refusal !== null) return refused(refusal);
  const canonical = write(coordinates);
  return canonical === text ? { ok: true, coordinates } : refused(`expected its one spelling, ${canonical}`);
}

/** The package URL, or null for coordinates that no package URL names without folding them. */
export function formatPurl(coordinates: Coordinates): string | null {
  const text = write(coordinates);
  const parsed = parsePurl(text);
  if (!parsed.ok) return null;
  const names = ['ecosystem', 'registry', 'namespace', 'name', 'version'] as const;
  return names.every((name) => parsed.coordinates[name] === coordinates[name]) ? text : null;
}

/** For people: the package URL, or the bare coordinates where there is none. */
export function describeCoordinates(coordinates: Coordinates): string {
  const { ecosystem, registry, namespace, name, version } = coordinates;
  return formatPurl(coordinates) ?? `${[ecosystem, registry, namespace, name].filter((part) => part !== '').join(' ')} ${version}`;
}

function write({ ecosystem, registry, namespace, name, version }: Coordinates): string {
  const qualifiers = registry === '' ? undefined : { repository_url: registry };
  return new PackageURL(TYPES[ecosystem], namespace === '' ? undefined : namespace, name, version, qualifiers, undefined).toString();
}

function refused(reason: string): ParsedPurl {
  return { ok: false, reason };
}
