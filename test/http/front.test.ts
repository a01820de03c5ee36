/** The front of a node as a proxy: all that one can get wrong, with real sockets. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { FastifyInstance } from 'fastify';
import t from 'tap';
import { createApp } from '../../src/http/app.ts';
import { Front } from '../../src/http/front.ts';
import { noMetrics } from '../../src/metrics/types.ts';
import { keptLog } from '../registry/fixture.ts';
import { BYTES, bodyOf, END, frontService, open, PATH, raw, TOKEN, until, withFile } from './front-service.ts';

/** Answers with what reached the app. */
function echo(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  app.route({
    method: ['GET', 'PUT', 'POST', 'DELETE', 'OPTIONS'],
    url: '/echo',
    handler: async (request, reply) => {
      const hash = createHash('sha256');
      for await (const chunk of request.raw) hash.update(chunk as Uint8Array);
      const { method, url, rawHeaders } = request.raw;
      reply.raw.setHeader('Set-Cookie', ['a=1', 'b=2']);
      return reply
        .headers({ 'x-cairn-secret': 'inside', 'keep-alive': 'timeout=1', 'x-note': 'kept' })
        .send({ method, url, rawHeaders, body: hash.digest('hex') });
    },
  });
}

interface Echoed {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

function echoed(answer: string): Echoed {
  return JSON.parse(bodyOf(answer).toString('utf8')) as Echoed;
}

function valuesOf({ rawHeaders }: Echoed, name: string): readonly string[] {
  return rawHeaders.filter((_value, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name);
}

t.test('a request reaches the app as it came', async (t) => {
  const { port } = await frontService(t, { routes: echo });
  const accepts = 'Accept: a/b\r\nX-Other: 1\r\naccept: c/d;q=0.5, e/f\r\nACCEPT: g/h\r\n';
  const got = echoed(await raw(port, `GET /echo?ns=docker.io&x=%2F HTTP/1.1\r\n${accepts}X-Umlaut: \xe4\r\n${END}`));
  t.same(valuesOf(got, 'accept'), ['a/b', 'c/d;q=0.5, e/f', 'g/h'], 'line by line, in order');
  t.same([got.method, got.url], ['GET', '/echo?ns=docker.io&x=%2F'], 'the raw target');
  t.same(valuesOf(got, 'x-umlaut'), ['\xe4'], 'bytes beyond ASCII');
  t.same(valuesOf(got, 'host'), ['x']);
  t.match(echoed(await raw(port, 'GET /echo HTTP/1.0\r\n\r\n')), { url: '/echo' }, 'HTTP/1.0 needs no Host');
  t.match(await raw(port, 'GET /echo HTTP/1.1\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 400/, 'HTTP/1.1 does');
  t.match(await raw(port, `GET /absent HTTP/1.1\r\n${END}`), /^HTTP\/1\.1 404 Not Found[\s\S]*\{"error":"not found"\}$/);
});

t.test('what is of one connection, or internal, stays there', async (t) => {
  const { port } = await withFile(t, { routes: echo });
  const sent =
    'X-Cairn-Front: direct\r\nx-cairn-file: {}\r\nX-CAIRN-Anything: y\r\nTE: trailers\r\nX-Named: 1\r\nConnection: close, x-named, host\r\n';
  const answer = await raw(port, `GET /echo HTTP/1.1\r\nHost: x\r\n${sent}\r\n`);
  const got = echoed(answer);
  t.same(valuesOf(got, 'x-cairn-front'), ['hand-over'], 'the front’s own word alone');
  for (const name of ['x-cairn-file', 'x-cairn-anything', 'te', 'x-named']) t.same(valuesOf(got, name), [], name);
  t.same(valuesOf(got, 'host'), ['x'], 'a client can not have Host dropped');
  t.notMatch(answer.slice(0, answer.indexOf('{')), /x-cairn/i, 'nor does the client see any of it');
  t.notMatch(answer, /timeout=1\b/);
  t.match(answer, /\r\nx-note: kept\r\n/i);
  t.match(answer, /set-cookie: a=1\r\nset-cookie: b=2/i, 'two lines stay two lines');
  t.equal(answer.match(/^date:/gim)?.length, 1);
  const file = await raw(port, `GET ${PATH} HTTP/1.1\r\nX-Cairn-Front: direct\r\n${END}`);
  t.notMatch(file.slice(0, 2000), /x-cairn/i);
  t.ok(bodyOf(file).equals(BYTES));
});

t.test('pipelined requests are answered in order, whoever sends the bytes', async (t) => {
  const { port } = await withFile(t, { routes: echo });
  const answer = await raw(
    port,
    `GET ${PATH} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-99999\r\n\r\nGET /echo?second HTTP/1.1\r\nHost: x\r\n\r\nGET ${PATH} HTTP/1.1\r\nRange: bytes=0-4\r\n${END}`,
  );
  const answers = answer.split(/(?=HTTP\/1\.1 )/);
  t.same(
    answers.map((one) => one.slice(9, 12)),
    ['206', '200', '206'],
  );
  t.ok(bodyOf(answers[0] ?? '').equals(BYTES.subarray(0, 100_000)));
  t.equal(echoed(answers[1] ?? '').url, '/echo?second');
  t.ok(bodyOf(answers[2] ?? '').equals(BYTES.subarray(0, 5)));
});

t.test('bodies: with a length, chunked, and none', async (t) => {
  const { port } = await frontService(t, { routes: echo });
  const body = 'x'.repeat(300_000);
  const digest = createHash('sha256').update(body).digest('hex');
  const withLength = echoed(await raw(port, `PUT /echo HTTP/1.1\r\nContent-Length: ${body.length}\r\n${END}${body}`));
  t.same([withLength.body, valuesOf(withLength, 'content-length'), valuesOf(withLength, 'transfer-encoding')], [digest, ['300000'], []]);
  const chunks = `${(100_000).toString(16)}\r\n${body.slice(0, 100_000)}\r\n${(200_000).toString(16)};extension=1\r\n${body.slice(100_000)}\r\n0\r\n\r\n`;
  const chunked = echoed(await raw(port, `PUT /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n${END}${chunks}`));
  t.same([chunked.body, valuesOf(chunked, 'content-length'), valuesOf(chunked, 'transfer-encoding')], [digest, [], ['chunked']]);
  const none = echoed(await raw(port, `PUT /echo HTTP/1.1\r\n${END}`));
  t.same([valuesOf(none, 'content-length'), valuesOf(none, 'transfer-encoding')], [[], []], 'a body is not made up');
  t.match(await raw(port, `PUT /generic/demo/x/1/f HTTP/1.1\r\nAuthorization: Bearer ${TOKEN}\r\n${END}`), /^HTTP\/1\.1 411/);
  const coded = `PUT /generic/demo/x/1/f HTTP/1.1\r\nAuthorization: Bearer ${TOKEN}\r\nTransfer-Encoding: gzip, chunked\r\n${END}0\r\n\r\n`;
  t.match(await raw(port, coded), /^HTTP\/1\.1 501/, 'the app learns of another coding');
});

t.test('Expect: 100-continue: the body is asked for when the app wants it, and not before', async (t) => {
  const { port } = await frontService(t);
  const head = (token: string): string =>
    `PUT /generic/demo/x/1/f?stage HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`;
  const accepted = await open(port);
  accepted.socket.write(head(TOKEN));
  t.equal(await accepted.until(/\r\n\r\n/), 'HTTP/1.1 100 Continue\r\n\r\n');
  accepted.socket.write('hello');
  t.match(await accepted.until(/staged/), /HTTP\/1\.1 202 /);
  accepted.socket.destroy();
  const refused = await raw(port, head('another-token-than-the-right'));
  t.match(refused, /^HTTP\/1\.1 401 /, 'no 100 before it');
  t.match(refused, /\r\nconnection: close\r\n/i, 'and the connection is closed: nobody knows whether a body follows');
  t.match(await raw(port, `PUT /x HTTP/1.1\r\nExpect: something\r\nContent-Length: 1\r\n${END}`), /^HTTP\/1\.1 417 /);
});

t.test('a client that leaves is told to the app', async (t) => {
  const seen: string[] = [];
  const service = await frontService(t, {
    routes: (app) => {
      app.get('/wait', (request) => {
        seen.push('asked');
        request.raw.socket.once('close', () => seen.push('gone'));
        return new Promise(() => {});
      });
      app.addContentTypeParser('*', (_request, _payload, done) => done(null));
      app.put('/take', async (request) => {
        seen.push('taking');
        await request.raw
          .resume()
          .toArray()
          .catch(() => seen.push('cut off'));
        return {};
      });
    },
  });
  const waiting = await open(service.port);
  waiting.socket.write('GET /wait HTTP/1.1\r\nHost: x\r\n\r\n');
  await until(() => seen.includes('asked'));
  waiting.socket.destroy();
  await until(() => seen.includes('gone'));
  const uploading = await open(service.port);
  uploading.socket.write('PUT /take HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome');
  await until(() => seen.includes('taking'));
  uploading.socket.destroy();
  await until(() => seen.includes('cut off'));
  t.same(seen, ['asked', 'gone', 'taking', 'cut off']);
});

t.test('two requests can not hide in one', async (t) => {
  const service = await frontService(t, { routes: echo });
  const hidden = 'GET /echo?smuggled HTTP/1.1\r\nHost: x\r\n\r\n';
  const chunk = `${hidden.length.toString(16)}\r\n`;
  const cases: readonly (readonly [string, string])[] = [
    ['both lengths', `POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`],
    ['two lengths', `POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`],
    ['a signed length', `POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n${hidden}`],
    ['a space before the colon', `POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n${chunk}${hidden}\r\n0\r\n\r\n`],
    ['a coding that only looks so', `POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${hidden}`],
    ['chunked, and not last', `POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${hidden}`],
    ['bare LF between lines', `POST /echo HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n0\n\n${hidden}`],
    ['bare LF in a value', `GET /echo HTTP/1.1\r\nHost: x\r\nX-A: b\nContent-Length: 5\r\n\r\n${hidden}`],
    ['bare CR in a value', `GET /echo HTTP/1.1\r\nHost: x\r\nX-A: b\rContent-Length: 5\r\n\r\n${hidden}`],
    ['NUL in a value', `GET /echo HTTP/1.1\r\nHost: x\r\nX-A: b\0c\r\n\r\n${hidden}`],
    ['a chunk size with junk', `POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n${hidden}`],
    ['a chunk size too large', `POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n${hidden}`],
    ['space in the target', `GET /echo HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n${hidden}`],
  ];
  for (const [what, text] of cases) {
    const answer = await raw(service.port, text);
    t.match(answer, /HTTP\/1\.1 400 Bad Request[\s\S]*Connection: close/, what);
    t.equal(answer.match(/HTTP\/1\.1 200/g)?.length ?? 0, 0, `${what}: nothing else is answered`);
  }
  t.notOk(
    service.asked.some((target) => target.includes('smuggled')),
    'none of the hidden ones reached the app',
  );
  t.match(await raw(service.port, `GET /echo HTTP/1.1\r\n${END}`), /^HTTP\/1\.1 200/, 'and the front goes on');
});

t.test('so is one that leaves after its answer, and before the end of its body', async (t) => {
  const seen: string[] = [];
  const service = await frontService(t, {
    routes: (app) => {
      app.addContentTypeParser('*', (_request, _payload, done) => done(null));
      app.put('/refuse', async (request) => {
        request.raw.resume().socket.once('close', () => seen.push('gone after its answer'));
        return 'no thanks';
      });
    },
  });
  const answered = await open(service.port);
  answered.socket.write('PUT /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome');
  await answered.until(/no thanks/);
  answered.socket.destroy();
  await until(() => seen.includes('gone after its answer'));
  t.same(seen, ['gone after its answer']);
});

t.test('the end: answers under way come to theirs, no new one begins, and what never ends is cut', async (t) => {
  const service = await withFile(t, { routes: (app) => app.get('/never', () => new Promise(() => {})) });
  const busy = await open(service.port);
  const idle = await open(service.port);
  const never = await open(service.port);
  busy.socket.write(`GET ${PATH} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await busy.until(/\r\n\r\n/);
  busy.socket.pause();
  never.socket.write('GET /never HTTP/1.1\r\nHost: x\r\n\r\n');
  await until(() => service.asked.includes('/never'));
  const [idleClosed, neverClosed] = [once(idle.socket, 'close'), once(never.socket, 'close')];
  const closed = service.front.close(2000);
  await idleClosed;
  t.equal(await raw(service.port, `GET / HTTP/1.1\r\n${END}`), '', 'nobody listens');
  const busyClosed = once(busy.socket, 'close');
  busy.socket.resume();
  await Promise.all([busyClosed, neverClosed, closed]);
  t.ok(busy.socket.bytesRead > BYTES.length, `the file came whole: ${busy.socket.bytesRead}`);
});

t.test('too many clients: those above the limit are turned away', async (t) => {
  const { port } = await frontService(t, { maxConnections: 2, routes: echo });
  const held = [await open(port), await open(port)];
  t.equal(await raw(port, `GET /echo HTTP/1.1\r\n${END}`), '');
  held[0]?.socket.destroy();
  let answer = '';
  while (answer === '') answer = await raw(port, `GET /echo HTTP/1.1\r\n${END}`);
  t.match(answer, /^HTTP\/1\.1 200/);
});

t.test('a thread that dies is an error that says so', async (t) => {
  const { log } = keptLog();
  const app = createApp({ maxConnections: 1, bodyLimitBytes: 1, requestTimeoutMs: 0, idleTimeoutMs: 1000 }, { metrics: noMetrics, log });
  const deps = { app, files: null, metrics: noMetrics, log, fatal: () => {} };
  const options = { host: '127.0.0.1', port: 99_999, maxConnections: 1, idleTimeoutMs: 1000, clientStallMs: 1000 };
  await t.rejects(Front.open(options, deps), { code: 'front-died', message: /thread that serves packages has died/ });
});
