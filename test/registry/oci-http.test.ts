/** The OCI protocol over HTTP: what clients get, what hostile ones don't, and what happens to an image that the chain does not have. */

import t from 'tap';
import type { Coordinates } from '../../chain/index.ts';
import { client } from '../clients.ts';
import { blobPath, entryOf, generic, identify, put, someBytes } from './fixture.ts';
import { commitImage, DOCKER_MANIFEST, digestOf, image, makeImage, OCI_MANIFEST } from './oci-images.ts';
import { ociService, rawRequest, run, steps } from './oci-service.ts';

const IMAGE = makeImage('hello');
const X: Coordinates = image('x', IMAGE.digest);
const MANIFESTS = '/v2/library/x/manifests';
const ABSENT = `sha256:${'0'.repeat(64)}`;

t.test('end-1: the ping says which protocol this is', async (t) => {
  const { app, ledger } = await ociService(t);
  ledger.fresh = false;
  for (const url of ['/v2/', '/v2', '/v2/?ns=docker.io']) {
    const answer = await app.inject(url);
    t.match(answer, { statusCode: 200, body: '{}', headers: { 'docker-distribution-api-version': 'registry/2.0' } }, url);
  }
});

t.test('end-3: manifests by tag and digest, exact bytes under their exact type, whatever is accepted', async (t) => {
  for (const docker of [false, true]) {
    const { app, node, ledger } = await ociService(t);
    const made = makeImage('hello', { docker });
    await commitImage({ node, ledger }, made, { coordinates: image('x', made.digest), tag: '1' });
    const urls = [`${MANIFESTS}/1`, '/v2/docker.io/library/x/manifests/1', '/v2/x/manifests/1?ns=docker.io', `${MANIFESTS}/${made.digest}`];
    for (const url of [...urls, ...urls]) {
      for (const method of ['HEAD', 'GET'] as const) {
        const answer = await app.inject({ method, url, headers: { accept: 'text/html' } });
        t.equal(answer.statusCode, 200, `${method} ${url}`);
        t.match(answer.headers, {
          'content-type': docker ? DOCKER_MANIFEST : OCI_MANIFEST,
          'content-length': String(made.bytes.length),
          'docker-content-digest': made.digest,
          'docker-distribution-api-version': 'registry/2.0',
          etag: `"${made.digest}"`,
        });
        t.same(answer.rawPayload, method === 'HEAD' ? Buffer.alloc(0) : Buffer.from(made.bytes));
      }
    }
    t.equal(node.lines.filter(({ message }) => message === 'file request').length, 1, 'read once, then held');
    t.same(steps(node.lines), [], 'and no line for what is held');
    const cached = await app.inject({ url: `${MANIFESTS}/1`, headers: { 'if-none-match': `"${made.digest}"` } });
    t.match([cached.statusCode, cached.rawPayload.length, cached.headers.etag], [304, 0, `"${made.digest}"`]);
  }
});

t.test('a commit counts at once: a moved tag, a removed image, a banned manifest', async (t) => {
  const { app, node, ledger } = await ociService(t);
  const other = makeImage('other');
  await commitImage({ node, ledger }, IMAGE, { coordinates: X, tag: '1' });
  await commitImage({ node, ledger }, other, { coordinates: image('x', other.digest) });
  const digest = async (): Promise<unknown> => (await app.inject(`${MANIFESTS}/1`)).headers['docker-content-digest'];
  t.same([await digest(), await digest()], [IMAGE.digest, IMAGE.digest]);
  ledger.setName(image('x', other.digest), '1');
  t.same([await digest(), await digest()], [other.digest, other.digest]);
  const hex = Buffer.from(identify(other.bytes).sha256).toString('hex');
  ledger.banned.add(hex);
  t.equal((await app.inject(`${MANIFESTS}/1`)).statusCode, 403);
  ledger.banned.clear();
  t.equal((await app.inject(`${MANIFESTS}/1`)).statusCode, 200);
  ledger.remove(image('x', other.digest), 'it lied');
  for (const url of [`${MANIFESTS}/1`, `${MANIFESTS}/${other.digest}`]) {
    const answer = await app.inject(url);
    t.match([answer.statusCode, answer.json()], [403, { errors: [{ code: 'DENIED', message: 'removed at height 9: it lied' }] }]);
    t.equal((await app.inject({ method: 'HEAD', url })).rawPayload.length, 0);
  }
  ledger.setName(X, '1');
  t.equal(await digest(), IMAGE.digest);
  ledger.fresh = false;
  t.match(
    await app.inject(`${MANIFESTS}/1`),
    { statusCode: 503, headers: { 'retry-after': /^\d+$/ } },
    'a held manifest of a cut-off node',
  );
});

t.test('a removal that is committed while the bytes come is obeyed', async (t) => {
  const { app, node, ledger } = await ociService(t);
  await commitImage({ node, ledger }, IMAGE, { coordinates: X, tag: '1' });
  const open = node.library.open.bind(node.library);
  node.library.open = async (file, options) => {
    ledger.remove(X, 'just now');
    return await open(file, options);
  };
  t.equal((await app.inject(`${MANIFESTS}/1`)).statusCode, 403);
});

t.test("no HEAD says 200 for a manifest that can't be had, and no byte of a rotten one leaves", async (t) => {
  const { app, node, ledger } = await ociService(t);
  await commitImage({ node, ledger }, IMAGE, { coordinates: X, tag: 'rotten' });
  const gone = makeImage('gone');
  await commitImage({ node, ledger }, gone, { coordinates: image('x', gone.digest), tag: 'gone', stored: false });
  node.files.flipBit(blobPath(identify(IMAGE.bytes)), 3);
  for (const tag of ['gone', 'rotten']) {
    for (const method of ['HEAD', 'GET', 'HEAD'] as const) {
      const answer = await app.inject({ method, url: `${MANIFESTS}/${tag}` });
      t.equal(answer.statusCode, 503, `${method} ${tag}`);
      t.ok(answer.headers['retry-after']);
      if (method === 'GET') t.equal(answer.json().errors[0].code, 'UNAVAILABLE');
    }
  }
  t.equal((await node.files.list('quarantine')).length, 1);
});

t.test('end-2: blobs by digest, with ranges', async (t) => {
  const { app, node, ledger } = await ociService(t);
  const bytes = someBytes(1_048_576 + 77);
  const file = { ...entryOf('layer', bytes), mediaType: 'application/vnd.oci.image.layer.v1.tar' };
  await put(node, bytes);
  ledger.commit(X, [file]);
  const url = `/v2/library/x/blobs/${digestOf(bytes)}`;
  for (const method of ['HEAD', 'GET'] as const) {
    const answer = await app.inject({ method, url });
    t.equal(answer.statusCode, 200);
    t.match(answer.headers, {
      'content-type': 'application/octet-stream',
      'content-length': String(bytes.length),
      'docker-content-digest': digestOf(bytes),
      'accept-ranges': 'bytes',
      etag: `"${digestOf(bytes)}"`,
    });
    t.ok(answer.rawPayload.equals(method === 'HEAD' ? Buffer.alloc(0) : Buffer.from(bytes)));
  }
  const cases: readonly (readonly [string, number, number, number])[] = [
    ['bytes=0-0', 206, 0, 1],
    ['bytes=1048570-', 206, 1_048_570, bytes.length],
    ['bytes=-7', 206, bytes.length - 7, bytes.length],
    ['bytes=5-99999999', 206, 5, bytes.length],
    ['bytes=5-4', 200, 0, bytes.length],
    ['bytes=0-1,5-6', 200, 0, bytes.length],
    ['bytes=0-999999999999999999999', 200, 0, bytes.length],
  ];
  for (const [range, status, from, to] of cases) {
    const answer = await app.inject({ url, headers: { range } });
    t.equal(answer.statusCode, status, range);
    t.equal(answer.headers['docker-content-digest'], digestOf(bytes));
    t.ok(answer.rawPayload.equals(Buffer.from(bytes.subarray(from, to))), `${range}: the bytes`);
  }
  const beyond = await app.inject({ url, headers: { range: `bytes=${bytes.length}-` } });
  t.match([beyond.statusCode, beyond.headers['content-range']], [416, `bytes */${bytes.length}`]);
  t.match(beyond.json(), { errors: [{ code: 'RANGE_INVALID', detail: {} }] });
  const cached = await app.inject({ url, headers: { 'if-none-match': `"${digestOf(bytes)}"` } });
  t.match([cached.statusCode, cached.headers['docker-content-digest']], [304, digestOf(bytes)]);
});

t.test("blobs that may not or can't be served; none is ever asked for", async (t) => {
  const service = await ociService(t);
  const { app, node, ledger, asked } = service;
  service.mayNot = null;
  await commitImage({ node, ledger }, IMAGE, { coordinates: X });
  ledger.commit(generic('1'), [entryOf('gone', someBytes(9, 9))]);
  const [, config] = IMAGE.parts;
  const banned = config?.bytes ?? new Uint8Array();
  ledger.banned.add(Buffer.from(identify(banned).sha256).toString('hex'));
  const cases: readonly (readonly [string, number, string])[] = [
    [ABSENT, 404, 'BLOB_UNKNOWN'],
    [digestOf(banned), 403, 'DENIED'],
    [digestOf(someBytes(9, 9)), 503, 'UNAVAILABLE'],
  ];
  for (const [digest, status, code] of cases) {
    for (const method of ['HEAD', 'GET'] as const) {
      const answer = await app.inject({ method, url: `/v2/library/x/blobs/${digest}` });
      t.equal(answer.statusCode, status, `${method} ${code}`);
      if (method === 'GET') t.equal(answer.json().errors[0].code, code);
      else t.equal(answer.rawPayload.length, 0);
      if (status === 503) t.ok(answer.headers['retry-after']);
    }
  }
  ledger.fresh = false;
  t.match((await app.inject(`/v2/library/x/blobs/${digestOf(IMAGE.bytes)}`)).json(), { errors: [{ code: 'UNAVAILABLE' }] });
  t.same(asked, []);
});

t.test('nothing is taken: every writing method is 405', async (t) => {
  const { app } = await ociService(t);
  const urls = ['/v2/x/blobs/uploads/', '/v2/x/blobs/uploads/1?state=a', `${MANIFESTS}/1`, '/v2/', '/v2/..%2f', `/v2/x/blobs/${ABSENT}`];
  for (const url of urls) {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const) {
      const answer = await app.inject({ method, url, headers: { 'content-type': 'application/json' }, payload: '{' });
      t.match([answer.statusCode, answer.headers.allow], [405, 'GET, HEAD'], `${method} ${url}`);
      t.match(answer.json(), { errors: [{ code: 'UNSUPPORTED' }] });
    }
  }
  t.match((await app.inject('/v2/x/blobs/uploads/1')).json(), { errors: [{ code: 'BLOB_UPLOAD_UNKNOWN' }] });
  const long = await rawRequest(app, `PUT ${MANIFESTS}/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n`);
  t.match(long, /^HTTP\/1\.1 405 [\s\S]*connection: close/i, 'a long body is not waited for');
});

t.test("a bug answers in this protocol's form and tells no details", async (t) => {
  const { app, ledger, node } = await ociService(t);
  Object.assign(ledger, {
    file: () => {
      throw new Error('secret');
    },
  });
  const answer = await app.inject(`/v2/x/blobs/${ABSENT}`);
  t.match([answer.statusCode, answer.json()], [500, { errors: [{ code: 'UNKNOWN' }] }]);
  t.notMatch(answer.body, /secret/);
  t.ok(node.lines.some(({ level, message }) => level === 'error' && message === 'http request failed'));
});

t.test('with curl: hostile targets get an error of the protocol, and the server goes on', async (t) => {
  const curl = client(t, 'curl');
  if (curl === null) return;
  const { origin, node, ledger } = await ociService(t);
  await commitImage({ node, ledger }, IMAGE, { coordinates: X, tag: '1' });
  const hostile: readonly (readonly [string, RegExp])[] = [
    ['/v2/library/../x/manifests/1', /NAME_INVALID/],
    ['/v2/../../etc/passwd', /NAME_INVALID|^404/],
    ['/v2/%2e%2e/x/manifests/1', /NAME_INVALID/],
    ['/v2/library%2fx/manifests/1', /NAME_INVALID/],
    ['/v2/library/..%2fx/manifests/1', /NAME_INVALID/],
    ['/%76%32/library/x/manifests/1', /NAME_INVALID/],
    ['/v2/library//x/manifests/1', /NAME_INVALID/],
    ['/v2/library/x\\y/manifests/1', /NAME_INVALID/],
    ['/v2/library/x%00/manifests/1', /NAME_INVALID/],
    ['/v2/Library/x/manifests/1', /NAME_INVALID/],
    [`/v2/library/${'x'.repeat(300)}/manifests/1`, /NAME_INVALID/],
    [`/v2/library/x/manifests/1?ns=${'x'.repeat(1100)}`, /NAME_INVALID/],
    ['/v2/library/x/blobs/sha256:xyz', /DIGEST_INVALID/],
    [`/v2/library/x/blobs/md5:${'a'.repeat(32)}`, /DIGEST_INVALID/],
    [`/v2/library/x/manifests/sha512:${'a'.repeat(128)}`, /DIGEST_INVALID/],
    ['/v2/library/x/manifests/.x', /TAG_INVALID/],
    ['/v2/_catalog', /UNSUPPORTED/],
  ];
  for (const [path, expected] of hostile) {
    const shown = JSON.stringify(path.slice(0, 60));
    const answer = await run(curl, ['-s', '--path-as-is', '-w', '\n%{http_code}', `http://${origin}${path}`]);
    t.match(answer, /\n40[04]$/, shown);
    t.match(answer, expected, shown);
    t.match(await run(curl, ['-sI', '--path-as-is', `http://${origin}${path}`]), /^HTTP\/1\.1 40[04] [\s\S]*\r\n\r\n$/, `HEAD ${shown}`);
  }
  t.equal(await run(curl, ['-s', `http://${origin}${MANIFESTS}/1`]), Buffer.from(IMAGE.bytes).toString('latin1'));
  const plain = await run(curl, ['-sD', '-', '--compressed', '-o', '/dev/null', `http://${origin}${MANIFESTS}/1`]);
  t.notMatch(plain, /content-encoding/i, 'nothing is compressed');
});
