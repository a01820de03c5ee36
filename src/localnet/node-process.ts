/**
 * One real node as a child process: `cairn start --data DIR`, its output in a log file beside the data folder. Used by the launcher, the
 * end-to-end tests and the benchmark. Never signals a process that it didn't start itself.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const CLI: string = fileURLToPath(new URL('../cli/main.js', import.meta.url));

/** Runs `cairn` under the Node that runs this. */
export const CAIRN: readonly string[] = [process.execPath, CLI];

export interface NodeExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class NodeProcess {
  readonly name: string;
  readonly dataDir: string;
  readonly logFile: string;
  #child: ChildProcess | null = null;
  #exited: Promise<NodeExit> | null = null;
  #exit: NodeExit | null = null;

  constructor(options: { readonly name: string; readonly dataDir: string; readonly logFile: string }) {
    this.name = options.name;
    this.dataDir = options.dataDir;
    this.logFile = options.logFile;
  }

  get pid(): number | null {
    return this.#exit === null ? (this.#child?.pid ?? null) : null;
  }

  get running(): boolean {
    return this.#child !== null && this.#exit === null;
  }

  /** How the process ended; rejects nothing. Undefined before the first start. */
  get exited(): Promise<NodeExit> | null {
    return this.#exited;
  }

  /**
   * In a process group of its own, so that Ctrl-C reaches the launcher alone and the stop is an orderly one. `command` is what `start --data …`
   * is appended to: this very `cairn`, unless a test has a place or a fate of its own for the node.
   */
  start(extraArgs: readonly string[] = [], command: readonly string[] = CAIRN): void {
    if (this.running) throw new Error(`${this.name} is already running as process ${this.pid}`);
    const log = openSync(this.logFile, 'a', 0o600);
    const [program = process.execPath, ...args] = command;
    const child = spawn(program, [...args, 'start', '--data', this.dataDir, ...extraArgs], {
      stdio: ['ignore', log, log],
      env: nodeEnvironment(process.env),
      detached: true,
    });
    closeSync(log);
    this.#child = child;
    this.#exit = null;
    this.#exited = new Promise((resolve) => {
      const finish = (exit: NodeExit): void => {
        if (this.#child === child) this.#exit = exit;
        resolve(exit);
      };
      child.once('error', () => finish({ code: null, signal: null }));
      child.once('exit', (code, signal) => finish({ code, signal }));
    });
  }

  /** Sends the signal and waits for the end. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (!this.running) return;
    this.#child?.kill(signal);
    await this.#exited;
  }

  /** SIGTERM, then SIGKILL after `boundMs`. True when the node ended by itself. */
  async stop(boundMs: number): Promise<boolean> {
    if (!this.running) return true;
    let killed = false;
    const timer = setTimeout(() => {
      killed = true;
      this.#child?.kill('SIGKILL');
    }, boundMs);
    await this.kill('SIGTERM');
    clearTimeout(timer);
    return !killed;
  }

  logText(): string {
    try {
      return readFileSync(this.logFile, 'utf8');
    } catch {
      return '';
    }
  }

  logTail(lines: number): readonly string[] {
    return this.logText().trimEnd().split('\n').slice(-lines);
  }
}

/** The caller's environment without what would configure all nodes alike, or instrument them. */
export function nodeEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = ['CAIRN_LOG_LEVEL', 'CAIRN_LOG_FORMAT'];
  const dropped = /^(CAIRN_|TAP_|_TAPJS_|NODE_OPTIONS$|NODE_V8_COVERAGE$|npm_)/;
  return Object.fromEntries(Object.entries(environment).filter(([key]) => kept.includes(key) || !dropped.test(key)));
}
