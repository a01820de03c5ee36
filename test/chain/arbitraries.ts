/**
 * Arbitrary values for any schema, derived from its shape, and small sample structures. Follows docs/SPEC.md §1. Never used outside tests.
 */

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import * as chain from '../../chain/index.ts';

/** SHA-256 by node:crypto, as the chain's port. */
export const sha256: chain.Sha256 = (data) => chain.asDigest(new Uint8Array(createHash('sha256').update(data).digest()));

/** Every schema that the chain floor shows, by name. */
export function allSchemas(): ReadonlyMap<string, chain.Schema<unknown>> {
  const found = new Map<string, chain.Schema<unknown>>();
  for (const [name, value] of Object.entries(chain)) {
    if (typeof value === 'object' && value !== null && 'shape' in value) found.set(name, value as chain.Schema<unknown>);
  }
  return found;
}

/** Values that the schema takes, small ones mostly, with edges. */
export function arbitraryOf<T>(schema: chain.Schema<T>): fc.Arbitrary<T> {
  return fromShape(schema.shape) as fc.Arbitrary<T>;
}

function fromShape(shape: chain.Shape): fc.Arbitrary<unknown> {
  switch (shape.kind) {
    case 'uint':
      return fc.oneof(fc.constantFrom(...EDGES.filter((edge) => edge <= shape.max), shape.max), fc.nat({ max: Math.min(shape.max, 1e6) }));
    case 'bytes':
      return fc.uint8Array({ minLength: shape.min, maxLength: Math.max(shape.min, Math.min(shape.max, 300)) });
    case 'text':
      return fc.string({ unit: 'binary', maxLength: Math.min(Math.floor(shape.max / 2), 30) });
    case 'bool':
      return fc.boolean();
    case 'oneOf':
      return fc.constantFrom(...shape.values);
    case 'nullable':
      return fc.option(fromShape(shape.inner), { nil: null });
    case 'array':
      return fc.array(fromShape(shape.inner), { maxLength: Math.min(shape.max, 3) });
    case 'tuple':
      return fc.tuple(...shape.items.map(fromShape));
    case 'record':
      return fromRecord(shape);
    case 'union':
      return fc.oneof(...[...shape.variants.values()].map(fromRecord));
  }
}

function fromRecord(shape: chain.RecordShape): fc.Arbitrary<unknown> {
  return fc.record(Object.fromEntries(shape.fields.map((field) => [field.name, fromShape(field.shape)])), { noNullPrototype: true });
}

/** Where the encoding of an integer grows by a byte, and its ends. */
const EDGES = [0, 23, 24, 0xff, 0x100, 0xffff, 0x10000, 0xffffffff, 0x100000000, Number.MAX_SAFE_INTEGER];

/** 32 bytes of one value. */
export function filled(byte: number, length = 32): Uint8Array {
  return new Uint8Array(length).fill(byte);
}

export function digestOf(byte: number): chain.Digest {
  return chain.asDigest(filled(byte));
}

export function sampleCoordinates(version = '1.0.0', name = 'hello'): chain.Coordinates {
  return { ecosystem: 'generic', registry: '', namespace: 'demo', name, version };
}

export function sampleFile(name = 'hello.tar.gz'): chain.FileEntry {
  return {
    name,
    mediaType: 'application/gzip',
    sizeBytes: 1000,
    digests: { sha256: digestOf(0xf1), sha512: null, sha1: null, h1: null },
    piecesRoot: digestOf(0xf2),
  };
}

export function sampleArtifact(change: Partial<chain.AddArtifact> = {}): chain.AddArtifact {
  return {
    kind: 'AddArtifact',
    coordinates: sampleCoordinates(),
    files: [sampleFile()],
    source: { kind: 'publisher', nodeId: digestOf(0x01) },
    dependencies: [],
    verification: 'published',
    replaces: null,
    ...change,
  };
}

/** The label `latest` of the sample package. */
export const sampleName: Extract<chain.Claim, { kind: 'SetName' }> = {
  kind: 'SetName',
  ecosystem: 'generic',
  registry: '',
  namespace: 'demo',
  name: 'hello',
  label: 'latest',
  target: { ecosystem: 'generic', registry: '', namespace: 'demo', name: 'hello', version: '1.0.0' },
  replaces: null,
};

export function sampleRule(change: Partial<chain.PolicyRule> = {}): chain.PolicyRule {
  return {
    ecosystem: 'generic',
    registry: '',
    namespace: 'demo/*',
    verification: 'published',
    upstream: null,
    publishers: [digestOf(0x01), digestOf(0x02)],
    maxFileBytes: 10_000,
    maxFiles: 4,
    minimumAgeMs: 0,
    manual: false,
    requests: 'none',
    platforms: [],
    ...change,
  };
}

export function sampleParameters(change: Partial<chain.Parameters> = {}): chain.Parameters {
  return {
    protocolVersion: 1,
    heartbeatMs: 600_000,
    candidateMs: 3000,
    endorsementMs: 60_000,
    requestOnMissMs: 20_000,
    nameRefreshMs: 3_600_000,
    precisionMs: 500,
    messageDelayMs: 2000,
    messageDelayGrowthMs: 500,
    timeouts: {
      proposeMs: 1000,
      proposeDeltaMs: 500,
      prevoteMs: 500,
      prevoteDeltaMs: 500,
      precommitMs: 500,
      precommitDeltaMs: 500,
      capMs: 60_000,
    },
    maxBlockBytes: chain.MAX_BLOCK_BYTES,
    maxTransactionBytes: chain.MAX_TRANSACTION_BYTES,
    maxTransactionClaims: 256,
    maxBlockOperations: 2000,
    maxEvidenceAgeBlocks: 100_000,
    removeGuilty: false,
    policy: [sampleRule()],
    ...change,
  };
}
