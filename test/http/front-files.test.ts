/** What the front sends by itself: stored bytes, verified, whatever becomes of them meanwhile; and answers that it may give again. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { open as openFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { entryOf, generic, someBytes } from '../registry/fixture.ts';
import { BYTES, bodyOf, END, FILE, frontService, open, PATH, pathOf, raw, until, withFile } from './front-service.ts';

const MIB = 1_048_576;
const ETAG = `"sha256:${createHash('sha256').update(BYTES).digest('hex')}"`;

t.test('a stored file: GET, HEAD, Range, conditions; each byte and each answer counted once', async (t) => {
  const service = await withFile(t);
  const { port } = service;
  const get = (headers = '', method = 'GET'): Promise<string> => raw(port, `${method} ${PATH} HTTP/1.1\r\n${headers}${END}`);
  const whole = await get();
  t.match(whole, new RegExp(`^HTTP/1\\.1 200 OK[\\s\\S]*\r\nContent-Length: ${BYTES.length}\r\n`));
  t.equal(whole.match(/^content-length:/gim)?.length, 1);
  t.match(whole, `etag: ${ETAG}`);
  t.ok(bodyOf(whole).equals(BYTES));
  const head = await get('', 'HEAD');
  t.match(head, new RegExp(`^HTTP/1\\.1 200 OK[\\s\\S]*content-length: ${BYTES.length}\r\n`, 'i'));
  t.equal(bodyOf(head).length, 0);
  const part = await get('Range: bytes=1048000-3000000\r\n');
  t.match(part, new RegExp(`^HTTP/1\\.1 206 [\\s\\S]*content-range: bytes 1048000-3000000/${BYTES.length}\r\n`, 'i'));
  t.ok(bodyOf(part).equals(BYTES.subarray(1_048_000, 3_000_001)));
  t.match(await get('Range: bytes=99999999-\r\n'), /^HTTP\/1\.1 416 [\s\S]*content-range: bytes \*\/5242957/i);
  t.ok(bodyOf(await get('Range: bytes=0-9\r\nIf-Range: "other"\r\n')).equals(BYTES));
  t.match(await get(`If-None-Match: ${ETAG}\r\n`), /^HTTP\/1\.1 304 /);
  await until(() => service.counted.length === 6);
  t.same(
    service.counted.map(({ status }) => status).sort((left, right) => left - right),
    [200, 200, 200, 206, 304, 416],
  );
  t.equal(service.counted.filter(({ route }) => route === 'generic').length, 6);
  await until(() => service.served.local >= 2 * BYTES.length + 1_952_001);
  t.same(service.served, { local: 2 * BYTES.length + 1_952_001, network: 0 });
});

t.test('a file that is only arriving is streamed, and stored', async (t) => {
  const service = await frontService(t);
  await service.put(BYTES, 'peer');
  service.ledger.commit(generic('1.0'), [FILE]);
  t.ok(bodyOf(await raw(service.port, `GET ${PATH} HTTP/1.1\r\n${END}`)).equals(BYTES));
  t.equal(service.served.network, BYTES.length);
  await until(() => service.blobs.has({ sha256: FILE.digests.sha256, sizeBytes: FILE.sizeBytes }));
  t.ok(bodyOf(await raw(service.port, `GET ${PATH} HTTP/1.1\r\n${END}`)).equals(BYTES));
  await until(() => service.served.local === BYTES.length);
});

t.test('a client that takes nothing is cut off', async (t) => {
  const big = someBytes(32 * MIB);
  const service = await frontService(t, { clientStallMs: 200 });
  await service.put(big, 'here');
  service.ledger.commit(generic('2.0'), [entryOf('big', big)]);
  const { socket } = await open(service.port);
  socket.pause();
  socket.write('GET /generic/demo/tool/2.0/big HTTP/1.1\r\nHost: x\r\n\r\n');
  await until(() =>
    service.lines.some(({ message, fields }) => message === 'an answer was cut short' && /took nothing/.test(String(fields.error))),
  );
  socket.resume();
  await once(socket, 'close');
  t.ok(socket.bytesRead < big.length);
});

async function flip(folder: string, offset: number): Promise<void> {
  const file = await openFile(pathOf(folder, FILE.digests.sha256), 'r+');
  await file.write(Uint8Array.of((BYTES[offset] ?? 0) ^ 1), 0, 1, offset);
  await file.close();
}

t.test('a run that rotted is never sent: the answer goes on from a peer, and the file is put away', async (t) => {
  const service = await withFile(t);
  await flip(service.folder, 3 * MIB + 5);
  const answer = await raw(service.port, `GET ${PATH} HTTP/1.1\r\n${END}`);
  t.match(answer, /^HTTP\/1\.1 200/);
  t.ok(bodyOf(answer).equals(BYTES), 'the true bytes, in one answer');
  t.equal((await readdir(join(service.folder, 'quarantine'))).length, 1);
  t.ok(service.lines.some(({ level, message }) => level === 'error' && /quarantine/.test(message)));
  t.ok(service.served.network >= 2 * MIB);
  await until(() => service.counted.length > 0);
  t.same(service.counted, [{ route: 'generic', status: 200 }], 'counted as one');
  await until(() => service.blobs.has({ sha256: FILE.digests.sha256, sizeBytes: FILE.sizeBytes }));
  t.ok(bodyOf(await raw(service.port, `GET ${PATH} HTTP/1.1\r\nRange: bytes=3145728-\r\n${END}`)).equals(BYTES.subarray(3 * MIB)));
});

t.test('a run that rotted and that nobody else has: the connection is cut before it', async (t) => {
  const service = await frontService(t);
  await service.put(BYTES, 'here');
  service.ledger.commit(generic('1.0'), [FILE]);
  await flip(service.folder, 3 * MIB + 5);
  const body = bodyOf(await raw(service.port, `GET ${PATH} HTTP/1.1\r\n${END}`));
  t.ok(body.length <= 3 * MIB && body.equals(BYTES.subarray(0, body.length)), `${body.length} true bytes and none more`);
});

t.test('a file that is damaged from the first look on is asked of the app, which fetches it', async (t) => {
  const service = await withFile(t);
  const file = await openFile(pathOf(service.folder, FILE.digests.sha256), 'r+');
  await file.truncate(100);
  await file.close();
  t.ok(bodyOf(await raw(service.port, `GET ${PATH} HTTP/1.1\r\n${END}`)).equals(BYTES));
});

/** Routes whose answers count how often they were asked for, one of them repeatable. */
async function repeating(t: Test) {
  const seen = { asked: 0, requests: 0 };
  const service = await frontService(t, {
    routes: (app, front) => {
      app.get('/repeat', async (request, reply) => {
        seen.asked += 1;
        return reply.headers(front.repeatable(request)).type('text/x').send(`answer ${seen.asked}`);
      });
      app.get('/once', async () => {
        seen.asked += 1;
        return `answer ${seen.asked}`;
      });
    },
  });
  const get = async (headers = '', method = 'GET', target = '/repeat'): Promise<string> => {
    seen.requests += 1;
    return await raw(service.port, `${method} ${target} HTTP/1.1\r\n${headers}${END}`);
  };
  const body = async (...args: Parameters<typeof get>): Promise<string> => bodyOf(await get(...args)).toString();
  return { service, seen, get, body };
}

t.test('an answer marked as repeatable is repeated, to the same question alone', async (t) => {
  const { service, seen, get, body } = await repeating(t);
  const first = await get();
  t.match(first, /content-type: text\/x/i);
  t.same([bodyOf(first).toString(), await body(), await body()], ['answer 1', 'answer 1', 'answer 1']);
  t.equal((await get()).replace(/^date:.*$/im, ''), first.replace(/^date:.*$/im, ''), 'to the byte');
  t.equal(await body('Accept: a/b\r\n'), 'answer 2', 'another Accept is another question');
  for (const header of ['Authorization: Bearer x', 'If-None-Match: "x"', 'Range: bytes=0-1', 'Cookie: a=b']) {
    const before = seen.asked;
    await get(`${header}\r\n`);
    t.equal(seen.asked, before + 1, `${header}: always asked`);
  }
  const before = seen.asked;
  t.equal(bodyOf(await get('', 'HEAD')).length, 0);
  t.match(await get('', 'HEAD'), /content-length: 8/i);
  t.equal(seen.asked, before + 1, 'HEAD is a question of its own');
  t.equal(await body(), 'answer 1', 'still');
  t.not(await body('', 'GET', '/once'), await body('', 'GET', '/once'), 'what is not marked is not kept');
  await until(() => service.counted.length >= seen.requests);
  t.equal(service.counted.length, seen.requests, 'repeated ones are counted too');
});

t.test('it is repeated until a commit, or until the head is no longer fresh', async (t) => {
  const { service, body } = await repeating(t);
  t.same([await body(), await body()], ['answer 1', 'answer 1']);
  service.commit();
  t.same([await body(), await body()], ['answer 2', 'answer 2'], 'asked anew at once, then repeated');
  service.freshUntilMs = Date.now() - 1;
  service.commit();
  t.same([await body(), await body()], ['answer 3', 'answer 4'], 'never past the deadline');
});

t.test('an answer that a commit overtook is not kept', async (t) => {
  let release = (): void => {};
  let count = 0;
  const service = await frontService(t, {
    routes: (app, front) =>
      app.get('/repeat', async (request, reply) => {
        count += 1;
        if (count === 1) await new Promise<void>((resolve) => (release = resolve));
        return reply.headers(front.repeatable(request)).send(`answer ${count}`);
      }),
  });
  const first = raw(service.port, `GET /repeat HTTP/1.1\r\n${END}`);
  await until(() => count === 1);
  service.commit();
  release();
  t.match(await first, /answer 1$/);
  t.match(await raw(service.port, `GET /repeat HTTP/1.1\r\n${END}`), /answer 2$/);
});

t.test('a small file is repeated too, and refused at once when a commit removed it', async (t) => {
  const service = await frontService(t);
  const small = someBytes(1000);
  await service.put(small, 'here');
  service.ledger.commit(generic('3.0'), [entryOf('small', small)]);
  const get = (): Promise<string> => raw(service.port, `GET /generic/demo/tool/3.0/small HTTP/1.1\r\n${END}`);
  t.ok(bodyOf(await get()).equals(small));
  t.ok(bodyOf(await get()).equals(small));
  t.equal(service.asked.length, 1);
  service.ledger.remove(generic('3.0'), 'bad');
  service.commit();
  t.match(await get(), /^HTTP\/1\.1 403/);
});
