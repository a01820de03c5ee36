/**
 * One run: a network of real processes under load, a plan of faults carried out on it, then peace, and the verdict from outside. The nodes
 * under attack are the shipped program, with a tap on its line; all that is done to them is done by signals and on the ground between them.
 */

import { setTimeout as pause } from 'node:timers/promises';
import type { Localnet, LocalnetNode } from '../../src/localnet/index.ts';
import type { Fault } from './plan.ts';
import { type PublisherOptions, Publishers } from './publishers.ts';
import { heardOn } from './tapped.ts';
import type { Groups, Terrain } from './terrain.ts';
import { converged, judge } from './verdict.ts';

const START_ARGS = ['--publish-wait-ms', '30000'];
const PROGRESS_MS = 5_000;
/** How long a peace with load lasts, before the load ends. */
const PEACE_MS = 3_000;

export interface ChaosOptions {
  readonly plan: readonly Fault[];
  readonly lengthMs: number;
  /** For coming up, and for coming together again after the last fault. */
  readonly boundMs: number;
  readonly publishers: number;
  readonly load: PublisherOptions;
  readonly print: (line: string) => void;
}

export interface Outcome {
  readonly height: number;
  readonly acknowledged: number;
  readonly downloads: number;
  /** Places in which something was signed, each compared over all that any node said or heard. */
  readonly signed: number;
  readonly struck: { readonly kill: number; readonly pause: number; readonly part: number };
  /** From the last fault's end to one height on all nodes, load included; null when they never converged. */
  readonly convergedMs: number | null;
  readonly problems: readonly string[];
}

export async function runChaos(localnet: Localnet, terrain: Terrain, options: ChaosOptions): Promise<Outcome> {
  const { plan, boundMs, print } = options;
  const attack = new Attack(localnet, terrain, plan);
  for (const node of localnet.nodes) attack.start(node);
  await localnet.waitUntilConnected({ timeoutMs: boundMs });
  print(`all ${localnet.nodes.length} nodes are connected (${terrain.kind}); ${plan.length} faults in ${options.lengthMs / 1000} s`);
  const authorities = localnet.nodes.filter((node) => node.role === 'authority');
  const load = new Publishers(authorities.slice(0, options.publishers), options.load);
  try {
    const watch = new AbortController();
    const watching = report(localnet, { attack, load, print, signal: watch.signal });
    await attack.run(options.lengthMs);
    const healedAt = performance.now();
    await pause(PEACE_MS);
    await load.stop();
    watch.abort();
    await watching;
    return await conclude(localnet, { boundMs, print, attack, load, healedAt });
  } finally {
    await load.stop();
  }
}

async function conclude(
  localnet: Localnet,
  run: Pick<ChaosOptions, 'boundMs' | 'print'> & { readonly attack: Attack; readonly load: Publishers; readonly healedAt: number },
): Promise<Outcome> {
  const { attack, load, healedAt, print } = run;
  print('peace: waiting until all nodes stand at one height');
  const split = await converged(localnet, run.boundMs);
  const convergedMs = split === null ? Math.round(performance.now() - healedAt) : null;
  if (convergedMs !== null) print(`converged ${convergedMs} ms after the last fault; comparing every block and fetching every publication`);
  // A mirror hears no votes.
  const heard = await heardOn(localnet.nodes.filter(({ role }) => role === 'authority'));
  const found = split === null ? await judge(localnet, load.acknowledged) : { height: 0, downloads: 0, problems: [split] };
  return {
    height: found.height,
    acknowledged: load.acknowledged.length,
    downloads: found.downloads,
    signed: heard.places,
    struck: attack.struck,
    convergedMs,
    problems: [...attack.problems, ...load.refusals, ...heard.doubles.map((double) => `signed twice: ${double}`), ...found.problems],
  };
}

/** A line every few seconds: what stands, what was promised, what was done to the network. */
async function report(
  localnet: Localnet,
  of: { readonly attack: Attack; readonly load: Publishers; readonly print: (line: string) => void; readonly signal: AbortSignal },
): Promise<void> {
  const { attack, load, print, signal } = of;
  const startedAt = performance.now();
  while (!signal.aborted) {
    await pause(PROGRESS_MS, undefined, { signal }).catch(() => {});
    const heights = await Promise.all(localnet.nodes.map(async (node) => attack.stateOf(node) ?? (await heightOf(node))));
    const { kill, pause: paused, part } = attack.struck;
    const { acknowledged, pending, refused, unanswered } = load.outcomes;
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    print(
      `${seconds} s  heights ${heights.join(' ')}  published ${acknowledged}, pending ${pending}, refused ${refused}, unanswered ${unanswered}  kills ${kill}, pauses ${paused}, partitions ${part}${attack.isParted ? ' (parted)' : ''}`,
    );
  }
}

async function heightOf(node: LocalnetNode): Promise<string> {
  const timeout = pause(1_000).then(() => '?');
  const asked = node.admin.status().then(
    ({ chain }) => String(chain.height),
    () => '?',
  );
  return await Promise.race([asked, timeout]);
}

/** Carries out the plan, and undoes at its end what still lasts. */
class Attack {
  readonly struck = { kill: 0, pause: 0, part: 0 };
  /** Nodes that ended though nobody killed them. */
  readonly problems: string[] = [];
  readonly #localnet: Localnet;
  readonly #terrain: Terrain;
  readonly #plan: readonly Fault[];
  readonly #down = new Set<string>();
  readonly #paused = new Set<string>();
  #parting: Groups | null = null;

  constructor(localnet: Localnet, terrain: Terrain, plan: readonly Fault[]) {
    this.#localnet = localnet;
    this.#terrain = terrain;
    this.#plan = plan;
  }

  get isParted(): boolean {
    return this.#parting !== null;
  }

  /** In a word, when it does not answer by the attack's doing; else null. */
  stateOf(node: LocalnetNode): string | null {
    return this.#down.has(node.name) ? 'down' : this.#paused.has(node.name) ? 'held' : null;
  }

  start(node: LocalnetNode): void {
    node.process.start(START_ARGS, this.#terrain.commandOf(node.name));
    const { exited } = node.process;
    void exited?.then((exit) => {
      if (this.#down.has(node.name) || exit.signal === 'SIGTERM' || exit.code === 0) return;
      this.problems.push(`${node.name} ended by itself (${exit.signal ?? exit.code}): ${node.process.logTail(3).join(' | ')}`);
    });
  }

  async run(lengthMs: number): Promise<void> {
    const startedAt = performance.now();
    const until = async (atMs: number): Promise<void> => await pause(Math.max(0, startedAt + atMs - performance.now()));
    const acts: Promise<void>[] = [];
    for (const fault of this.#plan) {
      await until(fault.atMs);
      acts.push(this.#strike(fault, Math.min(fault.lastsMs, lengthMs - fault.atMs)));
    }
    await until(lengthMs);
    await Promise.all(acts);
  }

  async #strike(fault: Fault, lastsMs: number): Promise<void> {
    if (fault.kind === 'part') return await this.#part(fault.groups, lastsMs);
    const nodes = this.#localnet.nodes.filter((node) => fault.names.includes(node.name));
    await Promise.all(nodes.map((node) => (fault.kind === 'kill' ? this.#kill(node, lastsMs) : this.#hold(node, lastsMs))));
  }

  async #kill(node: LocalnetNode, lastsMs: number): Promise<void> {
    if (this.#down.has(node.name)) return;
    this.#down.add(node.name);
    this.#paused.delete(node.name);
    this.struck.kill += 1;
    await node.process.kill('SIGKILL');
    await pause(lastsMs);
    this.#down.delete(node.name);
    this.start(node);
  }

  async #hold(node: LocalnetNode, lastsMs: number): Promise<void> {
    const { pid } = node.process;
    if (pid === null || this.stateOf(node) !== null) return;
    this.#paused.add(node.name);
    this.struck.pause += 1;
    process.kill(pid, 'SIGSTOP');
    await pause(lastsMs);
    // It may have been killed meanwhile, and started anew.
    if (node.process.pid === pid && this.#paused.delete(node.name)) process.kill(pid, 'SIGCONT');
  }

  async #part(groups: Groups, lastsMs: number): Promise<void> {
    this.#parting = groups;
    this.struck.part += 1;
    await this.#terrain.part(groups);
    await pause(lastsMs);
    // A later parting has taken its place.
    if (this.#parting !== groups) return;
    this.#parting = null;
    await this.#terrain.part(null);
  }
}
