/**
 * Four real processes under load die around what they store: the block with its state, the log of a height that is over, a file, an
 * endorsement; at work, and while they come back from a death before. SPEC §11.4, §11.5.
 */

import t from 'tap';
import { client } from '../clients.ts';
import { CRASH_POINTS } from './crash-points.ts';
import { type Fate, meetFates } from './fates.ts';

const AT_WORK = CRASH_POINTS.filter((point) => !/an own|sign state/.test(point)).map(
  (point, index): Fate => ({ point, nth: 1 + (index % 3), when: 'signal' }),
);
/** Come while a node catches up, too. */
const AT_THE_START: readonly Fate[] = [
  { point: 'after block and state are stored', nth: 1, when: 'start' },
  { point: 'before the log of an old height is removed', nth: 1, when: 'start' },
];

/** Each death takes a start and a catching-up. */
t.setTimeout(560_000);

t.test('a real node that dies around what it stores has the old or the new, and loses nothing acknowledged', async (t) => {
  const curl = client(t, 'curl');
  if (curl !== null) await meetFates(t, curl, [...AT_WORK, ...AT_THE_START]);
});
