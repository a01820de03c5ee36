/**
 * The asking half of a node: what its clients miss is asked of the authorities; on an authority, for as long as it is one, the desk that
 * answers, and the labels that are looked at again. Stands on serving.ts and agreeing.ts.
 */

import { ociResolver, type Resolver } from '../registry/index.ts';
import type { Agreement, Claims, Identity } from './agreeing.ts';
import type { NodeDeps } from './node-options.ts';
import { LabelRefresh } from './requests/label-refresh.ts';
import { RequestCourier } from './requests/request-courier.ts';
import { RequestDesk } from './requests/request-desk.ts';
import type { Serving } from './serving.ts';

/** An authority's desk, at work until it is stopped. */
export interface Desk {
  readonly desk: RequestDesk;
  readonly courier: RequestCourier;
  readonly stop: () => void;
}

export function startDesk(node: Identity, deps: NodeDeps, parts: Serving & Agreement & Claims): Desk {
  const { images } = parts;
  const shared = { ...deps.world, ...deps, ...parts, chainId: node.options.chainId, nodeId: node.nodeId };
  const isShared = (id: string): boolean => deps.upstreams.get(id)?.isShared === true;
  const resolvers: ReadonlyMap<string, Resolver> = new Map([['docker', ociResolver({ images, isShared })]]);
  const desk = new RequestDesk({ ...shared, resolvers });
  const courier = new RequestCourier({ ...shared, desk });
  const refresh = new LabelRefresh({ ...shared, desk, resolvers });
  courier.start();
  refresh.start();
  const stop = (): void => {
    courier.stop();
    refresh.stop();
    desk.stop();
  };
  return { desk, courier, stop };
}
