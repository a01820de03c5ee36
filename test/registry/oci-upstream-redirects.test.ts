/** Where redirects may lead, and what they carry along: real HTTP, with names that lead to servers of the test. */

import type { ServerResponse } from 'node:http';
import t from 'tap';
import { formatDigest } from '../../chain/index.ts';
import { OCI_MANIFEST } from '../../registry/oci/media-types.ts';
import type { OciUpstreamOptions } from '../../registry/oci/upstream.ts';
import type { UpstreamCredentials } from '../../registry/oci/upstream-auth.ts';
import { identify } from './fixture.ts';
import { patient, readStream, serve, type TestServer, upstreamFor } from './upstream-fixture.ts';

const MANIFEST = Buffer.from('{"schemaVersion":2,"config":{},"layers":[]}');
const DIGEST = formatDigest(identify(MANIFEST).sha256);
const BASIC: UpstreamCredentials = { kind: 'basic', user: 'cairn', password: 'pass:word' };
const BASIC_HEADER = `Basic ${Buffer.from('cairn:pass:word').toString('base64')}`;
const HOME = 'https://registry.example';

function sendManifest(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': OCI_MANIFEST, 'docker-content-digest': DIGEST }).end(MANIFEST);
}

function redirect(response: ServerResponse, location: string, status = 307): void {
  response.writeHead(status, { location }).end('elsewhere');
}

function shownTo(server: TestServer): readonly (string | undefined)[] {
  return server.seen.map(({ headers }) => headers.authorization);
}

t.test('nothing is said of this node once a redirect has left the upstream, not even after one back', async (t) => {
  const cdn = await serve(t, (response, request) => {
    if (request.url?.startsWith('/back')) redirect(response, `${HOME}/v2/library/alpine/manifests/back`);
    else response.writeHead(200, { 'content-length': String(MANIFEST.length) }).end(MANIFEST);
  });
  const home = await serve(t, (response, request) => {
    const [path, header] = [request.url ?? '', request.headers.authorization];
    if (path.endsWith('/back')) response.writeHead(header === undefined ? 200 : 500, { 'content-type': OCI_MANIFEST }).end(MANIFEST);
    else if (header !== BASIC_HEADER) response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    else if (path.endsWith('/round')) redirect(response, 'https://cdn.example/back');
    else if (path.endsWith('/moved')) redirect(response, '/v2/library/alpine/manifests/here', 301);
    else if (path.endsWith('/here')) sendManifest(response);
    else redirect(response, 'https://cdn.example/blob?signature=1');
  });
  const upstream = upstreamFor(t, { url: HOME, credentials: BASIC }, { [HOME]: home, 'https://cdn.example': cdn });
  t.same(await readStream(upstream.blob('library/alpine', identify(MANIFEST), patient())), MANIFEST);
  t.equal(cdn.seen[0]?.path, '/blob?signature=1');
  await upstream.manifest('library/alpine', 'round', patient());
  t.same(shownTo(cdn), [undefined, undefined]);
  const requests = home.seen.length;
  await upstream.manifest('library/alpine', 'moved', patient());
  t.same(shownTo(home).slice(requests), [BASIC_HEADER, BASIC_HEADER], 'within the origin it is');
  for (const { url, allowPrivate } of upstream.asked)
    t.equal(allowPrivate, url.startsWith(HOME), `only the configured origin may be private: ${url}`);
});

t.test('a challenge from another origin is not answered', async (t) => {
  const evil = await serve(t, (response) => response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end());
  const home = await serve(t, (response) => redirect(response, 'https://evil.example/'));
  const upstream = upstreamFor(t, { url: HOME, credentials: BASIC }, { [HOME]: home, 'https://evil.example': evil });
  await t.rejects(upstream.manifest('library/alpine', 'latest', patient()), { code: 'UPSTREAM_DENIED' });
  t.same(shownTo(evil), [undefined]);
});

t.test('redirects end after five, and never lead from https to http, to other schemes or with a user', async (t) => {
  const cases: readonly (readonly [string, string | null, string, number])[] = [
    ['a loop', '/v2/library/alpine/manifests/latest', 'redirects more than 5 times', 6],
    ['to plain http', 'http://registry.example/', 'from https to plain http', 1],
    ['to a file', 'file:///etc/passwd', 'no plain http or https', 1],
    ['with a user', 'https://user@registry.example/', 'no plain http or https', 1],
    ['to nothing', null, 'to no URL', 1],
    ['to what is no URL', 'https://[', 'to no URL', 1],
  ];
  for (const [what, location, message, requests] of cases) {
    const home = await serve(t, (response) => void response.writeHead(302, location === null ? {} : { location }).end());
    const upstream = upstreamFor(t, { url: HOME }, { [HOME]: home, 'http://registry.example': home });
    const expected = { code: 'UPSTREAM_FAILED', message: new RegExp(message) };
    await t.rejects(upstream.manifest('library/alpine', 'latest', patient()), expected, what);
    t.equal(home.seen.length, requests, what);
  }
});

t.test('a redirect inwards is refused when connecting, by name and by address, and once', async (t) => {
  const inner = await serve(t, (response) => sendManifest(response));
  const hosts = ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '[::1]', '0x7f.1', '0.0.0.0'];
  for (const host of hosts) {
    const location = `http://${host}:${inner.port}/latest/meta-data`;
    const home = await serve(t, (response) => redirect(response, location));
    const upstream = upstreamFor(t, { url: home.origin });
    const expected = { code: 'UPSTREAM_FAILED', message: /private or reserved address/ };
    await t.rejects(upstream.manifest('library/alpine', 'latest', patient()), expected, host);
    t.equal(home.seen.length, 1, 'asking again would lead to the same');
  }
  t.equal(inner.connections(), 0);
  const home = await serve(t, (response, _request, nth) => (nth === 0 ? redirect(response, '/elsewhere', 308) : sendManifest(response)));
  t.ok(await upstreamFor(t, { url: home.origin }).manifest('library/alpine', 'latest', patient()), 'the upstream itself may be inside');
});

t.test(
  'where the operator names them, other private origins give tokens and blobs; a redirect tells them nothing of this node',
  async (t) => {
    const blobs = await serve(t, (response) => response.writeHead(200, { 'content-length': String(MANIFEST.length) }).end(MANIFEST));
    const realm = await serve(t, (response) => void response.end('{"token":"abc"}'));
    const home = await serve(t, (response, request) => {
      if (request.headers.authorization === 'Bearer abc') redirect(response, `${blobs.origin}/blob`);
      else response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm.origin}/token"` }).end();
    });
    const readFrom = (options: Partial<OciUpstreamOptions>): Promise<Uint8Array> =>
      readStream(upstreamFor(t, { url: home.origin, ...options }).blob('library/alpine', identify(MANIFEST), patient()));
    for (const alsoAt of [[], [realm.origin], [blobs.origin]])
      await t.rejects(
        readFrom({ alsoAt }),
        { code: 'UPSTREAM_FAILED', message: /private or reserved address/ },
        `named: ${alsoAt.join() || 'none'}`,
      );
    t.equal(blobs.seen.length, 0);
    t.same(await readFrom({ credentials: BASIC, alsoAt: [realm.origin, blobs.origin] }), MANIFEST);
    t.same(shownTo(realm), [undefined, BASIC_HEADER]);
    t.same(shownTo(blobs), [undefined]);
  },
);
