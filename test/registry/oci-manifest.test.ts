/** What is read out of a manifest or index, and what is refused. OCI image-spec 1.1; Docker's schema 2. */

import fc from 'fast-check';
import t from 'tap';
import { formatDigest } from '../../chain/index.ts';
import { MAX_MANIFEST_BYTES, type ManifestResult, mediaTypeOf, parseManifest, platformOfConfig } from '../../registry/oci/manifest.ts';
import { DOCKER_LIST, DOCKER_MANIFEST, descriptorOf, makeImage, makeIndex, OCI_INDEX, OCI_MANIFEST } from './oci-images.ts';

const digest = `sha256:${'ab'.repeat(32)}`;
const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size: 5 };
const config = { ...layer, mediaType: 'application/vnd.oci.image.config.v1+json' };
const IMAGE = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [layer] };
const INDEX = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [{ ...layer, mediaType: OCI_MANIFEST }] };

function read(document: unknown, mediaType = OCI_MANIFEST): ManifestResult {
  return parseManifest(Buffer.from(typeof document === 'string' ? document : JSON.stringify(document)), mediaType);
}

t.test("an image names its config and layers, in Docker's types and in those of OCI", async (t) => {
  for (const docker of [false, true]) {
    const made = makeImage('x', { docker, more: { annotations: { a: 'b', bad: 7 } } });
    const parsed = parseManifest(made.bytes, made.mediaType);
    t.match(parsed, { ok: true, manifest: { kind: 'image', subject: null, extra: { annotations: { a: 'b' } } } });
    if (!parsed.ok || parsed.manifest.kind !== 'image') return;
    const read = [parsed.manifest.config, ...parsed.manifest.layers];
    t.same(
      read.map(({ mediaType, sha256, sizeBytes }) => ({ mediaType, digest: formatDigest(sha256), size: sizeBytes })),
      made.parts.slice(1).map(descriptorOf),
    );
    t.equal(parsed.manifest.extra.artifactType, read[0]?.mediaType, 'the config stands for the type');
    t.same(Object.keys(parsed.manifest.extra.annotations ?? {}), ['a']);
  }
  t.match(read({ ...IMAGE, artifactType: 'application/x', subject: layer }), {
    manifest: { extra: { artifactType: 'application/x' }, subject: { sizeBytes: 5 } },
  });
});

t.test('an index names manifests, each with its platform', async (t) => {
  for (const docker of [false, true]) {
    const made = makeIndex(
      [
        ['amd64', makeImage('a')],
        ['arm64', makeImage('b')],
      ],
      { docker },
    );
    t.match(parseManifest(made.bytes, docker ? DOCKER_LIST : OCI_INDEX), {
      ok: true,
      manifest: { kind: 'index', manifests: [{ platform: 'linux/amd64' }, { platform: 'linux/arm64' }] },
    });
  }
  const platforms: readonly (readonly [unknown, string | null])[] = [
    [{ os: 'linux', architecture: 'arm', variant: 'v7' }, 'linux/arm/v7'],
    [{ os: 'unknown', architecture: 'unknown' }, 'unknown/unknown'],
    [{ os: 'linux' }, null],
    [{ os: 'li/nux', architecture: 'arm' }, null],
    [{ os: 'l'.repeat(65), architecture: 'arm' }, null],
    ['linux', null],
    [undefined, null],
  ];
  for (const [platform, expected] of platforms) {
    t.match(read({ ...INDEX, manifests: [{ ...layer, platform }] }, OCI_INDEX), { manifest: { manifests: [{ platform: expected }] } });
    t.equal(platformOfConfig(Buffer.from(JSON.stringify(platform ?? null))), expected);
  }
  t.equal(platformOfConfig(Buffer.from('{')), null);
  t.equal(platformOfConfig(Buffer.from('['.repeat(100_000))), null);
});

t.test('what is no manifest, or could be read in two ways, is refused with the reason', async (t) => {
  const cases: readonly (readonly [string, unknown, RegExp, string?])[] = [
    ['another type', IMAGE, /no manifest type/, 'application/json'],
    ['schema 1', { ...IMAGE, schemaVersion: 1 }, /schemaVersion 2/],
    ['no object', [IMAGE], /schemaVersion 2/],
    ['no JSON', '{"schemaVersion":2', /not JSON/],
    ['a byte order mark', `\ufeff${JSON.stringify(IMAGE)}`, /not JSON/],
    ['the type of another', IMAGE, /another media type/, DOCKER_MANIFEST],
    ['an index under the type of an image', { ...INDEX, mediaType: undefined }, /no manifests/],
    ['an image that is an index too', { ...IMAGE, manifests: [] }, /no manifests/],
    ['an index that is an image too', { ...INDEX, layers: [] }, /neither config nor layers/, OCI_INDEX],
    ['an index with a config', { ...INDEX, config }, /neither config nor layers/, OCI_INDEX],
    ['a field in another case', { ...IMAGE, Layers: [] }, /other letters/],
    ['a field in letters that fold', { ...IMAGE, config: { ...config, '\u017fize': 1 } }, /other letters/],
    ['no config', { ...IMAGE, config: undefined }, /^config/],
    ['layers that are no list', { ...IMAGE, layers: {} }, /^layers/],
    ['a layer that is null', { ...IMAGE, layers: [null] }, /^layers\[0\]/],
    ['a digest of another kind', { ...IMAGE, layers: [{ ...layer, digest: `md5:${'a'.repeat(32)}` }] }, /digest/],
    ['an upper-case digest', { ...IMAGE, config: { ...config, digest: `sha256:${'AB'.repeat(32)}` } }, /digest/],
    ['a negative size', { ...IMAGE, config: { ...config, size: -1 } }, /size/],
    ['a size that is no whole number', { ...IMAGE, config: { ...config, size: 1.5 } }, /size/],
    ['a size beyond 2^53', { ...IMAGE, config: { ...config, size: 2 ** 53 } }, /size/],
    ['a media type with a line break', { ...IMAGE, config: { ...config, mediaType: 'a/b\r\nx: y' } }, /mediaType/],
    ['a subject without digest', { ...IMAGE, subject: {} }, /^subject/],
    ['too many layers', { ...IMAGE, layers: Array.from({ length: 1025 }, () => layer) }, /at most 1024/],
    ['deep nesting', `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`, /deeper/],
    ['deep lists', '['.repeat(100_000), /deeper/],
  ];
  for (const [title, document, reason, mediaType] of cases) {
    const result = read(document, mediaType);
    t.match(result.ok ? 'accepted' : result.reason, reason, title);
  }
  t.match(parseManifest(new Uint8Array([...Buffer.from('{"schemaVersion":2,"x":"'), 0xff, 0x22, 0x7d]), OCI_MANIFEST), { ok: false });
  t.equal(read({ ...IMAGE, annotations: { a: '[[[['.repeat(100) } }).ok, true, 'brackets in texts are no nesting');
});

t.test('4 MiB are read, one byte more is not', async (t) => {
  const whole = Buffer.alloc(MAX_MANIFEST_BYTES + 1, ' ');
  whole.write(JSON.stringify(IMAGE));
  t.equal(parseManifest(whole.subarray(0, MAX_MANIFEST_BYTES), OCI_MANIFEST).ok, true);
  t.match(parseManifest(whole, OCI_MANIFEST), { ok: false, reason: /4194304/ });
});

t.test('the type that a document gives itself', async (t) => {
  const cases: readonly (readonly [unknown, string | null])[] = [
    [IMAGE, OCI_MANIFEST],
    [{ ...IMAGE, mediaType: DOCKER_MANIFEST }, DOCKER_MANIFEST],
    [{ ...IMAGE, mediaType: undefined }, OCI_MANIFEST],
    [{ ...INDEX, mediaType: undefined }, OCI_INDEX],
    [{ ...IMAGE, mediaType: 'text/html' }, null],
    [{}, null],
    [null, null],
  ];
  for (const [document, expected] of cases) t.equal(mediaTypeOf(document), expected);
});

t.test('any bytes get an answer', async () => {
  const mediaType = fc.constantFrom(OCI_MANIFEST, OCI_INDEX, DOCKER_LIST, DOCKER_MANIFEST, 'text/plain');
  const field = fc.constantFrom(
    'schemaVersion',
    'config',
    'layers',
    'manifests',
    'subject',
    'annotations',
    'platform',
    '__proto__',
    'digest',
  );
  const document = fc.dictionary(field, fc.oneof(fc.constant(2), fc.constant(layer), fc.array(fc.constant(layer)), fc.jsonValue()));
  const text = document.map((one) => Buffer.from(JSON.stringify({ schemaVersion: 2, ...one })));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), text), mediaType, (bytes, type) => {
      const result = parseManifest(bytes, type);
      platformOfConfig(bytes);
      return result.ok ? ['image', 'index'].includes(result.manifest.kind) : result.reason.length < 300;
    }),
    { numRuns: 2000 },
  );
});
