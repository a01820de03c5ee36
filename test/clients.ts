/**
 * The real programs that tests drive: curl, promtool, prometheus … A test asks for one by name and gets its path. On a developer's machine
 * a missing client skips the test and says so; with CI=true it fails it, so that a green gate means that every client was really used.
 * Never downloads anything.
 */

import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import type { Test } from 'tap';

export type ClientName = 'curl' | 'docker-registry' | 'openssl' | 'promtool' | 'prometheus' | 'skopeo';

/** Absolute path of the program, or null when it is not installed. */
export function findClient(name: ClientName): string | null {
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(folder, name);
    if (folder !== '' && isExecutable(file)) return file;
  }
  return null;
}

/** The program's path; or null after the test has been skipped (or, with CI=true, failed): the caller then returns. */
export function client(t: Test, name: ClientName): string | null {
  const file = findClient(name);
  if (file === null) {
    if (process.env.CI === 'true') t.fail(`${name} is not installed, and CI=true allows no skip`);
    else t.pass(`needs ${name}`, { skip: `${name} is not installed` });
  }
  return file;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
