/** The configuration: one table for file, environment and flags, and edits of cairn.toml that keep what a person wrote. */

import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import {
  CONFIG_KEYS,
  ConfigError,
  type ConfigKey,
  checkAgainstNetwork,
  environmentNameOf,
  flagNameOf,
  loadConfig,
  nearestName,
  removeConfigText,
  resolveConfig,
  SETTINGS,
  saveConfigText,
  setConfigText,
} from '../src/config/index.ts';

const PEER = '/p2p/12D3KooWHdiAxVd8uMQR1hGWXccidmfCwLqcMpGwR6QcTP6QRMuD';

interface Given {
  readonly file?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly flags?: Readonly<Record<string, string>>;
}

function resolve({ file, environment = {}, flags = {} }: Given): ReturnType<typeof resolveConfig> {
  return resolveConfig({ file: file ?? null, path: 'cairn.toml', environment, flags });
}

t.test('every default is a value that its own setting allows, and every key says what it means', async (t) => {
  for (const key of CONFIG_KEYS) {
    const value = SETTINGS[key].default;
    const file = value === null ? '' : setConfigText('', key, Array.isArray(value) ? value.join(',') : String(value), 'cairn.toml');
    t.same(resolve({ file }).config[key], value, key);
    t.match(SETTINGS[key].doc, /\.$/, `${key} is documented`);
    t.equal(SETTINGS[key].unit === 'ms', key.endsWith('Ms'), `${key}: durations end in Ms`);
    t.equal(SETTINGS[key].unit === 'bytes', key.endsWith('Bytes'), `${key}: sizes end in Bytes`);
  }
  t.equal(new Set(CONFIG_KEYS.map(environmentNameOf)).size, CONFIG_KEYS.length);
  t.equal(environmentNameOf('storage.budgetBytes'), 'CAIRN_STORAGE_BUDGET_BYTES');
  t.equal(flagNameOf('storage.budgetBytes'), 'storage-budget-bytes');
});

t.test('file < environment < flags, and each value knows where it came from', async (t) => {
  const file = '[http]\nport = 1\n[admin]\nport = 2\n[log]\nlevel = "warn"\n';
  const loaded = resolve({
    file,
    environment: { CAIRN_ADMIN_PORT: '3', CAIRN_LOG_LEVEL: 'error', PATH: '/bin' },
    flags: { 'log.level': 'debug' },
  });
  t.match(loaded.config, { 'http.port': 1, 'admin.port': 3, 'log.level': 'debug', 'metrics.port': 9464 });
  t.match(loaded.origins, { 'http.port': 'file', 'admin.port': 'environment', 'log.level': 'flag', 'metrics.port': 'default' });
  t.throws(() => {
    (loaded.config as { name: string }).name = 'other';
  }, 'the result is frozen');
});

t.test('what a setting does not allow is refused with what was expected', async (t) => {
  const refused: readonly (readonly [string, Given, RegExp])[] = [
    ['a port as text', { file: '[http]\nport = "7888"' }, /cairn\.toml: http\.port: expected an integer from 0 to 65535, got "7888"/],
    ['a port above the last', { flags: { 'http.port': '65536' } }, /--http-port: expected an integer/],
    ['a port that is no number', { flags: { 'http.port': 'abc' } }, /--http-port: expected an integer .*, got "abc"$/],
    ['a fraction', { file: '[publish]\nwaitMs = 1.5' }, /publish\.waitMs: expected an integer/],
    ['a negative duration', { environment: { CAIRN_PUBLISH_WAIT_MS: '-1' } }, /CAIRN_PUBLISH_WAIT_MS: expected an integer/],
    ['an exponent', { environment: { CAIRN_HTTP_PORT: '1e3' } }, /CAIRN_HTTP_PORT/],
    ['a boolean as yes', { flags: { 'p2p.mdns': 'yes' } }, /--p2p-mdns: expected true or false/],
    ['an unknown level', { file: '[log]\nlevel = "loud"' }, /log\.level: expected one of error, warn, info, debug, got "loud"/],
    ['an address that is no multiaddr', { file: '[p2p]\npeers = ["10.0.0.1:44000"]' }, /p2p\.peers: expected multiaddrs/],
    ['a table where a value belongs', { file: '[http.port]\nx = 1' }, /http\.port: expected an integer/],
    ['a short token, which is not repeated', { file: '[admin]\ntoken = "hunter2"' }, /^(?!.*hunter2).*admin\.token: expected a token/],
    ['a NUL in a path', { flags: { genesis: 'a\0b' } }, /--genesis: expected a path/],
    ['text that is no TOML', { file: 'name = "a"\nname = "b"' }, /cairn\.toml: line 2, column \d+/],
  ];
  for (const [what, given, expected] of refused) t.throws(() => resolve(given), { message: expected }, what);
});

t.test('peers are multiaddrs with a peer id, the bootstrap list may name http lists, listening needs no id', async (t) => {
  const peers = [
    `/ip4/10.0.0.1/tcp/44000${PEER}`,
    `/ip6/::1/tcp/1${PEER}`,
    `/ip6zone/eth0/ip6/fe80::1/tcp/1${PEER}`,
    `/dns4/node-1.example/tcp/65535${PEER}`,
    `/dnsaddr/example${PEER}`,
  ];
  const lists = ['https://example/peers.txt', 'http://[::1]:8080/a?b=c'];
  const bogus = [
    '/bogus',
    '/ip4/10.0.0.1/tcp/44000',
    PEER,
    `/ip4/10.0.0.256/tcp/1${PEER}`,
    `/ip4/10.0.0/tcp/1${PEER}`,
    `/ip4/10.0.0.1/tcp/65536${PEER}`,
    `/ip4/10.0.0.1/udp/1${PEER}`,
    `/ip4/10.0.0.1/tcp/1${PEER}/`,
    '/ip4/10.0.0.1/tcp/1/p2p/12D3KooW',
    '/ip4/10.0.0.1/tcp/1/p2p/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG',
    'ftp://example/peers.txt',
    'example:44000',
  ];
  const given = (key: ConfigKey, ...values: readonly string[]): ReturnType<typeof resolve> =>
    resolve({ flags: { [key]: values.join(',') } });
  t.same(given('p2p.peers', ...peers).config['p2p.peers'], peers);
  t.same(given('p2p.bootstrap', ...lists, ...peers).config['p2p.bootstrap'], [...lists, ...peers]);
  t.doesNotThrow(() => given('p2p.listen', '/ip4/0.0.0.0/tcp/0', '/ip6/::/tcp/44000', peers[0] ?? ''));
  for (const one of [...bogus, ...lists]) {
    t.throws(() => given('p2p.peers', peers[0] ?? '', one), { code: 'bad-value', message: /end in a peer id/ }, `${one} is no peer`);
  }
  for (const one of bogus) t.throws(() => given('p2p.bootstrap', one), { code: 'bad-value' }, `${one} is nothing to begin with`);
  for (const one of ['/bogus', '/ip4/0.0.0.0', '0.0.0.0:44000', ...lists])
    t.throws(() => given('p2p.listen', one), { code: 'bad-value' }, one);
  t.throws(() => given('p2p.peers', peers[0] ?? '', '/bogus'), { message: /got "\/bogus"$/ }, 'the one that does not fit is named');
});

t.test('an unknown key is an error that names the nearest known one', async (t) => {
  t.throws(() => resolve({ file: '[http]\nprot = 1' }), {
    code: 'unknown-key',
    message: /unknown key http\.prot in cairn\.toml: did you mean http\.port\?/,
  });
  t.throws(() => resolve({ environment: { CAIRN_HTPP_PORT: '1' } }), {
    message: /CAIRN_HTPP_PORT in the environment: did you mean CAIRN_HTTP_PORT\?/,
  });
  t.throws(() => resolve({ flags: { 'log.levle': 'x' } }), { message: /did you mean log\.level\?/ });
  t.throws(() => resolve({ file: '["__proto__"]\nx = 1' }), ConfigError);
  t.equal(nearestName('zzzzzzzzzzzz', CONFIG_KEYS), null);
  t.doesNotThrow(() => resolve({ environment: { CAIRN_DATA: '/x', CAIRN_VERBOSE: '1' } }));
});

t.test('the head may not be allowed to grow less than three heartbeats old', async (t) => {
  const { config } = resolve({ flags: { 'serve.maxHeadAgeMs': '1799999' } });
  t.throws(() => checkAgainstNetwork(config, { heartbeatMs: 600_000 }), { key: 'serve.maxHeadAgeMs', message: /at least 1800000/ });
  t.doesNotThrow(() => checkAgainstNetwork(config, { heartbeatMs: 599_999 }));
});

t.test('setting and removing a key keeps comments and other lines', async (t) => {
  const before =
    '# my node\nname = "a" # short\n\n[http]\n# behind the proxy\nport = 1\n\n[p2p]\npeers = [\n  "/ip4/1.2.3.4/tcp/1/p2p/12D3KooWHdiAxVd8uMQR1hGWXccidmfCwLqcMpGwR6QcTP6QRMuD", # home\n]\n';
  const cases: readonly (readonly [ConfigKey, string, string])[] = [
    ['name', 'b', before.replace('"a"', '"b"')],
    ['http.port', '80', before.replace('port = 1\n', 'port = 80\n')],
    ['http.host', '0.0.0.0', before.replace('[http]\n', '[http]\nhost = "0.0.0.0"\n')],
    ['log.level', 'debug', `${before}\n[log]\nlevel = "debug"\n`],
    ['genesis', 'g.cbor', before.replace('# my node\n', '# my node\ngenesis = "g.cbor"\n')],
    ['p2p.peers', `/dns4/a/tcp/2${PEER}`, before.replace(/peers = \[[^\]]*\]/, `peers = [ "/dns4/a/tcp/2${PEER}" ]`)],
  ];
  for (const [key, value, after] of cases) t.equal(setConfigText(before, key, value, 'x'), after, `${key} set`);
  t.equal(removeConfigText(before, 'http.port', 'x'), before.replace('port = 1\n', ''));
  t.equal(removeConfigText(before, 'p2p.peers', 'x'), before.replace(/peers = \[[^\]]*\]\n/, ''));
  t.throws(() => removeConfigText(before, 'log.level', 'x'), { code: 'not-set' });
  t.throws(() => setConfigText(before, 'http.port', 'x', 'x'), {
    code: 'bad-value',
    message: 'http.port: expected an integer from 0 to 65535, got "x"',
  });
  t.throws(() => setConfigText('[http\n', 'http.port', '1', 'x'), { code: 'bad-toml' });
  t.equal(setConfigText('', 'http.port', '1', 'x'), '[http]\nport = 1\n');
  t.equal(setConfigText('http.port = 5 # inline\n', 'http.port', '1', 'x').includes('port = 1'), true);
});

t.test('a file is replaced whole, with its rights, and never by one that would be refused', async (t) => {
  const folder = t.testdir({ 'cairn.toml': 'name = "a"\n' });
  const path = join(folder, 'cairn.toml');
  await t.rejects(saveConfigText(path, 'nmae = "b"\n'), { code: 'unknown-key' });
  t.equal(await readFile(path, 'utf8'), 'name = "a"\n');
  await saveConfigText(path, 'name = "b"\n');
  t.equal((await loadConfig({ dataDir: folder, environment: {}, flags: {} })).config.name, 'b');
  const fresh = join(folder, 'sub');
  await mkdir(fresh);
  await saveConfigText(join(fresh, 'cairn.toml'), 'name = "c"\n');
  t.equal((await stat(join(fresh, 'cairn.toml'))).mode & 0o777, 0o600);
});

t.test('a folder without cairn.toml has the defaults; an unreadable one is an error', async (t) => {
  const folder = t.testdir({ bad: { 'cairn.toml': {} } });
  t.equal((await loadConfig({ dataDir: join(folder, 'absent'), environment: {}, flags: {} })).config['http.port'], 7888);
  await t.rejects(loadConfig({ dataDir: join(folder, 'bad'), environment: {}, flags: {} }), { code: 'unreadable', message: /cannot read/ });
});
