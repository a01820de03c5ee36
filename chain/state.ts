/**
 * The state: what all nodes hold as decided, a flat map from text keys to records. Says how it is read, what stands in it before the first
 * block, and which validator sets and parameters are in force at which height. Follows docs/SPEC.md §4. Never writes: fold.ts makes changes.
 */

import { artifactKey, banKey, nameKey, nodeKey, PARAMETERS_KEY } from './claims.ts';
import { encode } from './codec.ts';
import type { PackageName } from './coordinates.ts';
import { type Digest, digestToHex, type Sha256 } from './digest.ts';
import type { LogRange } from './log-tree.ts';
import { EMPTY_TREE, type TreeReader, type TreeUpdate, updateTree } from './state-tree.ts';
import {
  type AddArtifact,
  type Coordinates,
  type EvidenceRecord,
  type NodeRecord,
  type Parameters,
  type StateRecord,
  stateRecord,
  type ValidatorSetRecord,
} from './structures.ts';
import { findValidator, validatorSetFromNodes } from './validator-set.ts';

/** Key of the record that holds the three validator sets. */
export const SETS_KEY = 'sets';

/** Port: the record under a key, or null. */
export interface StateReader {
  readonly get: (key: string) => StateRecord | null;
}

/** Everything of the parent that the next block is made from and checked against. Height 0 is genesis, and its block id the chain id. */
export interface ChainView {
  readonly chainId: Digest;
  readonly height: number;
  /** Round in the parent's header. */
  readonly round: number;
  readonly blockId: Digest;
  readonly timeMs: number;
  readonly logRange: LogRange;
  readonly stateRoot: Digest;
  readonly state: StateReader;
  readonly tree: TreeReader;
}

/** After block H: `current` = set(H), `next` = set(H + 1), `afterNext` = set(H + 2). */
export interface ValidatorSets {
  readonly current: ValidatorSetRecord;
  readonly next: ValidatorSetRecord;
  readonly afterNext: ValidatorSetRecord;
}

/** The state before the first block, and its tree. */
export interface GenesisState {
  readonly changes: ReadonlyMap<string, Uint8Array>;
  readonly tree: TreeUpdate;
}

type RecordOf<K extends StateRecord['kind']> = Extract<StateRecord, { readonly kind: K }>;

/** Key under which a fault is held: one for each node, height, round and type of message, whatever the two messages were. */
export function evidenceKey(evidence: EvidenceRecord): string {
  const { first } = evidence;
  const type = evidence.kind === 'duplicateVote' ? evidence.first.type : 'proposal';
  return `evidence|${digestToHex(first.nodeId)}|${first.height}|${first.round}|${type}`;
}

/** Reads `changes` first, then what lies below. */
export function overlayReader(below: StateReader, changes: ReadonlyMap<string, StateRecord>): StateReader {
  return { get: (key) => changes.get(key) ?? below.get(key) };
}

/** The parameters record: those in force after this block, and those that wait for their height. */
export function parametersRecordOf(state: StateReader): RecordOf<'parameters'> {
  return expectKind(state.get(PARAMETERS_KEY), 'parameters', PARAMETERS_KEY);
}

/** The parameters that block `height` obeys; `state` is that of the block before it. */
export function parametersAt(state: StateReader, height: number): Parameters {
  const { parameters, pending } = parametersRecordOf(state);
  return pending !== null && height >= pending.atHeight ? pending.parameters : parameters;
}

/** The parameters in force for the block after this view. */
export function parametersOf(view: Pick<ChainView, 'state' | 'height'>): Parameters {
  return parametersAt(view.state, view.height + 1);
}

/** The three sets as of the block whose state this is. */
export function setsOf(state: StateReader): ValidatorSets {
  return expectKind(state.get(SETS_KEY), 'sets', SETS_KEY);
}

/** set(height) for the view's own height or one of the two after it; throws a RangeError elsewhere. */
export function validatorSetAt(view: Pick<ChainView, 'state' | 'height'>, height: number): ValidatorSetRecord {
  const { current, next, afterNext } = setsOf(view.state);
  const set = [current, next, afterNext][height - view.height];
  if (set === undefined) throw new RangeError(`the state after block ${view.height} does not hold the set of height ${height}`);
  return set;
}

/** The key that the node signs votes and endorsements of that height with; null when it is no member, or the height out of reach. */
export function nodeKeyAt(view: Pick<ChainView, 'state' | 'height'>, height: number, nodeId: Digest): Uint8Array | null {
  if (height < view.height || height > view.height + 2) return null;
  return findValidator(validatorSetAt(view, height), nodeId)?.validator.consensusKey ?? null;
}

/** The record of one version: live, removed, or null. */
export function artifactOf(state: StateReader, coordinates: Coordinates): RecordOf<'artifact'> | RecordOf<'tombstone'> | null {
  const key = artifactKey(coordinates);
  const found = state.get(key);
  return found === null || found.kind === 'tombstone' ? found : expectKind(found, 'artifact', key);
}

/** The claim that a live record holds. */
export function artifactClaim(record: RecordOf<'artifact'>): AddArtifact {
  if (record.claim.kind !== 'AddArtifact') throw new TypeError(`expected an artifact record to hold AddArtifact, got ${record.claim.kind}`);
  return record.claim;
}

/** What a label points to, or null; whether the target is live is another question. */
export function nameOf(state: StateReader, of: PackageName, label: string): RecordOf<'name'> | null {
  const key = nameKey(of, label);
  const found = state.get(key);
  return found === null ? null : expectKind(found, 'name', key);
}

/** True while the file may not be served, whoever references it. */
export function isBanned(state: StateReader, sha256: Digest): boolean {
  const key = banKey(sha256);
  const found = state.get(key);
  return found !== null && expectKind(found, 'ban', key).banned;
}

/** The record of a node, active or removed, or null. */
export function nodeOf(state: StateReader, nodeId: Digest): RecordOf<'node'> | null {
  const key = nodeKey(nodeId);
  const found = state.get(key);
  return found === null ? null : expectKind(found, 'node', key);
}

/** The records of those who will be authorities two blocks on: every active node, in the order of the set. */
export function activeNodes(state: StateReader): readonly NodeRecord[] {
  return setsOf(state).afterNext.flatMap(({ nodeId }) => {
    const found = nodeOf(state, nodeId);
    return found === null ? [] : [found.node];
  });
}

/** What stands in the state at height 0: parameters, one record for each node, and the three sets, all of them all nodes. */
export function genesisState(
  genesis: { readonly parameters: Parameters; readonly nodes: readonly NodeRecord[] },
  sha256: Sha256,
): GenesisState {
  const set = validatorSetFromNodes(genesis.nodes);
  const records = new Map<string, StateRecord>([
    [PARAMETERS_KEY, { kind: 'parameters', height: 0, parameters: genesis.parameters, pending: null }],
    [SETS_KEY, { kind: 'sets', current: set, next: set, afterNext: set }],
  ]);
  for (const node of genesis.nodes) records.set(nodeKey(node.nodeId), { kind: 'node', height: 0, node, active: true });
  const changes = encodeRecords(records);
  return { changes, tree: updateTree({ sha256, reader: { get: () => null } }, EMPTY_TREE, changes) };
}

/** The records as they are stored and hashed. */
export function encodeRecords(records: ReadonlyMap<string, StateRecord>): ReadonlyMap<string, Uint8Array> {
  return new Map([...records].map(([key, record]) => [key, encode(stateRecord, record)] as const));
}

/** A record of another kind under a key is damage, never input. */
function expectKind<K extends StateRecord['kind']>(found: StateRecord | null, kind: K, key: string): RecordOf<K> {
  if (found?.kind !== kind) throw new TypeError(`expected the state to hold a record '${kind}' under ${key}, got ${found?.kind ?? 'none'}`);
  return found as RecordOf<K>;
}
