/**
 * The asking half of a node: what its clients miss is asked of the authorities; on an authority the desk that answers, and the labels that
 * are looked at again. Stands on serving.ts and agreeing.ts; node.ts joins the three.
 */

import { ociResolver, type Resolver } from '../registry/index.ts';
import type { Agreement, Identity } from './agreeing.ts';
import type { NodeDeps } from './node-options.ts';
import { LabelRefresh } from './requests/label-refresh.ts';
import { RequestCourier } from './requests/request-courier.ts';
import { RequestDesk } from './requests/request-desk.ts';
import { Requests } from './requests/requests.ts';
import type { Serving } from './serving.ts';

export interface Asking {
  readonly requests: Requests;
  readonly start: () => void;
  readonly stop: () => void;
}

export function openAsking(node: Identity, deps: NodeDeps, parts: { readonly serving: Serving; readonly agreement: Agreement }): Asking {
  const { world } = deps;
  const { serving, agreement } = parts;
  const { pool, images, verdicts } = agreement;
  const shared = { ...world, ...deps, ...serving, chainId: node.options.chainId, nodeId: node.nodeId };
  if (pool === null || images === null) {
    const requests = new Requests({ ...shared, own: null });
    return { requests, start: () => {}, stop: () => requests.stop() };
  }
  const isShared = (id: string): boolean => deps.upstreams.get(id)?.isShared === true;
  const resolvers: ReadonlyMap<string, Resolver> = new Map([['docker', ociResolver({ images, isShared })]]);
  const desk = new RequestDesk({ ...shared, pool, verdicts, resolvers });
  const courier = new RequestCourier({ ...shared, desk });
  const refresh = new LabelRefresh({ ...shared, desk, resolvers });
  const requests = new Requests({ ...shared, own: { nodeId: node.nodeId, desk, courier } });
  serving.head.onCommit(({ block }) => verdicts.blockCommitted(block));
  return {
    requests,
    start: () => {
      courier.start();
      refresh.start();
    },
    stop: () => {
      refresh.stop();
      requests.stop();
      desk.stop();
      images.stop();
    },
  };
}
