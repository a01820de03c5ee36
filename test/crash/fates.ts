/**
 * A network of four real processes, each of which ends itself at the points that a test names, one after the other, and comes back on what its
 * disk holds. Says at the end what became of the network. Never kills a node from outside: each dies by its own hand, where it was told to.
 */

import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { CAIRN } from '../../src/localnet/index.ts';
import { Publishers } from '../chaos/publishers.ts';
import { converged, judge } from '../chaos/verdict.ts';
import { type Fixture, startNetwork } from '../end-to-end/localnet-fixture.ts';
import type { CrashPoint } from './crash-points.ts';

const DOOMED = fileURLToPath(new URL('doomed-node.js', import.meta.url));
const AUTHORITIES = 4;
const CATCH_UP_MS = 60_000;
const CONVERGE_MS = 60_000;
const LOAD = { name: 'load', paceMs: 300, sizeOf: (nth: number): number => (nth % 10 === 0 ? 300_000 : 1 + nth * 37) };

export interface Fate {
  readonly point: CrashPoint;
  /** The nth time that the point is reached. */
  readonly nth: number;
  /** Counted from when the node is at work, or from its start on: then it dies while it replays and catches up. */
  readonly when: 'signal' | 'start';
}

/** Whose fates come in which order, by name. */
type Fates = ReadonlyMap<string, Fate[]>;

/** Runs all fates, spread over the nodes, under load; then all must agree and nothing may be lost. */
export async function meetFates(t: Test, curl: string, all: readonly Fate[]): Promise<void> {
  const names = Array.from({ length: AUTHORITIES }, (_, index) => `node${index + 1}`);
  const fates: Fates = new Map(names.map((name, index) => [name, all.filter((_, place) => place % AUTHORITIES === index)]));
  const fixture = await startNetwork(t, {
    curl,
    mirrors: 0,
    startArgs: ['--publish-wait-ms', '20000'],
    commandOf: (name) => commandOf(fates.get(name)?.[0]),
  });
  const load = new Publishers(fixture.authorities, LOAD);
  t.teardown(() => load.stop());
  for (let turn = 0; [...fates.values()].some((queue) => queue.length > 0); turn += 1) {
    await meetOne(t, { fixture, fates, name: names[turn % AUTHORITIES] ?? '' });
  }
  await load.stop();
  t.ok(load.acknowledged.length > 0, `${load.acknowledged.length} publications were acknowledged meanwhile`);
  t.equal(await converged(fixture.localnet, CONVERGE_MS), null, 'all converge');
  const verdict = await judge(fixture.localnet, load.acknowledged);
  t.same(verdict.problems, [], `no fork, no evidence and no loss over ${verdict.height} heights and ${verdict.downloads} downloads`);
}

/** What a node is started with that has this fate before it, or none. */
function commandOf(fate: Fate | undefined): readonly string[] {
  return fate === undefined ? CAIRN : [process.execPath, DOOMED, fate.point, String(fate.nth), fate.when];
}

/** Lets the node run into its next fate, and starts it again with the one after it. */
async function meetOne(t: Test, of: { readonly fixture: Fixture; readonly fates: Fates; readonly name: string }): Promise<void> {
  const { fixture, fates, name } = of;
  const node = fixture.node(name);
  const fate = fates.get(name)?.shift();
  if (fate === undefined) return;
  const { pid } = node.process;
  if (fate.when === 'signal' && pid !== null) process.kill(pid, 'SIGUSR2');
  const exit = await node.process.exited;
  t.equal(exit?.signal, 'SIGKILL', `${name} died by its own hand`);
  t.match(node.process.logTail(1), [`died ${fate.point}`], `${name} died ${fate.point}`);
  const others = fixture.authorities.filter((other) => other !== node);
  const head = Math.max(...(await Promise.all(others.map((other) => fixture.height(other)))));
  const next = fates.get(name)?.[0];
  fixture.start(node, [], commandOf(next));
  if (next?.when === 'start') return await meetOne(t, of);
  await fixture.localnet.waitUntilReady(node, { timeoutMs: CATCH_UP_MS });
  await fixture.waitForHeight(node, head, CATCH_UP_MS);
}
