/**
 * From a bare clone to a running command, with nothing but Node and npm: installs the locked packages, prepares the test runner where tests
 * are compiled, compiles what is stale, then hands over to `start`, `test`, `bench`, `simulate`, `chaos` or `build`. Uses Node's own modules
 * only, because it runs before anything is installed. Never touches a file outside the clone, and does no step twice.
 */

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const OLDEST_NODE = [20, 19];
const LOCKFILE = path.join(ROOT, 'package-lock.json');
const INSTALLED = path.join(ROOT, 'node_modules', '.package-lock.json');
/** Each holds the digest of the lockfile whose packages are installed, and whose test runner is prepared. */
const INSTALLED_STAMP = path.join(ROOT, 'node_modules', '.cairn-installed');
const PREPARED_STAMP = path.join(ROOT, 'node_modules', '.cairn-prepared');
const WINDOWS = process.platform === 'win32';

class StepFailed extends Error {}

function say(line) {
  process.stdout.write(`cairn: ${line}\n`);
}

/** Runs a program in the clone, its output shown, and resolves with its exit code. */
function run(program, args, environment = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: ROOT, stdio: 'inherit', env: { ...process.env, ...environment }, shell: WINDOWS });
    const forward = (signal) => child.kill(signal);
    const ignore = () => {};
    process.on('SIGTERM', forward);
    process.on('SIGINT', ignore);
    child.on('error', reject);
    child.on('close', (code) => {
      process.off('SIGTERM', forward);
      process.off('SIGINT', ignore);
      resolve(code ?? 1);
    });
  });
}

async function step(title, program, args) {
  const started = Date.now();
  say(`${title} …`);
  const code = await run(program, args);
  if (code !== 0) throw new StepFailed(`${title}: \`${[path.basename(program), ...args].join(' ')}\` ended with exit code ${code}.`);
  say(`${title}: done in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return;
  throw new StepFailed(`Node ${OLDEST_NODE.join('.')} or newer is needed; this is Node ${process.versions.node} (${process.execPath}).`);
}

function isOlder(file, than) {
  return !existsSync(file) || statSync(file).mtimeMs < statSync(than).mtimeMs;
}

function isStamped(stamp, locked) {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === locked;
}

async function install({ forTests }) {
  const locked = createHash('sha256').update(readFileSync(LOCKFILE)).digest('hex');
  if (!existsSync(INSTALLED) || !isStamped(INSTALLED_STAMP, locked)) {
    if (isOlder(INSTALLED, LOCKFILE))
      await step('Installing the locked packages', 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
    writeFileSync(INSTALLED_STAMP, locked);
  }
  if (!forTests || isStamped(PREPARED_STAMP, locked)) return;
  // tap generates its test class for the plug-ins named in .taprc; each `npm ci` wipes that, and the stamp with it.
  await step('Preparing the test runner', process.execPath, [tool('tap'), 'build']);
  writeFileSync(PREPARED_STAMP, locked);
}

/** The JavaScript file behind an installed command. */
function tool(name) {
  const packageFolder = { tap: ['tap'], tsc: ['typescript'] }[name];
  const folder = path.join(ROOT, 'node_modules', ...packageFolder);
  const manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
  return path.join(folder, manifest.bin[name]);
}

/** Removes compiled files whose source is gone: the test runner would still run them, and an import would still find them. */
function sweep(folder = path.join(ROOT, 'dist')) {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) sweep(full);
    else if (
      entry.name.endsWith('.js') &&
      !existsSync(path.join(ROOT, path.relative(path.join(ROOT, 'dist'), full)).replace(/js$/, 'ts'))
    ) {
      for (const suffix of ['js', 'js.map', 'd.ts']) rmSync(full.replace(/js$/, suffix), { force: true });
    }
  }
}

/** The whole tree, or one project with what it stands on; silent where nothing is stale. */
async function compile(project) {
  sweep();
  const projects = project === null ? [] : [project];
  if (!isCompiled(projects)) await step('Compiling', process.execPath, [tool('tsc'), '-b', ...projects]);
}

/** True only when the compiler itself says of every project that it is up to date. */
function isCompiled(projects) {
  const { status, stdout } = spawnSync(process.execPath, [tool('tsc'), '-b', '--dry', ...projects], { cwd: ROOT, encoding: 'utf8' });
  const lines = (stdout ?? '').split('\n').filter((line) => line.trim() !== '');
  return status === 0 && lines.length > 0 && lines.every((line) => line.includes(' is up to date'));
}

async function prepare(project = null) {
  checkNode();
  await install({ forTests: project === null });
  await compile(project);
}

async function test(args) {
  try {
    await prepare();
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.stdout.write('0 passed, 1 failed, 0 skipped\n');
    return 1;
  }
  const started = Date.now();
  const code = await run(process.execPath, [tool('tap'), 'run', ...args]);
  if (args.length === 0) noteTestTime((Date.now() - started) / 1000);
  return code;
}

/** For the benchmark's table. */
function noteTestTime(seconds) {
  mkdirSync(path.join(ROOT, '.cairn'), { recursive: true });
  writeFileSync(path.join(ROOT, '.cairn', 'test-time.json'), `${JSON.stringify({ seconds })}\n`);
}

/** Loads a compiled entry in this process, so that signals reach it directly. It exports `main(args)`, which resolves to an exit code. */
async function enter(file, args) {
  await prepare(file.slice(0, file.indexOf('/')));
  const { main } = await import(pathToFileURL(path.join(ROOT, 'dist', file)).href);
  return await main(args, { root: ROOT });
}

const COMMANDS = {
  build: async () => {
    await prepare();
    return 0;
  },
  test,
  start: (args) => enter('src/localnet/main.js', args),
  bench: (args) => enter('bench/main.js', args),
  simulate: (args) => enter('test/sim/main.js', args),
  chaos: (args) => enter('test/chaos/main.js', args),
};

try {
  const [name = '', ...args] = process.argv.slice(2);
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw new StepFailed(`usage: node deploy/bootstrap.mjs ${Object.keys(COMMANDS).join('|')} [arguments]`);
  process.exitCode = await command(args);
} catch (error) {
  if (!(error instanceof StepFailed)) throw error;
  process.stderr.write(`cairn: ${error.message}\n`);
  process.exitCode = 1;
}
