/**
 * A node's duty as an authority: begins when the chain takes the node into the set two blocks on, ends when it stands in neither of the next
 * two, both while the node runs. Between, claims are judged, blocks are voted on and requests answered. Decides nothing: the sets do.
 */

import { activeNodes, digestToHex, findValidator, setsOf } from '../chain/index.ts';
import { type Agreement, type Claims, type Identity, type StartedEngine, startClaims, startEngine } from './agreeing.ts';
import type { Engine } from './agreement/engine.ts';
import type { ClaimPool } from './claims/claim-pool.ts';
import type { NodeDeps } from './node-options.ts';
import { type Desk, startDesk } from './requesting.ts';
import type { Serving } from './serving.ts';

/** All that runs while this node is an authority. */
interface Post {
  readonly claims: Claims;
  readonly desk: Desk;
  engine: StartedEngine | null;
}

export class Duty {
  readonly #node: Identity;
  readonly #deps: NodeDeps;
  readonly #parts: Serving & Agreement;
  #post: Post | null = null;
  #wanted = false;
  #stopped = false;
  #tail: Promise<void> = Promise.resolve();

  constructor(node: Identity, deps: NodeDeps, parts: Serving & Agreement) {
    this.#node = node;
    this.#deps = deps;
    this.#parts = parts;
  }

  /** True from the block on that takes the node in, until it has no vote left. */
  get isOn(): boolean {
    return this.#post !== null;
  }

  get pool(): ClaimPool | null {
    return this.#post?.claims.pool ?? null;
  }

  get engine(): Engine | null {
    return this.#post?.engine?.engine ?? null;
  }

  get desk(): Desk | null {
    return this.#post?.desk ?? null;
  }

  /** Takes the node to where the head wants it. Resolves when it is there; what fails on the way is fatal. */
  async follow(): Promise<void> {
    const wanted = this.#isWanted();
    this.#keepCompany();
    if (wanted === this.#wanted || this.#stopped) return await this.#tail;
    this.#wanted = wanted;
    this.#tail = this.#tail.then(() => (wanted ? this.#begin() : this.#end()));
    return await this.#tail;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#tail.catch(() => undefined);
    await this.#end();
  }

  #isWanted(): boolean {
    const { next, afterNext } = setsOf(this.#parts.head.view.state);
    return [next, afterNext].some((set) => findValidator(set, this.#node.nodeId) !== null);
  }

  /** Authorities keep in touch with each other, configured or not: a newcomer's address is what the network knows of it. */
  #keepCompany(): void {
    const { head, members } = this.#parts;
    const isMember = activeNodes(head.view.state).some(({ nodeId }) => digestToHex(nodeId) === digestToHex(this.#node.nodeId));
    this.#deps.world.network.keepConnected(isMember ? members.otherPeers() : []);
  }

  async #begin(): Promise<void> {
    if (this.#stopped) return;
    const { head } = this.#parts;
    if (head.height > 0) this.#deps.log.info({ height: head.height }, 'this node is an authority');
    const claims = startClaims(this.#node, this.#deps, this.#parts);
    const post: Post = { claims, desk: startDesk(this.#node, this.#deps, { ...this.#parts, ...claims }), engine: null };
    this.#post = post;
    post.engine = await startEngine(this.#node, this.#deps, this.#parts);
  }

  async #end(): Promise<void> {
    const post = this.#post;
    if (post === null) return;
    this.#post = null;
    post.desk.stop();
    post.claims.stop();
    await post.engine?.stop();
    if (!this.#stopped)
      this.#deps.log.warn({ height: this.#parts.head.height }, 'this node is no longer an authority: it serves as a mirror');
  }
}
