/** Blobs from registries that cut, lie about lengths or never end: real HTTP, and a time moved by hand. */

import type { ServerResponse } from 'node:http';
import t from 'tap';
import { type Digest, digestToHex, formatDigest } from '../../chain/index.ts';
import { identify, someBytes } from './fixture.ts';
import { type Answer, open, patient, readStream } from './upstream-fixture.ts';

function hex(digest: Digest): string {
  return digestToHex(digest);
}

const BLOB = someBytes(300_000);
const FILE = identify(BLOB);

/** Sends the rest of the blob from what Range asks for. */
function sendRest(response: ServerResponse, range: string | undefined, options: { readonly cutAfter?: number } = {}): void {
  const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
  const headers = { 'content-length': String(BLOB.length - from) };
  const contentRange = { 'content-range': `bytes ${from}-${BLOB.length - 1}/${BLOB.length}` };
  response.writeHead(range === undefined ? 200 : 206, range === undefined ? headers : { ...headers, ...contentRange });
  if (options.cutAfter === undefined) response.end(BLOB.subarray(from));
  else response.write(BLOB.subarray(from, from + options.cutAfter), () => response.destroy());
}

t.test('a blob comes as it is', async (t) => {
  const { server, upstream } = await open(t, (response) => sendRest(response, undefined));
  t.equal(hex(identify(await readStream(upstream.blob('library/alpine', FILE, patient()))).sha256), hex(FILE.sha256));
  t.equal(server.seen[0]?.path, `/v2/library/alpine/blobs/${formatDigest(FILE.sha256)}`);
  t.equal(server.seen[0]?.headers.range, undefined);
  const empty = await open(t, (response) => response.writeHead(200, { 'content-length': '0' }).end());
  t.equal((await readStream(empty.upstream.blob('library/alpine', identify(new Uint8Array()), patient()))).length, 0);
});

t.test('a blob of another length than the manifest says is refused before a byte too many', async (t) => {
  const longer = Buffer.concat([BLOB, Buffer.from('x')]);
  const cases: readonly (readonly [string, Answer])[] = [
    ['announced longer', (response) => void response.writeHead(200, { 'content-length': String(longer.length) }).end(longer)],
    ['announced shorter', (response) => void response.writeHead(200, { 'content-length': '7' }).end('shorter')],
    ['longer, unannounced', (response) => void response.writeHead(200).end(longer)],
    ['without end', (response) => endless(response)],
    ['shorter, unannounced', (response) => void response.writeHead(200).end(BLOB.subarray(1))],
    ['a part that nobody asked for', (response) => sendRest(response, 'bytes=0-')],
  ];
  for (const [what, answer] of cases) {
    const { server, upstream } = await open(t, answer);
    let received = 0;
    await t.rejects(
      (async () => {
        for await (const part of upstream.blob('library/alpine', FILE, patient())) received += part.length;
      })(),
      { code: 'UPSTREAM_FAILED' },
      what,
    );
    if (what.startsWith('announced')) t.equal(received, 0, `${what}: known before the first byte`);
    t.ok(received <= BLOB.length, what);
    t.equal(server.seen.length, 1, 'a lie is not asked for again');
  }
});

function endless(response: ServerResponse): void {
  response.writeHead(200);
  const more = (): void => {
    if (!response.destroyed) response.write(BLOB, more);
  };
  more();
}

t.test('a blob whose connection is cut is taken up again where it ended', async (t) => {
  const { server, upstream } = await open(t, (response, request, nth) =>
    sendRest(response, request.headers.range, nth < 3 ? { cutAfter: 70_000 } : {}),
  );
  t.equal(hex(identify(await readStream(upstream.blob('library/alpine', FILE, patient()))).sha256), hex(FILE.sha256));
  t.same(
    server.seen.map(({ headers }) => headers.range),
    [undefined, 'bytes=70000-', 'bytes=140000-', 'bytes=210000-'],
  );
});

t.test('what can not be taken up again, or not any more, has failed', async (t) => {
  const cases: readonly (readonly [string, number, Answer])[] = [
    ['no ranges', 2, (response) => sendRest(response, undefined, { cutAfter: 70_000 })],
    [
      'another range',
      2,
      (response, request) => sendRest(response, request.headers.range === undefined ? undefined : 'bytes=5-', { cutAfter: 70_000 }),
    ],
    ['cut each time', 6, (response, request) => sendRest(response, request.headers.range, { cutAfter: 10 })],
    [
      'gone meanwhile',
      2,
      (response, request, nth) =>
        nth === 0 ? sendRest(response, request.headers.range, { cutAfter: 10 }) : void response.writeHead(416).end(),
    ],
  ];
  for (const [what, requests, answer] of cases) {
    const { server, upstream } = await open(t, answer);
    await t.rejects(readStream(upstream.blob('library/alpine', FILE, patient())), { code: 'UPSTREAM_FAILED' }, what);
    t.equal(server.seen.length, requests, what);
  }
});

t.test('who leaves a blob early, leaves the connection too', async (t) => {
  let closed = (): void => {};
  const isClosed = new Promise<void>((resolve) => {
    closed = resolve;
  });
  const { upstream } = await open(t, (response) => {
    response.on('close', closed);
    response.writeHead(200);
    response.write(BLOB.subarray(0, 1000));
  });
  for await (const part of upstream.blob('library/alpine', FILE, patient())) {
    t.ok(part.length > 0);
    break;
  }
  await isClosed;
  t.same(upstream.time.limits, []);
});

t.test('a slow reader holds the upstream back, and is not taken for a slow upstream', async (t) => {
  let sentBytes = 0;
  const large = 64 * 1024 * 1024;
  const { upstream } = await open(t, (response) => {
    response.writeHead(200, { 'content-length': String(large) });
    const chunk = Buffer.alloc(262_144);
    const more = (): void => {
      if (sentBytes >= large || response.destroyed) return void response.end();
      sentBytes += chunk.length;
      response.write(chunk, more);
    };
    more();
  });
  const stream = upstream.blob('library/alpine', { ...FILE, sizeBytes: large }, patient())[Symbol.asyncIterator]();
  await stream.next();
  t.same(upstream.time.limits, [], 'nothing is timed while the reader is busy');
  for (let before = -1; before !== sentBytes; ) {
    before = sentBytes;
    for (let turn = 0; turn < 2000; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  t.ok(sentBytes < large, `${sentBytes} bytes were sent before anybody read`);
  await stream.return?.();
});
