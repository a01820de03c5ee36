/** The generic ecosystem over HTTP: what clients get, what hostile ones don't, and what curl makes of it. */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fastify, { type FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { asDigest, type Coordinates, coordinatesKey, type FileEntry, formatDigest } from '../../chain/index.ts';
import { parseGenericTarget } from '../../registry/generic/coordinates.ts';
import { parseRange } from '../../registry/http-file.ts';
import {
  formatPurl,
  genericRoutes,
  type Publishing,
  type PublishResult,
  parseTarget,
  StagedVersions,
  tokenCheck,
} from '../../registry/index.ts';
import { blobPath, entryOf, generic, identify, MapLedger, PeerWorld, put, someBytes, type TestNode, testNode } from './fixture.ts';

const TOKEN = 'a-token-of-this-node';
const BYTES = someBytes(2 * 1_048_576 + 77);
const FILE = entryOf('tool.tgz', BYTES);
const PATH = '/generic/demo/tool/1.0/tool.tgz';

interface Service {
  readonly app: FastifyInstance;
  readonly node: TestNode;
  readonly ledger: MapLedger;
  readonly versions: StagedVersions;
  /** What the next publications come to; committed when empty. */
  readonly outcomes: PublishResult[];
  readonly published: { readonly key: string; readonly files: readonly FileEntry[] }[];
  policy: PublishResult | null;
}

/** A node with one live file in its store and a door for publishers. */
async function service(t: Test): Promise<Service> {
  const ledger = new MapLedger();
  const node = await testNode('me', { world: new PeerWorld(), ledger, quotaBytes: 5_000_000 });
  await put(node, BYTES);
  ledger.commit(generic('1.0'), [FILE]);
  const versions = await StagedVersions.open({ files: node.files, staging: node.staging, log: node.log });
  const outcomes: PublishResult[] = [];
  const published: { key: string; files: readonly FileEntry[] }[] = [];
  const made = { policy: null as PublishResult | null };
  const publishing: Publishing = {
    mayPublish: () => made.policy,
    maxFileBytes: () => 3_000_000,
    publish: async (coordinates: Coordinates, files) => {
      published.push({ key: coordinatesKey(coordinates), files });
      const outcome = outcomes.shift() ?? { kind: 'committed', height: 12, transactionId: asDigest(new Uint8Array(32)) };
      if (outcome.kind === 'committed') {
        ledger.commit(coordinates, files, outcome.height);
        for (const file of files) await node.library.settle(file);
      }
      return outcome;
    },
  };
  const app = fastify();
  const { staging, library, clock: timers, log } = node;
  genericRoutes(app, { ledger, library, staging, versions, publishing, mayWrite: tokenCheck([TOKEN]), log, timers });
  t.teardown(() => app.close());
  return Object.assign(made, { app, node, ledger, versions, outcomes, published });
}

const authorization = { authorization: `Bearer ${TOKEN}` };

t.test('GET and HEAD: the bytes and what describes them', async (t) => {
  const { app } = await service(t);
  const answer = await app.inject(PATH);
  t.equal(answer.statusCode, 200);
  t.ok(Buffer.from(BYTES).equals(answer.rawPayload));
  const base64 = createHash('sha256').update(BYTES).digest('base64');
  t.match(answer.headers, {
    'content-length': String(BYTES.length),
    'content-type': 'application/octet-stream',
    'accept-ranges': 'bytes',
    etag: `"${formatDigest(FILE.digests.sha256)}"`,
    digest: `sha-256=${base64}`,
    'repr-digest': `sha-256=:${base64}:`,
  });
  const head = await app.inject({ method: 'HEAD', url: PATH });
  t.equal(head.statusCode, 200);
  t.equal(head.rawPayload.length, 0);
  t.equal(head.headers['content-length'], String(BYTES.length));
  const cached = await app.inject({ url: PATH, headers: { 'if-none-match': `"x", W/"${formatDigest(FILE.digests.sha256)}"` } });
  t.equal(cached.statusCode, 304);
  t.equal(cached.rawPayload.length, 0);
});

t.test('Range', async (t) => {
  const { app } = await service(t);
  const size = BYTES.length;
  const etag = `"${formatDigest(FILE.digests.sha256)}"`;
  const cases: readonly (readonly [string, number, number, number, Record<string, string>?])[] = [
    ['bytes=0-0', 206, 0, 1],
    ['bytes=100-199', 206, 100, 200],
    ['bytes=1048570-1048590', 206, 1_048_570, 1_048_591],
    ['bytes=2000000-', 206, 2_000_000, size],
    ['bytes=-7', 206, size - 7, size],
    ['bytes=-99999999', 206, 0, size],
    ['bytes=5-99999999', 206, 5, size],
    ['bytes=5-4', 200, 0, size],
    ['bytes=0-1,5-6', 200, 0, size],
    ['bytes=-', 200, 0, size],
    ['bytes=a-b', 200, 0, size],
    ['lines=1-2', 200, 0, size],
    ['bytes=0-9', 206, 0, 10, { 'if-range': etag }],
    ['bytes=0-9', 200, 0, size, { 'if-range': '"other"' }],
  ];
  for (const [range, status, from, to, more] of cases) {
    const answer = await app.inject({ url: PATH, headers: { range, ...more } });
    t.equal(answer.statusCode, status, range);
    t.ok(Buffer.from(BYTES.subarray(from, to)).equals(answer.rawPayload), `${range}: the bytes`);
    if (status === 206) t.equal(answer.headers['content-range'], `bytes ${from}-${to - 1}/${size}`);
  }
  for (const range of [`bytes=${size}-`, 'bytes=-0']) {
    const answer = await app.inject({ url: PATH, headers: { range } });
    t.equal(answer.statusCode, 416, range);
    t.equal(answer.headers['content-range'], `bytes */${size}`);
  }
  t.equal(parseRange('bytes=0-', 0), 'unsatisfiable', 'an empty file has no range');
});

t.test('not on the chain, removed, not to be had, stale: each has its own answer', async (t) => {
  const { app, ledger, node } = await service(t);
  ledger.remove(generic('0.9'), 'it lied');
  ledger.commit(generic('2.0'), [entryOf('gone.bin', someBytes(9, 9))]);
  ledger.commit(generic('3.0'), [entryOf('empty', new Uint8Array())]);
  const cases: readonly (readonly [string, number, string])[] = [
    ['/generic/demo/tool/1.0/other.tgz', 404, 'NOT_FOUND'],
    ['/generic/demo/tool/9.9/tool.tgz', 404, 'NOT_FOUND'],
    ['/generic/demo/tool/9.9', 404, 'NOT_FOUND'],
    ['/generic/demo/tool/0.9/tool.tgz', 403, 'REMOVED'],
    ['/generic/demo/tool/0.9', 403, 'REMOVED'],
    ['/generic/demo/tool/2.0/gone.bin', 503, 'UNAVAILABLE'],
  ];
  for (const [url, status, code] of cases) {
    for (const method of ['GET', 'HEAD'] as const) {
      const answer = await app.inject({ method, url });
      t.equal(answer.statusCode, status, `${method} ${url}`);
      if (method === 'GET') t.equal(answer.json().error.code, code);
      if (status === 503) t.ok(answer.headers['retry-after']);
    }
  }
  t.match((await app.inject('/generic/demo/tool/0.9')).json().error.message, /height 9: it lied/);
  const empty = await app.inject('/generic/demo/tool/3.0/empty');
  t.match([empty.statusCode, empty.rawPayload.length], [200, 0]);
  ledger.banned.add(Buffer.from(FILE.digests.sha256).toString('hex'));
  t.equal((await app.inject(PATH)).statusCode, 403, 'a banned file');
  ledger.banned.clear();
  ledger.fresh = false;
  t.match(await app.inject(PATH), { statusCode: 503, headers: { 'retry-after': /\d/ } });
  ledger.fresh = true;
  node.files.flipBit(blobPath(identify(BYTES)), 3);
  const rotten = await app.inject(PATH).catch((error: unknown) => error);
  t.notOk(rotten instanceof Object && 'rawPayload' in rotten && (rotten.rawPayload as Buffer).length > 0, 'not one byte of a rotten file');
  t.equal((await node.files.list('quarantine')).length, 1);
  t.equal((await app.inject(PATH)).statusCode, 503, 'and then it is not to be had');
});

t.test('a version lists its files', async (t) => {
  const { app } = await service(t);
  for (const url of ['/generic/demo/tool/1.0', '/generic/demo/tool/1.0/']) {
    const answer = await app.inject(url);
    t.equal(answer.statusCode, 200);
    t.match(answer.json(), {
      purl: 'pkg:generic/demo/tool@1.0',
      height: 5,
      files: [{ name: 'tool.tgz', sizeBytes: BYTES.length, sha256: formatDigest(FILE.digests.sha256), path: PATH }],
    });
  }
  t.equal(formatPurl(generic('1.0+x', 'a+b', 'demo/sub')), 'pkg:generic/demo/sub/a%2Bb@1.0%2Bx');
});

t.test('hostile names are refused before anything is looked up', async (t) => {
  const { app } = await service(t);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const hostile = [
    '/generic/demo/../secret/1.0/x',
    '/generic/demo/..%2fsecret/1.0/x',
    '/generic/demo/%2e%2e/tool/1.0/tool.tgz',
    '/generic/demo/tool/1.0/%2e%2e%2fx',
    '/generic/demo/tool%2f1.0/tool.tgz',
    '/generic/demo/tool/1.0/tool.tgz%00',
    '/generic/demo/tool/1.0/a%zz',
    '/generic//demo/tool/1.0/tool.tgz',
    '/generic/demo/tool/1.0//tool.tgz',
    '/generic/demo/tool/1.0/./tool.tgz',
    '/generic/demo\\tool/1.0/tool.tgz',
    '/generic/demo/tool/1.0/.hidden',
    '/generic/demo/tool/1.0/-rf',
    '/generic/demo/tool/1.0/a..b',
    `/generic/demo/tool/1.0/${'x'.repeat(300)}`,
    `/generic/demo/tool/1.0/x${'/y'.repeat(600)}`,
    '/generic/demo/tool/1.0/tool.tgz;x',
    '/generic/demo/tool/1.0/tool.tgz?a=%00',
    '/generic/demo/tool/1.0/a|b',
    '/generic/demo/tool/1.0/"x"',
    '/generic/demo/tool/1.0/x y',
    '/generic/x',
    '/generic/',
  ];
  for (const target of hostile) {
    for (const method of ['GET', 'HEAD', 'PUT']) {
      const answer = await rawRequest(
        app,
        `${method} ${target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
      );
      t.match(answer, /^HTTP\/1\.1 400 /, `${method} ${target.slice(0, 60)}`);
    }
  }
  t.match(await rawRequest(app, `GET /generic/demo/tool/1.0/a\u0000b HTTP/1.1\r\nHost: x\r\n\r\n`), /^HTTP\/1\.1 400 /, 'a raw NUL');
  t.match(
    await rawRequest(app, `GET http://127.0.0.1${PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`),
    /^HTTP\/1\.1 (400|404) /,
    'a full URL',
  );
  t.equal(parseTarget('/a/b?stage').ok, true);
  t.match(parseGenericTarget('/generic/demo/sub/tool/1.0/x'), { ok: true, target: { file: { coordinates: { namespace: 'demo/sub' } } } });
});

t.test('PUT publishes a version of one file', async (t) => {
  const { app, node, published } = await service(t);
  const bytes = someBytes(300_000, 5);
  const url = '/generic/demo/new/1.0/new.bin';
  const answer = await app.inject({
    method: 'PUT',
    url,
    headers: { ...authorization, 'content-type': 'application/json' },
    payload: Buffer.from(bytes),
  });
  t.equal(answer.statusCode, 201, answer.body);
  t.match(answer.json(), { purl: 'pkg:generic/demo/new@1.0', sha256: formatDigest(identify(bytes).sha256), height: 12 });
  t.match(published, [{ files: [{ name: 'new.bin', sizeBytes: 300_000, mediaType: 'application/octet-stream' }] }]);
  t.ok(Buffer.from(bytes).equals((await app.inject(url)).rawPayload));
  t.equal(
    (await app.inject({ method: 'PUT', url, headers: authorization, payload: 'other' })).statusCode,
    409,
    'a committed version stays',
  );
  t.equal(node.staging.usage().files, 0);
});

t.test('?stage gathers files, POST publishes them, across a restart', async (t) => {
  const { app, node, published, versions } = await service(t);
  const base = '/generic/demo/many/1.0';
  t.equal((await app.inject({ method: 'POST', url: base, headers: authorization })).json().error.code, 'NOTHING_STAGED');
  for (const name of ['b.txt', 'a.txt', 'b.txt']) {
    const answer = await app.inject({ method: 'PUT', url: `${base}/${name}?stage`, headers: authorization, payload: `${name} bytes` });
    t.equal(answer.statusCode, 202, answer.body);
    t.match(answer.json(), { purl: 'pkg:generic/demo/many@1.0', staged: { name } });
  }
  t.equal((await app.inject(`${base}/a.txt`)).statusCode, 404, 'staged bytes are never served');
  const again = await StagedVersions.open({ files: node.files, staging: node.staging, log: node.log });
  t.same(
    (await again.list(generic('1.0', 'many'))).map((file) => file.name),
    ['a.txt', 'b.txt'],
  );
  const answer = await app.inject({ method: 'POST', url: base, headers: authorization });
  t.equal(answer.statusCode, 201, answer.body);
  t.same(
    published.map((one) => one.files.map((file) => file.name)),
    [['a.txt', 'b.txt']],
  );
  t.same(await versions.list(generic('1.0', 'many')), []);
  t.equal((await app.inject(`${base}/a.txt`)).body, 'a.txt bytes');
  t.same(await node.files.list('staging/versions'), []);
  const deeper = await app.inject({ method: 'PUT', url: `${base}/sub/s.txt?stage`, headers: authorization, payload: 's' });
  t.match(deeper.json(), { purl: 'pkg:generic/demo/many/1.0@sub', staged: { name: 's.txt' } }, 'the answer says what took the file');
});

t.test('what became of a publication, as a status', async (t) => {
  const transactionId = asDigest(new Uint8Array(32));
  const cases: readonly (readonly [PublishResult, number])[] = [
    [{ kind: 'pending', transactionId }, 202],
    [{ kind: 'exists', height: 3 }, 409],
    [{ kind: 'removed', height: 3 }, 409],
    [{ kind: 'refused', reason: 'the policy grants this namespace to nobody' }, 403],
  ];
  for (const [outcome, status] of cases) {
    const { app, outcomes } = await service(t);
    outcomes.push(outcome);
    const answer = await app.inject({ method: 'PUT', url: '/generic/demo/x/1/f', headers: authorization, payload: 'x' });
    t.equal(answer.statusCode, status, outcome.kind);
    if (outcome.kind === 'refused') t.equal(answer.json().error.message, outcome.reason);
  }
  const denied = await service(t);
  denied.policy = { kind: 'refused', reason: 'not here' };
  t.equal((await denied.app.inject({ method: 'PUT', url: '/generic/demo/x/1/f', headers: authorization, payload: 'x' })).statusCode, 403);
  t.same(denied.published, []);
  denied.ledger.remove(generic('0.9'), 'gone');
  t.equal(
    (await denied.app.inject({ method: 'PUT', url: '/generic/demo/tool/0.9/f', headers: authorization, payload: 'x' })).statusCode,
    409,
  );
});

t.test('uploads that must not be taken', async (t) => {
  const { app, node, published } = await service(t);
  const url = '/generic/demo/x/1/f';
  const cases: readonly (readonly [string, Record<string, string>, number, string?])[] = [
    ['no token', { authorization: '' }, 401],
    ['a wrong token', { authorization: 'Bearer no' }, 401],
    ['a token by another scheme', { authorization: `Basic ${TOKEN}` }, 401],
    ['an encoding', { ...authorization, 'content-encoding': 'gzip' }, 415],
    ['a part', { ...authorization, 'content-range': 'bytes 0-1/2' }, 400],
    ['too long', { ...authorization, 'content-length': '3000001' }, 413],
    ['an unknown query', authorization, 400, '?other'],
  ];
  for (const [title, headers, status, query] of cases) {
    const answer = await app.inject({ method: 'PUT', url: `${url}${query ?? ''}`, headers, payload: 'x' });
    t.equal(answer.statusCode, status, title);
  }
  t.equal(
    (await app.inject({ method: 'PUT', url: '/generic/demo/x/1/', headers: authorization, payload: 'x' })).statusCode,
    400,
    'a folder',
  );
  t.equal((await app.inject({ method: 'POST', url: '/generic/demo/x/1', payload: 'x' })).statusCode, 401, 'POST without token');
  node.files.setSpace(10);
  t.equal(
    (await app.inject({ method: 'PUT', url, headers: authorization, payload: 'more than ten bytes' })).statusCode,
    507,
    'a full disk',
  );
  node.files.setSpace(null);
  t.same(published, []);
  t.same(await node.files.list('temporary'), []);
  t.equal((await app.inject({ method: 'PUT', url, headers: authorization, payload: 'now it fits' })).statusCode, 201);
});

t.test('any other method is 405 and says which ones there are', async (t) => {
  const { app } = await service(t);
  for (const url of [PATH, '/generic/demo/tool/1.0', '/generic/demo/tool/9.9/absent', '/generic/x']) {
    for (const method of ['DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'] as const) {
      const answer = await app.inject({ method: method as 'DELETE', url, headers: authorization });
      t.equal(answer.statusCode, 405, `${method} ${url}`);
      t.equal(answer.headers.allow, 'GET, HEAD, PUT, POST');
      t.match(answer.json(), { error: { code: 'METHOD_NOT_ALLOWED', message: `${method} means nothing here` } });
    }
  }
  const withBody = { method: 'DELETE', url: PATH, headers: { 'content-type': 'application/json' }, payload: '{' } as const;
  t.equal((await app.inject(withBody)).statusCode, 405, 'a body is not looked at');
  t.equal((await app.inject({ method: 'DELETE', url: '/elsewhere' })).statusCode, 404);
  t.equal((await app.inject('/generic')).statusCode, 404);
  t.equal((await app.inject(PATH)).statusCode, 200, 'and nothing has happened');
});

t.test('on a real socket: aborted, overlong and impatient uploads; a client that stops reading', async (t) => {
  const { app, node, published } = await service(t);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const put = (path: string, headers: string): string =>
    `PUT ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n${headers}\r\n\r\n`;
  await new Promise<void>((resolve) => {
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
    app.server.once('connection', (served) => served.once('close', () => resolve()));
    socket.write(`${put('/generic/demo/x/1/cut', 'Content-Length: 1000')}only this`, () => setImmediate(() => socket.destroy()));
  });
  await until(async () => (await node.files.list('temporary')).length === 0 && node.files.openHandles() === 0);
  t.same(published, [], 'an upload cut off publishes nothing');
  const chunk = `100000\r\n${'x'.repeat(0x100000)}\r\n`;
  t.match(await rawRequest(app, put('/generic/demo/x/1/long', 'Transfer-Encoding: chunked') + chunk.repeat(4)), /^HTTP\/1\.1 413 /);
  t.match(
    await rawRequest(app, put(PATH, 'Content-Length: 2000000\r\nExpect: 100-continue')),
    /^HTTP\/1\.1 409 /,
    'refused before the body was sent',
  );
  t.match(
    await rawRequest(app, put('/generic/demo/x/1/f', 'Content-Length: 5\r\nConnection: close\r\nExpect: 200-ok')),
    /^HTTP\/1\.1 417 /,
  );
  const done = 'Connection: close';
  t.match(await rawRequest(app, put('/generic/demo/x/1/none', done)), /^HTTP\/1\.1 411 /, 'a forgotten body is no empty file');
  t.match(
    await rawRequest(app, `${put('/generic/demo/x/1/packed', `Transfer-Encoding: gzip, chunked\r\n${done}`)}1\r\nx\r\n0\r\n\r\n`),
    /^HTTP\/1\.1 501 /,
    'a coding that nobody would undo',
  );
  t.same(published, []);
  t.same(await node.files.list('temporary'), []);
  const stalled = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
  const big = someBytes(2_900_000, 8);
  t.equal(
    (await app.inject({ method: 'PUT', url: '/generic/demo/big/1/big', headers: authorization, payload: Buffer.from(big) })).statusCode,
    201,
  );
  stalled.pause();
  for (let turn = 0; turn < 8; turn += 1) stalled.write('GET /generic/demo/big/1/big HTTP/1.1\r\nHost: x\r\n\r\n');
  await until(() => node.clock.waiting > 0);
  t.ok(node.files.openHandles() <= 1, 'one answer is under way, and no more of it than two buffers');
  const closed = new Promise((resolve) => stalled.once('close', resolve));
  stalled.on('error', () => undefined);
  await until(() => {
    node.clock.advance(60_000);
    return node.files.openHandles() === 0;
  });
  stalled.resume();
  await closed;
  t.pass('a client that takes nothing is cut off');
});

t.test('curl', { skip: (await hasCurl()) ? false : 'curl is not installed' }, async (t) => {
  const { app } = await service(t);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  const folder = await mkdtemp(join(tmpdir(), 'cairn-http-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const [upload, download] = [join(folder, 'upload'), join(folder, 'download')];
  const bytes = someBytes(2_900_000, 6);
  await writeFile(upload, bytes);
  const auth = ['-H', `Authorization: Bearer ${TOKEN}`];
  const code = ['-s', '-o', download, '-w', '%{http_code}'];
  const url = `${origin}/generic/demo/curl/1.0/upload`;
  t.equal(await curl([...code, '-T', upload, url]), '401');
  t.equal(await curl([...code, ...auth, '-T', upload, url]), '201', 'curl -T, which expects 100-continue');
  t.match(JSON.parse(await readFile(download, 'utf8')), { purl: 'pkg:generic/demo/curl@1.0', height: 12 });
  t.equal(await curl([...code, ...auth, '-T', upload, url]), '409');
  t.equal(await curl([...code, url]), '200');
  t.ok(Buffer.from(bytes).equals(await readFile(download)));
  await writeFile(download, bytes.subarray(0, 1_234_567));
  t.equal(await curl([...code, '-C', '-', url]), '206', 'resumed');
  t.ok(Buffer.from(bytes).equals(await readFile(download)));
  t.equal(await curl([...code, '-I', url]), '200');
  t.equal(await curl([...code, '--path-as-is', `${origin}/generic/demo/../tool/1.0/tool.tgz`]), '400');
  t.equal(
    await curl([...code, ...auth, '-H', 'Transfer-Encoding: chunked', '-T', upload, `${origin}/generic/demo/curl/2.0/upload?stage`]),
    '202',
  );
  t.equal(await curl([...code, ...auth, '-X', 'POST', `${origin}/generic/demo/curl/2.0`]), '201');
});

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}

/** Sends the text as it is and resolves to all that came back. */
function rawRequest(app: FastifyInstance, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
    const parts: Buffer[] = [];
    socket.on('data', (part) => parts.push(part));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(parts).toString('latin1')));
    socket.write(text);
  });
}

function curl(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('curl', [...args], (error, stdout) => (error === null ? resolve(stdout) : reject(error)));
  });
}

function hasCurl(): Promise<boolean> {
  return curl(['--version']).then(
    () => true,
    () => false,
  );
}
