/** What the chain floor shows. */

export { asDigest, type Digest, digestFromHex, digestToHex, formatDigest, parseDigest, type Sha256, sameBytes } from './digest.ts';
export * from './structures.ts';
export type { AnySchema, Infer, Schema } from './schema.ts';
