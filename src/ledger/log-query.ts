/** Answers what operators ask of the operation log: all of it, one key, or one package; oldest or newest first. SPEC §5.3. */

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
} from '../../chain/index.ts';
import type { LogEntry, LogQuery } from '../operations.ts';
import { decodeBlock, type Head } from './head.ts';

/** Operations about one key that a query looks through. */
const MAX_HISTORY = 10_000;

interface LogDeps {
  readonly head: Head;
  readonly sha256: Sha256;
}

type StoredBlock = { readonly header: BlockHeader; readonly transactions: readonly SealedTransaction[] };

export async function queryLog(deps: LogDeps, query: LogQuery): Promise<readonly LogEntry[]> {
  const { store } = deps.head;
  const indexes = await indexesOf(deps.head, query);
  return indexes.flatMap((index) => {
    const leaf = store.leaf(index);
    return leaf === null ? [] : entryOf(deps, leaf);
  });
}

/** The committed block of that height, or null where this node hasn't it. */
export function blockAt(head: Head, height: number): StoredBlock | null {
  const stored = head.store.block(height);
  const block = stored === null ? null : decodeBlock(stored.block);
  return block?.ok === true ? block.value : null;
}

async function indexesOf(head: Head, query: LogQuery): Promise<readonly number[]> {
  if (query.key !== null) return await historyOf(head, query.key, query);
  return query.package === null ? logIndexes(head, query) : await historyOfPackage(head, query.package, query);
}

/** Places in the log of the operations about one package: its versions and its names. */
async function historyOfPackage({ store }: Head, name: string, query: LogQuery): Promise<readonly number[]> {
  const found = await Promise.all([`artifact|${name}|`, `name|${name}|`].map((prefix) => store.histories(prefix, { limit: MAX_HISTORY })));
  const wanted = found.flat().filter((entry) => entry.height >= query.fromHeight);
  const indexes = wanted.map((entry) => entry.logIndex).sort((left, right) => (query.latest ? right - left : left - right));
  return indexes.slice(0, query.limit);
}

/** Places in the log of the whole chain from a height on. */
function logIndexes({ store, view }: Head, query: LogQuery): readonly number[] {
  const first = query.fromHeight <= 1 ? 0 : (store.header(query.fromHeight - 1)?.logSize ?? view.logRange.size);
  const count = Math.min(query.limit, view.logRange.size - first);
  return Array.from({ length: Math.max(0, count) }, (_, at) => (query.latest ? view.logRange.size - 1 - at : first + at));
}

/** Places in the log of the operations about one key. */
async function historyOf({ store }: Head, key: string, query: LogQuery): Promise<readonly number[]> {
  const newest = await store.history(key, { limit: query.latest ? query.limit : MAX_HISTORY });
  const wanted = newest.filter((entry) => entry.height >= query.fromHeight).map((entry) => entry.logIndex);
  return (query.latest ? wanted : wanted.reverse()).slice(0, query.limit);
}

function entryOf({ head, sha256 }: LogDeps, leaf: LogLeaf): readonly LogEntry[] {
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
