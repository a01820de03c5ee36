/** What a node is told when it starts, and what it is given to work with. */

import type { Digest, NodeRecord, Parameters, Sha256 } from '../chain/index.ts';
import type { OciUpstream } from '../registry/index.ts';
import type { Metrics } from './metrics/types.ts';
import type { Logger, World } from './ports.ts';

export interface NodeOptions {
  readonly version: string;
  readonly name: string;
  readonly chainId: Digest;
  readonly genesis: { readonly timeMs: number; readonly parameters: Parameters; readonly nodes: readonly NodeRecord[] };
  readonly budgetBytes: number;
  readonly stagingBytes: number;
  readonly stagingMs: number;
  readonly reverifyMs: number;
  readonly maxHeadAgeMs: number;
  /** An operator's word that nothing was signed from this height on; null = the sign state alone decides. */
  readonly signFromHeight: number | null;
  /** The newest protocol version that this node pretends to know. Default: what its software knows. */
  readonly knownVersion?: number;
}

/** Where this authority fetches from. */
export interface Upstream {
  readonly client: OciUpstream;
  /** True when requests of others may use it: it takes no credentials, or its operator allows it. */
  readonly isShared: boolean;
}

export interface NodeDeps {
  readonly world: World;
  /** By the upstream ids of the network's policy; empty on a mirror. */
  readonly upstreams: ReadonlyMap<string, Upstream>;
  /** Reads the keys folder again: an operator has made a key that is to take the place of another. */
  readonly reloadKeys?: () => Promise<void>;
  readonly sha256: Sha256;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Called once when the node can't go on: a disk or an invariant failed. */
  readonly fatal: (error: unknown) => void;
}
