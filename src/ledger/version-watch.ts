/**
 * Watches the protocol version that the chain is to obey: says in good time that newer software is needed, and stops the node before the
 * first height whose rules it doesn't know. SPEC §5.2. Never goes on by guess.
 */

import { parametersRecordOf } from '../../chain/index.ts';
import { NodeError } from '../node-error.ts';
import type { Logger } from '../ports.ts';
import type { Head } from './head.ts';

export class VersionWatch {
  readonly #head: Head;
  readonly #log: Logger;
  #warnedOf = 0;

  constructor(deps: { readonly head: Head; readonly log: Logger }) {
    this.#head = deps.head;
    this.#log = deps.log;
  }

  /** Throws a NodeError (`OUTDATED`) when the next height obeys rules that this software doesn't know; warns once of such a height to come. */
  check(): void {
    const { knownVersion, height, parameters, isOutdated } = this.#head;
    if (isOutdated) {
      throw new NodeError(
        'OUTDATED',
        `from height ${height + 1} on the network obeys protocol version ${parameters.protocolVersion}, and this software knows up to ${knownVersion}: install a newer one and start again`,
      );
    }
    const { pending } = parametersRecordOf(this.#head.view.state);
    if (pending === null || pending.parameters.protocolVersion <= knownVersion || pending.atHeight === this.#warnedOf) return;
    this.#warnedOf = pending.atHeight;
    const fields = { atHeight: pending.atHeight, protocolVersion: pending.parameters.protocolVersion, knownVersion };
    this.#log.error(fields, 'this software is too old for what the network has decided: install a newer one before that height');
  }
}
