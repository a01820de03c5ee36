/** Tags and referrers over HTTP: what is live, page by page, from committed state alone. */

import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import t, { type Test } from 'tap';
import type { Coordinates } from '../../chain/index.ts';
import { commitImage, descriptorOf, image, type MadeImage, makeImage, makeIndex, OCI_INDEX, OCI_MANIFEST } from './oci-images.ts';
import { ociService } from './oci-service.ts';

const IMAGE = makeImage('hello');
const X: Coordinates = image('x', IMAGE.digest);
const SUBJECT = descriptorOf({ mediaType: IMAGE.mediaType, bytes: IMAGE.bytes });
const REFERRERS = `/v2/library/x/referrers/${IMAGE.digest}`;
const ABSENT = `sha256:${'0'.repeat(64)}`;

t.test('end-8: tags, page by page, and only live ones', async (t) => {
  const { app, node, ledger } = await ociService(t);
  await commitImage({ node, ledger }, IMAGE, { coordinates: X });
  const dead = makeImage('dead');
  await commitImage({ node, ledger }, dead, { coordinates: image('x', dead.digest) });
  t.same((await app.inject('/v2/library/x/tags/list')).json(), { name: 'library/x', tags: [] }, 'known, and without tags');
  for (const tag of ['a', 'b', 'c', 'd', 'e']) ledger.setName(X, tag);
  for (const tag of ['b0', 'f', 'g']) ledger.setName(image('x', dead.digest), tag);
  ledger.remove(image('x', dead.digest), 'it lied');
  t.same((await app.inject('/v2/docker.io/library/x/tags/list')).json(), { name: 'docker.io/library/x', tags: ['a', 'b', 'c', 'd', 'e'] });
  const pages: unknown[] = [];
  for (let url: string | undefined = '/v2/x/tags/list?ns=docker.io&n=2'; url !== undefined; ) {
    const answer: LightMyRequestResponse = await app.inject(url);
    pages.push(answer.json().tags);
    url = nextOf(answer);
    if (url !== undefined) t.match(url, /^\/v2\/x\/tags\/list\?n=2&last=\w+&ns=docker\.io$/);
  }
  t.same(pages, [['a', 'b'], ['c', 'd'], ['e']]);
  t.same((await app.inject('/v2/x/tags/list?n=0')).json().tags, []);
  t.match(await app.inject('/v2/y/tags/list'), { statusCode: 404 });
  t.match((await app.inject('/v2/y/tags/list')).json(), { errors: [{ code: 'NAME_UNKNOWN', detail: { name: 'y' } }] });
  ledger.remove(X, 'it lied too');
  t.equal((await app.inject('/v2/x/tags/list')).statusCode, 404, 'nothing of it is live');
});

t.test('thousands of dead tags make short pages, not long work', async (t) => {
  const { app, node, ledger } = await ociService(t);
  await commitImage({ node, ledger }, IMAGE, { coordinates: X, tag: 'zz' });
  for (let number = 0; number < 5000; number += 1) ledger.setName(image('x', ABSENT), `a${String(number).padStart(4, '0')}`);
  const first = await app.inject('/v2/x/tags/list?n=3');
  t.match([first.json().tags, first.headers.link], [[], '</v2/x/tags/list?n=3&last=a3999>; rel="next"']);
  t.same((await app.inject('/v2/x/tags/list?n=3&last=a3999')).json().tags, ['zz']);
});

t.test("end-12: referrers, by the manifests' own subject", async (t) => {
  const { app, node, ledger } = await ociService(t);
  const url = REFERRERS;
  const empty = await app.inject(url);
  t.match([empty.statusCode, empty.headers['content-type']], [200, OCI_INDEX]);
  t.same(empty.json(), { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] }, 'never 404');
  await commitImage({ node, ledger }, IMAGE, { coordinates: X });
  const index = makeIndex([['amd64', IMAGE]]);
  await commitImage({ node, ledger }, index, { coordinates: image('x', index.digest) });
  const signatures = Array.from({ length: 70 }, (_, number) => signature(number));
  for (const one of signatures) await commitImage({ node, ledger }, one, { coordinates: image('x', one.digest) });
  const other = makeImage('of another', { more: { subject: { ...SUBJECT, digest: ABSENT } }, subject: IMAGE.digest });
  await commitImage({ node, ledger }, other, { coordinates: image('x', other.digest) });
  const elsewhere = makeImage('elsewhere', { subject: IMAGE.digest, more: { subject: SUBJECT } });
  await commitImage({ node, ledger }, elsewhere, { coordinates: image('y', elsewhere.digest) });
  const list = (from: string): Promise<readonly Listed[]> => listAll(t, app, from);
  t.ok((await app.inject(url)).json().manifests.length <= 64, 'at most 64 manifests are read for one answer');
  const all = await list(url);
  t.same(
    all.map((one) => one.digest).sort(),
    signatures.map((one) => one.digest).sort(),
    'no index, no other subject, no other repository',
  );
  t.equal(all.find((one) => one.digest === signatures[0]?.digest)?.annotations, undefined, 'overlong annotations stay in the manifest');
  t.match(
    all.find((one) => one.digest === signatures[1]?.digest),
    {
      mediaType: OCI_MANIFEST,
      size: signatures[1]?.bytes.length,
      artifactType: 'application/vnd.note+json',
      annotations: { number: '1' },
    },
  );
  t.equal((await list(`${url}?artifactType=application%2Fvnd.note%2Bjson`)).length, 35);
  t.equal((await list(`${url}?artifactType=application/vnd.signature+json`)).length, 35);
  ledger.remove(image('x', signatures[1]?.digest ?? ''), 'withdrawn');
  t.equal((await list(url)).length, 69);
});

t.test("a signature that can't be read is not left out in silence", async (t) => {
  const { app, node, ledger } = await ociService(t);
  const lost = makeImage('lost', { subject: IMAGE.digest, more: { subject: SUBJECT } });
  await commitImage({ node, ledger }, lost, { coordinates: image('x', lost.digest), stored: false });
  t.match(await app.inject(REFERRERS), { statusCode: 503, headers: { 'retry-after': /^\d+$/ } });
  ledger.fresh = false;
  t.equal((await app.inject(REFERRERS)).statusCode, 503);
});

/** Of two types in turn; the first with overlong annotations. */
function signature(number: number): MadeImage {
  const artifactType = `application/vnd.${number % 2 === 0 ? 'signature' : 'note'}+json`;
  const annotations = number === 0 ? { long: 'x'.repeat(60_000) } : { number: String(number) };
  return makeImage(`signature ${number}`, { subject: IMAGE.digest, more: { subject: SUBJECT, artifactType, annotations } });
}

interface Listed {
  readonly digest: string;
  readonly annotations?: Record<string, string>;
}

/** All pages in one. */
async function listAll(t: Test, app: FastifyInstance, from: string): Promise<readonly Listed[]> {
  const found: Listed[] = [];
  for (let next: string | undefined = from; next !== undefined; ) {
    const answer: LightMyRequestResponse = await app.inject(next);
    t.equal(answer.statusCode, 200);
    t.equal(answer.headers['oci-filters-applied'], from.includes('artifactType') ? 'artifactType' : undefined);
    found.push(...answer.json().manifests);
    next = nextOf(answer);
  }
  return found;
}

/** The target of `Link: <…>; rel="next"`. */
function nextOf(answer: LightMyRequestResponse): string | undefined {
  return /^<(.*)>; rel="next"$/.exec(String(answer.headers.link ?? ''))?.[1];
}
