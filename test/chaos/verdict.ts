/**
 * What became of a network, seen from outside: by its admin API, its HTTP and its logs. Equal blocks and states on every node, nobody caught
 * signing twice, no honest peer sent away, no node that ended by itself, and everything acknowledged on the chain and with every node.
 */

import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Localnet, LocalnetNode } from '../../src/localnet/index.ts';
import type { Acknowledged } from './publishers.ts';

const POLL_MS = 200;
const FETCH_MS = 60_000;
const AT_ONCE = 16;
/** Polls in a row in which nothing moves. */
const STILL_POLLS = 3;

interface BlockAnswer {
  readonly blockId: string;
  readonly stateRoot: string;
}

export interface Verdict {
  readonly height: number;
  readonly downloads: number;
  /** Empty when all is well. */
  readonly problems: readonly string[];
}

/** Waits until all nodes stand at one height with nothing left to decide; null, or why not. */
export async function converged(localnet: Localnet, boundMs: number): Promise<string | null> {
  const deadline = Date.now() + boundMs;
  let still = 0;
  let before = '';
  let now = '';
  while (Date.now() < deadline && still < STILL_POLLS) {
    const states = await Promise.all(localnet.nodes.map(stateOf));
    now = states
      .map(({ name, height, waiting }) => `${name} ${height ?? 'no answer'}${waiting > 0 ? ` (${waiting} waiting)` : ''}`)
      .join(', ');
    const [first] = states;
    const isEven = states.every(({ height, waiting }) => height !== null && height === first?.height && waiting === 0);
    still = isEven && now === before ? still + 1 : 0;
    before = now;
    await pause(POLL_MS);
  }
  return still >= STILL_POLLS ? null : `after ${boundMs} ms the nodes had not converged: ${now}`;
}

async function stateOf(node: LocalnetNode): Promise<{ readonly name: string; readonly height: number | null; readonly waiting: number }> {
  try {
    const { chain, mempool } = await node.admin.status();
    return { name: node.name, height: chain.height, waiting: node.role === 'authority' ? mempool : 0 };
  } catch {
    return { name: node.name, height: null, waiting: 0 };
  }
}

/** Of a network that has converged. */
export async function judge(localnet: Localnet, acknowledged: readonly Acknowledged[]): Promise<Verdict> {
  const heights = await Promise.all(localnet.nodes.map(async (node) => (await node.admin.status()).chain.height));
  const height = Math.max(...heights);
  const problems = [
    ...(await differences(localnet, height)),
    ...localnet.nodes.flatMap(confessions),
    ...(await losses(localnet.nodes, acknowledged)),
  ];
  return { height, downloads: acknowledged.length * localnet.nodes.length, problems };
}

async function differences(localnet: Localnet, top: number): Promise<readonly string[]> {
  const chains = await Promise.all(localnet.nodes.map(async (node) => await chainOf(node, top)));
  const [reference = []] = chains;
  return chains.flatMap((chain, index) =>
    reference.flatMap((wanted, at) =>
      chain[at] === wanted
        ? []
        : [`${localnet.nodes[index]?.name} has ${chain[at]} at height ${at + 1}, ${localnet.nodes[0]?.name} ${wanted}`],
    ),
  );
}

async function chainOf(node: LocalnetNode, top: number): Promise<readonly string[]> {
  const chain: string[] = [];
  for (let height = 1; height <= top; height += 1) {
    const answer = await node.admin.get(`/block?height=${height}`).catch((error: unknown) => String(error));
    const { blockId, stateRoot } = (typeof answer === 'string' ? {} : answer) as Partial<BlockAnswer>;
    const isWhole = /^[0-9a-f]{64}$/.test(blockId ?? '') && /^[0-9a-f]{64}$/.test(stateRoot ?? '');
    chain.push(isWhole ? `${blockId}/${stateRoot}` : `no block (${JSON.stringify(answer)})`);
  }
  return chain;
}

/** What no honest network says of its own. */
const CONFESSIONS: readonly RegExp[] = [
  /evidence of a duplicate/,
  /peer sent away/,
  /the node stops/,
  /is damaged/,
  /could not be taken into the store/,
  /was put into quarantine/,
  /staged file rotted/,
];

export function confessions(node: LocalnetNode): readonly string[] {
  const lines = node.process.logText().split('\n');
  return lines
    .filter((line) => CONFESSIONS.some((pattern) => pattern.test(line)))
    .map((line) => `${node.name} says: ${line.slice(0, 2_000)}`);
}

async function losses(nodes: readonly LocalnetNode[], acknowledged: readonly Acknowledged[]): Promise<readonly string[]> {
  const wanted = nodes.flatMap((node) => acknowledged.map((one) => ({ node, ...one })));
  const problems: string[] = [];
  const worker = async (): Promise<void> => {
    for (let one = wanted.pop(); one !== undefined; one = wanted.pop()) {
      const got = await digestFrom(one.node, one.target);
      if (got !== one.sha256) problems.push(`${one.node.name} lost ${one.target}: expected ${one.sha256}, got ${got}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return problems;
}

async function digestFrom(node: LocalnetNode, target: string): Promise<string> {
  try {
    const response = await fetch(`http://127.0.0.1:${node.ports.http}${target}`, { signal: AbortSignal.timeout(FETCH_MS) });
    const body = Buffer.from(await response.arrayBuffer());
    return response.ok ? createHash('sha256').update(body).digest('hex') : `${response.status} ${body.toString('utf8').slice(0, 200)}`;
  } catch (error) {
    return String(error);
  }
}
