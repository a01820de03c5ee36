/** Candidates that wait for admins' hands, in the words of people. */

import { type Claim, type Digest, digestToHex, keyOf, nodeOf } from '../../chain/index.ts';
import type { WaitingCandidate } from '../claims/claim-pool.ts';
import type { Marks } from '../claims/marks.ts';
import type { Head } from '../ledger/head.ts';
import type { WaitingOrder } from '../operations.ts';
import { changesOf } from './parameters-json.ts';

export interface WaitingDeps {
  readonly head: Head;
  readonly marks: Marks;
}

export function describeWaiting(deps: WaitingDeps, { claims, endorsers }: WaitingCandidate): readonly WaitingOrder[] {
  return claims.map((claim) => ({
    kind: claim.kind,
    key: keyOf(claim),
    about: aboutOf(deps.head, claim),
    endorsers: endorsers.map((hex) => nameOf(deps.head, hex)),
    marked: deps.marks.covers(claim) === 'yes',
  }));
}

function aboutOf(head: Head, claim: Claim): string {
  switch (claim.kind) {
    case 'AddNode':
      return `add ${claim.node.name} (node id ${digestToHex(claim.node.nodeId)})`;
    case 'RemoveNode':
      return `remove ${nodeName(head, claim.nodeId)}: ${claim.reason}`;
    case 'RotateKey':
      return `give ${nodeName(head, claim.nodeId)} the ${claim.use} key ${Buffer.from(claim.publicKey).toString('hex')}`;
    case 'SetParams': {
      const when = claim.atHeight === null ? 'at once' : `from height ${claim.atHeight} on`;
      return `${when}: ${changesOf(head.parameters, claim.parameters).join(', ') || 'nothing new'}`;
    }
    default:
      return keyOf(claim);
  }
}

/** The node's name, or its id where the chain knows none. */
export function nodeName(head: Head, nodeId: Digest): string {
  return nodeOf(head.view.state, nodeId)?.node.name ?? digestToHex(nodeId);
}

function nameOf(head: Head, hex: string): string {
  const record = head.view.state.get(`node|${hex}`);
  return record?.kind === 'node' ? record.node.name : hex;
}
