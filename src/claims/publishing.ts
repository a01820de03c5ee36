/**
 * The endorsement flow as publishers and operators use it: from staged files or an admin's mark to an outcome on the chain. SPEC §3.5.
 * Decides nothing about genuineness: it authors the candidate, and this node's own judge looks at it like everybody else's.
 */

import {
  artifactOf,
  type Claim,
  type Coordinates,
  type Digest,
  type FileEntry,
  heightOf,
  keyOf,
  parseDigest,
  ruleFor,
  type Sha256,
  sameBytes,
} from '../../chain/index.ts';
import { addArtifactClaim, type Publishing, type PublishResult } from '../../registry/index.ts';
import type { Head } from '../ledger/head.ts';
import type { Mark, MarkResult } from '../operations.ts';
import { parsePurl } from '../purl.ts';
import type { ClaimPool } from './claim-pool.ts';
import { carryOut, TOO_MANY } from './marking.ts';
import type { Marks } from './marks.ts';
import { refusalOf } from './pending.ts';

export interface PublicationsDeps {
  readonly nodeId: Digest;
  readonly head: Head;
  /** Null while the node is a mirror. */
  readonly pool: ClaimPool | null;
  readonly marks: Marks;
  readonly sha256: Sha256;
}

export class Publications implements Publishing {
  readonly #deps: PublicationsDeps;

  constructor(deps: PublicationsDeps) {
    this.#deps = deps;
  }

  readonly mayPublish = (coordinates: Coordinates): PublishResult | null => {
    const { head, nodeId, pool } = this.#deps;
    const record = artifactOf(head.view.state, coordinates);
    if (record?.kind === 'artifact') return { kind: 'exists', height: record.height };
    if (record?.kind === 'tombstone') return { kind: 'removed', height: record.height };
    if (pool === null) return { kind: 'refused', reason: 'this node is a mirror: publish at an authorized node' };
    const rule = ruleFor(head.parameters.policy, coordinates);
    if (rule === null)
      return { kind: 'refused', reason: `the network's policy admits nothing in ${coordinates.ecosystem}/${coordinates.namespace}` };
    if (!rule.publishers.some((publisher) => sameBytes(publisher, nodeId))) {
      return {
        kind: 'refused',
        reason: `the network's policy does not let this node publish in ${coordinates.ecosystem}/${coordinates.namespace}`,
      };
    }
    return null;
  };

  readonly maxFileBytes = (coordinates: Coordinates): number => ruleFor(this.#deps.head.parameters.policy, coordinates)?.maxFileBytes ?? 0;

  readonly publish = async (
    coordinates: Coordinates,
    files: readonly FileEntry[],
    options: { readonly waitMs: number; readonly signal?: AbortSignal },
  ): Promise<PublishResult> => {
    const refused = this.mayPublish(coordinates);
    if (refused !== null) return refused;
    const { head, nodeId, pool, sha256 } = this.#deps;
    if (pool === null) return { kind: 'refused', reason: 'this node is a mirror' };
    const claim = addArtifactClaim(coordinates, files, { publisher: nodeId, replaces: null });
    const reason = refusalOf(head, [claim], sha256);
    if (reason !== null) return { kind: 'refused', reason };
    const transactionId = pool.submit([claim], []);
    if (transactionId === null) return { kind: 'refused', reason: TOO_MANY };
    const outcome = await pool.outcome(transactionId, options.waitMs);
    if (outcome.kind === 'committed') return { kind: 'committed', height: outcome.height, transactionId };
    return outcome.kind === 'refused' ? outcome : { kind: 'pending', transactionId };
  };

  /** Marks a removal on this authority and authors or joins the candidate for it. */
  async markRemoval(target: string, reason: string | null): Promise<MarkResult> {
    const { head, pool, marks, sha256 } = this.#deps;
    if (pool === null) return { kind: 'refused', reason: 'this node is a mirror: a removal is marked on the authorized nodes' };
    const parsed = parseTarget(target);
    if (parsed === null) return { kind: 'refused', reason: `expected a package URL or sha256:<64 hex digits>, got ${target}` };
    const probe = this.#removal(parsed, reason ?? '');
    const key = keyOf(probe);
    const pending = pool.pendingFor(key);
    const known = pending?.claims.find((claim) => keyOf(claim) === key);
    const said = known?.kind === 'RemoveArtifact' ? known.reason : null;
    if (said !== null && reason !== null && said !== reason) {
      return {
        kind: 'refused',
        reason: `the removal is proposed already with the reason ${JSON.stringify(said)}: mark it with that one, or without`,
      };
    }
    const claim = this.#removal(parsed, said ?? reason ?? 'unsaid');
    const refusal = refusalOf(head, [claim], sha256);
    if (refusal !== null) return { kind: 'refused', reason: refusal.replaceAll(key, target) };
    if (said === null && reason === null) return { kind: 'refused', reason: 'no removal of it is proposed yet: give a reason' };
    return await carryOut({ head, pool }, { claim, consents: [], mark: () => marks.put(key, said ?? reason) });
  }

  /** Authors again what the marks stand for, after a restart. */
  async resume(): Promise<void> {
    const { pool, marks, head, sha256 } = this.#deps;
    if (pool === null) return;
    for (const mark of await marks.list()) {
      const meant = marks.claimOf(mark.key) ?? this.#removalOf(mark);
      if (meant === null || refusalOf(head, [meant.claim], sha256) !== null) await marks.delete(mark.key);
      else pool.submit([meant.claim], meant.consents);
    }
  }

  async unmark(target: string): Promise<boolean> {
    const parsed = parseTarget(target);
    if (parsed === null) return false;
    const gone = await this.#deps.marks.delete(keyOf(this.#removal(parsed, '')));
    if (gone) this.#deps.pool?.marksChanged();
    return gone;
  }

  /** The removal that a mark with a reason stands for. */
  #removalOf({ key, target, reason }: Mark): { readonly claim: Claim; readonly consents: readonly [] } | null {
    if (reason === null) return null;
    const nodeId = key.startsWith('node|') ? parseNodeId(target) : null;
    const replaces = heightOf(this.#deps.head.view.state.get(key));
    if (nodeId !== null) return { claim: { kind: 'RemoveNode', nodeId, reason, replaces }, consents: [] };
    const parsed = parseTarget(target);
    return parsed === null ? null : { claim: this.#removal(parsed, reason), consents: [] };
  }

  #removal(target: RemovalTarget, reason: string): Claim {
    const claim: Claim = { kind: 'RemoveArtifact', target, reason, replaces: null };
    return { ...claim, replaces: heightOf(this.#deps.head.view.state.get(keyOf(claim))) };
  }
}

type RemovalTarget = Extract<Claim, { kind: 'RemoveArtifact' }>['target'];

function parseNodeId(hex: string): Digest | null {
  return parseDigest(`sha256:${hex}`);
}

function parseTarget(target: string): RemovalTarget | null {
  const sha256 = parseDigest(target);
  if (sha256 !== null) return { kind: 'file', sha256 };
  const parsed = parsePurl(target);
  return parsed.ok ? { kind: 'artifact', coordinates: parsed.coordinates } : null;
}
