/** What a raw request target below /v2/ is taken for, and what is refused. OCI distribution-spec 1.1, "Endpoints". */

import fc from 'fast-check';
import t from 'tap';
import { digestToHex } from '../../chain/index.ts';
import { formatReference, type OciTarget, parseOciTarget } from '../../registry/oci/names.ts';
import { formatImage } from '../../registry/oci/reference.ts';

const HEX = 'ab'.repeat(32);
const DIGEST = `sha256:${HEX}`;
const defaults = { defaultRegistry: 'docker.io' };

function parse(rawTarget: string): OciTarget | null {
  const parsed = parseOciTarget(rawTarget, defaults);
  return parsed.ok ? parsed.target : null;
}

function codeOf(rawTarget: string): string {
  const parsed = parseOciTarget(rawTarget, defaults);
  return parsed.ok ? `taken for ${parsed.target.kind}` : parsed.refusal.code;
}

t.test('the registry is ?ns=, else a first component that looks like a host, else the default', async (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['/v2/library/alpine/manifests/3.20', 'docker.io/library/alpine:3.20'],
    ['/v2/alpine/manifests/3.20', 'docker.io/library/alpine:3.20'],
    ['/v2/docker.io/library/alpine/manifests/3.20', 'docker.io/library/alpine:3.20'],
    ['/v2/docker.io/alpine/manifests/3.20', 'docker.io/library/alpine:3.20'],
    ['/v2/library/alpine/manifests/3.20?ns=docker.io', 'docker.io/library/alpine:3.20'],
    ['/v2/alpine/manifests/3.20?ns=docker.io', 'docker.io/library/alpine:3.20'],
    ['/v2/a/b/c/manifests/latest?ns=127.0.0.1%3A5000', '127.0.0.1:5000/a/b/c:latest'],
    ['/v2/a/manifests/latest?ns=127.0.0.1%3a5000', '127.0.0.1:5000/a:latest'],
    ['/v2/a/manifests/latest?ns=127.0.0.1:5000', '127.0.0.1:5000/a:latest'],
    ['/v2/127.0.0.1:5000/a/b/manifests/latest', '127.0.0.1:5000/a/b:latest'],
    ['/v2/localhost/a/manifests/latest', 'localhost/a:latest'],
    ['/v2/quay.example/org/app/manifests/v1', 'quay.example/org/app:v1'],
    ['/v2/quay.example/app/manifests/v1', 'quay.example/app:v1'],
    ['/v2/quay.example/app/manifests/v1?ns=docker.io', 'docker.io/quay.example/app:v1'],
    ['/v2/my.image/manifests/v1', 'docker.io/library/my.image:v1'],
    ['/v2/localhost/manifests/v1', 'docker.io/library/localhost:v1'],
    ['/v2/manifests/manifests/v1', 'docker.io/library/manifests:v1'],
    ['/v2/a/blobs/uploads/manifests/v1', 'docker.io/a/blobs/uploads:v1'],
    ['/v2/a/tags/list/manifests/v1', 'docker.io/a/tags/list:v1'],
    ['/v2/a/b__c/d-e/manifests/UPPER_is.fine', 'docker.io/a/b__c/d-e:UPPER_is.fine'],
    [`/v2/library/alpine/manifests/${DIGEST}`, `docker.io/library/alpine@${DIGEST}`],
  ];
  for (const [rawTarget, expected] of cases) {
    const target = parse(rawTarget);
    t.equal(
      target?.kind === 'manifest' ? formatImage(target.repository.name, formatReference(target.reference)) : target?.kind,
      expected,
      rawTarget,
    );
  }
  const other = parseOciTarget('/v2/app/manifests/1', { defaultRegistry: 'quay.example' });
  t.match(other, { ok: true, target: { repository: { name: { registry: 'quay.example', namespace: '', name: 'app' } } } });
});

t.test('every endpoint', async (t) => {
  t.match(parse('/v2/'), { kind: 'base' });
  t.match(parse('/v2'), { kind: 'base' });
  t.match(parse('/v2/?ns=docker.io'), { kind: 'base' });
  const blob = parse(`/v2/library/x/blobs/${DIGEST}`);
  t.equal(blob?.kind === 'blob' && digestToHex(blob.sha256), HEX);
  t.match(parse('/v2/x/tags/list'), { kind: 'tags', page: { n: 1000, last: null } });
  t.match(parse('/v2/x/tags/list?n=5&last=v1.0'), { kind: 'tags', page: { n: 5, last: 'v1.0' } });
  t.match(parse('/v2/x/tags/list?n=0'), { page: { n: 0 } });
  t.match(parse('/v2/x/tags/list?n=999999'), { page: { n: 1000 } });
  t.match(parse('/v2/quay.example/x/tags/list?ns=docker.io'), { repository: { path: 'quay.example/x', query: 'ns=docker.io' } });
  t.match(parse(`/v2/x/referrers/${DIGEST}`), { kind: 'referrers', artifactType: null, last: null });
  for (const text of ['application%2Fvnd.example%2Bjson', 'application%2fvnd.example+json', 'application/vnd.example+json'])
    t.match(parse(`/v2/x/referrers/${DIGEST}?artifactType=${text}`), { artifactType: 'application/vnd.example+json' }, text);
  t.match(parse(`/v2/x/referrers/${DIGEST}?last=${HEX}`), { last: Buffer.from(HEX, 'hex') });
  for (const path of [
    '/v2/x/blobs/uploads/',
    '/v2/x/blobs/uploads',
    '/v2/a/b/blobs/uploads/8a7e-1?state=x',
    '/v2/x/blobs/uploads/?mount=y',
  ])
    t.match(parse(path), { kind: 'write' }, path);
});

const REFUSED: readonly (readonly [string, string])[] = [
  ['/v2/library/../x/manifests/1', 'NAME_INVALID'],
  ['/v2/library/%2e%2e/x/manifests/1', 'NAME_INVALID'],
  ['/v2/library/..%2fx/manifests/1', 'NAME_INVALID'],
  ['/v2/library%2fx/manifests/1', 'NAME_INVALID'],
  ['/v2/library//x/manifests/1', 'NAME_INVALID'],
  ['/v2//library/x/manifests/1', 'NAME_INVALID'],
  ['//v2/library/x/manifests/1', 'NAME_INVALID'],
  ['/v2/./x/manifests/1', 'NAME_INVALID'],
  ['/v2/library\\x/manifests/1', 'NAME_INVALID'],
  ['/v2/library/x%00/manifests/1', 'NAME_INVALID'],
  ['/v2/library/x\u0000/manifests/1', 'NAME_INVALID'],
  ['/v2/library/x\u017f/manifests/1', 'NAME_INVALID'],
  ['/v2/Library/x/manifests/1', 'NAME_INVALID'],
  ['/v2/library/X/manifests/1', 'NAME_INVALID'],
  ['/v2/QUAY.example/x/manifests/1', 'NAME_INVALID'],
  ['/v2/library/-x/manifests/1', 'NAME_INVALID'],
  ['/v2/library/x_/manifests/1', 'NAME_INVALID'],
  ['/v2/library/a___b/manifests/1', 'NAME_INVALID'],
  ['/v2/evil.example:99999999/x/manifests/1', 'NAME_INVALID'],
  [`/v2/library/${'x'.repeat(300)}/manifests/1`, 'NAME_INVALID'],
  [`/v2/${'x/'.repeat(150)}y/manifests/1`, 'NAME_INVALID'],
  [`/v2/library/x/manifests/${'x'.repeat(300)}`, 'NAME_INVALID'],
  [`/v2/library/x/manifests/${'x'.repeat(129)}`, 'TAG_INVALID'],
  ['/v2/library/x/manifests/.hidden', 'TAG_INVALID'],
  ['/v2/library/x/manifests/-rf', 'TAG_INVALID'],
  ['/v2/library/x/manifests/a+b', 'TAG_INVALID'],
  ['/v2/library/x/manifests/1/', 'NAME_INVALID'],
  ['/v2/manifests/1', 'NAME_INVALID'],
  ['/v2/library/x/manifests/sha256:xyz', 'DIGEST_INVALID'],
  [`/v2/library/x/manifests/sha256:${HEX.toUpperCase()}`, 'DIGEST_INVALID'],
  [`/v2/library/x/manifests/md5:${'a'.repeat(32)}`, 'DIGEST_INVALID'],
  [`/v2/library/x/blobs/sha512:${'a'.repeat(128)}`, 'DIGEST_INVALID'],
  [`/v2/library/x/blobs/sha256:${'a'.repeat(63)}`, 'DIGEST_INVALID'],
  [`/v2/library/x/blobs/sha256:${'a'.repeat(65)}`, 'DIGEST_INVALID'],
  ['/v2/library/x/blobs/latest', 'DIGEST_INVALID'],
  ['/v2/library/x/referrers/latest', 'DIGEST_INVALID'],
  [`/v2/library/x/referrers/${DIGEST}?last=zz`, 'DIGEST_INVALID'],
  [`/v2/library/x/referrers/${DIGEST}?artifactType=text`, 'UNSUPPORTED'],
  ['/v2/library/x/tags/list?n=-1', 'PAGINATION_NUMBER_INVALID'],
  ['/v2/library/x/tags/list?n=1e3', 'PAGINATION_NUMBER_INVALID'],
  ['/v2/library/x/tags/list?n=', 'PAGINATION_NUMBER_INVALID'],
  ['/v2/library/x/tags/list?last=a:b', 'TAG_INVALID'],
  ['/v2/library/x/manifests/1?ns=', 'NAME_INVALID'],
  ['/v2/library/x/manifests/1?ns=..', 'NAME_INVALID'],
  ['/v2/library/x/manifests/1?ns=a%2Fb', 'NAME_INVALID'],
  ['/v2/library/x/manifests/1?ns=docker.io%00', 'NAME_INVALID'],
  ['/v2/library/x/manifests/1?ns=docker%2Eio', 'NAME_INVALID'],
  ['/v2/library/x/manifests/1?ns=docker.io&ns=evil.example', 'UNSUPPORTED'],
  ['/v2/library/x/manifests/1?other=1', 'UNSUPPORTED'],
  ['/v2/library/x/manifests/1?ns', 'UNSUPPORTED'],
  ['/v2/_catalog', 'UNSUPPORTED'],
  ['/v2/x/other/1', 'UNSUPPORTED'],
  ['/v2/x/tags/other', 'UNSUPPORTED'],
  ['/v1/x/manifests/1', 'NAME_INVALID'],
  ['/v2x/x/manifests/1', 'NAME_INVALID'],
  ['', 'NAME_INVALID'],
  ['http://127.0.0.1/v2/', 'NAME_INVALID'],
];

t.test('hostile and malformed targets are refused with the code that fits', async (t) => {
  for (const [rawTarget, code] of REFUSED) t.equal(codeOf(rawTarget), code, JSON.stringify(rawTarget.slice(0, 80)));
});

t.test('any text gets an answer, and what is accepted fits the grammar of the chain', async (t) => {
  let accepted = 0;
  const piece = fc.constantFrom(
    'v2',
    '/',
    '..',
    '%2e',
    '%2f',
    '\\',
    '\u0000',
    'manifests',
    'blobs',
    'tags',
    'list',
    'uploads',
    'referrers',
  );
  const part = fc.oneof(piece, fc.constantFrom('docker.io', 'x', 'A', ':', '?', 'ns=', '&', '%3A', DIGEST), fc.string({ maxLength: 5 }));
  const rawTarget = fc.oneof(
    fc.string(),
    fc.array(part, { maxLength: 12 }).map((parts) => parts.join('')),
    fc.array(part, { maxLength: 8 }).map((parts) => `/v2/${parts.join('/')}`),
    fc.tuple(part, part, part).map(([first, second, third]) => `/v2/${first}/${second}/manifests/${third}`),
  );
  fc.assert(
    fc.property(rawTarget, (text) => {
      const parsed = parseOciTarget(text, defaults);
      if (!parsed.ok || !('repository' in parsed.target)) return true;
      accepted += 1;
      const { registry, namespace, name } = parsed.target.repository.name;
      return (
        /^[a-z0-9.:-]+$/.test(registry) && /^[a-z0-9._/-]*$/.test(namespace) && /^[a-z0-9._-]+$/.test(name) && !namespace.includes('..')
      );
    }),
    { numRuns: 3000 },
  );
  t.ok(accepted > 0, 'some were names');
});
