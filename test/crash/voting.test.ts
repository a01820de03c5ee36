/**
 * Four real processes under load die between deciding, writing and saying in consensus, at each point of the write-ahead log and the sign
 * state: the others go on, the dead come back, nobody signs twice, and nothing acknowledged is lost. SPEC §11.2, §11.3.
 */

import t from 'tap';
import { client } from '../clients.ts';
import { CRASH_POINTS } from './crash-points.ts';
import { type Fate, meetFates } from './fates.ts';

const FATES = CRASH_POINTS.filter((point) => /an own|sign state/.test(point)).map(
  (point, index): Fate => ({ point, nth: 1 + (index % 3), when: 'signal' }),
);

/** Each death takes a start and a catching-up. */
t.setTimeout(560_000);

t.test('a real node that dies around an own vote, an own block or its sign state never signs twice', async (t) => {
  const curl = client(t, 'curl');
  if (curl !== null) await meetFates(t, curl, FATES);
});
