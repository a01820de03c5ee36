/** Waits in virtual time for what a node of the world was ordered to do. */

import type { VirtualWorld } from './world.ts';

/** The outcome of an order that may wait in virtual time. */
export async function drive<T>(world: VirtualWorld, work: Promise<T> | undefined): Promise<T> {
  if (work === undefined) throw new Error('expected a running node');
  let settled = false;
  const noted = work.finally(() => {
    settled = true;
  });
  await world.time.until(() => settled, 60_000);
  return await noted;
}
