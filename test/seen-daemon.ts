/** For programs of the tests that are `cairn start` but for how the node sees its world. */

import '../src/polyfill.ts';
import { CONFIG_KEYS, flagNameOf } from '../src/config/index.ts';
import { startDaemon } from '../src/daemon.ts';
import type { World } from '../src/ports.ts';

/** Runs the real daemon until it ends; `args` as `NodeProcess` gives them: `start --data DIR [--flag value …]`. */
export async function runSeenDaemon(args: readonly string[], seenWorld: (world: World, dataDir: string) => World): Promise<void> {
  const [, , dataDir = '', ...rest] = args;
  try {
    await startDaemon({ dataDir, flags: flagsOf(rest), seenWorld: (world) => seenWorld(world, dataDir) });
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

function flagsOf(args: readonly string[]): Readonly<Record<string, string>> {
  const flags: Record<string, string> = {};
  for (let index = 0; index + 1 < args.length; index += 2) {
    const key = CONFIG_KEYS.find((known) => `--${flagNameOf(known)}` === args[index]);
    if (key === undefined) throw new RangeError(`${args[index]} is no flag`);
    flags[key] = args[index + 1] ?? '';
  }
  return flags;
}
