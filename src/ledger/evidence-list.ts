/** The evidence on the chain, as operators see it. SPEC §4. */

import type { StateRecord } from '../../chain/index.ts';
import type { EvidenceEntry } from '../operations.ts';
import type { Head } from './head.ts';

const PREFIX = 'evidence|';
const TYPES = ['prevote', 'precommit', 'proposal'] as const;

/** One page in the order of the keys: by node, then as text by height and round. `after`: the key of the last one seen. */
export async function listEvidence(
  head: Head,
  options: { readonly after: string | null; readonly limit: number },
): Promise<readonly EvidenceEntry[]> {
  const found = await head.store.records(PREFIX, { ...(options.after === null ? {} : { after: options.after }), limit: options.limit });
  return found.flatMap(([key, record]) => entryOf(head, key, record));
}

function entryOf(head: Head, key: string, record: StateRecord): readonly EvidenceEntry[] {
  const [, nodeId = '', height, round, type] = key.split('|');
  const known = TYPES.find((one) => one === type);
  if (record.kind !== 'evidence' || known === undefined) return [];
  const node = head.view.state.get(`node|${nodeId}`);
  const about = node?.kind === 'node' ? { name: node.node.name, active: node.active } : { name: null, active: false };
  return [{ key, nodeId, ...about, type: known, height: Number(height), round: Number(round), recordedAt: record.height }];
}
