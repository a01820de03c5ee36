/**
 * Twins, systematically: of four authorities one runs twice, on two machines with the same keys, and the five processes are parted in every
 * way into two groups, one parting after another. After Bano et al., "Twins: BFT Systems Made Robust" (arXiv:2004.10617): two honest
 * machines under one key do by themselves all that an equivocator may do.
 */

import { type Plan, range } from './plan.ts';

const AUTHORITIES = 4;
/** The twin stands behind the authorities. */
const PROCESSES = AUTHORITIES + 1;
/** Long enough for some rounds at this pace. */
const PARTED_MS = 1_500;
const PACE = 0.1;

/** Every parting of the processes into two groups that are not empty, by the group without the first of them. */
function partings(): readonly (readonly number[])[] {
  return range(2 ** (PROCESSES - 1) - 1).map((index) =>
    range(PROCESSES).filter((node) => node > 0 && (((index + 1) >> (node - 1)) & 1) === 1),
  );
}

/** Each authority with a twin, under every sequence of so many partings. */
export function* twinPlans(sequence: number): Generator<Plan> {
  const all = partings();
  for (let index = 0; index < AUTHORITIES * all.length ** sequence; index += 1) {
    const faults = range(sequence).map((step) => {
      const left = all[Math.floor(index / AUTHORITIES / all.length ** step) % all.length] ?? [];
      return { atMs: step * PARTED_MS, forMs: PARTED_MS, action: { kind: 'partition', left } } as const;
    });
    yield {
      seed: index,
      authorities: AUTHORITIES,
      mirrors: 0,
      heights: 5,
      signatures: 'keyed hash',
      pace: PACE,
      loadMs: 150,
      rivals: 0,
      removalsMs: 0,
      stormMs: sequence * PARTED_MS,
      weather: { law: 'exponential', meanMs: 3, loss: 0, duplication: 0, reordering: 0 },
      liars: [{ node: index % AUTHORITIES, kind: 'twin' }],
      faults,
      changes: [],
      removeGuilty: false,
      upgrade: null,
    };
  }
}
