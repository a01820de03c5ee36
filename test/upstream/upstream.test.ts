/** The real side of upstreams: which addresses are connected to, what a connection may cost, and how an operator names them. */

import { execFile } from 'node:child_process';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { resolveConfig } from '../../src/config/index.ts';
import { isPublicAddress } from '../../src/upstream/addresses.ts';
import { loadUpstreamCredentials, parseUpstreamCredentials, UPSTREAM_CREDENTIALS_FILE } from '../../src/upstream/credentials.ts';
import { type Lookup, UndiciHttp } from '../../src/upstream/http.ts';
import { openUpstreams, type UpstreamConfig } from '../../src/upstream/open-upstreams.ts';
import { client } from '../clients.ts';
import { keptLog } from '../registry/fixture.ts';
import { patient, readStream, serve, TestTime, until } from '../registry/upstream-fixture.ts';

function words(text: string): readonly string[] {
  return text.trim().split(/\s+/);
}

t.test('reserved addresses are not public, however they are written', async (t) => {
  const inside = words(`
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.0.1 169.254.169.254 172.16.0.1
    172.31.255.255 192.0.0.8 192.168.1.1 198.18.0.1 198.19.255.255 203.0.113.5 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 ::
    ::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:7f00:1 ::127.0.0.1 fc00::1 fd12::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1
    2001:db8::1 2001::1 2002:7f00:1:: 64:ff9b::10.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 100::1 localhost 127.1 2130706433 8.8.8.8.8
    2606:4700::1%eth0
  `);
  for (const address of ['', ...inside]) t.equal(isPublicAddress(address), false, address);
  const outside = words(`
    1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0
    172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 2606:4700::1 2a00:1450::1
    64:ff9b::8.8.8.8
  `);
  for (const address of outside) t.equal(isPublicAddress(address), true, address);
});

const GET = { method: 'GET', headers: {}, signal: patient() } as const;

function openHttp(t: Parameters<typeof serve>[0], lookup?: Lookup): UndiciHttp {
  const http = lookup === undefined ? new UndiciHttp() : new UndiciHttp({ lookup });
  t.teardown(() => http.close());
  return http;
}

t.test('a name is judged by the address it resolves to when connecting, each time', async (t) => {
  const server = await serve(t, (response) => void response.writeHead(200, { connection: 'close' }).end('inside'));
  const resolved: string[] = [];
  const http = openHttp(t, (host, _options, callback) => {
    resolved.push(host);
    callback(null, [
      { address: '127.0.0.1', family: 4 },
      { address: '::ffff:127.0.0.1', family: 6 },
    ]);
  });
  const url = `http://registry.example:${server.port}/x?y=1`;
  const refused = { code: 'UPSTREAM_FAILED', message: /private or reserved address/ };
  await t.rejects(http.request(url, { ...GET, allowPrivate: false }), refused);
  t.equal(server.connections(), 0);
  const answer = await http.request(url, { ...GET, allowPrivate: true });
  t.equal(Buffer.from(await readStream(answer.body)).toString(), 'inside');
  t.equal(server.seen[0]?.path, '/x?y=1');
  await t.rejects(http.request(url, { ...GET, allowPrivate: false }), refused);
  t.same(
    resolved,
    Array.from({ length: 3 }, () => 'registry.example'),
  );
  t.equal(server.seen.length, 1);
});

t.test('a certificate that no authority vouches for is refused', async (t) => {
  const openssl = client(t, 'openssl');
  if (openssl === null) return;
  const folder = t.testdir();
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  await promisify(execFile)(openssl, ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-keyout', key, '-out', cert, ...subject]);
  let requests = 0;
  const server = createServer({ key: await readFile(key), cert: await readFile(cert) }, (_request, response) => {
    requests += 1;
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  await t.rejects(openHttp(t).request(`https://localhost:${port}/`, { ...GET, allowPrivate: true }), {
    code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
  });
  t.equal(requests, 0);
});

t.test('a connection made for the configured upstream is not used for others', async (t) => {
  const server = await serve(t, (response) => response.end('inside'));
  const http = openHttp(t);
  const answer = await http.request(server.origin, { ...GET, allowPrivate: true });
  await readStream(answer.body);
  await t.rejects(http.request(server.origin, { ...GET, allowPrivate: false }), { code: 'UPSTREAM_FAILED' });
  t.equal(server.seen.length, 1);
});

t.test('what can not be resolved or reached is an error of the transport', async (t) => {
  const broken = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
  const http = openHttp(t, (_host, _options, callback) => callback(broken, []));
  await t.rejects(http.request('http://registry.example/', { ...GET, allowPrivate: false }), { code: 'ENOTFOUND' });
  const nowhere = openHttp(t, (_host, _options, callback) => callback(null, []));
  await t.rejects(nowhere.request('http://registry.example/', { ...GET, allowPrivate: true }), { code: 'UPSTREAM_FAILED' });
});

t.test('an answer comes as it was sent: no redirect followed, nothing decompressed, headers joined and bounded', async (t) => {
  const server = await serve(t, (response, request) => {
    if (request.url === '/large') response.writeHead(200, { large: 'x'.repeat(40_000) }).end();
    else {
      const headers = { location: '/other', 'content-encoding': 'gzip', 'www-authenticate': ['Basic', 'Bearer realm="x"'] };
      response.writeHead(302, headers);
      response.end('no gzip');
    }
  });
  const http = openHttp(t);
  const answer = await http.request(server.origin, { ...GET, headers: { range: 'bytes=0-' }, allowPrivate: true });
  t.equal(answer.status, 302);
  t.match(answer.headers, { location: '/other', 'www-authenticate': 'Basic, Bearer realm="x"' });
  t.equal(Buffer.from(await readStream(answer.body)).toString(), 'no gzip');
  t.match(server.seen[0]?.headers, { 'accept-encoding': 'identity', 'user-agent': 'cairn', range: 'bytes=0-' });
  await t.rejects(http.request(`${server.origin}/large`, { ...GET, allowPrivate: true }));
});

t.test('leaving a body, aborting and closing each end the connection', async (t) => {
  let open = 0;
  const server = await serve(t, (response) => {
    open += 1;
    response.on('close', () => {
      open -= 1;
    });
    response.writeHead(200).write('x');
  });
  const http = openHttp(t);
  const unread = await http.request(server.origin, { ...GET, allowPrivate: true });
  t.equal(open, 1);
  await unread.body[Symbol.asyncIterator]().return?.();
  await until(() => open === 0);

  const controller = new AbortController();
  const aborted = await http.request(server.origin, { ...GET, signal: controller.signal, allowPrivate: true });
  controller.abort();
  await t.rejects(readStream(aborted.body));
  await until(() => open === 0);

  const under = await http.request(server.origin, { ...GET, allowPrivate: true });
  await http.close();
  await t.rejects(readStream(under.body));
  await until(() => open === 0);
  await t.rejects(http.request(server.origin, { ...GET, allowPrivate: true }));
});

t.test('credentials are read line by line, and an error names the line and no secret', async (t) => {
  const text = '# hub\n\n  hub basic cairn:pass:word #1 \r\nother bearer abc.def=\n';
  t.same(Object.fromEntries(parseUpstreamCredentials(text, { path: 'file', ids: ['hub', 'other'] })), {
    hub: { kind: 'basic', user: 'cairn', password: 'pass:word #1 ' },
    other: { kind: 'bearer', token: 'abc.def=' },
  });
  const cases: readonly (readonly [string, string, string])[] = [
    ['no colon', 'hub basic hunter2', 'expected ID basic'],
    ['no user', 'hub basic :hunter2', 'expected ID basic'],
    ['no secret', 'hub bearer ', 'expected ID basic'],
    ['only a secret', 'hunter2', 'expected ID basic'],
    ['another kind', 'hub digest hunter2', 'expected ID basic'],
    ['a blank in a token', 'hub bearer hunter2 hunter2', 'expected ID basic'],
    ['a control character', 'hub basic cairn:hunter2\x07', 'expected ID basic'],
    ['no known id', 'hunter2 bearer hunter2', 'expected an id of upstream\\.urls \\(hub\\), got another'],
    ['a second line', 'hub bearer hunter2\nhub bearer hunter2', 'expected one line for hub'],
  ];
  for (const [what, lines, expected] of cases) {
    const line = lines.split('\n').length + 1;
    const message = new RegExp(`^(?!.*hunter2)file: line ${line}: ${expected}`);
    t.throws(() => parseUpstreamCredentials(`# comment\n${lines}`, { path: 'file', ids: ['hub'] }), { name: 'ConfigError', message }, what);
  }
});

t.test('the file of credentials must be closed to others, and need not be there', async (t) => {
  const dataDir = t.testdir();
  t.equal((await loadUpstreamCredentials(dataDir, [])).size, 0);
  const path = join(dataDir, UPSTREAM_CREDENTIALS_FILE);
  await writeFile(path, 'hub bearer abc\n', { mode: 0o600 });
  t.equal((await loadUpstreamCredentials(dataDir, ['hub'])).size, 1);
  await chmod(path, 0o640);
  await t.rejects(loadUpstreamCredentials(dataDir, ['hub']), { name: 'GenesisError', message: /chmod 600/ });
});

t.test('upstream.urls takes http and https URLs by the ids of the policy, and nothing more in them', async (t) => {
  const resolve = (value: string): readonly string[] =>
    resolveConfig({ file: null, path: 'cairn.toml', environment: {}, flags: { 'upstream.urls': value } }).config['upstream.urls'];
  const good = [
    'hub=https://registry.example',
    'a-1=http://127.0.0.1:5000/',
    'b=http://[::1]:5000/proxy/hub',
    'c=https://x/repository/v2/y.z',
  ];
  t.same(resolve(good.join(',')), good);
  t.same(resolve(''), []);
  const refused = words(`
    https://registry.example =https://registry.example Hub=https://registry.example hub=ftp://registry.example
    hub=https://user:password@registry.example hub=https://registry.example?x hub=https://registry.example#x hub=https://
    hub=https://registry.example/../x hub=https://registry.example//x hub=https://registry.example/%2e%2e hub=registry.example
    hub=https://registry.example/./x hub=https://registry.example/a/..
  `);
  for (const bad of [...refused, `${'h'.repeat(65)}=https://registry.example`]) {
    t.throws(() => resolve(bad), { message: /--upstream-urls: expected ID=URL/ }, bad);
  }
});

function config(some: Partial<UpstreamConfig>): UpstreamConfig {
  return { 'upstream.urls': [], 'upstream.alsoAt': [], 'upstream.shared': [], ...some };
}

t.test('upstreams are opened by id, with their credentials', async (t) => {
  const server = await serve(t, (response) => response.writeHead(404).end());
  const dataDir = t.testdir();
  await writeFile(join(dataDir, UPSTREAM_CREDENTIALS_FILE), 'hub bearer abc\n', { mode: 0o600 });
  const time = new TestTime();
  const { log, lines } = keptLog();
  const deps = { clock: time, timers: time, log };
  const urls = [`hub=${server.origin}`, `other=${server.origin}/proxy`];
  const { upstreams, close } = await openUpstreams(config({ 'upstream.urls': urls }), dataDir, deps);
  t.same(
    [...upstreams].map(([id, { isShared }]) => [id, isShared]),
    [
      ['hub', false],
      ['other', true],
    ],
    'what only credentials open is not open to the requests of others',
  );
  const shared = await openUpstreams(config({ 'upstream.urls': urls, 'upstream.shared': ['hub'] }), dataDir, deps);
  t.equal(shared.upstreams.get('hub')?.isShared, true, 'unless the operator says so');
  await shared.close();
  for (const { client } of upstreams.values()) {
    await t.rejects(client.manifest('library/alpine', 'latest', patient()), { code: 'UPSTREAM_ABSENT' });
  }
  t.same(
    server.seen.map(({ path, headers }) => [path, headers.authorization]),
    [
      ['/v2/library/alpine/manifests/latest', 'Bearer abc'],
      ['/v2/proxy/library/alpine/manifests/latest', undefined],
    ],
  );
  t.match(lines, [{ level: 'warn', message: 'credentials of an upstream travel in plain http', fields: { upstream: 'hub' } }]);
  await close();
  for (const [bad, message] of [
    [{ 'upstream.urls': ['hub=http://a', 'hub=http://b'] }, /expected one URL for hub/],
    [{ 'upstream.urls': ['hub=http://a:99999'] }, /expected a URL for hub/],
    [{ 'upstream.urls': ['other=http://a'] }, /upstream-credentials: line 1/],
    [{ 'upstream.urls': urls, 'upstream.alsoAt': ['inner=http://a'] }, /upstream.alsoAt: expected an id of upstream.urls \(hub, other\)/],
    [{ 'upstream.urls': urls, 'upstream.alsoAt': ['hub=http://a:99999'] }, /upstream.alsoAt: expected an origin for hub/],
    [{ 'upstream.urls': ['hub=https://a'], 'upstream.alsoAt': ['hub=http://b'] }, /upstream.alsoAt: expected https for hub/],
  ] as const) {
    await t.rejects(openUpstreams(config(bad), dataDir, deps), { name: 'ConfigError', message });
  }
});
