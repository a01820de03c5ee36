/**
 * What clients and operators of a simulated network want: versions that nobody has seen before, now and then two of one name, and changes of
 * the set of authorities. Everything comes sealed, so that the order alone is left to the nodes.
 */

import {
  type Claim,
  type Consent,
  claimDigest,
  consentPayload,
  type Digest,
  digestToHex,
  encode,
  nodeOf,
  type SealedTransaction,
  sealedTransaction,
  setsOf,
  transactionId,
} from '../../chain/index.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import type { SeededRandom } from '../world/seeded-random.ts';
import type { VirtualWorld } from '../world/world.ts';
import type { Fact } from './facts.ts';
import { type Plan, pick, type SetChange } from './plan.ts';

/** A node that has so much to do is given no more. */
const ENOUGH_WORK = 4;
/** What the operators want is asked for again after this, until the chain has it. */
const ASK_AGAIN_MS = 1_000;

export interface LoadDeps {
  readonly world: VirtualWorld;
  readonly honest: readonly Inhabitant[];
  readonly random: SeededRandom;
  readonly see: (fact: Fact) => void;
  readonly count: (what: string) => void;
  readonly isCommitted: (id: string) => boolean;
  readonly failed: (name: string, error: unknown) => void;
}

export class Load {
  readonly #plan: Plan;
  readonly #deps: LoadDeps;
  #versions = 0;
  #isOn = true;

  constructor(plan: Plan, deps: LoadDeps) {
    this.#plan = plan;
    this.#deps = deps;
  }

  start(): void {
    this.#next();
    for (const change of this.#plan.changes) this.#after(change.atMs, () => this.#want(change, false));
  }

  /** Nothing more is wanted of its own accord. */
  stop(): void {
    this.#isOn = false;
  }

  /** Gives a node a version that nobody has seen before; its id, or null when the node is down. */
  submitTo(one: Inhabitant): string | null {
    return this.#submit(one, this.#fresh());
  }

  /** The same, for a version that must be committed: a set that changes takes the seal away, and its author seals again. */
  insist(one: Inhabitant): string | null {
    const claims = this.#fresh();
    const id = this.#submit(one, claims);
    const again = (): void => {
      if (id === null || this.#deps.isCommitted(id)) return;
      this.#submit(one, claims);
      this.#deps.world.time.timers.set(ASK_AGAIN_MS, again);
    };
    if (this.#plan.changes.length > 0) this.#deps.world.time.timers.set(ASK_AGAIN_MS, again);
    return id;
  }

  #fresh(): readonly Claim[] {
    this.#versions += 1;
    return [this.#deps.world.claim(`1.${this.#versions}.0`)];
  }

  #next(): void {
    const { honest, random } = this.#deps;
    const busy = honest.filter((one) => one.node !== null && one.node.mempool.size < ENOUGH_WORK);
    if (busy.length > 0) {
      this.submitTo(pick(random, busy));
      if (this.#plan.rivals > 0 && random.chance(this.#plan.rivals)) this.#rival(pick(random, busy));
    }
    this.#after(random.exponential(this.#plan.loadMs), () => this.#next());
  }

  /** As those who endorse two claims for one key would bring about: one of the two is committed, whichever. */
  #rival(one: Inhabitant): void {
    const version = `1.${this.#versions}.0`;
    this.#deps.count('rival claims');
    this.#submit(one, [this.#deps.world.claim(version, `${version}, but another`)]);
  }

  /** Asks until the set is as it should be; after a removal for the way back. */
  #want(change: SetChange, isMember: boolean): void {
    const { world, honest } = this.#deps;
    const subject = world.inhabitants[change.node];
    const [one] = [...honest].sort((left, right) => heightOf(right) - heightOf(left));
    const view = one?.node?.head.view;
    if (subject === undefined || one === undefined) return;
    const held = view === undefined ? null : nodeOf(view.state, subject.nodeId);
    if (held?.active === isMember) {
      this.#deps.count(isMember ? 'authority admitted again' : 'authority removed');
      if (!isMember) this.#after(change.forMs, () => this.#want(change, true));
      return;
    }
    if (held !== null) {
      const claim: Claim = isMember
        ? { kind: 'AddNode', node: subject.record, replaces: held.height }
        : { kind: 'RemoveNode', nodeId: subject.nodeId, reason: 'as planned', replaces: held.height };
      this.#submit(one, [claim], isMember ? [consentTo(world.chainId, claim, subject)] : []);
    }
    this.#after(ASK_AGAIN_MS, () => this.#want(change, isMember));
  }

  #submit(one: Inhabitant, claims: readonly Claim[], consents: readonly Consent[] = []): string | null {
    const { node } = one;
    if (node === null) return null;
    const { see, failed, world } = this.#deps;
    const sealed: SealedTransaction = world.seal(claims, { endorsers: this.#endorsers(one), consents });
    const id = digestToHex(transactionId(sha256, claims));
    see({ kind: 'submitted', id });
    node.operations.submit(encode(sealedTransaction, sealed)).then(
      (result) => {
        if (result.kind === 'committed') see({ kind: 'acknowledged', name: one.name, id });
      },
      (error: unknown) => {
        if (one.node === node) failed(one.name, error);
      },
    );
    return id;
  }

  /** Those who are in the set now and still will be after what is decided already. */
  #endorsers(one: Inhabitant): readonly Inhabitant[] {
    const { world } = this.#deps;
    if (one.node === null) return [];
    const { current, afterNext } = setsOf(one.node.head.view.state);
    const idsOf = (set: typeof current): ReadonlySet<string> => new Set(set.map((member) => digestToHex(member.nodeId)));
    const [now, then] = [idsOf(current), idsOf(afterNext)];
    return world.authorities().filter(({ nodeId }) => now.has(digestToHex(nodeId)) && then.has(digestToHex(nodeId)));
  }

  #after(delayMs: number, action: () => void): void {
    this.#deps.world.time.timers.set(delayMs, () => {
      if (this.#isOn) action();
    });
  }
}

function heightOf(one: Inhabitant): number {
  return one.node?.head.height ?? -1;
}

function consentTo(chainId: Digest, claim: Claim, subject: Inhabitant): Consent {
  const digest = claimDigest(sha256, claim);
  const signatures = (['network', 'consensus', 'checkpoint'] as const).map((use) =>
    subject.signer.sign(use, consentPayload(chainId, digest, use)),
  );
  return { nodeId: subject.nodeId, signatures };
}
