/** The state fold: what each operation makes of the state, and a table of every reason to refuse one. SPEC §4. */

import t from 'tap';
import {
  applyOperations,
  artifactOf,
  type ChainView,
  type Claim,
  type Consent,
  compareBytes,
  isBanned,
  nodeOf,
  type OperationRefusalCode,
  parametersAt,
  parametersOf,
  setsOf,
  validatorSetAt,
} from '../../chain/index.ts';
import {
  coordinatesOf,
  digestOf,
  fileOf,
  nodeNamed,
  parametersWith,
  sha256,
  TestNetwork,
  type TestNode,
  withKeyOf,
} from './state-fixture.ts';

const network = new TestNetwork();
const [node0, node1] = network.nodes as [TestNode, TestNode, TestNode, TestNode];
const start = network.view();

/** A state with a live artifact (height 1), a removed one (2), a banned file (3), a lifted ban (4, 5) and a name (6). */
const seeded = [
  [network.artifact('live')],
  [network.artifact('gone')],
  [removeArtifact('gone', 2), banFile('poison', null), banFile('pardoned', null)],
  [liftBan('pardoned', 3)],
  [setName('latest', '1.0', null)],
].reduce<ChainView>((view, claims) => network.after(view, claims as Claim[]), start);

function removeArtifact(name: string, replaces: number | null): Claim {
  return { kind: 'RemoveArtifact', target: { kind: 'artifact', coordinates: coordinatesOf(name) }, reason: 'malware', replaces };
}

function banFile(content: string, replaces: number | null): Claim {
  return { kind: 'RemoveArtifact', target: { kind: 'file', sha256: digestOf(content) }, reason: 'malware', replaces };
}

function liftBan(content: string, replaces: number | null): Claim {
  return { kind: 'LiftBan', sha256: digestOf(content), reason: 'a mistake', replaces };
}

function setName(label: string, version: string, replaces: number | null): Claim {
  const { ecosystem, registry, namespace, name } = coordinatesOf('live');
  return { kind: 'SetName', ecosystem, registry, namespace, name, label, target: coordinatesOf('live', version), replaces };
}

const addNode = (node: TestNode, replaces: number | null = null): Claim => ({ kind: 'AddNode', node: node.record, replaces });
const removeNode = (node: TestNode, replaces: number | null = 0): Claim => ({
  kind: 'RemoveNode',
  nodeId: node.record.nodeId,
  reason: 'it left',
  replaces,
});
const rotate = (node: TestNode, other: TestNode, use: 'network' | 'consensus' | 'checkpoint' = 'consensus'): Claim => ({
  kind: 'RotateKey',
  nodeId: node.record.nodeId,
  use,
  publicKey: other.record[`${use}Key`],
  replaces: 0,
});
const setParams = (changes: object, atHeight: number | null = null): Claim => ({
  kind: 'SetParams',
  parameters: { ...network.parameters, ...changes },
  atHeight,
  replaces: 0,
});

const newcomer = nodeNamed('newcomer');
const spare = nodeNamed('spare');

const refused: readonly (readonly [string, readonly Claim[], OperationRefusalCode])[] = [
  ['a second operation about one key', [network.artifact('a'), network.artifact('a')], 'keyTwiceInBlock'],
  [
    'an artifact outside the policy',
    [network.artifact('a', { coordinates: { ...coordinatesOf('a'), namespace: 'other' } })],
    'policyDenied',
  ],
  [
    'a publisher the policy does not name',
    [network.artifact('a', { source: { kind: 'publisher', nodeId: digestOf('x') } })],
    'policySource',
  ],
  ['a live artifact again', [network.artifact('live')], 'artifactExists'],
  ['a live artifact again, though `replaces` names it', [network.artifact('live', { replaces: 1 })], 'artifactExists'],
  ['a removed artifact as if it were new', [network.artifact('gone')], 'staleReplaces'],
  ['a removed artifact by its old height', [network.artifact('gone', { replaces: 2 })], 'staleReplaces'],
  ['a new artifact that replaces something', [network.artifact('a', { replaces: 1 })], 'staleReplaces'],
  ['an artifact with a banned file', [network.artifact('a', { files: [fileOf('clean'), fileOf('poison')] })], 'fileBanned'],
  ['a file banned by an earlier operation of the block', [banFile('a', null), network.artifact('a')], 'fileBanned'],
  ['removing what never was', [removeArtifact('never', null)], 'artifactUnknown'],
  ['removing twice', [removeArtifact('gone', 3)], 'artifactRemoved'],
  ['removing a live artifact by a wrong height', [removeArtifact('live', 2)], 'staleReplaces'],
  ['banning twice', [banFile('poison', 3)], 'fileBanned'],
  ['banning again by a stale height', [banFile('pardoned', 3)], 'staleReplaces'],
  ['lifting a ban that never was', [liftBan('clean', null)], 'fileNotBanned'],
  ['lifting a ban twice', [liftBan('pardoned', 4)], 'fileNotBanned'],
  [
    'a name for what is removed',
    [{ ...setName('x', '1.0', null), name: 'gone', target: coordinatesOf('gone') } as Claim],
    'nameTargetNotLive',
  ],
  ['a name for what never was', [setName('x', '9.9', null)], 'nameTargetNotLive'],
  ['a name that says what it said', [setName('latest', '1.0', 5)], 'nameUnchanged'],
  ['a node that is authorized', [addNode(node0, 0)], 'nodeExists'],
  ['a node id that is not of its key', [addNode({ ...newcomer, record: { ...newcomer.record, nodeId: digestOf('x') } })], 'nodeIdMismatch'],
  ['a node with a key of another', [addNode(withKeyOf(newcomer, 'consensus', node1))], 'keyInUse'],
  [
    'a key of one use for another',
    [rotate(node0, { ...spare, record: { ...spare.record, consensusKey: node1.record.networkKey } })],
    'keyInUse',
  ],
  ['removing an unknown node', [removeNode(newcomer, null)], 'nodeUnknown'],
  ['a key for an unknown node', [rotate(newcomer, spare)], 'nodeUnknown'],
  ['removing a node by a wrong height', [removeNode(node0, 3)], 'staleReplaces'],
  ['two of four leaving at once', [removeNode(node0), removeNode(node1)], 'setChangeTooGreat'],
  ['parameters for a height that has passed', [setParams({}, 6)], 'parametersHeight'],
  ['a new version at once', [setParams({ protocolVersion: 2 })], 'protocolVersion'],
  ['a new version without notice', [setParams({ protocolVersion: 2 }, 7)], 'protocolVersion'],
  ['an older version', [setParams({ protocolVersion: 0 }, 20)], 'protocolVersion'],
  ['parameters that replace others', [{ ...setParams({}), replaces: null } as Claim], 'staleReplaces'],
];

t.test('operations that do not fit the state are refused by name', async (t) => {
  for (const [what, claims, code] of refused) {
    const result = applyOperations(seeded.state, seeded.height + 1, [{ claims: [network.artifact('filler')] }, { claims }], sha256);
    t.equal(result.ok ? 'accepted' : result.refusal.code, code, what);
    if (!result.ok) t.same([result.refusal.transactionIndex, result.refusal.claimIndex], [1, claims.length - 1], `${what}: the place`);
  }
});

t.test('AddArtifact, RemoveArtifact: a removed version comes back only over its tombstone', async (t) => {
  const again = network.after(seeded, [network.artifact('gone', { replaces: 3 })]);
  t.match(artifactOf(again.state, coordinatesOf('gone')), { kind: 'artifact', height: 6 });
  t.match(
    artifactOf(seeded.state, coordinatesOf('gone')),
    { kind: 'tombstone', height: 3, reason: 'malware' },
    'the old view stays as it was',
  );
});

t.test('RemoveArtifact of a file bans it until LiftBan, and again over that', async (t) => {
  t.ok(isBanned(seeded.state, digestOf('poison')));
  t.notOk(isBanned(seeded.state, digestOf('pardoned')));
  t.ok(isBanned(network.after(seeded, [banFile('pardoned', 4)]).state, digestOf('pardoned')));
});

t.test('SetName moves when it names the record it supersedes', async (t) => {
  const wider = network.after(seeded, [network.artifact('live', { coordinates: coordinatesOf('live', '2.0'), files: [fileOf('two')] })]);
  const moved = network.after(wider, [setName('latest', '2.0', 5)]);
  t.match(moved.state.get('name|generic||demo/x|live|latest'), { kind: 'name', height: 7, target: coordinatesOf('live', '2.0') });
});

t.test('claims of one block see what those before them did', async (t) => {
  const view = network.after(start, [network.artifact('live'), setName('latest', '1.0', null)]);
  t.equal(view.height, 1);
  const result = applyOperations(start.state, 1, [{ claims: [setName('latest', '1.0', null), network.artifact('live')] }], sha256);
  t.equal(result.ok ? 'accepted' : result.refusal.code, 'nameTargetNotLive', 'and nothing of those after');
});

const ids = (set: ReturnType<typeof validatorSetAt>): string[] => set.map(({ nodeId }) => Buffer.from(nodeId).toString('hex'));

t.test('sets decided in H are in force at H + 2', async (t) => {
  const claim = addNode(newcomer);
  const consents: Consent[] = [network.consent(claim, newcomer)];
  const added = network.after(start, [claim], consents);
  t.equal(validatorSetAt(added, 1).length, 4);
  t.equal(validatorSetAt(added, 2).length, 4);
  t.equal(validatorSetAt(added, 3).length, 5);
  t.same(ids(validatorSetAt(added, 3)), [...ids(validatorSetAt(added, 3))].sort(), 'sorted by node id');
  const next = network.after(added, []);
  t.same([setsOf(next.state).current.length, setsOf(next.state).next.length, setsOf(next.state).afterNext.length], [4, 5, 5]);
  const settled = network.after(next, [], [], [...network.nodes, newcomer]);
  t.same(
    Object.values(setsOf(settled.state))
      .slice(-3)
      .map((set) => (set as unknown[]).length),
    [5, 5, 5],
  );
  t.throws(() => validatorSetAt(start, 3), RangeError);
});

t.test('RemoveNode keeps the record, and AddNode brings the node back over it', async (t) => {
  const removed = network.after(start, [removeNode(node0)]);
  t.match(nodeOf(removed.state, node0.record.nodeId), { active: false, height: 1 });
  t.equal(validatorSetAt(removed, 3).length, 3);
  const early = applyOperations(removed.state, 2, [{ claims: [addNode(node0, 1)] }], sha256);
  t.equal(early.ok ? 'accepted' : early.refusal.code, 'keyInUse', 'while its key still votes it cannot come back');
  const settled = network.after(network.after(removed, []), []);
  const others = network.nodes.slice(1);
  const claim = addNode(node0, 1);
  const back = network.after(settled, [claim], [network.consent(claim, node0)], others);
  t.match(nodeOf(back.state, node0.record.nodeId), { active: true, height: 4 });
  t.equal(validatorSetAt(back, 6).length, 4);
});

t.test('RotateKey of the consensus key is in force at H + 2, of another at once', async (t) => {
  const rotated = network.after(
    start,
    [rotate(node0, spare)],
    [network.consent(rotate(node0, spare), withKeyOf(node0, 'consensus', spare), ['consensus'])],
  );
  const keyAt = (height: number): Uint8Array | undefined =>
    validatorSetAt(rotated, height).find(({ nodeId }) => compareBytes(nodeId, node0.record.nodeId) === 0)?.consensusKey;
  t.same(keyAt(2), node0.record.consensusKey);
  t.same(keyAt(3), spare.record.consensusKey);
  t.same(nodeOf(rotated.state, node0.record.nodeId)?.node.consensusKey, spare.record.consensusKey);
  const claim = rotate(node0, spare, 'network');
  const network2 = network.after(start, [claim], [network.consent(claim, withKeyOf(node0, 'network', spare), ['network'])]);
  t.same(nodeOf(network2.state, node0.record.nodeId)?.node.nodeId, node0.record.nodeId, 'the id stays for ever');
  t.same(setsOf(network2.state), setsOf(start.state));
});

t.test('SetParams without a height is in force from the next block, with one from that block on', async (t) => {
  const faster = parametersWith([], { heartbeatMs: 1000, policy: network.parameters.policy });
  const now = network.after(start, [{ kind: 'SetParams', parameters: faster, atHeight: null, replaces: 0 }]);
  t.equal(parametersAt(start.state, 1).heartbeatMs, 600_000);
  t.equal(parametersOf(now).heartbeatMs, 1000);
  let view = network.after(start, [{ kind: 'SetParams', parameters: faster, atHeight: 4, replaces: 0 }]);
  t.equal(parametersOf(view).heartbeatMs, 600_000);
  t.equal(parametersAt(view.state, 4).heartbeatMs, 1000);
  view = network.after(network.after(view, []), []);
  t.equal(view.height, 3);
  t.match(view.state.get('parameters'), { pending: { atHeight: 4 } });
  t.equal(parametersOf(view).heartbeatMs, 1000, 'block 4 obeys them');
  view = network.after(view, []);
  t.match(view.state.get('parameters'), { pending: null, height: 1, parameters: { heartbeatMs: 1000 } });
});
