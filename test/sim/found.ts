/**
 * Plans that once broke an invariant, shrunk, with the name of what was wrong. Kept as data, because what a seed means changes with the
 * simulator; each must hold for ever.
 */

import type { Plan } from './plan.ts';

export interface Found {
  readonly seed: number;
  readonly was: string;
  readonly plan: Plan;
}

export const FOUND: readonly Found[] = [
  {
    seed: 207,
    was: 'a value proposed again came without its polka: where a liar had voted twice, the locked and the others never met again',
    plan: {
      seed: 207,
      authorities: 7,
      mirrors: 0,
      heights: 20,
      signatures: 'keyed hash',
      pace: 0.1,
      loadMs: 242,
      rivals: 0,
      removalsMs: 0,
      stormMs: 22175,
      weather: {
        law: 'exponential',
        meanMs: 1.714129670353072,
        loss: 0.016598094855900854,
        duplication: 0.010411378308199345,
        reordering: 0.04831390934530645,
      },
      liars: [
        { node: 3, kind: 'equivocating proposer' },
        { node: 2, kind: 'silent' },
      ],
      faults: [
        { atMs: 1868, forMs: 3557, action: { kind: 'partition', left: [0, 5, 3, 1, 6] } },
        { atMs: 4056, forMs: 2578, action: { kind: 'pause', node: 0 } },
        { atMs: 6974, forMs: 1198, action: { kind: 'pause', node: 0 } },
        { atMs: 8450, forMs: 668, action: { kind: 'crash at', node: 0, moment: 'before the block is stored', nth: 4 } },
        { atMs: 16238, forMs: 3589, action: { kind: 'clog', from: 4, to: 6 } },
      ],
      changes: [],
      removeGuilty: false,
      upgrade: null,
    },
  },
  {
    seed: 4000140,
    was: 'of blocks that came together the pool saw the last set alone: it said an endorsement by its old key under the new one, and was sent away',
    plan: {
      seed: 4000140,
      authorities: 7,
      mirrors: 0,
      heights: 1,
      signatures: 'keyed hash',
      pace: 0.3,
      loadMs: 516,
      rivals: 0,
      removalsMs: 978,
      stormMs: 4132,
      weather: { law: 'log-normal', meanMs: 69.58462948892813, loss: 0, duplication: 0, reordering: 0 },
      liars: [],
      faults: [{ atMs: 1802, forMs: 2330, action: { kind: 'crash at', node: 5, moment: 'after the log is synced', nth: 3 } }],
      changes: [{ kind: 'rotate', atMs: 3453, forMs: 2525, node: 5 }],
      removeGuilty: false,
      upgrade: null,
    },
  },
  {
    seed: 7000557,
    was: 'a sign state whose one entry, a silence, had rotted was read as one that had signed nothing',
    plan: {
      seed: 7000557,
      authorities: 4,
      mirrors: 0,
      heights: 1,
      signatures: 'keyed hash',
      pace: 0.3,
      loadMs: 606,
      rivals: 0.2,
      stormMs: 16898,
      weather: {
        law: 'exponential',
        meanMs: 52.23292515321215,
        loss: 0.025937334252521396,
        duplication: 0.015847046684939414,
        reordering: 0.20147067722864448,
      },
      liars: [],
      faults: [
        { atMs: 8621, forMs: 10034, action: { kind: 'partition', left: [3, 0, 1] } },
        { atMs: 8813, forMs: 428, action: { kind: 'bit flip', node: 0, where: 'sign state' } },
        { atMs: 10258, forMs: 5510, action: { kind: 'bit flip', node: 0, where: 'sign state' } },
      ],
      changes: [{ kind: 'rotate', atMs: 3313, forMs: 4385, node: 3 }],
      removeGuilty: false,
      upgrade: null,
      removalsMs: 2630,
    },
  },
  {
    seed: 28000073,
    was: 'a polka that was heard of late was proposed by nobody but the one it had locked: seven rounds after healing',
    plan: {
      seed: 28000073,
      authorities: 7,
      mirrors: 1,
      heights: 1,
      signatures: 'keyed hash',
      pace: 0.3,
      loadMs: 594,
      rivals: 0.2,
      stormMs: 9186,
      weather: {
        law: 'log-normal',
        meanMs: 22.085214148481878,
        loss: 0.008527656387537717,
        duplication: 0.01569154932629317,
        reordering: 0.031943948515690865,
      },
      liars: [
        { node: 5, kind: 'double voter' },
        { node: 4, kind: 'silent' },
      ],
      faults: [
        { atMs: 1524, forMs: 3278, action: { kind: 'swallowed re-sends', node: 0 } },
        { atMs: 4915, forMs: 3219, action: { kind: 'clog', from: 0, to: 7 } },
        { atMs: 5001, forMs: 927, action: { kind: 'partition', left: [2, 0, 6] } },
        { atMs: 5358, forMs: 4172, action: { kind: 'clog', from: 7, to: 6 } },
        { atMs: 6620, forMs: 6411, action: { kind: 'crash at', node: 0, moment: 'before a vote is sent', nth: 4 } },
        {
          atMs: 8199,
          forMs: 5071,
          action: {
            kind: 'storm',
            weather: {
              law: 'exponential',
              meanMs: 1.343232347575722,
              loss: 0.007235434055328369,
              duplication: 0.05686935163103044,
              reordering: 0.1304655702318996,
            },
          },
        },
      ],
      changes: [],
      removalsMs: 828,
      removeGuilty: false,
      upgrade: { atMs: 593, ahead: 6, late: [2, 1, 7, 6, 0], forMs: 801 },
    },
  },
];
