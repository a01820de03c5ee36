/** The rules that need no state: policy, parameters and validator sets. SPEC §3.4, §4, §8. */

import t from 'tap';
import * as chain from '../../chain/index.ts';
import {
  digestOf,
  filled,
  sampleArtifact,
  sampleCoordinates,
  sampleFile,
  sampleName,
  sampleParameters,
  sampleRule,
} from './arbitraries.ts';

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
    ['a label there', sampleRule({ namespace: 'other' }), sampleName, 'policyDenied'],
    ['a label where it has a rule', sampleRule(), sampleName, null],
    [
      'a removal anywhere',
      sampleRule({ namespace: 'other' }),
      { kind: 'RemoveArtifact', target: { kind: 'artifact', coordinates: sampleCoordinates() }, reason: 'x', replaces: 1 },
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
  const set = chain.validatorSetFromNodes(
    [4, 2, 3].map((id) => ({
      nodeId: digestOf(id),
      name: `authority-${id}`,
      networkKey: filled(id + 10),
      consensusKey: filled(id),
      checkpointKey: filled(id + 20),
    })),
  );
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
