/**
 * kill -9, again and again, under load: each time another of four authorities, at whatever it was doing, and twice a second one before the
 * first is back. Each comes back on what its disk holds; at the end all agree, nobody has signed twice, and nothing acknowledged is lost.
 */

import t from 'tap';
import { Publishers } from '../chaos/publishers.ts';
import { converged, judge } from '../chaos/verdict.ts';
import { client } from '../clients.ts';
import { startNetwork, waitFor } from '../end-to-end/localnet-fixture.ts';

const KILLS = 6;
const PAIR_EVERY = 3;
const WAIT_MS = 90_000;
const LOAD = { name: 'load', paceMs: 300, sizeOf: (nth: number): number => (nth * 7919) % 50_000 };

/** Each kill takes a start and a commit. */
t.setTimeout(560_000);

t.test('kill -9 in a loop under load: whoever it hits comes back, and nothing acknowledged is lost', async (t) => {
  const curl = client(t, 'curl');
  if (curl === null) return;
  const fixture = await startNetwork(t, { curl, startArgs: ['--publish-wait-ms', '20000'] });
  const load = new Publishers(fixture.authorities, LOAD);
  t.teardown(() => load.stop());
  for (let nth = 0; nth < KILLS; nth += 1) {
    const count = nth % PAIR_EVERY === PAIR_EVERY - 1 ? 2 : 1;
    const victims = fixture.authorities.filter((_, index) => (index - nth + 2 * KILLS) % 4 < count);
    await Promise.all(victims.map((victim) => victim.process.kill('SIGKILL')));
    await Promise.all(victims.map((victim) => fixture.restart(victim)));
    const before = load.acknowledged.length;
    await waitFor(
      `a commit after ${victims.map(({ name }) => name).join(' and ')} came back`,
      WAIT_MS,
      async () => load.acknowledged.length > before,
    );
    t.pass(`killed ${victims.map(({ name }) => name).join(' and ')}`);
  }
  await load.stop();
  t.equal(await converged(fixture.localnet, WAIT_MS), null, 'all converge');
  const { problems, height, downloads } = await judge(fixture.localnet, load.acknowledged);
  t.same(problems, [], `no fork, no evidence and no loss over ${height} heights and ${downloads} downloads`);
});
