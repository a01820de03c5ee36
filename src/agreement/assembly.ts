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
  MAX_BLOCK_BYTES,
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
import type { Clock, Network } from '../ports.ts';

const REQUEST_TIMEOUT_MS = 3_000;
const MAX_DIGESTS_A_REQUEST = 256;
/** What one answer may hold; the asker asks again for the rest. */
const ANSWER_BYTES = 2 * 1024 * 1024;

/** Gathering one block takes no longer, however many pieces it comes in: a slow proposer must not hold a place for ever. */
const ASSEMBLY_MS = 10_000;

/** Where sealed transactions are known by the digest of their bytes. */
export interface SealedLookup {
  readonly sealed: (digest: Digest) => SealedTransaction | null;
}

/** The mempool, and the values of the height in work: after a restart a proposer holds its transactions nowhere else. */
export class Transactions implements SealedLookup {
  readonly #mempool: SealedLookup;
  readonly #sha256: Sha256;
  readonly #indexes = new WeakMap<Block, ReadonlyMap<string, SealedTransaction>>();
  #values: () => Iterable<Block> = () => [];

  constructor(mempool: SealedLookup, sha256: Sha256) {
    this.#mempool = mempool;
    this.#sha256 = sha256;
  }

  /** Looks through these blocks as well, from now on. */
  include(values: () => Iterable<Block>): void {
    this.#values = values;
  }

  sealed(digest: Digest): SealedTransaction | null {
    const waiting = this.#mempool.sealed(digest);
    if (waiting !== null) return waiting;
    for (const block of this.#values()) {
      const found = this.#indexOf(block).get(digestToHex(digest));
      if (found !== undefined) return found;
    }
    return null;
  }

  #indexOf(block: Block): ReadonlyMap<string, SealedTransaction> {
    const known = this.#indexes.get(block);
    if (known !== undefined) return known;
    const index = new Map(block.transactions.map((one) => [digestToHex(sealedDigest(this.#sha256, one)), one] as const));
    this.#indexes.set(block, index);
    return index;
  }
}

export interface AssemblyDeps {
  readonly network: Network;
  readonly protocol: string;
  readonly sha256: Sha256;
  readonly lookup: SealedLookup;
  readonly clock: Clock;
}

/** Gathers the block of a proposal; null when nobody asked could give all of it in time. */
export async function assembleBlock(deps: AssemblyDeps, message: ProposalMessage, peers: readonly string[]): Promise<Block | null> {
  const found = new Map<string, SealedTransaction>();
  for (const digest of message.sealedDigests) {
    const known = deps.lookup.sealed(digest);
    if (known !== null) found.set(digestToHex(digest), known);
  }
  const untilMs = deps.clock.nowMs() + ASSEMBLY_MS;
  for (const peer of peers) {
    const progress = await fetchMissing(deps, { wanted: message.sealedDigests, found, untilMs }, peer);
    if (progress !== 'incomplete') break;
  }
  const transactions: SealedTransaction[] = [];
  for (const digest of message.sealedDigests) {
    const transaction = found.get(digestToHex(digest));
    if (transaction === undefined) return null;
    transactions.push(transaction);
  }
  return { header: message.header, transactions, lastCommit: message.lastCommit, evidence: message.evidence };
}

interface Gathering {
  readonly wanted: readonly Digest[];
  readonly found: Map<string, SealedTransaction>;
  readonly untilMs: number;
}

/** Asks one peer for what is missing, as often as it gives something new; `over` when the time is, or what came is too much for a block. */
async function fetchMissing(
  deps: AssemblyDeps,
  { wanted, found, untilMs }: Gathering,
  peer: string,
): Promise<'complete' | 'incomplete' | 'over'> {
  let fetchedBytes = 0;
  for (;;) {
    const missing = wanted.filter((digest) => !found.has(digestToHex(digest)));
    if (missing.length === 0) return 'complete';
    if (deps.clock.nowMs() >= untilMs || fetchedBytes > MAX_BLOCK_BYTES) return 'over';
    const asked = new Set(missing.slice(0, MAX_DIGESTS_A_REQUEST).map(digestToHex));
    const before = found.size;
    for (const bytes of await ask(deps, peer, missing.slice(0, MAX_DIGESTS_A_REQUEST))) {
      const transaction = decode(sealedTransaction, bytes, { maxBytes: MAX_SEALED_BYTES });
      if (!transaction.ok) continue;
      const key = digestToHex(sealedDigest(deps.sha256, transaction.value));
      if (!asked.delete(key)) continue;
      found.set(key, transaction.value);
      fetchedBytes += bytes.length;
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
