/** A world whose authorities see one made-up upstream, and what tests ask of it. */

import type { RequestSubject } from '../../chain/index.ts';
import type { RequestOutcome } from '../../registry/index.ts';
import type { Inhabitant } from '../world/inhabitant.ts';
import { VirtualWorld, type WorldOptions } from '../world/world.ts';
import { MemoryRegistry, type MemoryUpstream, memoryUpstream } from './memory-upstream.ts';

export const MINUTE_MS = 60_000;

export interface Scene {
  readonly world: VirtualWorld;
  readonly registry: MemoryRegistry;
  /** By the authority's name. */
  readonly upstreams: Map<string, MemoryUpstream>;
  readonly mirror: Inhabitant;
}

export async function scene(t: { teardown: (close: () => Promise<void>) => void }, options: Partial<WorldOptions> = {}): Promise<Scene> {
  const registry = new MemoryRegistry();
  const upstreams = new Map<string, MemoryUpstream>();
  const world = new VirtualWorld({
    seed: 11,
    authorities: 4,
    mirrors: 1,
    upstreams: (name) => {
      if (name.startsWith('mirror')) return new Map();
      const client = upstreams.get(name) ?? memoryUpstream(registry);
      upstreams.set(name, client);
      return new Map([['docker-hub', { client, isShared: true }]]);
    },
    ...options,
  });
  await world.startAll();
  t.teardown(() => world.close());
  const mirror = world.inhabitants.at(-1);
  if (mirror === undefined) throw new Error('expected a mirror');
  return { world, registry, upstreams, mirror };
}

export function subject(reference: string): RequestSubject {
  return { ecosystem: 'docker', registry: 'docker.io', namespace: 'library', name: 'tool', reference };
}

/** Asks at a node and lets the time pass that it takes. */
export async function ask(world: VirtualWorld, one: Inhabitant, reference: string): Promise<RequestOutcome> {
  let outcome: RequestOutcome | null = null;
  const asked = one.node?.requests.request(subject(reference), { signal: new AbortController().signal });
  void asked?.then((found) => {
    outcome = found;
  });
  await world.time.until(() => outcome !== null, 2 * MINUTE_MS);
  return outcome ?? { kind: 'pending', reason: 'the test did not wait long enough' };
}

export function tagOn(one: Inhabitant, tag: string): string | null {
  return one.node?.ledger.name(subject(tag), tag)?.version ?? null;
}
