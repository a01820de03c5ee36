/** The upstream client against registries that are down, overloaded, cut off or lying: real HTTP, and a time in which pauses pass at once. */

import type { ServerResponse } from 'node:http';
import t from 'tap';
import { formatDigest } from '../../chain/index.ts';
import { MAX_MANIFEST_BYTES } from '../../registry/oci/manifest.ts';
import { MANIFEST_TYPES, OCI_INDEX, OCI_MANIFEST } from '../../registry/oci/media-types.ts';
import { identify } from './fixture.ts';
import { closedOrigin, open, patient, readStream, serve, upstreamFor } from './upstream-fixture.ts';

const MANIFEST = Buffer.from('{ "schemaVersion": 2, "config": {}, "layers": [] }');
const DIGEST = formatDigest(identify(MANIFEST).sha256);

function send(response: ServerResponse, body: Uint8Array, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(200, { 'content-type': OCI_MANIFEST, 'content-length': String(body.length), ...headers });
  response.end(body);
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
