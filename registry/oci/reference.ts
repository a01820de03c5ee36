/**
 * Image references as Docker users write them: `alpine`, `alpine:3.20`, `registry.example:5000/team/app@sha256:…`. Follows the reference grammar
 * of the distribution project: what is left out is the default registry, its `library/`, and the tag `latest`.
 */

import { checkPackageName, checkRequestSubject, type PackageName, type RequestSubject } from '../../chain/index.ts';

/** The registry that a name without one belongs to, and whose single names lie below `library`. */
export const DEFAULT_REGISTRY = 'docker.io';
const DEFAULT_NAMESPACE = 'library';
const DEFAULT_TAG = 'latest';

export type ParsedReference =
  /** `reference` null: neither tag nor digest was written. */
  | { readonly ok: true; readonly repository: PackageName; readonly reference: string | null }
  | { readonly ok: false; readonly reason: string };

export function parseImageReference(text: string): ParsedReference {
  if (text.length > 512) return { ok: false, reason: 'expected an image reference of at most 512 characters' };
  const at = text.indexOf('@');
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const tag = colon < 0 ? null : named.slice(colon + 1);
  const path = (colon < 0 ? named : named.slice(0, colon)).split('/');
  const repository = repositoryOf(path);
  // A digest says more than the tag beside it.
  const reference = at < 0 ? tag : text.slice(at + 1);
  const refusal = reference === null ? checkPackageName(repository) : checkRequestSubject({ ...repository, reference });
  return refusal === null
    ? { ok: true, repository, reference }
    : { ok: false, reason: `${JSON.stringify(text)} is no image reference: ${refusal}` };
}

/** `docker.io/library/alpine:3.20` or `…@sha256:…`, in full. */
export function formatImage(of: PackageName, reference: string): string {
  const path = [of.registry, of.namespace, of.name].filter((part) => part !== '').join('/');
  return `${path}${reference.includes(':') ? '@' : ':'}${reference}`;
}

/** What is asked for where neither tag nor digest was written. */
export function subjectOf(parsed: Extract<ParsedReference, { ok: true }>): RequestSubject {
  return { ...parsed.repository, reference: parsed.reference ?? DEFAULT_TAG };
}

/** A repository from the components of a path, its registry first where that looks like a host. */
export function repositoryOf(path: readonly string[], registry: string = DEFAULT_REGISTRY): PackageName {
  const [first = '', ...rest] = path;
  if (rest.length > 0 && isHost(first)) return repositoryIn(first, rest);
  return repositoryIn(registry, path);
}

/** The same where the registry is known. */
export function repositoryIn(registry: string, path: readonly string[]): PackageName {
  const name = path.at(-1) ?? '';
  const isShort = registry === DEFAULT_REGISTRY && path.length === 1;
  const namespace = isShort ? DEFAULT_NAMESPACE : path.slice(0, -1).join('/');
  return { ecosystem: 'docker', registry, namespace, name };
}

function isHost(component: string): boolean {
  return component === 'localhost' || component.includes('.') || component.includes(':');
}
