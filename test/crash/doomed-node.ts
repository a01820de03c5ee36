/**
 * A program for the tests: the real daemon on its real disks, but for a fate. `doomed-node POINT NTH WHEN start --data DIR [--flag value …]`
 * ends itself by SIGKILL when it comes to POINT the NTH time, counted from its start (WHEN is `start`) or from SIGUSR2 (`signal`).
 */

import '../../src/polyfill.ts';
import { writeSync } from 'node:fs';
import { CONFIG_KEYS, flagNameOf } from '../../src/config/index.ts';
import { startDaemon } from '../../src/daemon.ts';
import { CRASH_POINTS, doomedWorld, type Strike } from './crash-points.ts';

interface Fate {
  readonly point: string;
  readonly nth: number;
  readonly fromStart: boolean;
}

function strikeOf(fate: Fate): Strike {
  if (!CRASH_POINTS.some((point) => point === fate.point)) throw new RangeError(`there is no crash point "${fate.point}"`);
  let isArmed = fate.fromStart;
  let left = fate.nth;
  process.on('SIGUSR2', () => {
    isArmed = true;
  });
  return (point) => {
    if (!isArmed || point !== fate.point) return;
    left -= 1;
    if (left === 0) die(point);
  };
}

/** Says why, then ends at once; not a line of the node's runs after it, not even in the time that the signal takes. */
function die(point: string): never {
  writeSync(2, `died ${point}\n`);
  process.kill(process.pid, 'SIGKILL');
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
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

const [point = '', nth = '', when = '', , , dataDir = '', ...rest] = process.argv.slice(2);
const strike = strikeOf({ point, nth: Number(nth), fromStart: when === 'start' });
try {
  await startDaemon({ dataDir, flags: flagsOf(rest), seenWorld: (world) => doomedWorld(world, strike) });
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
