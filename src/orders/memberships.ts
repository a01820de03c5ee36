/**
 * What an admin wants of the set of authorities: shows it, and marks that a node shall come, go or have another key. SPEC §3.5, §4.1. Says
 * what the network loses by it. Changes nothing by itself: a quorum of marks does, two blocks on.
 */

import {
  activeNodes,
  type Claim,
  type Consent,
  checkConsents,
  checkReason,
  consentSignatures,
  type Digest,
  digestToHex,
  heightOf,
  keyOf,
  type NodeRecord,
  nodeKey,
  nodeOf,
  type Sha256,
  sameBytes,
  setsOf,
} from '../../chain/index.ts';
import type { ClaimPool } from '../claims/claim-pool.ts';
import { carryOut } from '../claims/marking.ts';
import type { Marks } from '../claims/marks.ts';
import { refusalOf } from '../claims/pending.ts';
import { verdictsOn } from '../crypto/verdict.ts';
import type { Head } from '../ledger/head.ts';
import type { MarkResult, MemberStatus, MembershipOrder, MembershipStatus } from '../operations.ts';
import type { Network, SignatureVerifier, Signer } from '../ports.ts';
import { isConsentNote, parseConsentNote } from './consent-note.ts';
import { describeWaiting, nodeName } from './waiting.ts';

/** Records of removed nodes that are looked through and shown. */
const MAX_NODES = 1_000;

export interface MembershipsDeps {
  readonly chainId: Digest;
  readonly nodeId: Digest;
  readonly head: Head;
  readonly marks: Marks;
  /** Null while the node is a mirror. */
  readonly pool: ClaimPool | null;
  readonly network: Pick<Network, 'peerIdOf'>;
  readonly verifier: SignatureVerifier;
  readonly signer: Signer;
  readonly reloadKeys?: () => Promise<void>;
  readonly sha256: Sha256;
}

type KeyClaim = Extract<Claim, { kind: 'AddNode' | 'RotateKey' }>;

export class Memberships {
  readonly #deps: MembershipsDeps;

  constructor(deps: MembershipsDeps) {
    this.#deps = deps;
  }

  async status(): Promise<MembershipStatus> {
    const { head, pool, nodeId } = this.#deps;
    const { current, next, afterNext } = setsOf(head.view.state);
    const records = await head.store.records('node|', { limit: MAX_NODES });
    const nodes = records.flatMap(([, record]) => (record.kind === 'node' ? [this.#describe(record)] : []));
    const waiting = (pool?.byHand() ?? []).filter(({ claims }) => claims.some((claim) => keyOf(claim).startsWith('node|')));
    const own = nodeOf(head.view.state, nodeId);
    return {
      height: head.height,
      sets: [current, next, afterNext].map((set, index) => ({
        height: head.height + index,
        nodeIds: set.map((member) => digestToHex(member.nodeId)),
      })),
      nodes,
      waiting: waiting.flatMap((one) => describeWaiting(this.#deps, one)),
      own: own === null ? null : this.#describe(own),
    };
  }

  async authorize(order: MembershipOrder): Promise<MarkResult> {
    if (this.#deps.pool === null) return refused('this node is a mirror: members are marked on the authorized nodes');
    if (order.order === 'remove') return await this.#remove(order.target, order.reason, this.#deps.pool);
    const known = this.#consentOf(order);
    return typeof known === 'string' ? refused(known) : await this.#bring(known, this.#deps.pool);
  }

  /** Takes this node's mark about a node back; false where there is none. */
  async unmark(target: string): Promise<boolean> {
    const { marks, pool } = this.#deps;
    const nodeId = this.#find(target)?.nodeId;
    const hex = nodeId === undefined ? target : digestToHex(nodeId);
    const gone = await marks.delete(target === 'parameters' ? target : `node|${hex}`);
    if (gone) pool?.marksChanged();
    return gone;
  }

  /** The claim and consent that an order to add or to rotate is about: given as text, or waiting already; else why not. */
  #consentOf({ order, target }: MembershipOrder): { readonly claim: KeyClaim; readonly consents: readonly Consent[] } | string {
    const kind = order === 'add' ? 'AddNode' : 'RotateKey';
    if (isConsentNote(target)) {
      const note = parseConsentNote(target);
      if (note === null) return 'the consent is damaged: copy its one line whole';
      if (!sameBytes(note.chainId, this.#deps.chainId)) return 'the consent is for another network';
      const { claim, consent } = note;
      if (claim.kind !== kind)
        return claim.kind === 'RotateKey'
          ? 'this consents to a rotation: cairn authorize rotate'
          : 'this consents to an admission: cairn authorize add';
      return { claim, consents: [consent] };
    }
    const found = this.#find(target);
    for (const { claims, consents } of this.#deps.pool?.byHand() ?? []) {
      const [claim] = claims;
      if (claim?.kind === kind && found !== null && sameBytes(nodeIdOfClaim(claim), found.nodeId)) return { claim, consents };
    }
    if (order === 'add' && found !== null && nodeOf(this.#deps.head.view.state, found.nodeId)?.active === true)
      return `${found.name} is an authority already`;
    return order === 'add'
      ? `no consent of ${target} is known here: run cairn keys consent on its machine, and give the line that it prints (of several with one name, the node id)`
      : `no new key of ${target} is known here: run cairn keys rotate on its machine, and give the line that it prints`;
  }

  async #bring(wanted: { readonly claim: KeyClaim; readonly consents: readonly Consent[] }, pool: ClaimPool): Promise<MarkResult> {
    const { head, marks, sha256 } = this.#deps;
    const { claim, consents } = wanted;
    const refusal = this.#refusalOf(claim) ?? (await this.#refusalOfConsents(claim, consents)) ?? (await this.#refusalOfOwn(claim));
    if (refusal !== null) return refused(refusal);
    const stale = refusalOf(head, [claim], sha256);
    if (stale !== null) return refused(stale);
    return await carryOut({ head, pool }, { claim, consents, mark: () => marks.putClaim(claim, consents[0] ?? null) });
  }

  /** What is said in better words than the chain's. */
  #refusalOf(claim: KeyClaim): string | null {
    const { head } = this.#deps;
    const nodeId = nodeIdOfClaim(claim);
    const record = nodeOf(head.view.state, nodeId);
    if (claim.kind === 'AddNode' && record?.active === true)
      return `${record.node.name} is an authority already, since height ${record.height}`;
    if (claim.kind === 'RotateKey' && record?.active !== true) return `${nodeName(head, nodeId)} is no authority`;
    const held = heightOf(record);
    if (claim.replaces !== held) {
      const said = (height: number | null): string => (height === null ? 'no record of the node' : `its record of height ${height}`);
      return `the consent is out of date: it is to replace ${said(claim.replaces)}, and the chain has ${said(held)}; make a new one`;
    }
    if (claim.kind === 'RotateKey') return null;
    const namesake = activeNodes(head.view.state).find(({ name }) => name === claim.node.name);
    return namesake === undefined ? null : `another authority is called ${claim.node.name}: consent under another name (--name)`;
  }

  async #refusalOfConsents(claim: KeyClaim, consents: readonly Consent[]): Promise<string | null> {
    const { chainId, verifier, sha256 } = this.#deps;
    const form = checkConsents({ claims: [claim], consents });
    if (form !== null) return form.detail;
    const items = consentSignatures(chainId, { claims: [claim], consents }, sha256);
    const verdicts = await verdictsOn(verifier, items);
    if (verdicts === null) return 'the signatures of the consent could not be checked just now: try again';
    const bad = items[verdicts.indexOf(false)];
    return bad === undefined ? null : `forged: the ${bad.about} does not verify`;
  }

  /** A key of this very node that isn't in its keys folder would silence it. */
  async #refusalOfOwn(claim: KeyClaim): Promise<string | null> {
    const { nodeId, signer, reloadKeys } = this.#deps;
    if (claim.kind !== 'RotateKey' || !sameBytes(claim.nodeId, nodeId)) return null;
    await reloadKeys?.();
    return signer.holds(claim.use, claim.publicKey) ? null : "the new key is not in this node's own keys folder";
  }

  async #remove(target: string, reason: string | null, pool: ClaimPool): Promise<MarkResult> {
    const { head, marks, sha256 } = this.#deps;
    const found = this.#find(target);
    if (found === null) return refused(`no node ${target} is known: cairn authorize list shows names and ids`);
    const { nodeId } = found;
    const record = nodeOf(head.view.state, nodeId);
    if (record === null) return refused(`${found.name} is no authority`);
    if (!record.active) return refused(`${found.name} was removed at height ${record.height}`);
    const said = saidReason(pool, nodeId);
    if (said !== null && reason !== null && said !== reason)
      return refused(`its removal is proposed already with the reason ${JSON.stringify(said)}: give that one, or none`);
    const why = said ?? reason;
    if (why === null) return refused('no removal of it is proposed yet: give a reason');
    const claim: Claim = { kind: 'RemoveNode', nodeId, reason: why, replaces: record.height };
    const refusal = checkReason(why) ?? refusalOf(head, [claim], sha256);
    if (refusal !== null) return refused(refusal);
    const warning = this.#warningOf(nodeId);
    return await carryOut(
      { head, pool },
      { claim, consents: [], mark: () => marks.put(nodeKey(nodeId), why), ...(warning === null ? {} : { warning }) },
    );
  }

  /** What the network loses when that member goes. */
  #warningOf(nodeId: Digest): string | null {
    const { afterNext } = setsOf(this.#deps.head.view.state);
    const before = afterNext.length;
    const after = before - 1;
    const own = sameBytes(nodeId, this.#deps.nodeId) ? 'this is this very node, which serves as a mirror afterwards; ' : '';
    if (faultsBorne(after) === faultsBorne(before)) return own === '' ? null : own.slice(0, -2);
    const left = `${after} ${after === 1 ? 'authority is' : 'authorities are'} left`;
    const loss =
      faultsBorne(after) === 0
        ? 'none of them may fail or lie, or the chain stands still'
        : `${faultsBorne(after)} of them may fail or lie, not ${faultsBorne(before)} as now`;
    return `${own}${left}: ${loss}`;
  }

  /** By name, node id or peer id: a node that the chain knows as active, or one that a waiting candidate brings, or one removed. */
  #find(target: string): { readonly nodeId: Digest; readonly name: string } | null {
    const { head, pool } = this.#deps;
    const coming = (pool?.byHand() ?? []).flatMap(({ claims }) =>
      claims.flatMap((claim) => (claim.kind === 'AddNode' ? [claim.node] : [])),
    );
    const fits = (node: NodeRecord): boolean =>
      node.name === target || digestToHex(node.nodeId) === target || this.#deps.network.peerIdOf(node.networkKey) === target;
    const found = [...activeNodes(head.view.state), ...coming].filter(fits);
    const [known] = found;
    // Two may come under one name; which is meant only an id can say.
    if (known !== undefined) return found.every(({ nodeId }) => sameBytes(nodeId, known.nodeId)) ? known : null;
    const record = /^[0-9a-f]{64}$/.test(target) ? head.view.state.get(`node|${target}`) : null;
    return record?.kind === 'node' ? record.node : null;
  }

  #describe({ node, active, height }: { readonly node: NodeRecord; readonly active: boolean; readonly height: number }): MemberStatus {
    const hex = (key: Uint8Array): string => Buffer.from(key).toString('hex');
    return {
      nodeId: digestToHex(node.nodeId),
      name: node.name,
      peerId: this.#deps.network.peerIdOf(node.networkKey),
      active,
      recordHeight: height,
      keys: { network: hex(node.networkKey), consensus: hex(node.consensusKey), checkpoint: hex(node.checkpointKey) },
    };
  }
}

/** How many of so many members may fail: less than a third. */
function faultsBorne(members: number): number {
  return Math.floor((members - 1) / 3);
}

function nodeIdOfClaim(claim: KeyClaim): Digest {
  return claim.kind === 'AddNode' ? claim.node.nodeId : claim.nodeId;
}

/** The reason with which the node's removal is proposed already, or null. */
function saidReason(pool: ClaimPool, nodeId: Digest): string | null {
  for (const { claims } of pool.byHand()) {
    for (const claim of claims) if (claim.kind === 'RemoveNode' && sameBytes(claim.nodeId, nodeId)) return claim.reason;
  }
  return null;
}

function refused(reason: string): MarkResult {
  return { kind: 'refused', reason };
}
