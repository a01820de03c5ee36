/** The node's three servers: who is let in, what is refused, and how a start fails. */

import { chmod, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import t from 'tap';
import { type Config, resolveConfig } from '../../src/config/index.ts';
import { adminApp, findAdminToken, isAuthorized, loadAdminToken, loadPublishToken, publicApp, startHttp } from '../../src/http/index.ts';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { noMetrics } from '../../src/metrics/types.ts';
import type { NodeOperations } from '../../src/operations.ts';
import type { Logger } from '../../src/ports.ts';
import { operationsDouble, STATUS } from './operations-double.ts';

const TOKEN = 'a-token-of-some-length';
const silent: Logger = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} };
const auth = { authorization: `Bearer ${TOKEN}`, host: '127.0.0.1:7889' };

function admin(overrides: Partial<NodeOperations> = {}): { app: FastifyInstance; operations: ReturnType<typeof operationsDouble> } {
  const operations = operationsDouble(overrides);
  return { app: adminApp({ token: TOKEN }, { metrics: noMetrics, log: silent, operations }), operations };
}

function configWith(flags: Record<string, string>): Config {
  const ports = { 'http.port': '0', 'admin.port': '0', 'metrics.port': '0' };
  return resolveConfig({ file: null, path: 'x', environment: {}, flags: { ...ports, ...flags } }).config;
}

t.test('the admin API answers only to its token and a Host of this machine', async (t) => {
  const refused: readonly (readonly [string, Record<string, string>, number])[] = [
    ['no token', { host: 'localhost' }, 401],
    ['another token', { host: 'localhost', authorization: 'Bearer other' }, 401],
    ['the token as something else', { host: 'localhost', authorization: `Token ${TOKEN}` }, 401],
    ['a longer token', { host: 'localhost', authorization: `Bearer ${TOKEN}x` }, 401],
    ['a rebound host', { ...auth, host: 'evil.example' }, 421],
    ['a rebound host with the port', { ...auth, host: 'evil.example:7889' }, 421],
    ['a host that begins like this one', { ...auth, host: '127.0.0.1.evil.example' }, 421],
    ['another address', { ...auth, host: '10.0.0.1:7889' }, 421],
  ];
  for (const [what, headers, status] of refused) {
    const { app, operations } = admin();
    for (const [method, url] of [
      ['GET', '/status'],
      ['POST', '/remove'],
      ['GET', '/absent'],
    ] as const) {
      const answer = await app.inject({ method, url, headers });
      t.equal(answer.statusCode, status, `${what}: ${method} ${url}`);
      t.type(answer.json().error, 'string');
      t.equal(answer.headers['access-control-allow-origin'], undefined);
    }
    t.same(operations.calls, [], `${what}: nothing was done`);
  }
  for (const host of ['127.0.0.1', '127.0.0.1:7889', 'localhost:1', '[::1]:7889', 'LOCALHOST']) {
    t.equal((await admin().app.inject({ url: '/status', headers: { ...auth, host } })).statusCode, 200, host);
  }
});

t.test('the admin API speaks NodeOperations', async (t) => {
  const { app, operations } = admin();
  const get = async (url: string): Promise<unknown> => (await app.inject({ url, headers: auth })).json();
  const post = async (url: string, payload: object): Promise<unknown> =>
    (await app.inject({ method: 'POST', url, headers: auth, payload })).json();
  t.same(await get('/status'), STATUS);
  t.match(await get('/peers'), { peers: [{ name: 'node2' }] });
  t.match(await get('/artifacts?after=pkg:generic/demo/x@1&limit=2'), { artifacts: [{ purl: 'pkg:generic/demo/a@1' }] });
  t.match(await get('/log?key=k&fromHeight=3&latest=true&limit=5'), { entries: [{ height: 3 }] });
  t.match(await get('/log'), { entries: [{ height: 3 }] });
  t.match(await get('/log?package=p'), { entries: [{ height: 3 }] });
  t.match(await get('/marks'), { marks: [{ key: 'k' }] });
  const peerId = '1'.repeat(40);
  t.same(await post('/ping', { peerId }), { rttMs: 1.25 });
  t.match(await post('/remove', { target: 't', reason: 'r' }), { kind: 'marked' });
  t.match(await post('/remove', { target: 't' }), { kind: 'marked' });
  t.same(await post('/unmark', { target: 't' }), { unmarked: true });
  t.same(operations.calls.slice(2), [
    ['artifacts', { after: 'pkg:generic/demo/x@1', limit: 2 }],
    ['log', { key: 'k', package: null, fromHeight: 3, limit: 5, latest: true }],
    ['log', { key: null, package: null, fromHeight: 0, limit: 100, latest: false }],
    ['log', { key: null, package: 'p', fromHeight: 0, limit: 100, latest: false }],
    ['marks'],
    ['ping', peerId],
    ['markRemoval', 't', 'r'],
    ['markRemoval', 't', null],
    ['unmark', 't'],
  ]);
});

t.test('blocks are shown and sealed transactions taken as bytes', async (t) => {
  const { app, operations } = admin();
  const submit = (contentType: string, payload: Uint8Array) =>
    app.inject({ method: 'POST', url: '/submit', headers: { ...auth, 'content-type': contentType }, payload: Buffer.from(payload) });
  t.match((await app.inject({ url: '/block?height=7', headers: auth })).json(), { height: 7, stateRoot: 's' });
  t.equal((await app.inject({ url: '/block?height=8', headers: auth })).statusCode, 404);
  t.equal((await app.inject({ url: '/block', headers: auth })).statusCode, 400);
  t.same((await submit('application/cbor', Uint8Array.of(1, 2))).json(), { kind: 'committed', height: 8, latencyMs: 12 });
  t.same(operations.calls, [['submit', Uint8Array.of(1, 2)]], 'the very bytes');
  t.equal((await submit('application/json', Buffer.from('{}'))).statusCode, 415);
  t.equal((await submit('application/cbor', new Uint8Array(4_000_000))).statusCode, 413);
  const refusing = admin({ submit: async () => ({ kind: 'refused', reason: 'expired' }) });
  const refused = await refusing.app.inject({
    method: 'POST',
    url: '/submit',
    headers: { ...auth, 'content-type': 'application/octet-stream' },
    payload: Buffer.of(1),
  });
  t.same([refused.statusCode, refused.json().reason], [409, 'expired']);
});

t.test('bad input to the admin API is refused before the node hears of it', async (t) => {
  const { app, operations } = admin();
  const json = { 'content-type': 'application/json' };
  const requests: readonly (readonly ['GET' | 'POST' | 'PUT', string, string | null, number, Record<string, string>?])[] = [
    ['GET', '/log?limit=0', null, 400],
    ['GET', '/log?limit=1001', null, 400],
    ['GET', '/log?fromHeight=-1', null, 400],
    ['GET', '/log?fromHeight=1.5', null, 400],
    ['GET', '/log?latest=perhaps', null, 400],
    ['GET', '/log?unknown=1', null, 400],
    ['GET', `/artifacts?after=${'x'.repeat(2000)}`, null, 400],
    ['GET', '/artifacts?after=junk', null, 400],
    ['POST', '/ping', '{}', 400],
    ['POST', '/ping', '{"peerId":"../../x"}', 400],
    ['POST', '/remove', '{"target":""}', 400],
    ['POST', '/remove', '{"target":"t","reason":"r","extra":1}', 400],
    ['POST', '/remove', `{"target":"t","reason":"${'r'.repeat(300)}"}`, 400],
    ['POST', '/remove', '{"target":"t","reason":"\\ud800"}', 400],
    ['POST', '/remove', '{"target":"\\udfff"}', 400],
    ['POST', '/remove', '{"target":', 400],
    ['POST', '/remove', '{"__proto__":{"target":"t"}}', 400],
    ['POST', '/remove', `{"target":"${'t'.repeat(70_000)}"}`, 413],
    ['POST', '/remove', 'target=t', 415, { 'content-type': 'application/x-www-form-urlencoded' }],
    ['POST', '/remove', '{"target":"t"}', 415, { 'content-type': 'text/plain' }],
    ['PUT', '/remove', '{"target":"t"}', 404],
    ['GET', '/absent', null, 404],
  ];
  for (const [method, url, payload, status, headers] of requests) {
    const answer = await app.inject({ method, url, headers: { ...auth, ...json, ...headers }, ...(payload === null ? {} : { payload }) });
    t.equal(answer.statusCode, status, `${method} ${url.slice(0, 60)} ${payload?.slice(0, 40) ?? ''}`);
    t.type(answer.json().error, 'string');
  }
  t.same(operations.calls, []);
});

t.test('a refusal is 409, an unmarked target 404, a silent peer 502, and a bug shows no stack', async (t) => {
  const refusal = { kind: 'refused', reason: 'no such version' } as const;
  const { app } = admin({
    markRemoval: async () => refusal,
    unmark: async () => false,
    ping: async () => {
      throw new Error('timed out');
    },
    marks: async () => {
      throw new Error('secret path /srv/x');
    },
  });
  const post = (url: string, payload: object) => app.inject({ method: 'POST', url, headers: auth, payload });
  const removal = await post('/remove', { target: 't' });
  t.same([removal.statusCode, removal.json()], [409, refusal]);
  t.equal((await post('/unmark', { target: 't' })).statusCode, 404);
  const ping = await post('/ping', { peerId: '1'.repeat(40) });
  t.same([ping.statusCode, ping.json().error.includes('timed out')], [502, true]);
  const broken = await app.inject({ url: '/marks', headers: auth });
  t.equal(broken.statusCode, 500);
  t.notMatch(broken.body, /secret|root/);
});

t.test('the public server says how the node is, and takes the routes it is given', async (t) => {
  const app = (chain: Partial<typeof STATUS.chain>): FastifyInstance =>
    publicApp(
      { maxConnections: 10, publishWaitMs: 1000 },
      {
        metrics: noMetrics,
        log: silent,
        operations: operationsDouble({ status: async () => ({ ...STATUS, chain: { ...STATUS.chain, ...chain } }) }),
        routes: (routes) => routes.get('/generic/:name', async () => 'the file'),
      },
    );
  const health = async (chain: Partial<typeof STATUS.chain>): Promise<readonly unknown[]> => {
    const answer = await app(chain).inject('/healthz');
    return [answer.statusCode, answer.json().status];
  };
  t.same(await health({}), [200, 'ok']);
  t.same(await health({ fresh: false }), [503, 'stale']);
  t.same(await health({ syncing: true, targetHeight: 9 }), [503, 'syncing']);
  t.match((await app({}).inject('/')).body, /node1: a Cairn authority/);
  t.equal((await app({}).inject('/generic/x')).body, 'the file');
  t.equal((await app({}).inject('/status')).statusCode, 404, 'no admin route is public');
});

t.test('tokens: read from a file 0600, made when absent, refused when others can read them', async (t) => {
  const dataDir = t.testdir();
  const config = configWith({});
  t.equal(await findAdminToken(config, dataDir), null);
  const token = await loadAdminToken(config, dataDir);
  t.match(token, /^[\w-]{43}$/);
  t.equal(await loadAdminToken(config, dataDir), token);
  t.equal(await findAdminToken(config, dataDir), token);
  t.equal((await stat(join(dataDir, 'admin-token'))).mode & 0o777, 0o600);
  t.equal(await loadPublishToken(config, dataDir), null, 'a publish token is never made up');
  t.equal(await loadPublishToken(configWith({ 'publish.token': 'p'.repeat(20) }), dataDir), 'p'.repeat(20));
  await writeFile(join(dataDir, 'publish-token'), 'short\n', { mode: 0o600 });
  await t.rejects(loadPublishToken(config, dataDir), { code: 'damaged-key', message: /holds no token/ });
  await chmod(join(dataDir, 'admin-token'), 0o644);
  await t.rejects(loadAdminToken(config, dataDir), { code: 'keys-readable-by-others', message: /chmod 600/ });
});

t.test('a token is taken as Bearer or as the password of Basic', async (t) => {
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
  const cases: readonly (readonly [string | undefined, boolean])[] = [
    [`Bearer ${TOKEN}`, true],
    [`bearer ${TOKEN}`, true],
    [basic(`anyone:${TOKEN}`), true],
    [basic(`${TOKEN}:`), false],
    [basic(TOKEN), true],
    [TOKEN, false],
    ['Bearer ', false],
    ['', false],
    [undefined, false],
  ];
  for (const [header, expected] of cases) t.equal(isAuthorized(header, TOKEN), expected, String(header));
});

function start(flags: Record<string, string>) {
  const metrics = createMetrics({ nowMs: () => 0, processMetrics: false, version: '0' });
  return startHttp(
    { config: configWith(flags), adminToken: TOKEN },
    { operations: operationsDouble(), routes: () => {}, metrics, log: silent },
  );
}

t.test('all three servers listen, on free ports too, and close', async (t) => {
  const servers = await start({});
  t.equal((await fetch(`${servers.publicUrl}/healthz`)).status, 200);
  t.equal((await fetch(`${servers.adminUrl}/status`, { headers: { authorization: `Bearer ${TOKEN}` } })).status, 200);
  const metrics = await fetch(`${servers.metricsUrl}/metrics`);
  t.match(metrics.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  t.match(await metrics.text(), /cairn_http_requests_total\{route="other",status="2xx"\} 1/);
  await servers.close();
  await t.rejects(fetch(`${servers.publicUrl}/healthz`));
});

t.test('a server for all addresses of the machine is called by what was configured, with the port it got', async (t) => {
  const servers = await start({ 'http.host': '0.0.0.0', 'metrics.host': 'localhost' });
  t.teardown(() => servers.close());
  t.match(servers.publicUrl, /^http:\/\/0\.0\.0\.0:[1-9]\d*$/);
  t.match(servers.metricsUrl, /^http:\/\/localhost:[1-9]\d*$/);
  t.equal((await fetch(`http://127.0.0.1:${new URL(servers.publicUrl).port}/healthz`)).status, 200);
});

t.test('a busy port is one line with the port and the key, and no server stays behind', async (t) => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  const { port } = holder.address() as AddressInfo;
  t.teardown(() => holder.close());
  for (const key of ['http.port', 'admin.port', 'metrics.port']) {
    const error = (await start({ [key]: String(port) }).catch((cause: unknown) => cause)) as Error;
    t.match(error, { code: 'port-in-use', port });
    t.ok(error.message.includes(`port ${port}`) && error.message.includes(key), error.message);
    t.notMatch(error.message, /\n/);
  }
  await t.rejects(start({ 'http.host': '203.0.113.1' }), { code: 'address-unavailable', message: /http\.host/ });
});

t.test('hostile requests get an answer and do no harm', async (t) => {
  const servers = await start({});
  t.teardown(() => servers.close());
  const port = Number(new URL(servers.publicUrl).port);
  const raw = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      let answer = '';
      const socket = connect(port, '127.0.0.1', () => socket.write(text));
      socket.setEncoding('latin1');
      socket.on('data', (chunk) => {
        answer += String(chunk);
      });
      socket.on('close', () => resolve(answer));
      socket.on('error', reject);
    });
  const close = 'Host: x\r\nConnection: close\r\n\r\n';
  const requests: readonly (readonly [string, RegExp])[] = [
    [`GET /../../etc/passwd HTTP/1.1\r\n${close}`, /^HTTP\/1\.1 404/],
    [`GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n${close}`, /^HTTP\/1\.1 404/],
    [`GET /%00 HTTP/1.1\r\n${close}`, /^HTTP\/1\.1 404/],
    [`GET /%zz HTTP/1.1\r\n${close}`, /^HTTP\/1\.1 400 [\s\S]*\{"error":"[^"{]+"\}$/],
    [`GET /generic/demo/%zz HTTP/1.1\r\n${close}`, /^HTTP\/1\.1 400 [\s\S]*\{"error":\{"code":"BAD_NAME"/],
    [`GET /v2/library/%zz HTTP/1.1\r\n${close}`, /^HTTP\/1\.1 400 [\s\S]*\{"errors":\[\{"code":"NAME_INVALID"/],
    [`GET /${'a'.repeat(300)} HTTP/1.1\r\n${close}`, /^HTTP\/1\.1 404/],
    [`GET / HTTP/1.1\r\nX: ${'a'.repeat(20_000)}\r\n${close}`, /^HTTP\/1\.1 431/],
    ['GARBAGE\r\n\r\n', /^HTTP\/1\.1 400/],
    [`GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n${close}`, /^HTTP\/1\.1 400/],
  ];
  for (const [request, expected] of requests) t.match(await raw(request), expected, JSON.stringify(request.slice(0, 50)));
  t.equal((await fetch(`${servers.publicUrl}/healthz`)).status, 200, 'and the server goes on');
});
