/** What happens to an image that the chain does not have, and to manifests between the store and the client. */

import { connect } from 'node:net';
import t from 'tap';
import { asDigest, type Coordinates } from '../../chain/index.ts';
import type { RequestOutcome } from '../../registry/index.ts';
import { ManifestCache } from '../../registry/oci/manifest-cache.ts';
import { entryOf, put, someBytes } from './fixture.ts';
import { commitImage, image, makeImage } from './oci-images.ts';
import { ociService, steps, until } from './oci-service.ts';

const IMAGE = makeImage('hello');
const X: Coordinates = image('x', IMAGE.digest);
const MANIFESTS = '/v2/library/x/manifests';
const ABSENT = `sha256:${'0'.repeat(64)}`;

t.test('a miss: what becomes of the request decides the answer', async (t) => {
  const cases: readonly (readonly [RequestOutcome, number, string])[] = [
    [{ kind: 'absent', reason: 'the upstream has no such tag' }, 404, 'MANIFEST_UNKNOWN'],
    [{ kind: 'refused', reason: 'younger than seven days' }, 403, 'DENIED'],
    [{ kind: 'pending', reason: 'two of four have it' }, 503, 'UNAVAILABLE'],
  ];
  for (const [outcome, status, code] of cases) {
    const service = await ociService(t);
    Object.assign(service, { mayNot: null, outcome });
    const answer = await service.app.inject(`${MANIFESTS}/1`);
    t.equal(answer.statusCode, status, outcome.kind);
    t.match(answer.json(), {
      errors: [{ code, message: 'reason' in outcome && outcome.reason, detail: { image: 'docker.io/library/x:1' } }],
    });
    t.equal('retry-after' in answer.headers, status === 503);
    t.same(steps(service.node.lines), ['requested', outcome.kind]);
    t.match(service.asked, [{ subject: { ecosystem: 'docker', registry: 'docker.io', namespace: 'library', name: 'x', reference: '1' } }]);
  }
  const service = await ociService(t);
  for (const url of [`${MANIFESTS}/1`, `${MANIFESTS}/${ABSENT}`])
    t.match((await service.app.inject(url)).json(), { errors: [{ code: 'MANIFEST_UNKNOWN', detail: { reason: service.mayNot } }] });
  t.same(service.asked, [], 'who may not ask does not');
  t.same(steps(service.node.lines), ['refused', 'refused']);
  Object.assign(service, { mayNot: null, outcome: { kind: 'committed' } });
  t.equal((await service.app.inject(`${MANIFESTS}/${ABSENT}`)).statusCode, 503, 'committed, and gone again');
  t.equal(service.asked[0]?.subject.reference, ABSENT, 'by digest');
});

t.test('a miss that is committed is served in the same answer, to all who wait, with one line a step', async (t) => {
  const service = await ociService(t);
  const { app, node, ledger, asked } = service;
  service.mayNot = null;
  const answers = Array.from({ length: 20 }, () => app.inject(`${MANIFESTS}/1`));
  await until(() => asked.length === 20);
  await commitImage({ node, ledger }, IMAGE, { coordinates: X, tag: '1' });
  for (const { answer } of asked) answer({ kind: 'committed' });
  for (const answer of await Promise.all(answers)) t.ok(answer.rawPayload.equals(Buffer.from(IMAGE.bytes)));
  t.same(
    node.lines.map(({ message, fields }) => `${message}: ${String(fields.step)}`),
    ['image request: requested', 'image request: committed', 'file request: local'],
  );
  service.mayNot = 'no more';
  ledger.remove(X, 'x');
  ledger.fresh = true;
  t.equal((await app.inject(`${MANIFESTS}/1`)).statusCode, 403, 'a removed image is not asked for');
});

t.test('a node that was cut off while a client waited serves nothing', async (t) => {
  const service = await ociService(t);
  const { app, node, ledger, asked } = service;
  service.mayNot = null;
  const waiting = app.inject(`${MANIFESTS}/1`);
  await until(() => asked.length === 1);
  await commitImage({ node, ledger }, IMAGE, { coordinates: X, tag: '1' });
  ledger.fresh = false;
  asked[0]?.answer({ kind: 'committed' });
  t.equal((await waiting).statusCode, 503);
});

t.test("a client that leaves ends its waiting and nobody else's", async (t) => {
  const service = await ociService(t);
  const { app, node, ledger, asked } = service;
  service.mayNot = null;
  const [host, port] = service.origin.split(':');
  const socket = connect(Number(port), host);
  socket.write(`GET ${MANIFESTS}/1 HTTP/1.1\r\nHost: x\r\n\r\n`);
  await until(() => asked.length === 1);
  const stays = app.inject(`${MANIFESTS}/1`);
  await until(() => asked.length === 2);
  socket.destroy();
  await until(() => asked[0]?.signal.aborted === true);
  t.equal(asked[1]?.signal.aborted, false);
  await commitImage({ node, ledger }, IMAGE, { coordinates: X, tag: '1' });
  asked[1]?.answer({ kind: 'committed' });
  t.equal((await stays).statusCode, 200);
  t.same(steps(node.lines), ['requested', 'committed']);
});

t.test('the manifest cache keeps the latest within its bytes, and reads a file once', async (t) => {
  const { node } = await ociService(t);
  const files = await Promise.all(
    [1, 2, 3].map(async (salt) => {
      await put(node, someBytes(1000, salt));
      return entryOf('manifest', someBytes(1000, salt));
    }),
  );
  const [first, second, third] = files;
  if (first === undefined || second === undefined || third === undefined) throw new Error('three files');
  const cache = new ManifestCache({ maxBytes: 2500 }, { library: node.library });
  const hexOf = (file: typeof first): string => Buffer.from(file.digests.sha256).toString('hex');
  await Promise.all([cache.load(first), cache.load(first), cache.load(second)]);
  t.equal(node.lines.filter(({ message }) => message === 'file request').length, 2);
  const [, tooMuch] = await Promise.allSettled([cache.load(third), cache.load(entryOf('a', someBytes(2000, 4)))]);
  t.match(tooMuch, { status: 'rejected', reason: { code: 'UNAVAILABLE' } }, 'what is being read is bounded as well');
  t.same(
    files.map((file) => cache.held(hexOf(file)) !== null),
    [false, true, true],
    'the oldest left',
  );
  await cache.load(first);
  t.same(
    files.map((file) => cache.held(hexOf(file)) !== null),
    [true, false, true],
  );
  const lying = new ManifestCache({}, { library: { open: async () => ({ read: async (into) => into.length, close: async () => {} }) } });
  await t.rejects(lying.load(first), { code: 'BAD_RECORD' }, 'bytes are hashed before they enter');
  t.equal(lying.held(hexOf(first)), null);
  await t.rejects(lying.load({ ...first, sizeBytes: 4_194_305 }), { code: 'BAD_RECORD' });
  const other = { ...first, digests: { ...first.digests, sha256: asDigest(new Uint8Array(32)) } };
  await t.rejects(cache.load(other), 'an absent file');
});
