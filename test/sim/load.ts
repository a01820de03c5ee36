/**
 * What clients and operators of a simulated network want: versions that nobody has seen before, now and then two of one name, changes of
 * the set of authorities, and a new protocol version. Everything comes sealed, so that the order alone is left to the nodes.
 */

import {
  type Claim,
  type Consent,
  digestToHex,
  encode,
  nodeOf,
  PROTOCOL_VERSION,
  parametersRecordOf,
  sameBytes,
  sealedTransaction,
  setsOf,
  transactionId,
  type ValidatorSetRecord,
} from '../../chain/index.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { CairnNode } from '../../src/node.ts';
import { type ConsentNote, consentToJoin, consentToRotate } from '../../src/orders/consent-note.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import type { AdminsDeps } from './admins.ts';
import type { Fact } from './facts.ts';
import { maySetChange, type Plan, pick, type SetChange, type Upgrade } from './plan.ts';

/** A node that has so much to do is given no more. */
const ENOUGH_WORK = 4;
/** What the operators want is asked for again after this, until the chain has it. */
const ASK_AGAIN_MS = 1_000;
/** Of the rules after an upgrade. */
export const NEW_VERSION: number = PROTOCOL_VERSION + 1;

export interface LoadDeps extends AdminsDeps {
  /** New consensus keys, raw, of those who are to get one. */
  readonly spareKeys: ReadonlyMap<Inhabitant, Uint8Array>;
  readonly see: (fact: Fact) => void;
  readonly isCommitted: (id: string) => boolean;
}

export class Load {
  readonly #plan: Plan;
  readonly #deps: LoadDeps;
  /** Whose answer is still awaited, and of which process. */
  readonly #awaited = new Map<string, { readonly one: Inhabitant; readonly node: CairnNode }>();
  #versions = 0;
  #isOn = true;

  constructor(plan: Plan, deps: LoadDeps) {
    this.#plan = plan;
    this.#deps = deps;
  }

  start(): void {
    this.#next();
    for (const change of this.#plan.changes)
      this.#after(change.atMs, () => (change.kind === 'rotate' ? this.#rotate(change) : this.#want(change, change.kind === 'join')));
    const { upgrade } = this.#plan;
    if (upgrade !== null) this.#after(upgrade.atMs, () => this.#upgrade(upgrade));
  }

  /** Nothing more is wanted of its own accord. */
  stop(): void {
    this.#isOn = false;
  }

  /** Submissions that a running node has neither committed nor refused, each with the name of the node. */
  get unanswered(): readonly string[] {
    return [...this.#awaited].filter(([, { one, node }]) => one.node === node).map(([id, { one }]) => `${id} at ${one.name}`);
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
    if (maySetChange(this.#plan)) this.#deps.world.time.timers.set(ASK_AGAIN_MS, again);
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
    const { world } = this.#deps;
    const { subject, one, held } = this.#standingOf(change);
    if (held?.active === isMember) {
      this.#deps.count(change.kind === 'join' ? 'newcomer admitted' : isMember ? 'authority admitted again' : 'authority removed');
      if (!isMember) this.#after(change.forMs, () => this.#want(change, true));
      return;
    }
    const replaces = held?.height ?? null;
    const about = { chainId: world.chainId, node: subject.record, replaces };
    if (isMember) this.#submitNote(one, consentToJoin(about, subject.signer.sign, sha256));
    else this.#submit(one, [{ kind: 'RemoveNode', nodeId: subject.nodeId, reason: 'as planned', replaces }]);
    this.#after(ASK_AGAIN_MS, () => this.#want(change, isMember));
  }

  /** Asks until the chain has the new key. */
  #rotate(change: SetChange): void {
    const { world, spareKeys, count } = this.#deps;
    const { subject, one, held } = this.#standingOf(change);
    const publicKey = spareKeys.get(subject);
    if (publicKey === undefined) return;
    if (held !== null && sameBytes(held.node.consensusKey, publicKey)) {
      count('key rotated');
      return;
    }
    if (held !== null) {
      const about = { chainId: world.chainId, nodeId: subject.nodeId, use: 'consensus', publicKey, replaces: held.height } as const;
      this.#submitNote(
        one,
        consentToRotate(about, (use, message) => subject.signer.sign(use, message, publicKey), sha256),
      );
    }
    this.#after(ASK_AGAIN_MS, () => this.#rotate(change));
  }

  /** Asks until the chain has the new version, each time for a height that is still to come. */
  #upgrade({ ahead }: Pick<Upgrade, 'ahead'>): void {
    const one = this.#farthest();
    const view = one.node?.head.view;
    if (view !== undefined) {
      const { height: replaces, parameters, pending } = parametersRecordOf(view.state);
      if ((pending?.parameters ?? parameters).protocolVersion === NEW_VERSION) return;
      const wanted = { ...parameters, protocolVersion: NEW_VERSION };
      this.#submit(one, [{ kind: 'SetParams', parameters: wanted, atHeight: view.height + 3 + ahead, replaces }]);
    }
    this.#after(ASK_AGAIN_MS, () => this.#upgrade({ ahead }));
  }

  /** Whom the change is about, the honest node that has come farthest, and what that holds of the subject. */
  #standingOf({ node }: SetChange): { readonly subject: Inhabitant; readonly one: Inhabitant; readonly held: ReturnType<typeof nodeOf> } {
    const subject = this.#deps.world.inhabitants[node];
    if (subject === undefined) throw new RangeError(`expected a node ${node}`);
    const one = this.#farthest();
    const view = one.node?.head.view;
    return { subject, one, held: view === undefined ? null : nodeOf(view.state, subject.nodeId) };
  }

  #farthest(): Inhabitant {
    const [one] = [...this.#deps.honest].sort((left, right) => heightOf(right) - heightOf(left));
    if (one === undefined) throw new RangeError('expected an honest node');
    return one;
  }

  #submitNote(one: Inhabitant, { claim, consent }: ConsentNote): void {
    this.#submit(one, [claim], [consent]);
  }

  #submit(one: Inhabitant, claims: readonly Claim[], consents: readonly Consent[] = []): string | null {
    const { node } = one;
    if (node === null) return null;
    const { see, failed, world, count } = this.#deps;
    const sealed = world.sealedBy(claims, endorsersFor(node), consents);
    const id = digestToHex(transactionId(sha256, claims));
    see({ kind: 'submitted', id });
    const awaited = { one, node };
    this.#awaited.set(id, awaited);
    const answered = (act: () => void): void => {
      if (this.#awaited.get(id) === awaited) this.#awaited.delete(id);
      // The word of a process that died over it reaches nobody.
      if (one.node === node) act();
    };
    node.operations.submit(encode(sealedTransaction, sealed)).then(
      (result) =>
        answered(() => {
          if (result.kind === 'committed') see({ kind: 'acknowledged', name: one.name, id });
          else count(`refused: ${result.reason.replace(/\d+/g, 'so many')}`);
        }),
      (error: unknown) => answered(() => failed(one.name, error)),
    );
    return id;
  }

  #after(delayMs: number, action: () => void): void {
    this.#deps.world.time.timers.set(delayMs, () => {
      if (this.#isOn) action();
    });
  }
}

/** Those who vote on the next block and still will, with the same key, on the one after. */
function endorsersFor({ head }: CairnNode): ValidatorSetRecord {
  const { next, afterNext } = setsOf(head.view.state);
  return next.filter((now) =>
    afterNext.some((then) => sameBytes(now.nodeId, then.nodeId) && sameBytes(now.consensusKey, then.consensusKey)),
  );
}

function heightOf(one: Inhabitant): number {
  return one.node?.head.height ?? -1;
}
