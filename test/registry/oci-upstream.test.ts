/** The upstream client against registries that are down, slow, overloaded, cut off or lying: real HTTP, and a time moved by hand. */

import type { ServerResponse } from 'node:http';
import t from 'tap';
import { type Digest, digestToHex, formatDigest } from '../../chain/index.ts';
import { MAX_MANIFEST_BYTES } from '../../registry/oci/manifest.ts';
import { MANIFEST_TYPES, OCI_INDEX, OCI_MANIFEST } from '../../registry/oci/media-types.ts';
import { identify, someBytes } from './fixture.ts';
import {
  type Answer,
  closedOrigin,
  patient,
  readStream,
  serve,
  type TestServer,
  type TestUpstream,
  until,
  upstreamFor,
} from './upstream-fixture.ts';

const MANIFEST = Buffer.from('{ "schemaVersion": 2, "config": {}, "layers": [] }');
const DIGEST = formatDigest(identify(MANIFEST).sha256);

function send(response: ServerResponse, body: Uint8Array, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(200, { 'content-type': OCI_MANIFEST, 'content-length': String(body.length), ...headers });
  response.end(body);
}

async function open(
  t: Parameters<typeof serve>[0],
  answer: Answer,
  options: Parameters<typeof upstreamFor>[1] | null = null,
): Promise<{ readonly server: TestServer; readonly upstream: TestUpstream }> {
  const server = await serve(t, answer);
  return { server, upstream: upstreamFor(t, { ...options, url: server.origin }) };
}

function hex(digest: Digest): string {
  return digestToHex(digest);
}

t.test('a manifest comes with its exact bytes, its type and the digest computed here', async (t) => {
  const { server, upstream } = await open(t, (response) => send(response, MANIFEST, { 'docker-content-digest': DIGEST }));
  for (const reference of ['3.20', DIGEST]) {
    const { bytes, mediaType, sha256 } = await upstream.manifest('library/alpine', reference, patient());
    t.same(Buffer.from(bytes), MANIFEST);
    t.equal(mediaType, OCI_MANIFEST);
    t.equal(formatDigest(sha256), DIGEST);
  }
  t.same(
    server.seen.map(({ method, path }) => `${method} ${path}`),
    ['GET /v2/library/alpine/manifests/3.20', `GET /v2/library/alpine/manifests/${DIGEST}`],
  );
  t.same(server.seen[0]?.headers.accept?.split(', '), MANIFEST_TYPES, 'every type is asked for');
  t.equal(server.seen[0]?.headers['accept-encoding'], 'identity');
  t.equal(server.seen[0]?.headers.authorization, undefined);
});

t.test('the type is that of Content-Type, else that of the document, else there is none', async (t) => {
  const index = '{"schemaVersion":2,"manifests":[]}';
  const cases: readonly (readonly [string, string | null, string, string | null])[] = [
    ['with parameters', `${OCI_INDEX}; charset=utf-8`, index, OCI_INDEX],
    ['in other letters', OCI_INDEX.toUpperCase(), index, OCI_INDEX],
    ['missing', null, index, OCI_INDEX],
    ['a general one', 'application/json', MANIFEST.toString(), OCI_MANIFEST],
    ['of a page', 'text/html', '<html>no such thing</html>', null],
    ['of a manifest of schema 1', 'application/vnd.docker.distribution.manifest.v1+json', '{"schemaVersion":1}', null],
    ['of deep nonsense', 'application/json', '['.repeat(100_000), null],
  ];
  for (const [what, type, body, expected] of cases) {
    const { upstream } = await open(t, (response) => {
      response.writeHead(200, type === null ? {} : { 'content-type': type });
      response.end(body);
    });
    const manifest = upstream.manifest('library/alpine', 'latest', patient());
    if (expected === null) await t.rejects(manifest, { code: 'UPSTREAM_FAILED' }, what);
    else t.equal((await manifest).mediaType, expected, what);
  }
});

t.test('a refusal is told by its code, and asked again only if it may pass', async (t) => {
  const cases: readonly (readonly [number, string, number])[] = [
    [404, 'UPSTREAM_ABSENT', 1],
    [401, 'UPSTREAM_DENIED', 1],
    [403, 'UPSTREAM_DENIED', 1],
    [400, 'UPSTREAM_FAILED', 1],
    [304, 'UPSTREAM_FAILED', 1],
    [429, 'UPSTREAM_FAILED', 3],
    [500, 'UPSTREAM_FAILED', 3],
    [503, 'UPSTREAM_FAILED', 3],
  ];
  for (const [status, code, requests] of cases) {
    const { server, upstream } = await open(t, (response) => response.writeHead(status).end('no'));
    await t.rejects(upstream.manifest('library/alpine', 'latest', patient()), { code, subject: 'hub/library/alpine:latest' }, `${status}`);
    await t.rejects(readStream(upstream.blob('library/alpine', identify(MANIFEST), patient())), { code }, `${status}, of a blob`);
    t.equal(server.seen.length, 2 * requests, `${status}: ${requests} requests each`);
    if (requests === 3) t.same(upstream.time.pauses, [500, 2000, 500, 2000], 'with growing pauses');
  }
});

t.test('an upstream that is down has failed after as many attempts', async (t) => {
  const hangsUp = await serve(t, (_response, request) => request.socket.destroy());
  for (const url of [await closedOrigin(), hangsUp.origin]) {
    const upstream = upstreamFor(t, { url });
    await t.rejects(upstream.manifest('library/alpine', 'latest', patient()), { code: 'UPSTREAM_FAILED' });
    t.same(upstream.time.pauses, [500, 2000]);
    t.match(upstream.lines.at(-1), { level: 'warn', message: 'upstream failed', fields: { upstream: 'hub' } });
  }
  t.equal(hangsUp.seen.length, 3);
});

t.test('what fails once and then succeeds has succeeded', async (t) => {
  const { server, upstream } = await open(t, (response, _request, nth) => {
    if (nth === 0) response.writeHead(500).end();
    else if (nth === 1) response.destroy();
    else send(response, MANIFEST);
  });
  t.equal(formatDigest((await upstream.manifest('library/alpine', 'latest', patient())).sha256), DIGEST);
  t.equal(server.seen.length, 3);
  t.same(
    upstream.lines.map(({ level }) => level),
    ['debug', 'debug'],
  );
});

t.test('Retry-After is obeyed, and one that is too long is not waited for', async (t) => {
  const cases: readonly (readonly [string, readonly number[], number])[] = [
    ['3', [3000], 2],
    ['0', [500], 2],
    ['Thu, 01 Jan 2026 00:00:04 GMT', [4000], 2],
    ['soon', [500], 2],
    ['3600', [], 1],
  ];
  for (const [retryAfter, pauses, requests] of cases) {
    const { server, upstream } = await open(t, (response, _request, nth) => {
      if (nth === 0) response.writeHead(429, { 'retry-after': retryAfter }).end();
      else send(response, MANIFEST);
    });
    const manifest = upstream.manifest('library/alpine', 'latest', patient());
    if (requests === 1) await t.rejects(manifest, { code: 'UPSTREAM_FAILED' }, retryAfter);
    else await manifest;
    t.same(upstream.time.pauses, pauses, retryAfter);
    t.equal(server.seen.length, requests, retryAfter);
  }
});

t.test('headers that do not come are waited for 10 s, and asked for again', async (t) => {
  const { server, upstream } = await open(t, () => {});
  const manifest = t.rejects(upstream.manifest('library/alpine', 'latest', patient()), { code: 'UPSTREAM_FAILED', message: /too slow/ });
  for (const requests of [1, 2, 3]) {
    await until(() => server.seen.length === requests && upstream.time.limits.length > 0);
    t.same(upstream.time.limits, [10_000]);
    upstream.time.expire();
  }
  await manifest;
  t.same(upstream.time.limits, [], 'no timer is left');
});

t.test('a body that falls silent is waited for 30 s', async (t) => {
  const { server, upstream } = await open(t, (response) => {
    response.writeHead(200, { 'content-length': String(MANIFEST.length) });
    response.write(MANIFEST.subarray(0, 5));
  });
  const manifest = t.rejects(upstream.manifest('library/alpine', 'latest', patient()), { code: 'UPSTREAM_FAILED', message: /too slow/ });
  for (const requests of [1, 2, 3]) {
    await until(() => server.seen.length === requests && upstream.time.limits.includes(30_000));
    // The first part may still be on its way: a limit reached before it comes has the same outcome.
    upstream.time.expire();
  }
  await manifest;
});

t.test('a body that drips, each time within the limit of silence, ends too', async (t) => {
  let drip = (): void => {};
  const { upstream } = await open(
    t,
    (response) => {
      response.writeHead(200);
      response.flushHeaders();
      drip = () => void response.write('x');
    },
    { url: '', attempts: 1 },
  );
  const stream = upstream.blob('library/alpine', { ...identify(MANIFEST), sizeBytes: 1000 }, patient())[Symbol.asyncIterator]();
  for (const limitMs of [30_000, 30_000]) {
    const next = stream.next();
    await until(() => upstream.time.limits.includes(limitMs));
    upstream.time.advance(29_990);
    drip();
    t.equal((await next).done, false);
  }
  t.equal(upstream.time.pauses.length, 0);
  const resumed = t.rejects(stream.next(), { code: 'UPSTREAM_FAILED' });
  await resumed;
  t.ok((upstream.time.pauses[0] ?? 0) < 30, 'a minute of slack is used up');
});

t.test('bytes that are not what was asked for, or not what was announced, are a lie', async (t) => {
  const other = formatDigest(identify(Buffer.from('other')).sha256);
  const cases: readonly (readonly [string, string, string | null])[] = [
    ['another digest than asked for', other, null],
    ['another digest than announced, by tag', 'latest', other],
    ['another digest than announced, by digest', DIGEST, other],
  ];
  for (const [what, reference, announced] of cases) {
    const { server, upstream } = await open(t, (response) =>
      send(response, MANIFEST, announced === null ? {} : { 'docker-content-digest': announced }),
    );
    await t.rejects(upstream.manifest('library/alpine', reference, patient()), { code: 'UPSTREAM_FAILED', message: /lies/ }, what);
    t.equal(server.seen.length, 1, 'and asking again would not make it true');
    t.match(upstream.lines, [{ level: 'warn', message: 'upstream failed' }]);
  }
});

t.test('a manifest has at most 4 MiB', async (t) => {
  for (const isAnnounced of [true, false]) {
    const { server, upstream } = await open(t, (response, request) => {
      const sizeBytes = MAX_MANIFEST_BYTES + (request.url?.endsWith('over') ? 1 : 0);
      const body = Buffer.alloc(sizeBytes, ' ');
      MANIFEST.copy(body);
      response.writeHead(200, { 'content-type': OCI_MANIFEST, ...(isAnnounced ? { 'content-length': String(sizeBytes) } : {}) });
      response.end(body);
    });
    t.equal((await upstream.manifest('library/alpine', 'just', patient())).bytes.length, MAX_MANIFEST_BYTES);
    await t.rejects(upstream.manifest('library/alpine', 'over', patient()), { code: 'TOO_LARGE' });
    t.equal(server.seen.length, 2);
  }
});

t.test('a manifest cut short is not taken for a whole one', async (t) => {
  const { server, upstream } = await open(t, (response) => {
    response.writeHead(200, { 'content-type': OCI_MANIFEST, 'content-length': '1000' });
    response.write(MANIFEST);
    setImmediate(() => response.destroy());
  });
  await t.rejects(upstream.manifest('library/alpine', 'latest', patient()), { code: 'UPSTREAM_FAILED' });
  t.equal(server.seen.length, 3);
});

t.test('a tag is resolved by HEAD, or by GET where the upstream names no digest', async (t) => {
  for (const [announced, methods] of [
    [DIGEST, ['HEAD']],
    [null, ['HEAD', 'GET']],
    ['sha512:00', ['HEAD', 'GET']],
  ] as const) {
    const { server, upstream } = await open(t, (response, request) => {
      const headers = announced === null || request.method === 'GET' ? {} : { 'docker-content-digest': announced };
      send(response, MANIFEST, headers);
    });
    t.equal(formatDigest(await upstream.resolve('library/alpine', 'latest', patient())), DIGEST);
    t.same(
      server.seen.map(({ method }) => method),
      methods,
    );
  }
});

t.test('what is absent is not asked for again for a while', async (t) => {
  const { server, upstream } = await open(t, (response) => response.writeHead(404).end());
  const ask = (reference: string): Promise<unknown> => upstream.manifest('library/alpine', reference, patient());
  await t.rejects(ask('absent'), { code: 'UPSTREAM_ABSENT' });
  await t.rejects(ask('absent'), { code: 'UPSTREAM_ABSENT' });
  await t.rejects(upstream.resolve('library/alpine', 'absent', patient()), { code: 'UPSTREAM_ABSENT' });
  t.equal(server.seen.length, 1);
  await t.rejects(ask('other'), { code: 'UPSTREAM_ABSENT' });
  t.equal(server.seen.length, 2, 'another reference is asked for');
  upstream.time.advance(15_000);
  await t.rejects(ask('absent'), { code: 'UPSTREAM_ABSENT' });
  t.equal(server.seen.length, 3);
  for (let nth = 0; nth < 4096; nth += 1) await ask(`absent-${nth}`).catch(() => {});
  const before = server.seen.length;
  await t.rejects(ask('absent-4095'), { code: 'UPSTREAM_ABSENT' });
  t.equal(server.seen.length, before, 'the newest is remembered');
  await t.rejects(ask('absent'), { code: 'UPSTREAM_ABSENT' });
  t.equal(server.seen.length, before + 1, 'the oldest had to go');
});

t.test('who went away is told so, wherever the client was', async (t) => {
  const { server, upstream } = await open(t, (response, request) => {
    if (request.url?.endsWith('busy')) response.writeHead(500).end();
    else if (request.url?.includes('blobs')) response.writeHead(200).write('x');
  });
  const gone = new AbortController();
  gone.abort();
  await t.rejects(upstream.manifest('library/alpine', 'latest', gone.signal), { code: 'ABORTED' }, 'before');
  t.equal(server.seen.length, 0);
  const ways: readonly (readonly [string, (signal: AbortSignal) => Promise<unknown>])[] = [
    ['while the headers are awaited', (signal) => upstream.manifest('library/alpine', 'latest', signal)],
    ['in a body', (signal) => readStream(upstream.blob('library/alpine', identify(MANIFEST), signal))],
  ];
  for (const [where, work] of ways) {
    const controller = new AbortController();
    const requests = server.seen.length;
    const done = t.rejects(work(controller.signal), { code: 'ABORTED' }, where);
    await until(() => server.seen.length > requests);
    controller.abort();
    await done;
  }
  const controller = new AbortController();
  const done = t.rejects(upstream.manifest('library/alpine', 'busy', controller.signal), { code: 'ABORTED' }, 'in a pause');
  await until(() => upstream.time.pauses.length > 0);
  controller.abort();
  await done;
  t.same(upstream.time.limits, [], 'no timer is left');
  t.notOk(upstream.lines.some(({ level }) => level === 'warn'));
});

t.test('a name that no package can have is a bug, and reaches no upstream', async (t) => {
  const { server, upstream } = await open(t, (response) => send(response, MANIFEST));
  for (const [repository, reference] of [
    ['library/../../secret', 'latest'],
    ['library/alpine?x=', 'latest'],
    ['Library/alpine', 'latest'],
    ['library/alpine', '../latest'],
    ['library/alpine', 'sha256:xyz'],
    ['library/alpine', `sha512:${'0'.repeat(128)}`],
    ['library/alpine', 'a%2e%2e'],
  ] as const) {
    await t.rejects(upstream.manifest(repository, reference, patient()), RangeError, `${repository} ${reference}`);
    await t.rejects(upstream.resolve(repository, reference, patient()), RangeError);
  }
  await t.rejects(readStream(upstream.blob('..', identify(MANIFEST), patient())), RangeError);
  t.equal(server.seen.length, 0);
});

t.test('a path of the URL goes before the name, unless it says itself where /v2 is', async (t) => {
  for (const [path, expected] of [
    ['', '/v2/library/alpine/manifests/latest'],
    ['/', '/v2/library/alpine/manifests/latest'],
    ['/proxy/hub', '/v2/proxy/hub/library/alpine/manifests/latest'],
    ['/repository/v2/hub/', '/repository/v2/hub/library/alpine/manifests/latest'],
  ] as const) {
    const server = await serve(t, (response) => send(response, MANIFEST));
    await upstreamFor(t, { url: server.origin + path }).manifest('library/alpine', 'latest', patient());
    t.equal(server.seen[0]?.path, expected);
  }
});

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
    ['without end', (response) => void endless(response)],
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
