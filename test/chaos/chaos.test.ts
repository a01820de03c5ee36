/**
 * The chaos run, short: a plan from a seed on a network of real processes; and the grounds it stands on, which must really part what they say
 * they part. `npm run chaos` is the long one.
 */

import { appendFile, readFile } from 'node:fs/promises';
import path from 'node:path';
import t, { type Test } from 'tap';
import type { LocalnetNode } from '../../src/localnet/index.ts';
import { reservePorts, temporaryFolder, waitFor } from '../end-to-end/localnet-fixture.ts';
import { runChaos } from './chaos.ts';
import { hasNamespaces } from './namespaces.ts';
import { type ChaosNetwork, openChaosNetwork } from './network.ts';
import { drawPlan } from './plan.ts';
import { heardOn, TAPPED_FILE } from './tapped.ts';
import type { Terrain } from './terrain.ts';

const BOUND_MS = 90_000;
const SEED = 3;
const SHORT_MS = 15_000;
const LOAD = { name: 'load', paceMs: 300, sizeOf: (nth: number): number => (nth * 7919) % 50_000 };

t.setTimeout(560_000);

async function openNetwork(
  t: Test,
  options: { readonly terrain: Terrain['kind']; readonly mirrors: number },
): Promise<ChaosNetwork | null> {
  if (options.terrain === 'namespaces' && !(await hasNamespaces())) {
    t.pass('needs network namespaces', { skip: 'this user may not make network namespaces' });
    return null;
  }
  const dir = path.join(await temporaryFolder(t), 'network');
  const network = await openChaosNetwork({ dir, authorities: 4, basePort: await reservePorts(t), ...options });
  t.teardown(async () => {
    if (!t.passing()) for (const node of network.localnet.nodes) t.comment(`${node.name}:\n${node.process.logTail(20).join('\n')}`);
    await network.close();
  });
  return network;
}

t.test('a seed gives one plan', async (t) => {
  const names = ['node1', 'node2', 'node3', 'node4', 'mirror1'];
  const plan = drawPlan({ seed: 7, names, lengthMs: 900_000 });
  t.same(drawPlan({ seed: 7, names, lengthMs: 900_000 }), plan);
  t.notSame(drawPlan({ seed: 8, names, lengthMs: 900_000 }), plan);
  for (const kind of ['kill', 'pause', 'part']) t.ok(plan.filter((fault) => fault.kind === kind).length > 10, `${kind} comes often`);
  t.ok(plan.every(({ atMs }) => atMs < 900_000));
});

t.test('who signed two things in one place is found in what different nodes heard', async (t) => {
  const nil = 'aa prevote 7 0: nil\n';
  const folders = t.testdir({ one: { [TAPPED_FILE]: nil.repeat(2) }, two: { [TAPPED_FILE]: `${nil}bb prevote 7 0: nil\nbb prevo` } });
  const nodes = ['one', 'two'].map((name) => ({ dataDir: path.join(folders, name) }));
  t.same(await heardOn(nodes), { places: 2, doubles: [] });
  await appendFile(path.join(folders, 'two', TAPPED_FILE), `\naa prevote 7 0: ${'0'.repeat(64)}\n`);
  t.match(await heardOn(nodes), { places: 2, doubles: [/^aa prevote 7 0: nil and 0{64}$/] });
});

for (const terrain of ['namespaces', 'proxies'] as const) {
  t.test(`${terrain}: parted two and two, four authorities commit nothing; healed, they commit what waited`, async (t) => {
    const network = await openNetwork(t, { terrain, mirrors: 0 });
    if (network === null) return;
    const { localnet } = network;
    for (const { name, process: node } of localnet.nodes) node.start(['--publish-wait-ms', '3000'], network.terrain.commandOf(name));
    await localnet.waitUntilConnected({ timeoutMs: BOUND_MS });
    await network.terrain.part([
      ['node1', 'node2'],
      ['node3', 'node4'],
    ]);
    const target = '/generic/demo/parted/1.0.0/file.txt';
    t.equal(await put(localnet.nodes[0], target), 202, 'two of four commit nothing');
    for (const node of localnet.nodes) t.equal(await get(node, target), 404, `${node.name} has nothing to serve`);
    await network.terrain.part(null);
    for (const node of localnet.nodes) await waitFor(`${node.name} serves it`, BOUND_MS, async () => (await get(node, target)) === 200);
    t.pass('all serve it once they are together again');
  });
}

t.test('a short plan of kills, pauses and partitions in namespaces', async (t) => {
  const network = await openNetwork(t, { terrain: 'namespaces', mirrors: 1 });
  if (network === null) return;
  const { localnet, terrain } = network;
  const plan = drawPlan({ seed: SEED, names: localnet.nodes.map((node) => node.name), lengthMs: SHORT_MS });
  const print = (line: string): void => t.comment(line);
  const outcome = await runChaos(localnet, terrain, { plan, lengthMs: SHORT_MS, boundMs: BOUND_MS, publishers: 3, load: LOAD, print });
  t.same(outcome.problems, [], `${outcome.acknowledged} acknowledged publications over ${outcome.height} heights`);
  t.ok(outcome.signed > 2 * outcome.height * 3, `${outcome.signed} places in which somebody signed`);
  t.equal(outcome.struck.part, plan.filter((fault) => fault.kind === 'part').length, 'every partition was carried out');
});

/** The status of the answer. */
async function put(node: LocalnetNode | undefined, target: string): Promise<number> {
  if (node === undefined) throw new RangeError('expected a node');
  const token = (await readFile(path.join(node.dataDir, 'publish-token'), 'utf8')).trim();
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`http://127.0.0.1:${node.ports.http}${target}`, { method: 'PUT', headers, body: 'waiting for the others\n' })).status;
}

async function get(node: LocalnetNode, target: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${node.ports.http}${target}`);
  await response.arrayBuffer();
  return response.status;
}
