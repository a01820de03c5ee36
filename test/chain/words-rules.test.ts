/**
 * The rules that need no state: names, claims, transactions, policy, parameters and validator sets. SPEC §2, §3, §4, §8.
 */

import fc from 'fast-check';
import t from 'tap';
import * as chain from '../../chain/index.ts';
import { digestOf, filled, sampleArtifact, sampleCoordinates, sampleFile, sampleParameters, sampleRule } from './arbitraries.ts';

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
const latest: chain.Claim = {
  kind: 'SetName',
  ecosystem: 'generic',
  registry: '',
  namespace: 'demo',
  name: 'hello',
  label: 'latest',
  target: sampleCoordinates(),
  replaces: null,
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
    [latest, 'name|generic||demo|hello|latest'],
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
    ['a label with a slash', { ...latest, label: 'a/b' }, /label/],
    ['an empty label', { ...latest, label: '' }, /label/],
    ['a name for another package', { ...latest, target: sampleCoordinates('1', 'other') }, /own package/],
    ['a name with hostile parts', { ...latest, namespace: '..' }, /namespace/],
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

t.test('the first rule that matches decides, and none matching denies', async (t) => {
  const spaces: readonly (readonly [chain.EcosystemName, string, string, boolean])[] = [
    ['generic', 'demo/*', 'demo', true],
    ['generic', 'demo/*', 'demo/x', true],
    ['generic', 'demo/*', 'demo/x/y', true],
    ['generic', 'demo/*', 'demolition', false],
    ['generic', 'demo/*', 'Demo', false],
    ['generic', 'demo', 'demo', true],
    ['generic', 'demo', 'demo/x', false],
    ['generic', '*', 'anything/at/all', true],
    ['npm', '*', '', true],
    ['npm', '', '', true],
    ['npm', '', '@scope', false],
    ['npm', '@scope', '@scope', true],
    ['maven', 'org.example.*', 'org.example', true],
    ['maven', 'org.example.*', 'org.example.deep', true],
    ['maven', 'org.example.*', 'org.examples', false],
  ];
  for (const [ecosystem, pattern, namespace, expected] of spaces) {
    const rule = sampleRule({ ecosystem, namespace: pattern });
    const found = chain.ruleFor([rule], { ecosystem, registry: '', namespace, name: 'x' });
    t.equal(found !== null, expected, `${ecosystem}: ${pattern} ${expected ? 'matches' : 'does not match'} '${namespace}'`);
  }
  const [narrow, wide] = [sampleRule({ namespace: 'demo', maxFiles: 1 }), sampleRule({ namespace: '*', maxFiles: 2 })];
  t.equal(chain.ruleFor([narrow, wide], sampleCoordinates()), narrow);
  t.equal(chain.ruleFor([wide, narrow], sampleCoordinates()), wide);
  t.equal(chain.ruleFor([wide], { ...sampleCoordinates(), ecosystem: 'npm' }), null, 'another ecosystem');
  t.equal(chain.ruleFor([wide], { ...sampleCoordinates(), registry: 'example' }), null, 'another registry');
  t.equal(chain.ruleFor([], sampleCoordinates()), null);
});

t.test('what policy says of a claim', async (t) => {
  const upstream = { kind: 'upstream', id: 'central' } as const;
  const mirrored = sampleRule({ verification: 'mirrored', upstream: 'central', publishers: [] });
  const table: readonly (readonly [string, chain.PolicyRule, chain.Claim, string | null])[] = [
    ['a publisher whom it lists', sampleRule(), sampleArtifact(), null],
    ['a publisher whom it does not', sampleRule({ publishers: [digestOf(2)] }), sampleArtifact(), 'policySource'],
    ['the upstream that it names', mirrored, sampleArtifact({ source: upstream, verification: 'mirrored' }), null],
    [
      'another upstream',
      { ...mirrored, upstream: 'other' },
      sampleArtifact({ source: upstream, verification: 'mirrored' }),
      'policySource',
    ],
    ['an upstream where there is none', sampleRule(), sampleArtifact({ source: upstream }), 'policySource'],
    ['a publisher where there is none', mirrored, sampleArtifact(), 'policySource'],
    ['more than was done', mirrored, sampleArtifact({ source: upstream, verification: 'rebuilt' }), 'policyVerification'],
    ['less than was asked', sampleRule({ verification: 'manual' }), sampleArtifact(), 'policyVerification'],
    ['as many files as it allows', sampleRule({ maxFiles: 2 }), sampleArtifact({ files: [sampleFile('a'), sampleFile('b')] }), null],
    ['too many files', sampleRule({ maxFiles: 1 }), sampleArtifact({ files: [sampleFile('a'), sampleFile('b')] }), 'policyFileCount'],
    ['as large a file as it allows', sampleRule({ maxFileBytes: 1000 }), sampleArtifact(), null],
    ['too large a file', sampleRule({ maxFileBytes: 999 }), sampleArtifact(), 'policyFileSize'],
    ['a namespace it does not know', sampleRule({ namespace: 'other' }), sampleArtifact(), 'policyDenied'],
    ['a label there', sampleRule({ namespace: 'other' }), latest, 'policyDenied'],
    ['a label where it has a rule', sampleRule(), latest, null],
    [
      'a removal anywhere',
      sampleRule({ namespace: 'other' }),
      { kind: 'RemoveArtifact', target: artifactTarget, reason: 'x', replaces: 1 },
      null,
    ],
  ];
  for (const [what, rule, claim, code] of table) {
    t.equal(chain.checkAgainstPolicy(sampleParameters({ policy: [rule] }), claim)?.code ?? null, code, what);
  }
});

t.test('parameters: each within its range, and fitting together', async (t) => {
  const { timeouts } = sampleParameters();
  t.equal(chain.checkParameters(sampleParameters()), null);
  const table: readonly (readonly [Partial<chain.Parameters>, RegExp])[] = [
    [{ protocolVersion: 0 }, /protocolVersion/],
    [{ heartbeatMs: 2 ** 31 }, /heartbeatMs/],
    [{ endorsementMs: 0 }, /endorsementMs/],
    [{ maxBlockBytes: chain.MAX_BLOCK_BYTES + 1 }, /maxBlockBytes/],
    [{ maxBlockBytes: chain.MAX_TRANSACTION_BYTES }, /maxBlockBytes: expected at least maxTransactionBytes/],
    [{ maxTransactionBytes: chain.MAX_TRANSACTION_BYTES + 1 }, /maxTransactionBytes/],
    [{ maxTransactionClaims: 0 }, /maxTransactionClaims/],
    [{ maxTransactionClaims: 20, maxBlockOperations: 10 }, /maxTransactionClaims/],
    [{ maxBlockOperations: 2001 }, /maxBlockOperations/],
    [{ maxEvidenceAgeBlocks: 0 }, /maxEvidenceAgeBlocks/],
    [{ timeouts: { ...timeouts, proposeMs: 0 } }, /proposeMs/],
    [{ timeouts: { ...timeouts, prevoteDeltaMs: 0 } }, /prevoteDeltaMs/],
    [{ timeouts: { ...timeouts, capMs: 999 } }, /proposeMs: expected 1 to capMs/],
    [{ timeouts: { ...timeouts, capMs: 2 ** 31 } }, /capMs/],
  ];
  for (const [change, reason] of table) t.match(chain.checkParameters(sampleParameters(change)), reason, JSON.stringify(change));
  const rules: readonly (readonly [string, readonly chain.PolicyRule[], RegExp])[] = [
    ['a namespace pattern that no grammar admits', [sampleRule({ namespace: 'de*mo' })], /namespace/],
    ['a pattern of nothing and an asterisk', [sampleRule({ namespace: '/*' })], /namespace/],
    ['a registry that its ecosystem has not', [sampleRule({ registry: 'example' })], /registry/],
    ['publishers out of order', [sampleRule({ publishers: [digestOf(2), digestOf(1)] })], /ascending/],
    ['a publisher twice', [sampleRule({ publishers: [digestOf(1), digestOf(1)] })], /ascending/],
    ['no source', [sampleRule({ publishers: [] })], /upstream or publishers/],
    ['an upstream for publications', [sampleRule({ upstream: 'central' })], /no upstream/],
    ['publishers for a mirror', [sampleRule({ verification: 'mirrored', upstream: 'central' })], /no publishers/],
    ['a hostile upstream', [sampleRule({ verification: 'mirrored', upstream: '../x', publishers: [] })], /upstream id/],
    ['no room for a file', [sampleRule({ maxFiles: 0 })], /maxFiles/],
    ['the same namespace twice', [sampleRule(), sampleRule()], /policy\[1\]: an earlier rule/],
  ];
  for (const [what, policy, reason] of rules) t.match(chain.checkParameters(sampleParameters({ policy })), reason, what);
});

function setOf(...members: readonly (readonly [id: number, key?: number])[]): chain.ValidatorSetRecord {
  return members.map(([id, key]) => ({ nodeId: digestOf(id), power: 1, consensusKey: filled(key ?? id) }));
}

t.test('a quorum is more than two thirds', async (t) => {
  for (const [signed, total, expected] of [
    [0, 0, false],
    [1, 1, true],
    [2, 3, false],
    [3, 4, true],
    [2, 4, false],
    [4, 6, false],
    [5, 7, true],
    [2 ** 51 - 1, 2 ** 51 - 1, true],
  ] as const) {
    t.equal(chain.hasQuorum(signed, total), expected, `${signed} of ${total}`);
  }
});

t.test('validator sets: sorted, distinct, with power', async (t) => {
  const set = chain.validatorSetFromNodes([4, 2, 3].map((id) => ({ ...node, nodeId: digestOf(id), consensusKey: filled(id) })));
  t.same(set, setOf([2], [3], [4]));
  t.equal(chain.checkSet(set), null);
  t.equal(chain.totalPower(set), 3);
  t.match(chain.findValidator(set, digestOf(3)), { index: 1, validator: { power: 1 } });
  t.equal(chain.findValidator(set, digestOf(5)), null);
  t.match(chain.toConsensusSet(set), [{ nodeId: '02'.repeat(32), power: 1 }, { nodeId: '03'.repeat(32) }, { nodeId: '04'.repeat(32) }]);
  t.match(chain.checkSet([]), /never empty/);
  t.match(chain.checkSet(setOf([2], [1])), /sorted/);
  t.match(chain.checkSet(setOf([1], [1, 2])), /sorted/);
  t.match(chain.checkSet(setOf([1, 9], [2, 9])), /share a consensus key/);
  t.match(chain.checkSet([{ nodeId: digestOf(1), power: 0, consensusKey: filled(1) }]), /no power/);
  t.match(chain.checkSet([{ nodeId: digestOf(1), power: 2 ** 51, consensusKey: filled(1) }]), /below 2\^51/);
});

t.test('neighbouring sets share two thirds of the larger; below four, one may change', async (t) => {
  const four = setOf([1], [2], [3], [4]);
  const table: readonly (readonly [string, chain.ValidatorSetRecord, chain.ValidatorSetRecord, boolean])[] = [
    ['no change', four, four, true],
    ['four to five', four, setOf([1], [2], [3], [4], [5]), true],
    ['four to six', four, setOf([1], [2], [3], [4], [5], [6]), true],
    ['four to seven', four, setOf([1], [2], [3], [4], [5], [6], [7]), false],
    ['four to three', four, setOf([1], [2], [3]), true],
    ['four to two', four, setOf([1], [2]), false],
    ['one of four replaced', four, setOf([1], [2], [3], [5]), true],
    ['one of four rotated', four, setOf([1], [2], [3], [4, 9]), true],
    ['two of four rotated', four, setOf([1], [2], [3, 8], [4, 9]), false],
    ['one to two', setOf([1]), setOf([1], [2]), true],
    ['two to one', setOf([1], [2]), setOf([1]), true],
    ['one to three', setOf([1]), setOf([1], [2], [3]), false],
    ['the one rotated', setOf([1]), setOf([1, 9]), true],
    ['the one replaced', setOf([1]), setOf([2]), false],
    ['one of two replaced', setOf([1], [2]), setOf([1], [3]), false],
    ['none left', setOf([1]), [], false],
  ];
  for (const [what, old, next, allowed] of table) t.equal(chain.checkSetChange(old, next) === null, allowed, what);
});
