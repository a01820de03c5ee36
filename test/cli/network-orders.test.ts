/** `cairn authorize`, `params`, `evidence` and the keys that go with them, as people and scripts meet them. */

import { cp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { loadGenesis } from '../../genesis/index.ts';
import type { MemberStatus } from '../../src/operations.ts';
import { parseConsentNote } from '../../src/orders/consent-note.ts';
import { nodeWith } from './doubled-node.ts';
import { cairn } from './run-cairn.ts';

t.test('authorize marks by name or consent, warns on standard error, and a refusal is exit code 4', async (t) => {
  const { dataDir, calls } = await nodeWith(t);
  const authorize = (...args: readonly string[]) => cairn(['authorize', ...args, '--data', dataDir]);
  t.match(await authorize('remove', 'node4', '--reason', 'moved away'), {
    code: 0,
    stdout: /node4 is marked on this node \(k\); marked by 1 of 4/,
    stderr: 'warning: three are left\n',
  });
  const consent = `cairn-consent-1.${'A'.repeat(40)}`;
  const file = join(dataDir, 'consent.txt');
  await writeFile(file, `# of node5\n${consent}\n`);
  t.match(await authorize('add', file, '--json'), { code: 0, stdout: /"kind": "marked"/ });
  await authorize('rotate', consent);
  t.match(await authorize('add', 'refused'), { code: 4, stderr: 'cairn: no such node\n' });
  t.match(await authorize('add', join(dataDir, 'cairn.toml')), { code: 2, stderr: /holds no consent/ });
  t.match(await authorize('remove', 'node4', '--undo'), { code: 0, stdout: /no longer marked/ });
  t.same(calls, [
    ['authorize', { order: 'remove', target: 'node4', reason: 'moved away' }],
    ['authorize', { order: 'add', target: consent, reason: null }],
    ['authorize', { order: 'rotate', target: consent, reason: null }],
    ['authorize', { order: 'add', target: 'refused', reason: null }],
    ['unmark', 'node4'],
  ]);
});

t.test('authorize list shows three sets and what waits, and never what would steer a terminal', async (t) => {
  const { dataDir } = await nodeWith(t);
  const { code, stdout } = await cairn(['authorize', 'list', '--data', dataDir]);
  t.equal(code, 0);
  t.match(stdout, /^name +height 7 +height 8 +height 9 +node id/);
  t.match(stdout, /node1 \(this\) +yes +yes +yes/);
  t.match(stdout, /add node5\\u001b\[31m +node1 +yes/);
  t.match(JSON.parse((await cairn(['authorize', 'list', '--json', '--data', dataDir])).stdout), { height: 7, own: { name: 'node1' } });
});

t.test('params propose changes what is named and leaves the rest; params show prints all of it', async (t) => {
  const { dataDir, calls } = await nodeWith(t);
  const params = (...args: readonly string[]) => cairn(['params', ...args, '--data', dataDir]);
  t.match(await params('show'), { code: 0, stdout: /timeouts\.proposeMs +3000[\s\S]*written at height 0\n\nnothing waits for marks/ });
  const policy = join(dataDir, 'policy.json');
  await writeFile(policy, '[{"namespace": "demo"}]');
  const given = ['--set', 'timeouts.proposeMs=900', '--set', 'removeGuilty=true', '--policy', policy, '--at-height', '50'];
  t.match(await params('propose', ...given), { code: 0, stdout: 'the proposal: decided at height 9, in force from height 50 on\n' });
  t.same(calls.at(-1), [
    'propose',
    { heartbeatMs: 600_000, timeouts: { proposeMs: 900 }, removeGuilty: true, policy: [{ namespace: 'demo' }] },
    50,
  ]);
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /expected --set KEY=VALUE or --policy FILE/],
    [['--set', 'heartBeat=1'], /unknown parameter heartBeat/],
    [['--set', 'heartbeatMs.x=1'], /heartbeatMs has no parts/],
    [['--policy', join(dataDir, 'absent')], /can't be read/],
    [['--policy', join(dataDir, 'cairn.toml')], /no JSON/],
  ];
  for (const [args, message] of wrong) t.match(await params('propose', ...args), { code: 2, stderr: message }, args.join(' '));
  t.match(await params('propose', '--undo'), { code: 0 });
  t.same(calls.at(-1), ['unmark', 'parameters']);
});

t.test('evidence is listed, a page at a time', async (t) => {
  const { dataDir, calls } = await nodeWith(t);
  t.match(await cairn(['evidence', '--data', dataDir]), { code: 0, stdout: /node1 +prevote +3 +0 +4 +authority +a{64}/ });
  t.match(JSON.parse((await cairn(['evidence', '--json', '--limit', '5', '--after', 'x', '--data', dataDir])).stdout), [{ key: 'e' }]);
  t.same(calls, [
    ['evidence', { after: null, limit: 100 }],
    ['evidence', { after: 'x', limit: 5 }],
  ]);
  const none = await nodeWith(t, { operations: { evidence: async () => [] } });
  t.match(await cairn(['evidence', '--data', none.dataDir]), { code: 0, stdout: 'no evidence is on the chain\n' });
});

t.test('keys consent needs no running node, prints one line, and shows no private key', async (t) => {
  const out = join(t.testdir(), 'net');
  await cairn(['genesis', 'localnet', '--authorities', '1', '--mirrors', '1', '--out', out, '--base-port', '20000']);
  const dataDir = join(out, 'mirror1');
  const { code, stdout, stderr } = await cairn(['keys', 'consent', '--data', dataDir]);
  t.equal(code, 0);
  t.match(stdout, /^cairn-consent-1\.[\w-]+\n$/);
  t.match(stderr, /consents as a newcomer called mirror1/);
  t.match(parseConsentNote(stdout.trim()), { claim: { kind: 'AddNode', node: { name: 'mirror1' }, replaces: null } });
  const json = JSON.parse((await cairn(['keys', 'consent', '--name', 'node5', '--replaces', '12', '--json', '--data', dataDir])).stdout);
  t.match(json, { name: 'node5', replaces: 12 });
  t.match(parseConsentNote(json.consent), { claim: { node: { name: 'node5' }, replaces: 12 } });
  t.match(await cairn(['keys', 'consent', '--name', 'Node 5', '--data', dataDir]), { code: 2, stderr: /node name: expected lower-case/ });
  t.match(await cairn(['keys', 'rotate', '--use', 'network', '--data', dataDir]), { code: 3, stderr: /cairn start/ });
  t.notOk((await readdir(join(dataDir, 'keys'))).includes('network.next.pem'), 'no key is made for a node that is not there');
});

t.test('keys rotate makes one new key beside the old one, marks it, and prints its consent', async (t) => {
  let own: MemberStatus | null = null;
  const { dataDir, calls } = await nodeWith(t, {
    operations: { members: async () => ({ height: 7, sets: [], nodes: [], waiting: [], own }) },
  });
  const out = join(dataDir, 'net');
  await cairn(['genesis', 'localnet', '--authorities', '1', '--mirrors', '0', '--out', out, '--base-port', '20000']);
  const home = join(out, 'node1');
  const [node] = (await loadGenesis(join(home, 'genesis.cbor'))).nodes;
  const hex = (key: Uint8Array | undefined): string => Buffer.from(key ?? []).toString('hex');
  const keys = { network: hex(node?.networkKey), consensus: hex(node?.consensusKey), checkpoint: hex(node?.checkpointKey) };
  own = { nodeId: hex(node?.nodeId), name: 'node1', peerId: 'p', active: true, recordHeight: 3, keys };
  await cp(join(home, 'keys'), join(dataDir, 'keys'), { recursive: true });
  await cp(join(home, 'genesis.cbor'), join(dataDir, 'genesis.cbor'));
  const rotate = (): ReturnType<typeof cairn> => cairn(['keys', 'rotate', '--use', 'consensus', '--data', dataDir]);
  const first = await rotate();
  t.match(first, { code: 0, stdout: /^cairn-consent-1\.[\w-]+\n$/, stderr: /the new consensus key is marked on this node/ });
  const next = join(dataDir, 'keys', 'consensus.next.pem');
  t.equal((await stat(next)).mode & 0o777, 0o600);
  const made = await readFile(next, 'utf8');
  const note = parseConsentNote(first.stdout.trim());
  t.match(note, { claim: { kind: 'RotateKey', use: 'consensus', replaces: 3 } });
  t.match(calls.at(-1), ['authorize', { order: 'rotate', target: first.stdout.trim() }]);
  t.equal((await rotate()).stdout, first.stdout, 'given again it is the same key');
  t.equal(await readFile(next, 'utf8'), made);
});
