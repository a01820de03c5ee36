/** The rules that need no state: names, claims and transactions. SPEC §2, §3. */

import fc from 'fast-check';
import t from 'tap';
import * as chain from '../../chain/index.ts';
import { digestOf, sampleArtifact, sampleCoordinates, sampleFile, sampleName, sampleParameters } from './arbitraries.ts';

const LONG = 'a'.repeat(300);

function named(
  ecosystem: chain.EcosystemName,
  [registry, namespace, name, version]: readonly [string, string, string, string],
): chain.Coordinates {
  return { ecosystem, registry, namespace, name, version };
}

const HEX = 'ab'.repeat(32);

t.test('coordinates that fit their grammar', async (t) => {
  const table: readonly (readonly [chain.EcosystemName, readonly [string, string, string, string]])[] = [
    ['generic', ['', 'demo', 'hello', '1.0.0']],
    ['generic', ['', 'demo/deep/er', 'Hello_World', '1.0.0+b-1']],
    ['docker', ['registry.example:5000', 'library', 'alpine', `sha256:${HEX}`]],
    ['docker', ['registry.example', '', 'app__x', `sha256:${HEX}`]],
    ['maven', ['', 'org.example', 'lib-core', '1.0-SNAPSHOT']],
    ['maven', ['repo.example', 'junit', 'junit', '4.13']],
    ['npm', ['', '', 'JSONStream', '1.3.5']],
    ['npm', ['', '@scope', 'name', '1.0.0-beta.1']],
    ['pypi', ['', '', 'zope-interface', '1!2.0rc1.post2.dev3+local.1']],
    ['cargo', ['', '', 'serde_json', '1.0.0+build.5']],
    ['go', ['', 'example.com/x/y', 'z', 'v0.0.0-20240101000000-abcdefabcdef']],
    ['go', ['', 'example.com', 'mod', 'v2.0.0+incompatible']],
  ];
  for (const [ecosystem, parts] of table) {
    const coordinates = named(ecosystem, parts);
    t.equal(chain.checkCoordinates(coordinates), null, parts.join(' '));
    t.same(chain.parseCoordinatesKey(chain.coordinatesKey(coordinates)), coordinates);
  }
});

t.test('coordinates that do not', async (t) => {
  const hostile = [
    '',
    '.',
    '..',
    'a..b',
    '../a',
    'a/../b',
    '/a',
    'a/',
    'a//b',
    '.a',
    '-a',
    '_a',
    'a b',
    'a%2e',
    'a%2fb',
    'a\0',
    'a|b',
    'a\n',
    'ä',
    LONG,
  ];
  for (const bad of hostile) {
    t.type(chain.checkCoordinates({ ...sampleCoordinates(), namespace: bad }), 'string', `namespace ${JSON.stringify(bad)}`);
    t.type(chain.checkCoordinates({ ...sampleCoordinates(), name: bad }), 'string', `name ${JSON.stringify(bad)}`);
    t.type(chain.checkCoordinates({ ...sampleCoordinates(), version: bad }), 'string', `version ${JSON.stringify(bad)}`);
    t.type(chain.checkFileName(bad), 'string', `file ${JSON.stringify(bad)}`);
  }
  t.type(chain.checkCoordinates({ ...sampleCoordinates(), registry: 'example' }), 'string', 'generic has no registry');
  t.type(chain.checkCoordinates({ ...sampleCoordinates(), name: 'a/b' }), 'string', 'a name is one segment');
  t.type(chain.checkFileName('a/b'), 'string', 'so is a file name');
  const table: readonly (readonly [string, chain.EcosystemName, readonly [string, string, string, string]])[] = [
    ['docker without a registry', 'docker', ['', 'library', 'alpine', `sha256:${HEX}`]],
    ['a tag for a version', 'docker', ['registry.example', 'library', 'alpine', 'latest']],
    ['upper case in an image', 'docker', ['registry.example', 'library', 'Alpine', `sha256:${HEX}`]],
    ['upper case in a host', 'docker', ['Registry.example', 'library', 'alpine', `sha256:${HEX}`]],
    ['a port with a leading zero', 'docker', ['registry.example:080', 'library', 'alpine', `sha256:${HEX}`]],
    ['a maven group with an empty part', 'maven', ['', 'org..example', 'x', '1']],
    ['a scope without its sign', 'npm', ['', 'scope', 'name', '1.0.0']],
    ['a version with a leading zero', 'npm', ['', '', 'name', '1.02.0']],
    ['an npm version with build', 'npm', ['', '', 'name', '1.0.0+x']],
    ['a name that is not normalized', 'pypi', ['', '', 'Zope.Interface', '1.0']],
    ['a version that is not normalized', 'pypi', ['', '', 'x', '1.0-rc1']],
    ['a crate that begins with a digit', 'cargo', ['', '', '1x', '1.0.0']],
    ['a go version without v', 'go', ['', 'example.com', 'mod', '1.0.0']],
    ['a go path element that ends in a dot', 'go', ['', 'example.com/a.', 'mod', 'v1.0.0']],
  ];
  for (const [what, ecosystem, parts] of table) t.type(chain.checkCoordinates(named(ecosystem, parts)), 'string', what);
});

t.test('the key of coordinates is theirs alone', async (t) => {
  for (const bad of [
    '',
    'generic',
    'generic||demo|hello|1.0.0|x',
    'generic||demo|hello',
    'GENERIC||demo|hello|1',
    'toString||demo|hello|1',
  ]) {
    t.equal(chain.parseCoordinatesKey(bad), null, bad);
  }
  const part = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'd', '1', '.', '-', '/', '|', '@'), maxLength: 3 });
  const version = fc.constantFrom('1', '1.0.0', 'v1.0.0', '1|0');
  const seen = new Map<string, chain.Coordinates>();
  fc.assert(
    fc.property(fc.constantFrom('generic', 'npm', 'maven', 'go'), part, part, version, (ecosystem, namespace, name, version) => {
      const coordinates = { ecosystem, registry: '', namespace, name, version } as const;
      const key = chain.coordinatesKey(coordinates);
      if (chain.checkCoordinates(coordinates) !== null) return chain.parseCoordinatesKey(key) === null;
      seen.set(key, coordinates);
      t.same(chain.parseCoordinatesKey(key), coordinates);
      return true;
    }),
    { numRuns: 3000 },
  );
  t.ok(seen.size > 20, `${seen.size} coordinates were valid`);
});

const node: chain.NodeRecord = {
  nodeId: digestOf(1),
  name: 'authority-1',
  // Public keys of RFC 8032, 7.1, tests 1 to 3.
  networkKey: fromHex('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'),
  consensusKey: fromHex('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c'),
  checkpointKey: fromHex('fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025'),
};

function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

const artifactTarget = { kind: 'artifact', coordinates: sampleCoordinates() } as const;
const fileTarget = { kind: 'file', sha256: digestOf(0xf1) } as const;

t.test('what claims are about', async (t) => {
  const table: readonly (readonly [chain.Claim, string])[] = [
    [sampleArtifact(), 'artifact|generic||demo|hello|1.0.0'],
    [{ kind: 'RemoveArtifact', target: artifactTarget, reason: 'x', replaces: 1 }, 'artifact|generic||demo|hello|1.0.0'],
    [{ kind: 'RemoveArtifact', target: fileTarget, reason: 'x', replaces: null }, `ban|${'f1'.repeat(32)}`],
    [{ kind: 'LiftBan', sha256: digestOf(0xf1), reason: 'x', replaces: 1 }, `ban|${'f1'.repeat(32)}`],
    [sampleName, 'name|generic||demo|hello|latest'],
    [{ kind: 'AddNode', node, replaces: null }, `node|${'01'.repeat(32)}`],
    [{ kind: 'RemoveNode', nodeId: digestOf(1), reason: 'x', replaces: 0 }, `node|${'01'.repeat(32)}`],
    [{ kind: 'RotateKey', nodeId: digestOf(1), use: 'network', publicKey: node.networkKey, replaces: 0 }, `node|${'01'.repeat(32)}`],
    [{ kind: 'SetParams', parameters: sampleParameters(), atHeight: null, replaces: 0 }, 'parameters'],
  ];
  for (const [claim, key] of table) {
    t.equal(chain.keyOf(claim), key, `${claim.kind} is about ${key}`);
    t.equal(chain.checkClaimShape(claim), null, `${claim.kind} is well-formed`);
    t.equal(chain.needsConsent(claim), claim.kind === 'AddNode' || claim.kind === 'RotateKey');
  }
});

const empty: Partial<chain.FileEntry> = { sizeBytes: 0, piecesRoot: null };
const torsion = fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a');

t.test('an artifact that is not well-formed', async (t) => {
  const upstream = { kind: 'upstream', id: 'central' } as const;
  const table: readonly (readonly [string, Partial<chain.AddArtifact>, RegExp])[] = [
    ['no files', { files: [] }, /at least one file/],
    ['files out of order', { files: [sampleFile('b'), sampleFile('a')] }, /sorted by name/],
    ['a file twice', { files: [sampleFile('a'), sampleFile('a')] }, /sorted by name/],
    ['a hostile file name', { files: [sampleFile('../a')] }, /file name/],
    ['no media type', { files: [{ ...sampleFile(), mediaType: 'gzip' }] }, /media type/],
    ['a media type with parameters', { files: [{ ...sampleFile(), mediaType: 'text/html; charset=utf-8' }] }, /media type/],
    ['an empty file with a root', { files: [{ ...sampleFile(), sizeBytes: 0 }] }, /piecesRoot/],
    ['a file without a root', { files: [{ ...sampleFile(), piecesRoot: null }] }, /piecesRoot/],
    ['two sizes of one digest', { files: [sampleFile('a'), { ...sampleFile('b'), sizeBytes: 5 }] }, /contradicts "a"/],
    ['two roots of one digest', { files: [sampleFile('a'), { ...sampleFile('b'), piecesRoot: digestOf(0) }] }, /contradicts "a"/],
    ['a Go digest elsewhere', { files: [{ ...sampleFile(), digests: { ...sampleFile().digests, h1: digestOf(1) } }] }, /Go alone/],
    ['hostile coordinates', { coordinates: sampleCoordinates('1..0') }, /version/],
    ['a hostile dependency', { dependencies: [sampleCoordinates('..')] }, /dependency/],
    ['itself as dependency', { dependencies: [sampleCoordinates()] }, /itself/],
    ['a dependency twice', { dependencies: [sampleCoordinates('2'), sampleCoordinates('2')] }, /sorted by key/],
    ['dependencies out of order', { dependencies: [sampleCoordinates('3'), sampleCoordinates('2')] }, /sorted by key/],
    ['a hostile upstream', { source: { kind: 'upstream', id: 'a/b' }, verification: 'mirrored' }, /upstream id/],
    ['a mirror that was published', { source: upstream, verification: 'published' }, /does not fit/],
    ['a publication that was rebuilt', { verification: 'rebuilt' }, /does not fit/],
  ];
  for (const [what, change, reason] of table) t.match(chain.checkClaimShape(sampleArtifact(change)), reason, what);
  t.equal(chain.checkClaimShape(sampleArtifact({ files: [{ ...sampleFile(), ...empty }] })), null, 'an empty file is a file');
  t.equal(chain.checkClaimShape(sampleArtifact({ files: [sampleFile('a'), sampleFile('b')] })), null, 'so are two of the same bytes');
});

t.test('other claims that are not well-formed', async (t) => {
  const remove = { kind: 'RemoveNode', nodeId: digestOf(1), replaces: 0 } as const;
  const add = (change: Partial<chain.NodeRecord>): chain.Claim => ({ kind: 'AddNode', node: { ...node, ...change }, replaces: null });
  const table: readonly (readonly [string, chain.Claim, RegExp])[] = [
    ['a label with a slash', { ...sampleName, label: 'a/b' }, /label/],
    ['an empty label', { ...sampleName, label: '' }, /label/],
    ['a name for another package', { ...sampleName, target: sampleCoordinates('1', 'other') }, /own package/],
    ['a name with hostile parts', { ...sampleName, namespace: '..' }, /namespace/],
    ['no reason', { ...remove, reason: '' }, /reason/],
    ['a reason with a line break', { ...remove, reason: 'a\nb' }, /reason/],
    ['a reason that ends in a space', { ...remove, reason: 'a ' }, /reason/],
    ['a reason that turns the direction', { ...remove, reason: 'a\u202eb' }, /reason/],
    [
      'a removal of hostile coordinates',
      { kind: 'RemoveArtifact', target: { kind: 'artifact', coordinates: sampleCoordinates('..') }, reason: 'x', replaces: 1 },
      /version/,
    ],
    ['a node with one key twice', add({ consensusKey: node.networkKey }), /distinct/],
    ['a node with a bad key', add({ checkpointKey: torsion }), /small order/],
    ['a node with a name to shout', add({ name: 'NODE 1' }), /node name/],
    ['a rotation to a bad key', { kind: 'RotateKey', nodeId: digestOf(1), use: 'network', publicKey: torsion, replaces: 0 }, /small order/],
    [
      'parameters out of range',
      { kind: 'SetParams', parameters: sampleParameters({ heartbeatMs: 0 }), atHeight: null, replaces: 0 },
      /heartbeatMs/,
    ],
  ];
  for (const [what, claim, reason] of table) t.match(chain.checkClaimShape(claim), reason, what);
});

t.test('transactions: one claim at least, none about what another is about, within limits', async (t) => {
  const parameters = sampleParameters();
  const many = (count: number): readonly chain.Claim[] =>
    Array.from({ length: count }, (_, index) => sampleArtifact({ coordinates: sampleCoordinates(`1.${index}`) }));
  t.equal(chain.checkTransactionShape(many(256), parameters), null);
  t.match(chain.checkTransactionShape([], parameters), /at least one claim/);
  t.match(chain.checkTransactionShape(many(5), sampleParameters({ maxTransactionClaims: 4 })), /at most 4 claims/);
  t.match(chain.checkTransactionShape(many(10), sampleParameters({ maxTransactionBytes: 1024 })), /at most 1024 bytes/);
  t.match(
    chain.checkTransactionShape([...many(3), sampleArtifact({ coordinates: sampleCoordinates('..') })], parameters),
    /^claim 3: version/,
  );
  const removal: chain.Claim = { kind: 'RemoveArtifact', target: artifactTarget, reason: 'x', replaces: 1 };
  t.match(chain.checkTransactionShape([sampleArtifact(), removal], parameters), /^claim 1: another claim is about artifact\|generic/);
  const rotations = Array.from({ length: chain.MAX_KEY_CLAIMS + 1 }, (_, index) => ({
    kind: 'RotateKey' as const,
    nodeId: digestOf(index),
    use: 'network' as const,
    publicKey: node.networkKey,
    replaces: 0,
  }));
  t.match(chain.checkTransactionShape(rotations, parameters), /at most 16 claims that bring keys/);
});
