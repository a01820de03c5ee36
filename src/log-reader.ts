/**
 * The chain's log as operators read it: the operations about one key, about one package, or all, with who endorsed them. Reads committed blocks
 * alone.
 */

import {
  asDigest,
  type BlockHeader,
  digestToHex,
  formatDigest,
  type LogLeaf,
  type SealedTransaction,
  type Sha256,
  sameBytes,
  transactionId,
} from '../chain/index.ts';
import { decodeBlock, type Head } from './ledger/head.ts';
import type { LogEntry, LogQuery } from './operations.ts';

/** Operations about one key that a query looks through. */
const MAX_HISTORY = 10_000;

export async function readLog(
  { head, sha256 }: { readonly head: Head; readonly sha256: Sha256 },
  query: LogQuery,
): Promise<readonly LogEntry[]> {
  const indexes = await indexesOf(head, query);
  return indexes.flatMap((index) => {
    const leaf = head.store.leaf(index);
    return leaf === null ? [] : entryOf(leaf, head, sha256);
  });
}

/** A committed block, read again. */
export function blockAt(
  head: Head,
  height: number,
): { readonly header: BlockHeader; readonly transactions: readonly SealedTransaction[] } | null {
  const stored = head.store.block(height);
  const block = stored === null ? null : decodeBlock(stored.block);
  return block?.ok === true ? block.value : null;
}

async function indexesOf(head: Head, query: LogQuery): Promise<readonly number[]> {
  if (query.key !== null) return await historyOf(head, query.key, query);
  return query.package === null ? logIndexes(head, query) : await historyOfPackage(head, query.package, query);
}

/** Places in the log of the operations about one package: its versions and its names. */
async function historyOfPackage(head: Head, name: string, query: LogQuery): Promise<readonly number[]> {
  const { store } = head;
  const found = await Promise.all([`artifact|${name}|`, `name|${name}|`].map((prefix) => store.histories(prefix, { limit: MAX_HISTORY })));
  const wanted = found.flat().filter((entry) => entry.height >= query.fromHeight);
  const indexes = wanted.map((entry) => entry.logIndex).sort((left, right) => (query.latest ? right - left : left - right));
  return indexes.slice(0, query.limit);
}

/** Places in the log of the whole chain from a height on. */
function logIndexes(head: Head, query: LogQuery): readonly number[] {
  const { store, view } = head;
  const first = query.fromHeight <= 1 ? 0 : (store.header(query.fromHeight - 1)?.logSize ?? view.logRange.size);
  const count = Math.min(query.limit, view.logRange.size - first);
  return Array.from({ length: Math.max(0, count) }, (_, at) => (query.latest ? view.logRange.size - 1 - at : first + at));
}

/** Places in the log of the operations about one key. */
async function historyOf(head: Head, key: string, query: LogQuery): Promise<readonly number[]> {
  const newest = await head.store.history(key, { limit: query.latest ? query.limit : MAX_HISTORY });
  const wanted = newest.filter((entry) => entry.height >= query.fromHeight).map((entry) => entry.logIndex);
  return (query.latest ? wanted : wanted.reverse()).slice(0, query.limit);
}

function entryOf(leaf: LogLeaf, head: Head, sha256: Sha256): readonly LogEntry[] {
  const block = blockAt(head, leaf.height);
  const transaction = block?.transactions.find((one) => sameBytes(transactionId(sha256, one.claims), leaf.transactionId));
  const claim = transaction?.claims[leaf.index];
  if (block === null || transaction === undefined || claim === undefined) return [];
  return [
    {
      height: leaf.height,
      timeMs: block.header.timeMs,
      index: leaf.index,
      kind: leaf.kind,
      key: leaf.key,
      transactionId: digestToHex(leaf.transactionId),
      endorsers: transaction.endorsements.map((endorsement) => digestToHex(endorsement.nodeId)),
      claim: toJson(claim),
    },
  ];
}

/** A structure of the chain as JSON: 32-byte strings as `sha256:<hex>`, other bytes as hex. */
function toJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return value.length === 32 ? formatDigest(asDigest(value)) : Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, toJson(one)]));
  return value;
}
