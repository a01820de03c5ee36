/** Who learns the credentials of this node: real HTTP, with names that lead to servers of the test. */

import type { ServerResponse } from 'node:http';
import t from 'tap';
import { formatDigest } from '../../chain/index.ts';
import { OCI_MANIFEST } from '../../registry/oci/media-types.ts';
import { parseChallenges, type UpstreamCredentials } from '../../registry/oci/upstream-auth.ts';
import { identify } from './fixture.ts';
import { type Answer, patient, type SeenRequest, serve, type TestServer, until, upstreamFor } from './upstream-fixture.ts';

const MANIFEST = Buffer.from('{"schemaVersion":2,"config":{},"layers":[]}');
const DIGEST = formatDigest(identify(MANIFEST).sha256);
const BASIC: UpstreamCredentials = { kind: 'basic', user: 'cairn', password: 'pass:word' };
const BASIC_HEADER = `Basic ${Buffer.from('cairn:pass:word').toString('base64')}`;
const HOME = 'https://registry.example';
const REALM = 'https://auth.example';

function sendManifest(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': OCI_MANIFEST, 'docker-content-digest': DIGEST }).end(MANIFEST);
}

function redirect(response: ServerResponse, location: string, status = 307): void {
  response.writeHead(status, { location }).end('elsewhere');
}

/** A registry that gives what is asked for to who shows a token that `isTaken`, and names a realm to all others. */
function guarded(isTaken: (token: string) => boolean, realm = `${REALM}/token?account=1`): Answer {
  return (response, request) => {
    if (isTaken(request.headers.authorization ?? '')) return sendManifest(response);
    response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="registry, of tests",scope="repository:x:pull,push"` });
    response.end('{"errors":[]}');
  };
}

/** Tokens `token-1`, `token-2` …: the number of the request. */
function issuing(more: Readonly<Record<string, unknown>> = {}): Answer {
  return (response, _request, nth) => void response.end(JSON.stringify({ token: `token-${nth + 1}`, ...more }));
}

function shownTo(server: TestServer): readonly (string | undefined)[] {
  return server.seen.map(({ headers }) => headers.authorization);
}

function queryOf(seen: SeenRequest | undefined): Readonly<Record<string, string>> {
  return Object.fromEntries(new URL(seen?.path ?? '', REALM).searchParams);
}

t.test('a token is fetched from the realm, once however many wait, and used until it expires', async (t) => {
  const realm = await serve(t, issuing({ expires_in: 300 }));
  const home = await serve(
    t,
    guarded((header) => header === `Bearer token-${realm.seen.length}`),
  );
  const upstream = upstreamFor(t, { url: HOME }, { [HOME]: home, [REALM]: realm });
  const ask = (name = 'library/alpine'): Promise<unknown> => upstream.manifest(name, 'latest', patient());
  await Promise.all(Array.from({ length: 8 }, () => ask()));
  t.equal(realm.seen.length, 1);
  t.same(queryOf(realm.seen[0]), { account: '1', service: 'registry, of tests', scope: 'repository:library/alpine:pull' });
  t.same(shownTo(realm), [undefined], 'an anonymous token');
  const requests = home.seen.length;
  await ask();
  t.equal(home.seen.length, requests + 1, 'a known token is sent at once');
  upstream.time.advance(299_000);
  await ask();
  t.equal(realm.seen.length, 1);
  upstream.time.advance(1000);
  await ask();
  t.equal(realm.seen.length, 2, 'an expired one is not');
  t.same(shownTo(home).slice(-2), [undefined, 'Bearer token-2']);
  await ask('library/other');
  t.equal(queryOf(realm.seen[2]).scope, 'repository:library/other:pull', 'another repository has another token');
  for (const path of ['/proxy/hub', '/repository/v2/proxy/hub/']) {
    const behind = upstreamFor(t, { url: HOME + path }, { [HOME]: home, [REALM]: realm });
    await behind.manifest('library/alpine', 'latest', patient());
    t.equal(queryOf(realm.seen.at(-1)).scope, 'repository:proxy/hub/library/alpine:pull', 'a name is what stands behind /v2');
  }
});

t.test('a token lives 60 s when nobody says for how long, and may be called access_token', async (t) => {
  for (const body of [{}, { token: undefined, access_token: 'other' }, { expires_in: 'long' }]) {
    const realm = await serve(t, issuing(body));
    const home = await serve(
      t,
      guarded((header) => /^Bearer (?:token-\d|other)$/.test(header)),
    );
    const upstream = upstreamFor(t, { url: HOME }, { [HOME]: home, [REALM]: realm });
    for (const afterMs of [0, 59_000, 1000]) {
      upstream.time.advance(afterMs);
      await upstream.manifest('library/alpine', 'latest', patient());
    }
    t.equal(realm.seen.length, 2);
  }
});

t.test('a token that is refused before its time is fetched anew, and once only', async (t) => {
  const realm = await serve(t, issuing({ expires_in: 300 }));
  let taken = 'Bearer token-1';
  const home = await serve(
    t,
    guarded((header) => header === taken),
  );
  const upstream = upstreamFor(t, { url: HOME }, { [HOME]: home, [REALM]: realm });
  await upstream.manifest('library/alpine', 'latest', patient());
  taken = 'Bearer token-2';
  await Promise.all([1, 2, 3].map(() => upstream.manifest('library/alpine', 'latest', patient())));
  t.equal(realm.seen.length, 2);
  taken = 'none';
  await t.rejects(upstream.manifest('library/alpine', 'latest', patient()), { code: 'UPSTREAM_DENIED' });
  t.equal(realm.seen.length, 3);
});

t.test('credentials go to the realm, and the token to the upstream', async (t) => {
  const realm = await serve(t, issuing());
  const home = await serve(
    t,
    guarded((header) => header === 'Bearer token-1'),
  );
  const upstream = upstreamFor(t, { url: HOME, credentials: BASIC }, { [HOME]: home, [REALM]: realm });
  await upstream.manifest('library/alpine', 'latest', patient());
  t.same(shownTo(realm), [BASIC_HEADER]);
  t.same(shownTo(home), [undefined, 'Bearer token-1']);
});

t.test('Basic is sent to the upstream when it asks, and then at once', async (t) => {
  const home = await serve(t, (response, request) => {
    if (request.headers.authorization === BASIC_HEADER) return sendManifest(response);
    response.writeHead(401, { 'www-authenticate': ['Negotiate', 'basic realm="x y", charset="UTF-8"'] }).end();
  });
  const upstream = upstreamFor(t, { url: HOME, credentials: BASIC }, { [HOME]: home });
  for (const _ of [1, 2]) await upstream.manifest('library/alpine', 'latest', patient());
  t.same(shownTo(home), [undefined, BASIC_HEADER, BASIC_HEADER]);
  const nobody = upstreamFor(t, { url: HOME }, { [HOME]: home });
  await t.rejects(nobody.manifest('library/alpine', 'latest', patient()), { code: 'UPSTREAM_DENIED' });
  const stranger = upstreamFor(t, { url: HOME, credentials: { ...BASIC, password: 'wrong' } }, { [HOME]: home });
  await t.rejects(stranger.manifest('library/alpine', 'latest', patient()), { code: 'UPSTREAM_DENIED' });
  t.equal(home.seen.length, 6, 'a refusal is not asked for twice');
});

t.test('a token of the operator goes to the upstream and to no realm', async (t) => {
  const realm = await serve(t, issuing());
  const home = await serve(
    t,
    guarded((header) => header === 'Bearer mine'),
  );
  const open = (token: string): ReturnType<typeof upstreamFor> =>
    upstreamFor(t, { url: HOME, credentials: { kind: 'bearer', token } }, { [HOME]: home, [REALM]: realm });
  await open('mine').manifest('library/alpine', 'latest', patient());
  t.same(shownTo(home), ['Bearer mine']);
  await t.rejects(open('old').manifest('library/alpine', 'latest', patient()), { code: 'UPSTREAM_DENIED' });
  t.equal(realm.seen.length, 0);
});

t.test('a realm gets credentials over https, or in plain on the very host configured in plain', async (t) => {
  const cases: readonly (readonly [string, string, UpstreamCredentials | null, string | null])[] = [
    ['https://registry.example', 'https://auth.example', BASIC, null],
    ['https://registry.example', 'https://registry.example:5001', BASIC, null],
    ['http://registry.example', 'https://auth.example', BASIC, null],
    ['http://registry.example', 'http://registry.example:5001', BASIC, null],
    ['http://registry.example', 'http://auth.example', null, null],
    ['http://registry.example', 'http://auth.example', BASIC, 'UPSTREAM_DENIED'],
    ['http://registry.example', 'http://registry.example.evil.example', BASIC, 'UPSTREAM_DENIED'],
    ['https://registry.example', 'http://auth.example', BASIC, 'UPSTREAM_DENIED'],
    ['https://registry.example', 'http://auth.example', null, 'UPSTREAM_DENIED'],
    ['https://registry.example', 'http://registry.example', BASIC, 'UPSTREAM_DENIED'],
    ['https://registry.example', 'ftp://auth.example', BASIC, 'UPSTREAM_FAILED'],
    ['https://registry.example', 'https://user:password@auth.example', BASIC, 'UPSTREAM_FAILED'],
    ['https://registry.example', '/token', BASIC, 'UPSTREAM_FAILED'],
  ];
  for (const [url, at, credentials, code] of cases) {
    const realm = await serve(t, issuing());
    const home = await serve(
      t,
      guarded((header) => header === 'Bearer token-1', `${at}/token`),
    );
    const place = URL.canParse(at) ? new URL(at).origin.replace('null', 'ftp://auth.example') : at;
    const upstream = upstreamFor(t, { url, credentials }, { [url]: home, [place]: realm });
    const manifest = upstream.manifest('library/alpine', 'latest', patient());
    const what = `${url} → ${at}, ${credentials === null ? 'anonymous' : 'with credentials'}`;
    if (code === null) await manifest;
    else await t.rejects(manifest, { code }, what);
    t.equal(realm.seen.length, code === null ? 1 : 0, what);
    if (code === null) t.equal(upstream.asked.find((one) => one.url.startsWith(place))?.allowPrivate, false, 'another origin is public');
  }
});

t.test('a realm that misbehaves is the failure of the upstream', async (t) => {
  const cases: readonly (readonly [string, string, number, Answer])[] = [
    ['refuses', 'UPSTREAM_DENIED', 1, (response) => response.writeHead(401).end()],
    ['is not there', 'UPSTREAM_FAILED', 1, (response) => response.writeHead(404).end()],
    ['is down', 'UPSTREAM_FAILED', 3, (response) => response.writeHead(502).end()],
    ['gives no JSON', 'UPSTREAM_FAILED', 1, (response) => response.end('token')],
    ['gives no token', 'UPSTREAM_FAILED', 1, (response) => response.end('{"token":""}')],
    ['gives nothing', 'UPSTREAM_FAILED', 1, (response) => response.end('null')],
    ['gives a header more', 'UPSTREAM_FAILED', 1, (response) => response.end(JSON.stringify({ token: 'a\r\nhost: b' }))],
    ['gives too much', 'TOO_LARGE', 1, (response) => response.end(' '.repeat(65_537))],
    ['sends elsewhere', 'UPSTREAM_FAILED', 1, (response) => redirect(response, 'https://evil.example/token')],
  ];
  for (const [what, code, requests, answer] of cases) {
    const [realm, evil] = [await serve(t, answer), await serve(t, issuing())];
    const home = await serve(
      t,
      guarded((header) => header.startsWith('Bearer ')),
    );
    const upstream = upstreamFor(t, { url: HOME, credentials: BASIC }, { [HOME]: home, [REALM]: realm, 'https://evil.example': evil });
    await t.rejects(upstream.manifest('library/alpine', 'latest', patient()), { code }, what);
    t.equal(realm.seen.length, requests, what);
    t.equal(evil.seen.length, 0);
    t.notMatch(JSON.stringify(upstream.lines), /pass:word|Basic|Y2Fpcm4/, 'no secret is logged');
  }
});

t.test('who goes away while a token is fetched takes nothing from the others', async (t) => {
  let issue = (): void => {};
  const realm = await serve(t, (response) => {
    issue = () => void response.end('{"token":"token-1"}');
  });
  const home = await serve(
    t,
    guarded((header) => header === 'Bearer token-1'),
  );
  const upstream = upstreamFor(t, { url: HOME }, { [HOME]: home, [REALM]: realm });
  const controller = new AbortController();
  const gone = t.rejects(upstream.manifest('library/alpine', 'latest', controller.signal), { code: 'ABORTED' });
  await until(() => realm.seen.length === 1);
  const stays = upstream.manifest('library/alpine', 'latest', patient());
  controller.abort();
  await gone;
  issue();
  await stays;
  t.equal(realm.seen.length, 1);
});

t.test('challenges are read as RFC 9110 writes them', async (t) => {
  const cases: readonly (readonly [string, readonly (readonly [string, Readonly<Record<string, string>>])[]])[] = [
    ['', []],
    ['Basic', [['basic', {}]]],
    ['Basic realm="a \\"b\\", c"', [['basic', { realm: 'a "b", c' }]]],
    [
      'Negotiate, Bearer realm="https://a/t",service=s , scope="x:y:pull,push", Basic Realm = "z"',
      [
        ['negotiate', {}],
        ['bearer', { realm: 'https://a/t', service: 's', scope: 'x:y:pull,push' }],
        ['basic', { realm: 'z' }],
      ],
    ],
    [
      'Bearer realm="unended',
      [
        ['bearer', {}],
        ['realm', {}],
      ],
    ],
    ['realm="of nothing"', []],
  ];
  for (const [text, expected] of cases) {
    const found = parseChallenges(text).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
    t.same(found, expected, text);
  }
});
