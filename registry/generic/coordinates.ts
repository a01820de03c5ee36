/**
 * What a path of the generic ecosystem names, and how its package is written as a package URL. Follows docs/SPEC.md, "HTTP names", and
 * ECMA-427 for the package URL.
 *
 * `/generic/NAMESPACE/NAME/VERSION/FILE` names a file; `/generic/NAMESPACE/NAME/VERSION` a version. A namespace is one or more segments,
 * so a path of four segments or more can be read both ways: a trailing `/` always means the version, PUT always means a file, POST always
 * a version, and GET without `/` means the file if there is one, else the version.
 */

import { type Coordinates, checkCoordinates, checkFileName } from '../../chain/index.ts';
import { parseTarget } from '../http-names.ts';

export interface GenericTarget {
  /** Read as a file, or null when the path can't be one. */
  readonly file: { readonly coordinates: Coordinates; readonly name: string } | null;
  /** Read as a version, or null when the path can't be one. */
  readonly version: Coordinates | null;
  readonly query: string;
}

export type ParsedGeneric = { readonly ok: true; readonly target: GenericTarget } | { readonly ok: false; readonly reason: string };

/** `rawTarget` is Node's `request.url`, untouched. */
export function parseGenericTarget(rawTarget: string): ParsedGeneric {
  const parsed = parseTarget(rawTarget);
  if (!parsed.ok) return parsed;
  const { segments, isFolder, query } = parsed.target;
  const [root, ...names] = segments;
  if (root !== 'generic') return { ok: false, reason: 'the path must begin with /generic/' };
  const version = coordinatesOf(names);
  const fileCoordinates = isFolder ? null : coordinatesOf(names.slice(0, -1));
  const fileName = names[names.length - 1] ?? '';
  const file =
    fileCoordinates !== null && typeof fileCoordinates !== 'string' && checkFileName(fileName) === null
      ? { coordinates: fileCoordinates, name: fileName }
      : null;
  if (file !== null || (version !== null && typeof version !== 'string')) {
    return { ok: true, target: { file, version: typeof version === 'string' ? null : version, query } };
  }
  const refusal = [checkFileName(fileName), fileCoordinates, version].find((one) => typeof one === 'string');
  return { ok: false, reason: typeof refusal === 'string' ? refusal : 'expected /generic/NAMESPACE/NAME/VERSION or …/FILE' };
}

/** `pkg:generic/NAMESPACE/NAME@VERSION`. */
export function formatPurl(coordinates: Coordinates): string {
  const path = [...coordinates.namespace.split('/'), coordinates.name].map(encodeURIComponent).join('/');
  return `pkg:generic/${path}@${encodeURIComponent(coordinates.version)}`;
}

/** Null when there are too few segments, a reason when they don't fit the grammar. */
function coordinatesOf(names: readonly string[]): Coordinates | string | null {
  const [version, name] = [names[names.length - 1], names[names.length - 2]];
  const namespace = names.slice(0, -2).join('/');
  if (version === undefined || name === undefined || namespace === '') return null;
  const coordinates: Coordinates = { ecosystem: 'generic', registry: '', namespace, name, version };
  return checkCoordinates(coordinates) ?? coordinates;
}
