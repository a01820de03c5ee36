/**
 * In which order authorities may publish a candidate about one key, so that they don't all speak at once and each key has another first.
 * Follows docs/SPEC.md §3.6. Pure: how long each waits for the one before is the node's business.
 */

import { encode } from './codec.ts';
import { compareBytes, type Digest, type Sha256 } from './digest.ts';
import { digest, nullable, oneOf, text, tuple, uint } from './schema.ts';
import type { ValidatorSetRecord } from './structures.ts';

const rankSchema = tuple(oneOf('cairn/rank/1'), digest, text(1024), nullable(uint()), digest);

/** Node ids of the set, first author first: in the order of SHA-256(['cairn/rank/1', chainId, key, replaces, nodeId]). */
export function rankAuthors(
  sha256: Sha256,
  about: { readonly chainId: Digest; readonly key: string; readonly replaces: number | null },
  set: ValidatorSetRecord,
): readonly Digest[] {
  return set
    .map(({ nodeId }) => ({ nodeId, rank: sha256(encode(rankSchema, ['cairn/rank/1', about.chainId, about.key, about.replaces, nodeId])) }))
    .sort((left, right) => compareBytes(left.rank, right.rank))
    .map(({ nodeId }) => nodeId);
}
