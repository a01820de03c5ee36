/**
 * Adds to package-lock.json the optional platform packages (binaries of other systems) that npm left out, because the registry in use when the
 * lockfile was written had only this system's. Without them `npm ci` refuses the lockfile everywhere. Run after each `npm install`; the tidy test
 * asks for it. Names no registry, and states no digest that it hasn't seen: such entries carry version and platform alone.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const LOCKFILE = fileURLToPath(new URL('../package-lock.json', import.meta.url));
const SYSTEMS = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const PROCESSORS = ['arm64', 'arm', 'ia32', 'ppc64', 'riscv64', 's390x', 'x64'];

/** What the package runs on, read from the words of its name; null when the name doesn't say. */
function platformOf(name) {
  const words = name.split(/[/-]/);
  const os = SYSTEMS.find((system) => words.includes(system));
  const cpu = PROCESSORS.find((processor) => words.includes(processor));
  if (os === undefined || cpu === undefined) return null;
  const libc = words.some((word) => word.startsWith('musl')) ? ['musl'] : words.some((word) => word.startsWith('gnu')) ? ['glibc'] : null;
  return { os: [os], cpu: [cpu], ...(libc === null ? {} : { libc }) };
}

function missingFrom(packages) {
  return Object.values(packages).flatMap((parent) =>
    Object.entries(parent.optionalDependencies ?? {})
      .filter(([name]) => !Object.keys(packages).some((path) => path.endsWith(`node_modules/${name}`)))
      .map(([name, version]) => ({ name, version, dev: parent.dev === true })),
  );
}

const lockfile = JSON.parse(readFileSync(LOCKFILE, 'utf8'));
const missing = missingFrom(lockfile.packages);
for (const { name, version, dev } of missing) {
  const platform = platformOf(name);
  if (platform === null || !/^\d+\.\d+\.\d+$/.test(version))
    throw new Error(`can't complete ${name}@${version}: no exact version or platform`);
  lockfile.packages[`node_modules/${name}`] = { version, ...(dev ? { dev } : {}), optional: true, ...platform };
}
lockfile.packages = Object.fromEntries(Object.entries(lockfile.packages).sort(([left], [right]) => left.localeCompare(right, 'en')));
writeFileSync(LOCKFILE, `${JSON.stringify(lockfile, null, 2)}\n`);
process.stdout.write(`package-lock.json: ${missing.length} platform packages added\n`);
