/** The genesis document, key files and localnet folders: strict, private, never replaced. */

import { createHash, generateKeyPairSync } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { publicKeyFromRaw } from '@libp2p/crypto/keys';
import { peerIdFromPublicKey } from '@libp2p/peer-id';
import t from 'tap';
import { checkAgainstPolicy, compareBytes, digestToHex, encode, type NodeRecord, ruleFor } from '../../chain/index.ts';
import {
  chainIdOf,
  checkGenesis,
  DEFAULT_PARAMETERS,
  describeGenesis,
  type GenesisDocument,
  generateNodeKeys,
  genesisDocument,
  loadGenesis,
  loadNodeKeys,
  localnetPolicy,
  nodeRecordOf,
  packedPorts,
  parseGenesis,
  peerIdOfKey,
  publicKeysOf,
  saveFreshKeys,
  saveGenesis,
  saveNodeKeys,
  standardPorts,
  writeLocalnet,
} from '../../genesis/index.ts';

function documentOf(changes: Partial<GenesisDocument> = {}): GenesisDocument {
  const nodes = ['a', 'b']
    .map((name) => nodeRecordOf(generateNodeKeys(), name))
    .sort((left, right) => compareBytes(left.nodeId, right.nodeId));
  const parameters = { ...DEFAULT_PARAMETERS, policy: localnetPolicy(nodes.map((node) => node.nodeId)) };
  return { version: 1, name: 'test', timeMs: 1_700_000_000_000, parameters, nodes, ...changes };
}

const SMALL_ORDER = Uint8Array.from({ length: 32 }, (_, index) => (index === 0 ? 1 : 0));

t.test('the chain id is the SHA-256 of the canonical bytes, and these are the file', async (t) => {
  const document = documentOf();
  t.equal(checkGenesis(document), null);
  const path = join(t.testdir(), 'genesis.cbor');
  await saveGenesis(path, document);
  const data = await readFile(path);
  t.equal(digestToHex(chainIdOf(document)), createHash('sha256').update(data).digest('hex'));
  t.same(await loadGenesis(path), document);
  t.equal(describeGenesis(document).chainId, `sha256:${digestToHex(chainIdOf(document))}`);
  t.doesNotThrow(() => JSON.stringify(describeGenesis(document)));
  await t.rejects(saveGenesis(path, document), { code: 'exists' });
});

t.test('a document that can begin no network is refused with the reason', async (t) => {
  const good = documentOf();
  const [first, second] = good.nodes as readonly [NodeRecord, NodeRecord];
  const withNodes = (...nodes: readonly NodeRecord[]): GenesisDocument => ({ ...good, nodes });
  const withParameters = (changes: Partial<GenesisDocument['parameters']>): GenesisDocument => ({
    ...good,
    parameters: { ...good.parameters, ...changes },
  });
  const refused: readonly (readonly [string, GenesisDocument, RegExp])[] = [
    ['another version', { ...good, version: 2 }, /expected genesis version 1, got 2/],
    ['no name', { ...good, name: '' }, /expected a name/],
    ['no time', { ...good, timeMs: 0 }, /expected a time/],
    ['no nodes', withNodes(), /at least one node/],
    ['nodes out of order', withNodes(second, first), /in order of nodeId/],
    ['a node twice', withNodes(first, first), /in order of nodeId/],
    ['two nodes of one name', withNodes(first, { ...second, name: first.name }), /two nodes are called/],
    ['a foreign node id', withNodes({ ...first, nodeId: second.nodeId }), /nodeId is not the digest/],
    ['one key for two uses', withNodes({ ...first, consensusKey: first.networkKey }), /distinct/],
    ["another node's key", withNodes(first, { ...second, checkpointKey: first.checkpointKey }), /checkpointKey is also checkpointKey of/],
    ['a key of small order', withNodes({ ...first, consensusKey: SMALL_ORDER }), /small order/],
    ['a key that is no point', withNodes({ ...first, consensusKey: new Uint8Array(32).fill(255) }), /canonical point/],
    ['no heartbeat', withParameters({ heartbeatMs: 0 }), /heartbeatMs/],
    ['a block above the limit', withParameters({ maxBlockBytes: 2 ** 31 }), /maxBlockBytes/],
    ['timeouts that never grow', withParameters({ timeouts: { ...good.parameters.timeouts, prevoteDeltaMs: 0 } }), /prevoteDeltaMs/],
  ];
  for (const [what, document, reason] of refused) t.match(checkGenesis(document), reason, what);
});

t.test('damaged bytes are refused, whichever bit was flipped', async (t) => {
  const document = documentOf();
  const data = encode(genesisDocument, document);
  const id = digestToHex(chainIdOf(document));
  t.throws(() => parseGenesis(data.subarray(0, -1), { path: 'g' }), { code: 'damaged-genesis', message: /^g is no genesis document/ });
  t.throws(() => parseGenesis(new Uint8Array([...data, 0]), { path: 'g' }), { code: 'damaged-genesis' });
  t.throws(() => parseGenesis(new Uint8Array(), { path: 'g' }), { code: 'damaged-genesis' });
  let taken = 0;
  for (let index = 0; index < data.length; index += 7) {
    const flipped = Uint8Array.from(data);
    flipped[index] = (flipped[index] ?? 0) ^ 0x10;
    try {
      if (digestToHex(chainIdOf(parseGenesis(flipped, { path: 'g' }))) === id) t.fail(`byte ${index}: other bytes, same chain`);
      taken += 1;
    } catch (error) {
      if (!['damaged-genesis', 'invalid-genesis'].includes((error as { code: string }).code)) throw error;
    }
  }
  t.ok(taken < data.length / 14, 'most flips are no document at all; the others begin another chain');
  await t.rejects(loadGenesis(join(t.testdir(), 'absent.cbor')), { code: 'missing', message: /cairn genesis localnet/ });
});

t.test('keys are 0600 in a folder 0700, come back as they were, and are never replaced', async (t) => {
  const folder = join(t.testdir(), 'keys');
  const keys = generateNodeKeys();
  await saveNodeKeys(folder, keys);
  t.equal((await stat(folder)).mode & 0o777, 0o700);
  for (const name of await readdir(folder)) t.equal((await stat(join(folder, name))).mode & 0o777, 0o600, name);
  t.same(await loadNodeKeys(folder), keys);
  await t.rejects(saveNodeKeys(folder, generateNodeKeys()), { code: 'exists' });
  t.same(await loadNodeKeys(folder), keys);
});

t.test('fresh keys come with an empty sign state; one that is there stays, and none is made beside keys or a chain that are', async (t) => {
  const root = t.testdir({ signed: { 'sign-state': 'x' }, chain: { chain: {} }, wal: { wal: {} } });
  const at = (name: string): string => join(root, name);
  await saveFreshKeys(at('new'), generateNodeKeys());
  const made = await stat(join(at('new'), 'sign-state'));
  t.same([made.size, made.mode & 0o777], [0, 0o600]);
  await saveFreshKeys(at('signed'), generateNodeKeys());
  t.equal(await readFile(join(at('signed'), 'sign-state'), 'utf8'), 'x');
  for (const name of ['chain', 'wal']) {
    await t.rejects(saveFreshKeys(at(name), generateNodeKeys()), { code: 'exists', message: /a node has run here/ });
    t.same(await readdir(at(name)), [name]);
  }
  await saveNodeKeys(join(at('lost'), 'keys'), generateNodeKeys());
  await t.rejects(saveFreshKeys(at('lost'), generateNodeKeys()), { code: 'exists', message: /a key is never replaced/ });
  t.same(await readdir(at('lost')), ['keys'], 'a lost sign state is not made up');
});

t.test('keys that others could read, or that are damaged, are refused with what to do', async (t) => {
  const make = async (name: string): Promise<string> => {
    const folder = join(t.testdirName, name);
    await saveNodeKeys(folder, generateNodeKeys());
    return folder;
  };
  t.testdir();
  const open = await make('open');
  await chmod(join(open, 'consensus.pem'), 0o640);
  await t.rejects(loadNodeKeys(open), { code: 'keys-readable-by-others', message: /run 'chmod 600 .*consensus\.pem'/ });
  const wide = await make('wide');
  await chmod(wide, 0o755);
  await t.rejects(loadNodeKeys(wide), { code: 'keys-readable-by-others', message: /run 'chmod 700/ });
  const damaged = await make('damaged');
  await writeFile(join(damaged, 'network.pem'), '-----BEGIN PRIVATE KEY-----\nxx\n');
  await t.rejects(loadNodeKeys(damaged), { code: 'damaged-key', message: /no PEM private key/ });
  const other = await make('other');
  await writeFile(join(other, 'network.pem'), generateKeyPairSync('x25519').privateKey.export({ format: 'pem', type: 'pkcs8' }));
  await t.rejects(loadNodeKeys(other), { code: 'damaged-key', message: /expected an Ed25519 key, got x25519/ });
  await t.rejects(loadNodeKeys(join(t.testdirName, 'absent')), { code: 'missing', message: /cairn keys new/ });
});

t.test('the peer id of a key is what libp2p makes of it', async (t) => {
  const { network } = publicKeysOf(generateNodeKeys());
  t.equal(peerIdOfKey(network), peerIdFromPublicKey(publicKeyFromRaw(network)).toString());
});

t.test("a localnet's authorities, and they alone, may publish below generic/demo", async (t) => {
  const nodes = documentOf().nodes;
  const policy = localnetPolicy(nodes.map((node) => node.nodeId));
  const at = (namespace: string) => ({ ecosystem: 'generic', registry: '', namespace, name: 'x', version: '1' }) as const;
  t.ok(ruleFor(policy, at('demo')));
  t.ok(ruleFor(policy, at('demo/deep/er')));
  t.equal(ruleFor(policy, at('other')), null);
  t.equal(ruleFor(policy, at('demolition')), null);
  const claim = (nodeId: NodeRecord['nodeId']) =>
    ({
      kind: 'AddArtifact',
      coordinates: at('demo'),
      files: [],
      source: { kind: 'publisher', nodeId },
      dependencies: [],
      verification: 'published',
      replaces: null,
    }) as const;
  const parameters = { ...DEFAULT_PARAMETERS, policy };
  const [first] = nodes as readonly [NodeRecord];
  t.equal(checkAgainstPolicy(parameters, claim(first.nodeId)), null);
  t.match(checkAgainstPolicy(parameters, claim(nodeRecordOf(generateNodeKeys(), 'x').nodeId)), { code: 'policySource' });
});

t.test('a localnet is written whole: one genesis, own keys, tokens, ports and peers', async (t) => {
  const outDir = join(t.testdir(), 'net');
  const localnet = await writeLocalnet({ outDir, authorities: 4, mirrors: 2, portsOf: standardPorts, timeMs: 1_700_000_000_000 });
  t.same(
    localnet.nodes.map(({ name, role, ports }) => [name, role, ports.http, ports.admin, ports.p2p, ports.metrics]),
    [
      ['node1', 'authority', 7888, 7889, 44_000, 9464],
      ['node2', 'authority', 7898, 7899, 44_001, 9465],
      ['node3', 'authority', 7908, 7909, 44_002, 9466],
      ['node4', 'authority', 7918, 7919, 44_003, 9467],
      ['mirror1', 'mirror', 7928, 7929, 44_004, 9468],
      ['mirror2', 'mirror', 7938, 7939, 44_005, 9469],
    ],
  );
  const secrets = new Set<string>();
  for (const node of localnet.nodes) {
    const document = await loadGenesis(join(node.dataDir, 'genesis.cbor'));
    t.same(chainIdOf(document), localnet.chainId, `${node.name} has the same genesis`);
    const keys = publicKeysOf(await loadNodeKeys(join(node.dataDir, 'keys')));
    t.equal(peerIdOfKey(keys.network), node.peerId);
    const record = document.nodes.find((one) => one.name === node.name);
    t.equal(record !== undefined, node.role === 'authority', `${node.name} is in the set if it is an authority`);
    if (record !== undefined) t.same(record.consensusKey, keys.consensus);
    const isAuthority = node.role === 'authority';
    t.equal((await readdir(node.dataDir)).includes('publish-token'), isAuthority, `${node.name} publishes if it is an authority`);
    for (const file of isAuthority ? ['admin-token', 'publish-token'] : ['admin-token']) {
      t.equal((await stat(join(node.dataDir, file))).mode & 0o777, 0o600);
      secrets.add(await readFile(join(node.dataDir, file), 'utf8'));
    }
    const config = await readFile(join(node.dataDir, 'cairn.toml'), 'utf8');
    t.notMatch(config, new RegExp(`/p2p/${node.peerId}`), 'a node is not its own peer');
    for (const other of localnet.nodes.filter((one) => one.role === 'authority' && one !== node)) t.ok(config.includes(other.address));
  }
  t.equal(secrets.size, 10, 'every token is its own');
  t.same(await readdir(join(outDir, '..')), ['net'], 'nothing else is left behind');
});

t.test('a localnet is not written where it could not run, or over something', async (t) => {
  const folder = t.testdir({ full: { file: 'x' }, file: 'x' });
  const write = (changes: Partial<Parameters<typeof writeLocalnet>[0]>) =>
    writeLocalnet({ outDir: join(folder, 'net'), authorities: 1, mirrors: 0, portsOf: standardPorts, timeMs: 1, ...changes });
  await t.rejects(write({ outDir: join(folder, 'full') }), { code: 'exists', message: /not empty: choose another folder with --out/ });
  await t.rejects(write({ outDir: join(folder, 'file') }), { code: 'exists' });
  await t.rejects(write({ authorities: 0 }), { code: 'bad-option', message: /1 to 64 authorities/ });
  await t.rejects(write({ portsOf: packedPorts(65_534) }), { code: 'bad-option', message: /port 65536 does not exist/ });
  await t.rejects(write({ portsOf: packedPorts(80) }), { code: 'bad-option', message: /port 80 is the system's/ });
  await t.rejects(write({ portsOf: () => standardPorts(0), mirrors: 1 }), { code: 'bad-option', message: /used twice/ });
  await t.rejects(write({ parameters: { heartbeatMs: 0 } }), { code: 'bad-option', message: /heartbeatMs/ });
  await t.rejects(write({ name: 'No Name' }), { code: 'bad-option' });
  t.same((await readdir(folder)).sort(), ['file', 'full'], 'nothing is left behind');
  await mkdir(join(folder, 'empty'));
  await t.resolves(write({ outDir: join(folder, 'empty') }));
});
