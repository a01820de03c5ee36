/**
 * From a proposal's message to its block: the header names the transactions by digest, most of them lie in the mempool already, the
 * rest are asked for directly. Nothing here trusts the sender: what comes back is taken only under the digest that was asked for.
 */

import {
  type Block,
  type Digest,
  decode,
  digestToHex,
  encode,
  MAX_SEALED_BYTES,
  MAX_TRANSACTIONS_REQUEST_BYTES,
  MAX_TRANSACTIONS_RESPONSE_BYTES,
  type ProposalMessage,
  type SealedTransaction,
  type Sha256,
  sealedDigest,
  sealedTransaction,
  transactionsRequest,
  transactionsResponse,
} from '../../chain/index.ts';
import type { Network } from '../ports.ts';

const REQUEST_TIMEOUT_MS = 3_000;
const MAX_DIGESTS_A_REQUEST = 256;
/** What one answer may hold; the asker asks again for the rest. */
const ANSWER_BYTES = 2 * 1024 * 1024;

/** Where sealed transactions are known by the digest of their bytes. */
export interface SealedLookup {
  readonly sealed: (digest: Digest) => SealedTransaction | null;
}

export interface AssemblyDeps {
  readonly network: Network;
  readonly protocol: string;
  readonly sha256: Sha256;
  readonly lookup: SealedLookup;
}

/** Gathers the block of a proposal; null when nobody asked could give all of it in time. */
export async function assembleBlock(deps: AssemblyDeps, message: ProposalMessage, peers: readonly string[]): Promise<Block | null> {
  const found = new Map<string, SealedTransaction>();
  for (const digest of message.sealedDigests) {
    const known = deps.lookup.sealed(digest);
    if (known !== null) found.set(digestToHex(digest), known);
  }
  for (const peer of peers) {
    const progress = await fetchMissing(deps, message.sealedDigests, found, peer);
    if (progress === 'complete') break;
  }
  const transactions: SealedTransaction[] = [];
  for (const digest of message.sealedDigests) {
    const transaction = found.get(digestToHex(digest));
    if (transaction === undefined) return null;
    transactions.push(transaction);
  }
  return { header: message.header, transactions, lastCommit: message.lastCommit, evidence: message.evidence };
}

/** Asks one peer for what is missing, as often as it gives something new. */
async function fetchMissing(
  deps: AssemblyDeps,
  wanted: readonly Digest[],
  found: Map<string, SealedTransaction>,
  peer: string,
): Promise<'complete' | 'incomplete'> {
  for (;;) {
    const missing = wanted.filter((digest) => !found.has(digestToHex(digest)));
    if (missing.length === 0) return 'complete';
    const before = found.size;
    const answer = await ask(deps, peer, missing.slice(0, MAX_DIGESTS_A_REQUEST));
    for (const bytes of answer) {
      const transaction = decode(sealedTransaction, bytes, { maxBytes: MAX_SEALED_BYTES });
      if (!transaction.ok) continue;
      const key = digestToHex(sealedDigest(deps.sha256, transaction.value));
      if (missing.some((digest) => digestToHex(digest) === key)) found.set(key, transaction.value);
    }
    if (found.size === before) return 'incomplete';
  }
}

async function ask(deps: AssemblyDeps, peer: string, digests: readonly Digest[]): Promise<readonly Uint8Array[]> {
  let bytes: Uint8Array;
  try {
    bytes = await deps.network.request(peer, deps.protocol, encode(transactionsRequest, { digests }), {
      timeoutMs: REQUEST_TIMEOUT_MS,
      maxResponseBytes: MAX_TRANSACTIONS_RESPONSE_BYTES,
    });
  } catch {
    // The peer is gone or slow: the next one is asked, and the proposal comes again.
    return [];
  }
  const answer = decode(transactionsResponse, bytes, { maxBytes: MAX_TRANSACTIONS_RESPONSE_BYTES });
  if (answer.ok) return answer.value.transactions;
  deps.network.penalize(peer, 'bad-message', answer.reason);
  return [];
}

/** Answers such requests from the same lookup, as many as fit. */
export function serveTransactions(deps: AssemblyDeps): void {
  deps.network.handle(deps.protocol, { maxRequestBytes: MAX_TRANSACTIONS_REQUEST_BYTES, maxConcurrent: 16 }, async (peer, body) => {
    const request = decode(transactionsRequest, body, { maxBytes: MAX_TRANSACTIONS_REQUEST_BYTES });
    if (!request.ok) {
      deps.network.penalize(peer, 'bad-message', request.reason);
      throw new RangeError(request.reason);
    }
    const transactions: Uint8Array[] = [];
    let size = 0;
    for (const digest of request.value.digests) {
      const known = deps.lookup.sealed(digest);
      if (known === null) continue;
      const bytes = encode(sealedTransaction, known);
      size += bytes.length;
      if (size > ANSWER_BYTES) break;
      transactions.push(bytes);
    }
    return encode(transactionsResponse, { transactions });
  });
}
