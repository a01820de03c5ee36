/**
 * The set of authorities changed as operators change it, over real processes under load: 4 → 7 → 4 by `cairn authorize`, keys rotated by
 * `cairn keys rotate` with nodes killed in between, and nothing forks or is lost.
 */

import { readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t, { type Test } from 'tap';
import type { MemberStatus, MembershipStatus, NodeStatus } from '../../src/operations.ts';
import { cairn } from '../cli/run-cairn.ts';
import { client } from '../clients.ts';
import { type Fixture, Load, startNetwork, waitFor } from './localnet-fixture.ts';
import { assertSameChain } from './same-chain.ts';

type Node = Fixture['nodes'][number];

const CHANGE_MS = 90_000;

/** Seven processes, eight changes of the set or of a key, and restarts. */
t.setTimeout(560_000);

async function run(test: Test, node: Node, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cairn([...args, '--data', node.dataDir]);
  if (code !== 0) test.fail(`cairn ${args.join(' ').slice(0, 100)} on ${node.name}: exit code ${code}`, { stdout, stderr });
  return stdout.trim();
}

/** Asked again where a busy machine lets an answer take too long. */
async function members(node: Node): Promise<MembershipStatus> {
  return await waitFor(`${node.name} tells its members`, CHANGE_MS, async () => (await node.admin.get('/members')) as MembershipStatus);
}

async function statusOf(node: Node): Promise<NodeStatus> {
  return await waitFor(`${node.name} tells its status`, CHANGE_MS, async () => await node.admin.status());
}

/** Until every one of these is an authority or a mirror, in its own eyes and in the chain's. */
async function untilSet(fixture: Fixture, names: readonly string[]): Promise<void> {
  const wanted = [...names].sort().join();
  for (const node of fixture.nodes) {
    await waitFor(`${node.name} sees ${wanted}`, CHANGE_MS, async () => {
      const { sets, nodes } = await members(node);
      const next = sets[1]?.nodeIds ?? [];
      const seen = nodes.filter(({ nodeId }) => next.includes(nodeId)).map(({ name }) => name);
      const { role } = await statusOf(node);
      return seen.sort().join() === wanted && (role === 'authority') === names.includes(node.name);
    });
  }
}

/** As many as must mark beside the one that has. */
function othersNeeded(nodes: readonly Node[], first: Node): readonly Node[] {
  return nodes.filter((node) => node !== first).slice(0, Math.floor((2 * nodes.length) / 3));
}

/** As many as must mark, of the members of the set but for one. */
function quorum(set: readonly Node[], without: Node): readonly [Node, ...Node[]] {
  const [first, ...others] = set.filter((node) => node !== without).slice(0, Math.floor((2 * set.length) / 3) + 1);
  if (first === undefined) throw new RangeError('expected a set of at least two');
  return [first, ...others];
}

/** Taken in one after the other: the first admin has the consent as a file, the others name the newcomer. */
async function takeIn(t: Test, fixture: Fixture, set: Node[]): Promise<void> {
  for (const newcomer of fixture.nodes.filter((node) => node.role === 'mirror')) {
    const file = path.join(fixture.folder, `${newcomer.name}.txt`);
    await writeFile(file, `${await run(t, newcomer, ['keys', 'consent'])}\n`);
    const [first, ...others] = quorum(set, newcomer);
    await run(t, first, ['authorize', 'add', file]);
    await Promise.all(others.map((admin) => run(t, admin, ['authorize', 'add', newcomer.name])));
    set.push(newcomer);
    await untilSet(
      fixture,
      set.map(({ name }) => name),
    );
    t.pass(`${newcomer.name} is an authority, and was not restarted`);
  }
}

async function takeOut(t: Test, fixture: Fixture, set: Node[]): Promise<void> {
  for (const leaver of set.filter((node) => node.role === 'mirror')) {
    const [first, ...others] = quorum(set, leaver);
    await run(t, first, ['authorize', 'remove', leaver.name, '--reason', 'the test is over']);
    await Promise.all(others.map((admin) => run(t, admin, ['authorize', 'remove', leaver.name])));
    set.splice(set.indexOf(leaver), 1);
    await untilSet(
      fixture,
      set.map(({ name }) => name),
    );
    t.pass(`${leaver.name} is a mirror again`);
  }
}

/** Marked at the node itself and as many others as it takes, until the chain has it. */
async function rotate(t: Test, set: readonly Node[], what: { readonly node: Node; readonly use: string }): Promise<MemberStatus> {
  const { node, use } = what;
  const before = (await members(node)).own?.recordHeight ?? 0;
  await run(t, node, ['keys', 'rotate', '--use', use]);
  await Promise.all(othersNeeded(set, node).map((admin) => run(t, admin, ['authorize', 'rotate', node.name])));
  return await waitFor(`the new ${use} key is on the chain`, CHANGE_MS, async () => {
    const { own } = await members(node);
    return own !== null && own.recordHeight > before ? own : null;
  });
}

async function rotateConsensus(t: Test, fixture: Fixture, set: readonly Node[], node: Node): Promise<void> {
  const rotated = await rotate(t, set, { node, use: 'consensus' });
  await node.process.kill('SIGKILL');
  await fixture.restart(node);
  // The first start may come before the height from which the new key alone signs.
  await waitFor('the switch is behind it', CHANGE_MS, async () => (await fixture.height(node)) > rotated.recordHeight);
  await node.process.kill('SIGKILL');
  await fixture.restart(node);
  const { stdout } = await cairn(['keys', 'show', '--json', '--data', node.dataDir]);
  t.equal(
    (JSON.parse(stdout) as { consensus: string }).consensus,
    rotated.keys.consensus,
    'after a restart the new key is the one in keys/',
  );
  const retired = path.join(node.dataDir, 'keys', 'retired');
  t.same(await readdir(retired), ['consensus-1.pem'], 'and the old one is kept aside');
  t.equal((await stat(path.join(retired, 'consensus-1.pem'))).mode & 0o77, 0, 'for its owner alone');
}

async function rotateNetwork(t: Test, fixture: Fixture, set: readonly Node[], node: Node): Promise<void> {
  const before = await statusOf(node);
  await rotate(t, set, { node, use: 'network' });
  await node.process.kill('SIGTERM');
  await fixture.restart(node);
  const after = await statusOf(node);
  t.not(after.peerId, before.peerId, 'it goes by another peer id');
  t.same([after.nodeId, after.role], [before.nodeId, 'authority'], 'and is the same node');
  const other = set.find((one) => one !== node) ?? node;
  await waitFor('the others know it by that', CHANGE_MS, async () =>
    (await other.admin.status()).set.some(({ peerId, connected }) => peerId === after.peerId && connected),
  );
}

t.test('4 → 7 → 4 under load, and keys rotated, by the command line', async (t) => {
  const curl = client(t, 'curl');
  if (curl === null) return;
  const fixture = await startNetwork(t, { curl, authorities: 4, mirrors: 3, startArgs: ['--publish-wait-ms', '30000'] });
  const [first, second] = fixture.authorities;
  if (first === undefined || second === undefined) throw new Error('four authorities expected');
  const load = new Load(fixture, { name: 'members', at: [first] });
  const set = [...fixture.authorities];
  await takeIn(t, fixture, set);
  const listed = await run(t, first, ['authorize', 'list']);
  for (const name of ['node1 \\(this\\)', 'mirror3']) t.match(listed, new RegExp(`^${name} +\\S+ +yes +yes`, 'm'));
  await load.waitForMore(2, CHANGE_MS);
  await rotateConsensus(t, fixture, set, second);
  await rotateNetwork(t, fixture, set, second);
  await takeOut(t, fixture, set);
  await load.waitForMore(2, CHANGE_MS);
  await load.stop();
  t.same(load.failures, [], 'every publication was committed');
  t.match(await run(t, first, ['evidence']), /no evidence/);
  await assertSameChain(t, fixture);
});
