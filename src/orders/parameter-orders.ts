/** What an admin wants of the network's parameters: shows them, and marks others. SPEC §3.5, §8.1. Changes nothing by itself. */

import { type Claim, checkParameters, heightOf, PARAMETERS_KEY, parametersRecordOf, type Sha256 } from '../../chain/index.ts';
import type { ClaimPool } from '../claims/claim-pool.ts';
import { carryOut } from '../claims/marking.ts';
import type { Marks } from '../claims/marks.ts';
import { refusalOf } from '../claims/pending.ts';
import type { Head } from '../ledger/head.ts';
import type { MarkResult, ParametersStatus } from '../operations.ts';
import { isSameParameters, parametersFromJson, parametersToJson } from './parameters-json.ts';
import { describeWaiting } from './waiting.ts';

export interface ParameterOrdersDeps {
  readonly head: Head;
  readonly marks: Marks;
  /** Null while the node is a mirror. */
  readonly pool: ClaimPool | null;
  readonly sha256: Sha256;
}

export class ParameterOrders {
  readonly #deps: ParameterOrdersDeps;

  constructor(deps: ParameterOrdersDeps) {
    this.#deps = deps;
  }

  status(): ParametersStatus {
    const { head, pool } = this.#deps;
    const { height, pending } = parametersRecordOf(head.view.state);
    const waiting = (pool?.byHand() ?? []).filter(({ claims }) => claims.some(({ kind }) => kind === 'SetParams'));
    return {
      height,
      parameters: parametersToJson(head.parameters),
      // Of those that the next height obeys already the head is the last that knows them as pending.
      pending:
        pending === null || pending.atHeight <= head.height + 1
          ? null
          : { atHeight: pending.atHeight, parameters: parametersToJson(pending.parameters) },
      waiting: waiting.flatMap((one) => describeWaiting(this.#deps, one)),
    };
  }

  async propose(json: unknown, atHeight: number | null): Promise<MarkResult> {
    const { head, pool, marks, sha256 } = this.#deps;
    if (pool === null) return refused('this node is a mirror: parameters are marked on the authorized nodes');
    const parameters = parametersFromJson(json);
    if (typeof parameters === 'string') return refused(parameters);
    const invalid = checkParameters(parameters);
    if (invalid !== null) return refused(invalid);
    if (isSameParameters(parameters, head.parameters)) return refused('these are the parameters in force');
    const replaces = heightOf(head.view.state.get(PARAMETERS_KEY));
    const claim: Claim = { kind: 'SetParams', parameters, atHeight, replaces };
    const refusal = refusalOf(head, [claim], sha256);
    if (refusal !== null) return refused(refusal);
    const { knownVersion } = head;
    const warning =
      parameters.protocolVersion > knownVersion
        ? `this node knows protocol versions up to ${knownVersion}: it stops before height ${atHeight ?? 0}, and so does every node that isn't upgraded until then`
        : undefined;
    return await carryOut(
      { head, pool },
      { claim, consents: [], mark: () => marks.putClaim(claim, null), ...(warning === undefined ? {} : { warning }) },
    );
  }
}

function refused(reason: string): MarkResult {
  return { kind: 'refused', reason };
}
