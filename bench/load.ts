/**
 * Loads one URL over some connections for some seconds and says how much came: with `wrk` where it is installed, else with a client of our own
 * in a process of its own. What is compared is always loaded with the same tool. Never loads anything but this machine.
 */

import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export interface Load {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface LoadFigures {
  readonly mibPerSecond: number;
  readonly requestsPerSecond: number;
}

const UNITS: Readonly<Record<string, number>> = { B: 1 / 1_048_576, KB: 1 / 1024, MB: 1, GB: 1024 };

/** The program on the PATH, or null. */
export function findProgram(name: string): string | null {
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

export function loadTool(): string {
  return findProgram('wrk') === null ? 'own client' : 'wrk';
}

/** Throws when an answer was not 200: a figure of refusals is none. */
export async function runLoad(load: Load): Promise<LoadFigures> {
  const wrk = findProgram('wrk');
  return wrk === null ? await ownLoad(load) : await wrkLoad(wrk, load);
}

async function wrkLoad(wrk: string, { url, connections, seconds, headers = {} }: Load): Promise<LoadFigures> {
  const lines = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', ...lines, url];
  const { stdout } = await promisify(execFile)(wrk, args);
  const [, amount = '', unit = ''] = /Transfer\/sec:\s+([\d.]+)([KMG]?B)/.exec(stdout) ?? [];
  const [, requests = ''] = /Requests\/sec:\s+([\d.]+)/.exec(stdout) ?? [];
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`${url} was not answered well:\n${stdout}`);
  return { mibPerSecond: Number(amount) * (UNITS[unit] ?? Number.NaN), requestsPerSecond: Number(requests) };
}

async function ownLoad(load: Load): Promise<LoadFigures> {
  const script = fileURLToPath(new URL('./load-process.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, JSON.stringify(load)]);
  return JSON.parse(stdout) as LoadFigures;
}
