/**
 * What the authorities say of where they stand, each in its own signed word: how high more than a third of their power claims the chain to
 * be. Less than a third may lie, so at least one honest node is there. Holds one claim a member of the set, and none for long.
 */

import { type Digest, digestToHex, nodeKeyAt, type SignedStatusMessage, sameBytes, statusPayload, totalPower } from '../../chain/index.ts';
import { verdictOn } from '../crypto/verdict.ts';
import type { Head } from '../ledger/head.ts';
import type { Clock, MessageVerdict, SignatureVerifier } from '../ports.ts';

/** A claim that was not renewed is forgotten after this. */
const FORGET_MS = 30_000;
/** Statuses of one authority closer together than this are not relayed: no honest one decides that fast. */
const SPACING_MS = 20;

interface Claim {
  readonly height: number;
  readonly timeMs: number;
  readonly heardMs: number;
}

export interface StandingsDeps {
  readonly chainId: Digest;
  readonly head: Head;
  readonly verifier: SignatureVerifier;
  readonly clock: Clock;
}

export class Standings {
  readonly #deps: StandingsDeps;
  readonly #claims = new Map<string, Claim>();

  constructor(deps: StandingsDeps) {
    this.#deps = deps;
  }

  /** Takes a status if it is news from a member of the set, signed by it. */
  async take(status: SignedStatusMessage): Promise<MessageVerdict> {
    const { chainId, head, verifier, clock } = this.#deps;
    const { publicKey } = status;
    const key = nodeKeyAt(head.view, head.height + 1, status.nodeId);
    // Behind a rotation this node doesn't know the new key yet.
    if (key === null || !sameBytes(key, publicKey)) return 'ignore';
    const node = digestToHex(status.nodeId);
    const known = this.#claims.get(node);
    const heardMs = clock.nowMs();
    // A clock that was put back makes the gap less than nothing.
    const gapMs = known === undefined ? SPACING_MS : heardMs - known.heardMs;
    if (known !== undefined && (status.timeMs <= known.timeMs || (gapMs >= 0 && gapMs < SPACING_MS))) return 'ignore';
    const valid = await verdictOn(verifier, { publicKey, message: statusPayload(chainId, status), signature: status.signature });
    if (valid !== true) return valid === null ? 'ignore' : 'reject';
    this.#claims.set(node, { height: status.height, timeMs: status.timeMs, heardMs });
    return 'accept';
  }

  /** The height that > 1/3 of the power claims to have reached, or 0. */
  height(): number {
    const { head, clock } = this.#deps;
    const set = head.voters;
    const claims = set.flatMap((member) => {
      const claim = this.#claims.get(digestToHex(member.nodeId));
      return claim === undefined || clock.nowMs() - claim.heardMs > FORGET_MS ? [] : [{ height: claim.height, power: member.power }];
    });
    claims.sort((left, right) => right.height - left.height);
    let power = 0;
    for (const claim of claims) {
      power += claim.power;
      if (3 * power > totalPower(set)) return claim.height;
    }
    return 0;
  }
}
