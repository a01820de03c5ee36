/**
 * What a request is about, in the words of the chain: its state key, whether the chain has it by now, and how people write it. SPEC §3.7.
 */

import {
  artifactKey,
  artifactOf,
  type Coordinates,
  isVersion,
  nameKey,
  nameOf,
  type PackageName,
  type RequestSubject,
  type StateReader,
} from '../../chain/index.ts';
import { formatImage } from '../../registry/index.ts';

/** What the subject is on the chain. */
export type Standing =
  | { readonly kind: 'live'; readonly coordinates: Coordinates; readonly height: number }
  | { readonly kind: 'removed'; readonly height: number; readonly reason: string }
  | { readonly kind: 'absent' };

export function packageOf({ reference: _reference, ...of }: RequestSubject): PackageName {
  return of;
}

/** The version named, or null for a label. */
export function versionOf(subject: RequestSubject): Coordinates | null {
  return isVersion(subject.ecosystem, subject.reference) ? { ...packageOf(subject), version: subject.reference } : null;
}

/** The key that a candidate for the subject is about: of the label where one is named. */
export function keyOfSubject(subject: RequestSubject): string {
  const version = versionOf(subject);
  return version === null ? nameKey(packageOf(subject), subject.reference) : artifactKey(version);
}

export function standingOf(state: StateReader, subject: RequestSubject): Standing {
  const coordinates = versionOf(subject) ?? nameOf(state, packageOf(subject), subject.reference)?.target ?? null;
  const record = coordinates === null ? null : artifactOf(state, coordinates);
  if (record === null || coordinates === null) return { kind: 'absent' };
  return record.kind === 'artifact'
    ? { kind: 'live', coordinates, height: record.height }
    : { kind: 'removed', height: record.height, reason: record.reason };
}

/** As people write it: `docker.io/library/alpine:3.20`. */
export function describeSubject(subject: RequestSubject): string {
  return formatImage(packageOf(subject), subject.reference);
}
