/**
 * Upper bounds of the encoding itself, in bytes, whatever a network's parameters say; parameters may only be tighter. Follows
 * docs/SPEC.md §8, where each is derived from the structure it bounds.
 */

const KIB = 1024;

/** A block with its certificate of the one before. */
export const MAX_BLOCK_BYTES: number = 2 * KIB * KIB;
/** The claims of one transaction. */
export const MAX_TRANSACTION_BYTES: number = 256 * KIB;
/** Claims, 256 endorsements and 256 consents. */
export const MAX_SEALED_BYTES: number = 384 * KIB;
/** 256 signatures. */
export const MAX_CERTIFICATE_BYTES: number = 32 * KIB;
/** Operations in one block. */
export const MAX_BLOCK_OPERATIONS = 2000;
/** Claims of one transaction that bring new keys; admitting a key costs milliseconds. */
export const MAX_KEY_CLAIMS = 16;
/** Longest duration a parameter may state: what 32-bit timers can wait, about 24 days. */
export const MAX_DURATION_MS: number = 2 ** 31 - 1;
