/**
 * A program for the tests: the real daemon on its real disks, but for a fate. `doomed-node POINT NTH WHEN start --data DIR [--flag value …]`
 * ends itself by SIGKILL when it comes to POINT the NTH time, counted from its start (WHEN is `start`) or from SIGUSR2 (`signal`).
 */

import { writeSync } from 'node:fs';
import { runSeenDaemon } from '../seen-daemon.ts';
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

const [point = '', nth = '', when = '', ...args] = process.argv.slice(2);
const strike = strikeOf({ point, nth: Number(nth), fromStart: when === 'start' });
await runSeenDaemon(args, (world) => doomedWorld(world, strike));
