/** The `cairn` command as people and scripts meet it: help, short forms, one line an error, exit codes, JSON. */

import { chmod, copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { loadConfig } from '../../src/config/index.ts';
import { type HttpServers, startHttp } from '../../src/http/index.ts';
import { createMetrics } from '../../src/metrics/metrics.ts';
import type { NodeOperations } from '../../src/operations.ts';
import { operationsDouble, STATUS } from '../http/operations-double.ts';
import { cairn } from './run-cairn.ts';

const COMMANDS = ['start', 'status', 'list', 'ping', 'add', 'build', 'remove', 'inspect-log', 'config', 'keys', 'genesis'];
const ONE_LINE = /^cairn: [^\n]+\n$/;
const ADMIN_TOKEN = 'admin-token-for-tests';
const PUBLISH_TOKEN = 'publish-token-for-tests';

/** The real servers over a doubled node, and a data folder that leads there. */
async function nodeWith(
  t: Test,
  options: { readonly operations?: Partial<NodeOperations>; readonly routes?: (app: FastifyInstance) => void } = {},
): Promise<{ readonly dataDir: string; readonly servers: HttpServers; readonly calls: readonly unknown[] }> {
  const dataDir = t.testdir();
  const operations = operationsDouble(options.operations);
  const flags = { 'http.port': '0', 'admin.port': '0', 'metrics.port': '0' };
  const { config } = await loadConfig({ dataDir, environment: {}, flags });
  const metrics = createMetrics({ nowMs: () => 0, processMetrics: false, version: '0' });
  const log = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };
  const servers = await startHttp({ config, adminToken: ADMIN_TOKEN }, { operations, routes: options.routes ?? (() => {}), metrics, log });
  t.teardown(() => servers.close());
  const port = (url: string): string => new URL(url).port;
  await writeFile(join(dataDir, 'cairn.toml'), `[http]\nport = ${port(servers.publicUrl)}\n[admin]\nport = ${port(servers.adminUrl)}\n`);
  await writeFile(join(dataDir, 'admin-token'), `${ADMIN_TOKEN}\n`, { mode: 0o600 });
  await writeFile(join(dataDir, 'publish-token'), `${PUBLISH_TOKEN}\n`, { mode: 0o600 });
  return { dataDir, servers, calls: operations.calls };
}

t.test('every command has help with an example', async (t) => {
  const top = await cairn(['--help']);
  t.equal(top.code, 0);
  const shown = await Promise.all(COMMANDS.map(async (command) => [command, await cairn([command, '--help'])] as const));
  for (const [command, { code, stdout, stderr }] of shown) {
    t.match(top.stdout, new RegExp(`^  ${command}`, 'm'));
    t.same([code, stderr], [0, ''], command);
    if (!['build', 'config', 'keys', 'genesis'].includes(command)) t.match(stdout, /Examples?:\n {2}\S*cairn/, command);
    t.match(stdout, /--json/, `${command}: the common options are shown`);
  }
  const { version } = JSON.parse(await readFile(new URL('../../../package.json', import.meta.url), 'utf8'));
  t.same(await cairn(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' });
});

t.test('wrong arguments are one line and exit code 2', async (t) => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['stauts'], /unknown command 'stauts'.*status/],
    [['status', '--jsn'], /unknown option '--jsn'.*--json/],
    [['start', '--http-prot', '1'], /unknown option '--http-prot'.*--http-port/],
    [['ping'], /missing required argument 'peer'/],
    [['ping', 'x', '--count', '0'], /expected an integer from 1 to 100/],
    [['list', '--limit', '1e3'], /expected an integer from 1 to 1000/],
    [['add', 'file'], /missing required argument 'purl'/],
    [['add', 'file', 'generic/demo/x'], /expected a package URL such as/],
    [['add', 'file', 'pkg:generic/demo/x'], /expected a version/],
    [['add', 'file', 'pkg:npm/left-pad@1.0.0'], /only pkg:generic/],
    [['add', '.hidden', 'pkg:generic/demo/x@1'], /--name/],
    [['remove'], /expected a package URL or sha256/],
    [['remove', 'sha256:123'], /expected a package URL/],
    [['inspect-log', '--format', 'xml'], /Allowed choices are json, csv, table/],
    [['inspect-log', '--fields', 'heigth'], /unknown field heigth/],
    [['inspect-log', 'a', 'b', 'c'], /expected one package URL/],
    [['genesis', 'localnet', '--authorities', '0'], /expected an integer from 1 to 64/],
    [['genesis', 'localnet', '--base-port', '80', '--out', '/nonexistent/x'], /expected an integer from 1024 to 65535/],
    [['genesis', 'localnet', '--base-port', '65530', '--out', '/nonexistent/x'], /port 65540 does not exist: choose a lower/],
    [['node', '-x'], /unknown option '-x'/],
    [['node', 'extra'], /too many arguments/],
    [['config', 'set', 'http.prot', '1', '--data', '/nonexistent'], /unknown key http\.prot: did you mean http\.port\?/],
    [['config', 'set', 'http.port', 'abc', '--data', '/nonexistent'], /^cairn: http\.port: expected an integer .*, got "abc"$/m],
    [['config', 'set', 'p2p.peers', '/bogus', '--data', '/nonexistent'], /^cairn: p2p\.peers: .* peer id.*, got "\/bogus"$/m],
    [['config', 'remove', 'http.prot', '--data', '/nonexistent'], /unknown key http\.prot: did/],
    [['start', '--http-port', 'abc', '--data', '/nonexistent'], /^cairn: --http-port: expected an integer .*, got "abc"$/m],
    [['keys', 'new', 'extra'], /too many arguments/],
  ];
  await Promise.all(
    cases.map(async ([args, message]) => {
      const { code, stdout, stderr } = await cairn(args);
      t.same([code, stdout], [2, ''], args.join(' '));
      t.match(stderr, ONE_LINE, args.join(' '));
      t.match(stderr, message, args.join(' '));
    }),
  );
  const nothing = await cairn([]);
  t.equal(nothing.code, 2);
  t.match(nothing.stderr, /Usage: cairn/);
  t.match(await cairn(['node']), { code: 2, stdout: '', stderr: /^Usage: cairn node [\s\S]*-s, --status +as cairn status/ });
});

t.test('a wrong configuration is one line and exit code 2, whatever the command', async (t) => {
  const dataDir = t.testdir({ 'cairn.toml': '[http]\nprot = 1\n' });
  for (const args of [['status'], ['list'], ['config', 'show'], ['inspect-log']]) {
    const { code, stderr } = await cairn([...args, '--data', dataDir]);
    t.equal(code, 2);
    t.match(stderr, ONE_LINE);
    t.match(stderr, /did you mean http\.port\?/);
  }
  const environment = await cairn(['config', 'show', '--data', join(dataDir, 'absent')], { CAIRN_LOG_LEVLE: 'debug' });
  t.match(environment, { code: 2, stderr: /CAIRN_LOG_LEVEL/ });
});

t.test('no node answers: exit code 3 and how to start it', async (t) => {
  const { dataDir, servers } = await nodeWith(t);
  await servers.close();
  for (const args of [['status'], ['-s'], ['list'], ['ping', 'x'], ['inspect-log'], ['remove', '--marks']]) {
    const { code, stderr } = await cairn([...args, '--data', dataDir]);
    t.equal(code, 3, args.join(' '));
    t.match(stderr, ONE_LINE);
    t.match(stderr, /cairn start/);
  }
  t.match(await cairn(['status', '--data', join(dataDir, 'absent')]), { code: 3, stderr: /no node has been started in/ });
  await writeFile(join(dataDir, 'file'), 'x');
  t.match(await cairn(['add', join(dataDir, 'file'), 'pkg:generic/demo/x@1', '--data', dataDir]), {
    code: 3,
    stderr: /no node took the file/,
  });
});

t.test('status, in all its spellings, for people and for programs', async (t) => {
  const { dataDir } = await nodeWith(t);
  for (const args of [['status'], ['-s'], ['node', '-s'], ['node', '--status']]) {
    const { code, stdout } = await cairn([...args, '--json', '--data', dataDir]);
    t.same([code, JSON.parse(stdout)], [0, STATUS], args.join(' '));
  }
  const behind = await cairn(['--data', dataDir, '--json', 'node', '-s']);
  t.same([behind.code, JSON.parse(behind.stdout)], [0, STATUS], 'behind another option');
  const { stdout } = await cairn(['status'], { CAIRN_DATA: dataDir });
  for (const text of [
    'node1 (authority)',
    'height     7',
    'peers      4',
    'artifacts  2',
    '2.0 KiB used of 50.0 GiB allocated',
    'node1      1',
  ]) {
    t.ok(stdout.includes(text), text);
  }
});

t.test('list shows peers, or with --artifacts versions', async (t) => {
  const { dataDir } = await nodeWith(t);
  for (const args of [['list'], ['peers'], ['-l'], ['node', '-l']]) {
    t.match(
      await cairn([...args, '--data', dataDir]),
      { code: 0, stdout: /^name +role[^\n]+\nnode2 +authority +7 +0\.5 ms +12D3KooWPeer/ },
      args.join(' '),
    );
  }
  t.match(await cairn(['list', '--artifacts', '--data', dataDir]), { code: 0, stdout: /pkg:generic\/demo\/a@1 +a +1 B/ });
  const json = await cairn(['list', '--artifacts', '--json', '--data', dataDir]);
  t.match(JSON.parse(json.stdout), [{ purl: 'pkg:generic/demo/a@1' }]);
});

t.test('ping finds a peer by name; an unanswered one is exit code 1', async (t) => {
  const peerId = '1'.repeat(40);
  const peer = { peerId, name: 'node2', role: 'authority', addresses: [], rttMs: null, height: null } as const;
  const { dataDir, calls } = await nodeWith(t, { operations: { peers: () => [peer] } });
  t.match(await cairn(['ping', 'node2', '--count', '2', '--data', dataDir]), {
    code: 0,
    stdout: 'node2 answered in 1.25 ms\nnode2 answered in 1.25 ms\n',
  });
  t.same(calls, [
    ['ping', peerId],
    ['ping', peerId],
  ]);
  t.match(await cairn(['ping', 'nobody', '--data', dataDir]), { code: 1, stderr: /neither a connected peer's name nor a peer id/ });
});

t.test('inspect-log prints tables, CSV and JSON, and never what would steer a terminal', async (t) => {
  const { dataDir, calls } = await nodeWith(t);
  const log = (...args: readonly string[]) => cairn(['inspect-log', ...args, '--data', dataDir]);
  const table = await log('--fields', 'height,claim');
  t.match(table, { code: 0, stdout: /^height {2}claim\n3 {7}\{"reason":"a\\u001b\[31m"\}/ });
  t.notOk(table.stdout.includes('\u001b'));
  t.equal(
    (await log('--format', 'csv', '--fields', 'height,time,endorsers,claim')).stdout.split('\r\n')[1]?.slice(0, 41),
    '3,2023-11-14T22:13:20.000Z,node1 node2,"{',
  );
  t.match(JSON.parse((await log('--json', '--fields', 'kind,endorsers')).stdout), [{ kind: 'AddArtifact', endorsers: ['node1', 'node2'] }]);
  await log('generic', 'pkg:generic/demo/a@1', '--latest', '--limit', '5', '--from-height', '2');
  await log(`sha256:${'0'.repeat(64)}`);
  const queries = calls.slice(-2) as readonly (readonly [string, { key: string; limit: number; latest: boolean; fromHeight: number }])[];
  t.match(queries[0]?.[1], { limit: 5, latest: true, fromHeight: 2 });
  t.match(queries[0]?.[1].key, /generic\|\|demo\|a\|1$/);
  t.match(queries[1]?.[1].key, /0{64}$/);
});

t.test('build asks for an image and prints the id; its status shows each verdict, and a failure is exit code 4', async (t) => {
  const { dataDir, calls } = await nodeWith(t, {});
  const id = 'f'.repeat(64);
  t.match(await cairn(['build', 'docker', 'alpine:3', '--data', dataDir]), { code: 0, stdout: `${id}\n`, stderr: /has begun/ });
  t.match(await cairn(['build', 'docker', '--image', 'alpine:3', '--json', '--data', dataDir]), { code: 0, stdout: /"kind": "started"/ });
  t.match(await cairn(['build', 'docker', 'refused', '--data', dataDir]), { code: 4, stderr: 'cairn: no rule\n' });
  const status = await cairn(['build', 'status', id, '--data', dataDir]);
  t.match(status, { code: 4, stdout: /state +failure\nreason +two of four differ/, stderr: /^cairn: the build failed: two/ });
  t.match(status.stdout, /node2 +refused +eeeeeeee +other\\u001b\[31m bytes/, 'what the network says is escaped');
  t.match(await cairn(['build', 'docker', 'alpine:3', '--wait', '--data', dataDir]), { code: 4, stdout: /node2/ });
  t.same(calls.slice(0, 3), [
    ['build', 'alpine:3'],
    ['build', 'alpine:3'],
    ['build', 'refused'],
  ]);
  t.match(await cairn(['build', 'docker', '--data', dataDir]), { code: 2, stderr: /expected an image/ });
  t.match(await cairn(['build', 'status', 'abc', '--data', dataDir]), { code: 2, stderr: /64 hex digits/ });
});

t.test('inspect-log takes images: a tag, a digest, or a whole repository', async (t) => {
  const { dataDir, calls } = await nodeWith(t, {});
  const digest = `sha256:${'a'.repeat(64)}`;
  for (const image of ['alpine:3', `quay.example:5000/team/app@${digest}`, 'alpine'])
    t.match(await cairn(['inspect-log', 'docker', image, '--data', dataDir]), { code: 0 });
  t.match(calls, [
    ['log', { key: 'name|docker|docker.io|library|alpine|3', package: null }],
    ['log', { key: `artifact|docker|quay.example:5000|team|app|${digest}`, package: null }],
    ['log', { key: null, package: 'docker|docker.io|library|alpine' }],
  ]);
  t.match(await cairn(['inspect-log', 'docker', 'Alpine', '--data', dataDir]), { code: 2, stderr: /no image reference/ });
});

t.test('remove marks, takes back and lists; a refusal is exit code 4', async (t) => {
  const { dataDir, calls } = await nodeWith(t);
  const purl = 'pkg:generic/demo/a@1';
  t.match(await cairn(['remove', purl, '--reason', 'bad', '--data', dataDir]), {
    code: 0,
    stdout: /is marked on this node; 2 more authorities/,
  });
  t.match(await cairn(['remove', purl, '--undo', '--data', dataDir]), { code: 0, stdout: /no longer marked/ });
  t.match(await cairn(['remove', '--marks', '--data', dataDir]), { code: 0, stdout: /generic\/demo\/k@1 +r +2023-11-14/ });
  t.same(calls, [['markRemoval', purl, 'bad'], ['unmark', purl], ['marks']]);
});

t.test('a refused removal and a wrong token are exit code 4', async (t) => {
  const { dataDir } = await nodeWith(t, { operations: { markRemoval: async () => ({ kind: 'refused', reason: 'not on the chain' }) } });
  t.match(await cairn(['remove', 'pkg:generic/demo/a@1', '--data', dataDir]), { code: 4, stderr: 'cairn: not on the chain\n' });
  t.match(await cairn(['status', '--data', dataDir], { CAIRN_ADMIN_TOKEN: 'x'.repeat(20) }), { code: 4, stderr: /refused the token/ });
  await chmod(join(dataDir, 'admin-token'), 0o644);
  t.match(await cairn(['status', '--data', dataDir]), { code: 1, stderr: /chmod 600/ });
});

t.test('add publishes through the node, and says how it ended', async (t) => {
  const seen: unknown[] = [];
  const answers: Record<string, readonly [number, object]> = {
    '1': [201, { kind: 'committed' }],
    '2': [202, { kind: 'pending' }],
    '3': [409, { error: 'this version exists at height 3' }],
    '4': [403, { error: 'the policy does not grant other/x' }],
    '5': [500, { error: 'disk full' }],
  };
  const { dataDir, servers } = await nodeWith(t, {
    routes: (app) => {
      app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
      app.put<{ Params: Record<string, string>; Body: Buffer }>('/generic/demo/:name/:version/:file', async (request, reply) => {
        const { name, version = '', file } = request.params;
        seen.push([name, version, file, request.headers.authorization, request.body.toString()]);
        const [status, body] = answers[version] ?? [500, {}];
        return reply.code(status).send(body);
      });
    },
  });
  const file = join(dataDir, 'hello+1.txt');
  await writeFile(file, 'hello, network\n');
  const add = (version: string, ...args: readonly string[]) =>
    cairn(['add', file, `pkg:generic/demo/x@${version}`, '--data', dataDir, ...args]);
  t.match(await add('1'), { code: 0, stdout: `pkg:generic/demo/x@1 is committed: ${servers.publicUrl}/generic/demo/x/1/hello%2B1.txt\n` });
  t.same(seen, [['x', '1', 'hello+1.txt', `Bearer ${PUBLISH_TOKEN}`, 'hello, network\n']]);
  const json = await add('1', '--json', '--name', 'other.txt');
  t.match(JSON.parse(json.stdout), { status: 201, file: 'other.txt', answer: { kind: 'committed' } });
  t.equal(json.stderr, '');
  t.match(await add('2'), { code: 5, stderr: /waits for its commit/ });
  t.match(await add('3'), { code: 4, stderr: /cairn: this version exists at height 3\n$/ });
  t.match(await add('4'), { code: 4, stderr: /the policy does not grant/ });
  t.match(await add('5'), { code: 1, stderr: /disk full|failed to answer/ });
  t.match(await cairn(['add', join(dataDir, 'absent'), 'pkg:generic/demo/x@1', '--data', dataDir]), { code: 1, stderr: /cannot read/ });
  t.match(await cairn(['add', dataDir, 'pkg:generic/demo/x@1', '--name', 'x', '--data', dataDir]), { code: 1, stderr: /no regular file/ });
});

t.test('config show says where values come from and keeps secrets; set, remove and edit change the file', async (t) => {
  const dataDir = t.testdir({ 'cairn.toml': '# mine\n[log]\nlevel = "warn" # quiet\n' });
  const config = (args: readonly string[], environment: Record<string, string> = {}) =>
    cairn(['config', ...args, '--data', dataDir], environment);
  const secret = 's3cret-s3cret-s3cret';
  const shown = await config(['show', '--json'], { CAIRN_ADMIN_TOKEN: secret, CAIRN_HTTP_PORT: '80' });
  t.match(JSON.parse(shown.stdout), {
    'log.level': { value: 'warn', origin: 'file' },
    'http.port': { value: 80, origin: 'environment' },
    'admin.token': { value: '(set)', origin: 'environment' },
    'metrics.port': { value: 9464, origin: 'default' },
  });
  const text = await config(['show'], { CAIRN_ADMIN_TOKEN: secret });
  t.notOk((shown.stdout + text.stdout).includes(secret));
  t.match(await config(['set', 'log.level', 'debug']), { code: 0, stdout: 'log.level = "debug" (file)\n' });
  t.match(await config(['set', 'log.level', 'loud']), { code: 2, stderr: /expected one of error, warn, info, debug/ });
  t.equal(await readFile(join(dataDir, 'cairn.toml'), 'utf8'), '# mine\n[log]\nlevel = "debug" # quiet\n');
  t.match(await config(['remove', 'log.level']), { code: 0, stdout: 'log.level = "info" (default)\n' });
  t.match(await config(['remove', 'log.level']), { code: 2, stderr: /not set/ });
  const editor = join(dataDir, 'editor.mjs');
  await writeFile(editor, "import { writeFileSync } from 'node:fs'; writeFileSync(process.argv[2], process.env.TEXT);");
  const edit = (text: string) => config(['edit'], { EDITOR: `${process.execPath} ${editor}`, TEXT: text });
  t.match(await edit('[http]\nport = 81\n'), { code: 0 });
  t.match(await edit('[http]\nprot = 82\n'), { code: 2, stderr: /your text is kept in .*\n.*did you mean http\.port/ });
  t.equal(await readFile(join(dataDir, 'cairn.toml'), 'utf8'), '[http]\nport = 81\n');
  t.match(await config(['edit'], { EDITOR: '/nonexistent/editor' }), { code: 1, stderr: /cannot run the editor/ });
});

t.test('keys new makes keys once; keys show never prints a private one', async (t) => {
  const dataDir = join(t.testdir(), 'node');
  const made = await cairn(['keys', 'new', '--json', '--data', dataDir]);
  t.equal(made.code, 0);
  t.equal(await readFile(join(dataDir, 'sign-state'), 'utf8'), '', 'new keys have signed nothing, and the node may know it');
  t.match(await cairn(['keys', 'new', '--data', dataDir]), { code: 1, stderr: /exists; a key is never replaced/ });
  const shown = await cairn(['keys', 'show', '--json', '--data', dataDir]);
  t.same(JSON.parse(shown.stdout), JSON.parse(made.stdout));
  const pem = await readFile(join(dataDir, 'keys', 'network.pem'), 'utf8');
  const seed = Buffer.from(pem.split('\n')[1] ?? '', 'base64').subarray(-32);
  for (const form of ['hex', 'base64', 'base64url'] as const) t.notOk(shown.stdout.includes(seed.toString(form)));
  await chmod(join(dataDir, 'keys', 'network.pem'), 0o644);
  t.match(await cairn(['keys', 'show', '--data', dataDir]), { code: 1, stderr: /chmod 600/ });
  t.match(await cairn(['keys', 'show', '--data', join(dataDir, 'absent')]), { code: 1, stderr: /cairn keys new/ });
});

t.test('genesis localnet writes folders whose genesis checks out; a damaged one is refused', async (t) => {
  const out = join(t.testdir(), 'net');
  const made = await cairn(['genesis', 'localnet', '--authorities', '3', '--mirrors', '1', '--out', out, '--base-port', '20000', '--json']);
  t.equal(made.code, 0);
  const { chainId, nodes } = JSON.parse(made.stdout) as { chainId: string; nodes: readonly { dataDir: string; ports: object }[] };
  t.equal(nodes.length, 4);
  t.same(nodes[1]?.ports, { http: 20_010, admin: 20_011, metrics: 20_012, p2p: 20_013 });
  const genesis = join(out, 'node1', 'genesis.cbor');
  t.match(await cairn(['genesis', 'check', genesis]), { code: 0, stdout: `${chainId}  localnet, 3 authorities\n` });
  t.match(JSON.parse((await cairn(['genesis', 'show', genesis])).stdout), { chainId, parameters: { heartbeatMs: 600_000 } });
  t.match(await cairn(['genesis', 'localnet', '--out', out]), { code: 1, stderr: /not empty: choose another folder/ });
  for (const { dataDir } of nodes.slice(0, 3)) t.equal((await stat(join(dataDir, 'publish-token'))).mode & 0o777, 0o600);
  t.match(await cairn(['config', 'show', '--data', join(out, 'mirror1')]), { code: 0, stdout: /http\.port +20030 +port +file/ });
  const data = await readFile(genesis);
  await mkdir(join(out, 'bad'));
  await writeFile(join(out, 'bad', 'genesis.cbor'), data.subarray(0, data.length - 1));
  t.match(await cairn(['genesis', 'check', join(out, 'bad', 'genesis.cbor')]), { code: 1, stderr: /no genesis document/ });
  t.match(await cairn(['genesis', 'check', join(out, 'absent.cbor')]), { code: 1, stderr: /no genesis document at/ });
});

t.test("an operator's mistake stops the start with one line", async (t) => {
  const folder = t.testdir({ file: 'x' });
  const [out, file] = [join(folder, 'net'), join(folder, 'file')];
  await cairn(['genesis', 'localnet', '--authorities', '2', '--mirrors', '1', '--out', out]);
  const [mine, other, mirror] = [join(out, 'node1'), join(out, 'node2'), join(out, 'mirror1')];
  const mistakes: readonly (readonly [string, string, () => Promise<unknown>, RegExp, string[]?])[] = [
    ['a file where files go', mirror, async () => {}, /cannot use the folder .*a file is in its place/, ['--storage-path', file]],
    ['keys open to others', other, () => chmod(join(other, 'keys', 'network.pem'), 0o644), /run 'chmod 600 /],
    [
      'keys mixed up',
      mine,
      () => copyFile(join(mirror, 'keys', 'consensus.pem'), join(mine, 'keys', 'consensus.pem')),
      /the consensus key .*backup/,
    ],
    ['a lost key', mirror, () => rm(join(mirror, 'keys', 'checkpoint.pem')), /checkpoint\.pem does not exist/],
  ];
  for (const [what, dataDir, make, expected, args] of mistakes) {
    await make();
    const outcome = await cairn(['start', '--data', dataDir, ...(args ?? [])]);
    t.equal(outcome.code, 1, what);
    t.match(outcome.stderr, ONE_LINE, what);
    t.match(outcome.stderr, expected, what);
    t.notOk((await readdir(dataDir)).includes('lock'), `${what}: the folder is free again`);
  }
});

t.test('--verbose adds the stack, and nothing else does', async (t) => {
  const args = ['genesis', 'check', '/nonexistent/genesis.cbor'];
  t.match((await cairn(args)).stderr, ONE_LINE);
  t.match((await cairn([...args, '--verbose'])).stderr, /\n {4}at /);
});
