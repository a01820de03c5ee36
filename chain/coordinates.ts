/**
 * What packages and files may be called on the chain: a frozen ASCII grammar per ecosystem, so that a name has one spelling and no two
 * names look alike to one tool and different to another. Follows docs/SPEC.md §2. Never folds case and never repairs: a name fits or is
 * refused. Package URLs are the business of the edges.
 */

import { refusalOf } from './codec.ts';
import type { Coordinates, EcosystemName, RequestSubject } from './structures.ts';
import { ecosystem as ecosystemSchema } from './structures.ts';

/** Longest component, in characters. */
export const MAX_COMPONENT_LENGTH = 128;
/** Longest npm name, Docker or Go path and file name, in characters. */
export const MAX_LONG_COMPONENT_LENGTH = 200;

interface Grammar {
  readonly registry: RegExp;
  readonly namespace: RegExp;
  readonly name: RegExp;
  readonly version: RegExp;
  readonly maxLength: number;
}

const EMPTY = /^$/;
/** Letters, digits, `.`, `_`, `+`, `-`, and the first a letter or digit. */
const SEGMENT = /^[A-Za-z0-9][A-Za-z0-9._+-]*$/;
const SEGMENTS = /^[A-Za-z0-9][A-Za-z0-9._+-]*(?:\/[A-Za-z0-9][A-Za-z0-9._+-]*)*$/;
/** Lower-case DNS name with an optional port. */
const HOST = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::[1-9][0-9]{0,4})?$/;
/** Empty for the ecosystem's own public registry, a host for any other. */
const HOST_OR_EMPTY = new RegExp(`${HOST.source}|^$`);
/** OCI distribution-spec 1.1: a path component of a repository name. */
const OCI_COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const SEMVER = '(?:0|[1-9][0-9]*)\\.(?:0|[1-9][0-9]*)\\.(?:0|[1-9][0-9]*)';
const PRERELEASE = '(?:-(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?';
const BUILD = '(?:\\+[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?';
const NUMBER = '(?:0|[1-9][0-9]*)';
const GO_ELEMENT = '[A-Za-z0-9_~-](?:[A-Za-z0-9._~-]*[A-Za-z0-9_~-])?';

const GRAMMARS: Readonly<Record<EcosystemName, Grammar>> = {
  generic: { registry: EMPTY, namespace: SEGMENTS, name: SEGMENT, version: SEGMENT, maxLength: MAX_COMPONENT_LENGTH },
  docker: {
    registry: HOST,
    namespace: new RegExp(`^(?:${OCI_COMPONENT}(?:/${OCI_COMPONENT})*)?$`),
    name: new RegExp(`^${OCI_COMPONENT}$`),
    version: /^sha256:[0-9a-f]{64}$/,
    maxLength: MAX_LONG_COMPONENT_LENGTH,
  },
  maven: {
    registry: HOST_OR_EMPTY,
    namespace: /^[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)*$/,
    name: /^[A-Za-z0-9_][A-Za-z0-9._-]*$/,
    version: SEGMENT,
    maxLength: MAX_COMPONENT_LENGTH,
  },
  npm: {
    registry: HOST_OR_EMPTY,
    namespace: /^(?:@[A-Za-z0-9_~-][A-Za-z0-9._~-]*)?$/,
    name: /^[A-Za-z0-9_~-][A-Za-z0-9._~-]*$/,
    version: new RegExp(`^${SEMVER}${PRERELEASE}$`),
    maxLength: MAX_LONG_COMPONENT_LENGTH,
  },
  pypi: {
    registry: HOST_OR_EMPTY,
    namespace: EMPTY,
    name: /^[a-z0-9]+(?:-[a-z0-9]+)*$/,
    version: new RegExp(
      `^(?:[1-9][0-9]*!)?${NUMBER}(?:\\.${NUMBER})*(?:(?:a|b|rc)${NUMBER})?(?:\\.post${NUMBER})?(?:\\.dev${NUMBER})?(?:\\+[a-z0-9]+(?:\\.[a-z0-9]+)*)?$`,
    ),
    maxLength: MAX_COMPONENT_LENGTH,
  },
  cargo: {
    registry: HOST_OR_EMPTY,
    namespace: EMPTY,
    name: /^[A-Za-z][A-Za-z0-9_-]{0,63}$/,
    version: new RegExp(`^${SEMVER}${PRERELEASE}${BUILD}$`),
    maxLength: MAX_COMPONENT_LENGTH,
  },
  go: {
    registry: EMPTY,
    namespace: new RegExp(`^(?:${GO_ELEMENT}(?:/${GO_ELEMENT})*)?$`),
    name: new RegExp(`^${GO_ELEMENT}$`),
    version: new RegExp(`^v${SEMVER}${PRERELEASE}(?:\\+incompatible)?$`),
    maxLength: MAX_LONG_COMPONENT_LENGTH,
  },
};

/** A package without its version. */
export type PackageName = Omit<Coordinates, 'version'>;

/** Null when every component fits its ecosystem's grammar, else why not. */
export function checkCoordinates(coordinates: Coordinates): string | null {
  const grammar = GRAMMARS[coordinates.ecosystem];
  return checkPackageName(coordinates) ?? checkComponent('version', coordinates.version, grammar.version, grammar.maxLength);
}

/** The same for a package of any version. */
export function checkPackageName(name: PackageName): string | null {
  const grammar = GRAMMARS[name.ecosystem];
  return (
    checkComponent('registry', name.registry, grammar.registry, MAX_COMPONENT_LENGTH) ??
    checkComponent('namespace', name.namespace, grammar.namespace, grammar.maxLength) ??
    checkComponent('name', name.name, grammar.name, grammar.maxLength)
  );
}

/** Null for a registry that some package of the ecosystem may have. */
export function checkRegistry(ecosystem: EcosystemName, registry: string): string | null {
  return checkComponent('registry', registry, GRAMMARS[ecosystem].registry, MAX_COMPONENT_LENGTH);
}

/** Null for a namespace that some package of the ecosystem may have. */
export function checkNamespace(ecosystem: EcosystemName, namespace: string): string | null {
  return checkComponent('namespace', namespace, GRAMMARS[ecosystem].namespace, GRAMMARS[ecosystem].maxLength);
}

/** Null for a file name that may stand in a claim: one path segment, never hidden, never an option. */
export function checkFileName(name: string): string | null {
  return checkComponent('file name', name, SEGMENT, MAX_LONG_COMPONENT_LENGTH);
}

/** Null for a label that a name may have: a Docker tag, an npm dist-tag. OCI distribution-spec 1.1, `<reference>`. */
export function checkLabel(label: string): string | null {
  return checkComponent('label', label, /^[A-Za-z0-9_][A-Za-z0-9._-]*$/, MAX_COMPONENT_LENGTH);
}

/** Null for something that a node may ask for: a package of that grammar, and as reference a version or a label of it. */
export function checkRequestSubject(subject: RequestSubject): string | null {
  const refusal = checkPackageName(subject);
  if (refusal !== null || isVersion(subject.ecosystem, subject.reference)) return refusal;
  return checkLabel(subject.reference);
}

/** True for what the ecosystem's grammar takes for a version, so that no label can be mistaken for one. */
export function isVersion(ecosystem: EcosystemName, reference: string): boolean {
  const { version, maxLength } = GRAMMARS[ecosystem];
  return checkComponent('version', reference, version, maxLength) === null;
}

/** `ecosystem|registry|namespace|name|version`; no grammar admits `|`, so no two coordinates share a key. */
export function coordinatesKey(coordinates: Coordinates): string {
  return `${packageKey(coordinates)}|${coordinates.version}`;
}

/** `ecosystem|registry|namespace|name`. */
export function packageKey(name: PackageName): string {
  return `${name.ecosystem}|${name.registry}|${name.namespace}|${name.name}`;
}

/** Reads what `coordinatesKey` wrote; null for anything else. */
export function parseCoordinatesKey(key: string): Coordinates | null {
  const parts = key.split('|');
  const [ecosystem, registry, namespace, name, version] = parts;
  if (parts.length !== 5 || registry === undefined || namespace === undefined || name === undefined || version === undefined) return null;
  if (!isEcosystem(ecosystem)) return null;
  const coordinates = { ecosystem, registry, namespace, name, version };
  return checkCoordinates(coordinates) === null ? coordinates : null;
}

function isEcosystem(value: unknown): value is EcosystemName {
  return refusalOf(ecosystemSchema, value) === null;
}

function checkComponent(what: string, value: string, grammar: RegExp, maxLength: number): string | null {
  if (value.length > maxLength) return `${what}: expected at most ${maxLength} characters, got ${value.length}`;
  if (value.includes('..')) return `${what}: '..' is not allowed`;
  return grammar.test(value) ? null : `${what}: ${JSON.stringify(value)} is not a valid ${what} here`;
}
