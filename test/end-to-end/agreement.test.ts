/**
 * Four real authorities and a mirror under load, some of them killed: what the protocol promises, seen from outside with curl, signals and
 * the admin API. Never looks at wall time: it waits for what must come, and proves what must not come by a later event.
 */

import t from 'tap';
import { client } from '../clients.ts';
import { Load, startNetwork, waitFor } from './localnet-fixture.ts';
import { assertSameChain } from './same-chain.ts';

const CATCH_UP_MS = 90_000;
const COMMIT_MS = 90_000;

/** Four restarts and several rounds without a proposer. */
t.setTimeout(560_000);

t.test('a killed authority is missed by nobody, two stop the chain, and nothing forks', async (t) => {
  const curl = client(t, 'curl');
  if (curl === null) return;
  const fixture = await startNetwork(t, { curl, startArgs: ['--publish-wait-ms', '20000'] });

  // All of them come back after a kill in kill-loop.test.ts.
  for (const victim of fixture.authorities.slice(0, 2)) {
    const others = fixture.authorities.filter((node) => node !== victim);
    const load = new Load(fixture, { name: `without-${victim.name}`, at: others.slice(0, 2) });
    await load.waitForMore(2, COMMIT_MS);
    await victim.process.kill('SIGKILL');
    await load.waitForMore(3, COMMIT_MS);
    await load.stop();
    t.same(load.failures, [], `with ${victim.name} killed, every publication is committed`);
    const head = await fixture.height(others[0] ?? victim);
    await fixture.restart(victim);
    await fixture.waitForHeight(victim, head, CATCH_UP_MS);
    t.pass(`${victim.name} caught up to height ${head}`);
  }

  const [first, second, third, fourth] = fixture.authorities;
  if (first === undefined || second === undefined || third === undefined || fourth === undefined)
    throw new Error('four authorities expected');
  await third.process.kill('SIGKILL');
  await fourth.process.kill('SIGKILL');
  const before = await fixture.height(first);
  const target = '/generic/demo/stalled/1.0.0/file.txt';
  const bytes = Buffer.from('published while half of the authorities are dead\n');
  const stalled = await fixture.publish(first, target, bytes);
  t.equal(stalled.status, 202, 'two of four commit nothing: the publication stays pending');
  t.equal(await fixture.height(first), before);
  t.equal(await fixture.height(second), before);
  t.equal((await fixture.get(first, target)).status, 404, 'what is not committed is not served');

  await fixture.restart(third);
  await waitFor('the pending publication is committed once a third authority is back', COMMIT_MS, async () => {
    return (await fixture.get(first, target)).status === 200;
  });
  const after = await fixture.publish(second, '/generic/demo/resumed/1.0.0/file.txt', Buffer.from('after the stall\n'));
  t.equal(after.status, 201, 'three of four commit');

  await fixture.restart(fourth);
  await assertSameChain(t, fixture);
  for (const node of fixture.nodes) t.same((await fixture.get(node, target)).body, bytes, `${node.name} serves the file`);
});
