/**
 * The set of authorities changed as operators change it, over real processes under load: 4 → 7 → 4 by `cairn authorize`, keys rotated by
 * `cairn keys rotate` with nodes killed in between, and nothing forks or is lost.
 */

import { readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t, { type Test } from 'tap';
import type { MembershipStatus } from '../../src/operations.ts';
import { cairn } from '../cli/run-cairn.ts';
import { client } from '../clients.ts';
import { type Fixture, Load, startNetwork, waitFor } from './localnet-fixture.ts';
import { assertSameChain } from './same-chain.ts';

type Node = Fixture['nodes'][number];

const CHANGE_MS = 90_000;

/** Seven processes, eight changes of the set or of a key, and restarts. */
t.setTimeout(420_000);

async function run(test: Test, node: Node, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cairn([...args, '--data', node.dataDir]);
  if (code !== 0) test.fail(`cairn ${args.join(' ').slice(0, 100)} on ${node.name}: exit code ${code}`, { stdout, stderr });
  return stdout.trim();
}

async function members(node: Node): Promise<MembershipStatus> {
  return (await node.admin.get('/members')) as MembershipStatus;
}

/** Until every one of these is an authority or a mirror, in its own eyes and in the chain's. */
async function untilSet(fixture: Fixture, names: readonly string[]): Promise<void> {
  const wanted = [...names].sort().join();
  for (const node of fixture.nodes) {
    await waitFor(`${node.name} sees ${wanted}`, CHANGE_MS, async () => {
      const { sets, nodes } = await members(node);
      const next = sets[1]?.nodeIds ?? [];
      const seen = nodes.filter(({ nodeId }) => next.includes(nodeId)).map(({ name }) => name);
      const { role } = await node.admin.status();
      return seen.sort().join() === wanted && (role === 'authority') === names.includes(node.name);
    });
  }
}

/** As many of them as must mark. */
function quorum(nodes: readonly Node[]): readonly Node[] {
  return nodes.slice(0, Math.floor((2 * nodes.length) / 3) + 1);
}

t.test('4 → 7 → 4 under load, and keys rotated, by the command line', async (t) => {
  const curl = client(t, 'curl');
  if (curl === null) return;
  const fixture = await startNetwork(t, { curl, authorities: 4, mirrors: 3, startArgs: ['--publish-wait-ms', '30000'] });
  const founders = fixture.authorities;
  const [first, second] = founders;
  if (first === undefined || second === undefined) throw new Error('four authorities expected');
  const load = new Load(fixture, { name: 'members', at: [first] });
  await load.waitForMore(2, CHANGE_MS);

  const set = [...founders];
  for (const newcomer of fixture.nodes.filter((node) => node.role === 'mirror')) {
    const consent = await run(t, newcomer, ['keys', 'consent']);
    const file = path.join(fixture.folder, `${newcomer.name}.txt`);
    await writeFile(file, `${consent}\n`);
    const admins = quorum(set);
    for (const [index, admin] of admins.entries()) await run(t, admin, ['authorize', 'add', index === 0 ? file : newcomer.name]);
    set.push(newcomer);
    await untilSet(
      fixture,
      set.map(({ name }) => name),
    );
    t.pass(`${newcomer.name} is an authority, and was not restarted`);
  }
  t.match(await run(t, first, ['authorize', 'list']), /node1 \(this\) +yes +yes +yes[\s\S]*mirror3 +yes/);
  await load.waitForMore(3, CHANGE_MS);

  await run(t, second, ['keys', 'rotate', '--use', 'consensus']);
  for (const admin of quorum(set.filter((node) => node !== second))) await run(t, admin, ['authorize', 'rotate', 'node2']);
  const rotated = await waitFor('the new key is on the chain', CHANGE_MS, async () => {
    const { own } = await members(second);
    return own !== null && own.recordHeight > 0 ? own : null;
  });
  await second.process.kill('SIGKILL');
  await fixture.restart(second);
  await load.waitForMore(2, CHANGE_MS);
  t.equal(await publicKey(second, 'consensus'), rotated.keys.consensus, 'after a restart the new key is the one in keys/');
  t.same(await readdir(path.join(second.dataDir, 'keys', 'retired')), ['consensus-1.pem'], 'and the old one is kept aside');
  t.equal((await stat(path.join(second.dataDir, 'keys', 'retired', 'consensus-1.pem'))).mode & 0o77, 0);

  await run(t, second, ['keys', 'rotate', '--use', 'network']);
  for (const admin of quorum(set.filter((node) => node !== second))) await run(t, admin, ['authorize', 'rotate', 'node2']);
  await waitFor(
    'the new network key is on the chain',
    CHANGE_MS,
    async () => ((await members(second)).own?.recordHeight ?? 0) > rotated.recordHeight,
  );
  const before = (await second.admin.status()).peerId;
  await second.process.kill('SIGTERM');
  await fixture.restart(second);
  const after = await second.admin.status();
  t.not(after.peerId, before, 'it goes by another peer id');
  t.equal(after.nodeId, rotated.nodeId, 'and is the same node');
  t.equal(after.role, 'authority');
  await waitFor('the others know it by that', CHANGE_MS, async () =>
    (await first.admin.status()).set.some(({ peerId, connected }) => peerId === after.peerId && connected),
  );

  for (const leaver of set.filter((node) => node.role === 'mirror')) {
    for (const [index, admin] of quorum(set.filter((node) => node !== leaver)).entries())
      await run(t, admin, ['authorize', 'remove', leaver.name, ...(index === 0 ? ['--reason', 'the test is over'] : [])]);
    set.splice(set.indexOf(leaver), 1);
    await untilSet(
      fixture,
      set.map(({ name }) => name),
    );
    t.pass(`${leaver.name} is a mirror again`);
  }
  await load.waitForMore(2, CHANGE_MS);
  await load.stop();
  t.same(load.failures, [], 'every publication was committed');
  t.match(await run(t, first, ['evidence']), /no evidence/);
  await assertSameChain(t, fixture);
});

async function publicKey(node: Node, use: 'consensus'): Promise<string> {
  const { stdout } = await cairn(['keys', 'show', '--json', '--data', node.dataDir]);
  return (JSON.parse(stdout) as Record<string, string>)[use] ?? '';
}
