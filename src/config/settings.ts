/**
 * What one node may tune, key by key: type, default, unit and meaning in one table, from which the file, the environment, the flags and
 * `cairn config` all read. What all nodes must agree on is not here but in genesis. Never reads a file itself.
 */

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const LOG_FORMATS = ['auto', 'json', 'text'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** The checked configuration of a node. Durations in milliseconds, sizes in bytes; relative paths are below the data folder. */
export interface Config {
  readonly name: string;
  readonly genesis: string;
  readonly 'http.host': string;
  readonly 'http.port': number;
  readonly 'http.maxConnections': number;
  readonly 'admin.port': number;
  readonly 'admin.token': string;
  readonly 'metrics.host': string;
  readonly 'metrics.port': number;
  readonly 'p2p.listen': readonly string[];
  readonly 'p2p.announce': readonly string[];
  readonly 'p2p.peers': readonly string[];
  readonly 'p2p.bootstrap': readonly string[];
  readonly 'p2p.mdns': boolean;
  readonly 'storage.path': string;
  readonly 'storage.budgetBytes': number;
  readonly 'storage.stagingBytes': number;
  readonly 'storage.stagingMs': number;
  readonly 'serve.reverifyMs': number;
  readonly 'serve.maxHeadAgeMs': number;
  readonly 'publish.token': string;
  readonly 'publish.waitMs': number;
  readonly 'upstream.urls': readonly string[];
  readonly 'upstream.alsoAt': readonly string[];
  readonly 'upstream.shared': readonly string[];
  readonly 'consensus.signFromHeight': number | null;
  readonly 'log.level': LogLevel;
  readonly 'log.format': LogFormat;
}

export type ConfigKey = keyof Config;

/** How a value is written. `list`: comma-separated in the environment and in flags. */
export type SettingType =
  | { readonly kind: 'text'; readonly pattern: RegExp; readonly expected: string }
  | { readonly kind: 'integer'; readonly min: number; readonly max: number; readonly orNull?: boolean }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'list'; readonly pattern: RegExp; readonly expected: string; readonly max: number }
  | { readonly kind: 'choice'; readonly values: readonly string[] };

export interface Setting<T> {
  readonly type: SettingType;
  readonly default: T;
  /** Empty where the value has none. */
  readonly unit: '' | 'ms' | 'bytes' | 'port' | 'height' | 'connections';
  readonly doc: string;
  /** Shown as `(set)` only. */
  readonly secret: boolean;
}

const DAY_MS = 86_400_000;
const NAME = {
  kind: 'text',
  pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
  expected: 'a name of letters, digits, dot, dash and underscore',
} as const;
const PATH = { kind: 'text', pattern: /^[^\0]{1,1024}$/, expected: 'a path' } as const;
const HOST = { kind: 'text', pattern: /^[0-9A-Za-z.:-]{1,253}$/, expected: 'an address such as 127.0.0.1, ::1 or 0.0.0.0' } as const;
const TOKEN = { kind: 'text', pattern: /^$|^[!-~]{16,256}$/, expected: 'a token of 16 to 256 printable characters' } as const;
const OCTET = String.raw`(?:25[0-5]|2[0-4]\d|1\d\d|\d?\d)`;
const IP4 = String.raw`${OCTET}(?:\.${OCTET}){3}`;
const TCP = String.raw`/tcp/(?:6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|\d{1,4})`;
const HOST_AND_PORT = String.raw`(?:/ip4/${IP4}|(?:/ip6zone/[\w.-]{1,64})?/ip6/[0-9A-Fa-f:.]{2,45}|/dns[46]?/[\w.-]{1,253})${TCP}`;
/** Of an Ed25519 key, in base58: network keys are of no other kind, and connections are told apart by this spelling. */
const PEER_ID = '/p2p/12D3KooW[1-9A-HJ-NP-Za-km-z]{44}';
const DIALLED = String.raw`(?:${HOST_AND_PORT}|/dnsaddr/[\w.-]{1,253})${PEER_ID}`;
const LISTENED = {
  kind: 'list',
  pattern: new RegExp(`^${HOST_AND_PORT}(?:${PEER_ID})?$`),
  expected: 'multiaddrs such as /ip4/0.0.0.0/tcp/44000',
  max: 256,
} as const;
const PEERS = {
  kind: 'list',
  pattern: new RegExp(`^${DIALLED}$`),
  expected: 'multiaddrs that end in a peer id, such as /ip4/10.0.0.1/tcp/44000/p2p/12D3KooW…',
  max: 256,
} as const;
const PEERS_OR_LISTS = {
  kind: 'list',
  pattern: new RegExp(`^(?:${DIALLED}|https?://[!-+\\--~]{1,500})$`),
  expected: `${PEERS.expected}, or http(s) URLs of lists of them`,
  max: 256,
} as const;
const URL_HOST = String.raw`(?:[A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?`;
/** The id is as the chain has it (`isUpstreamId`); a path has no empty and no climbing segment. */
const UPSTREAMS = {
  kind: 'list',
  pattern: new RegExp(String.raw`^[a-z0-9][a-z0-9-]{0,63}=https?://${URL_HOST}(?:/(?!\.{1,2}(?:/|$))[\w.~-]{1,128}){0,8}/?$`),
  expected: 'ID=URL such as hub=https://registry.example, without user, query and fragment',
  max: 64,
} as const;
const ORIGINS = {
  kind: 'list',
  pattern: new RegExp(`^[a-z0-9][a-z0-9-]{0,63}=https?://${URL_HOST}$`),
  expected: 'ID=ORIGIN such as inner=https://git.example, without a path',
  max: 64,
} as const;
const PORT = { kind: 'integer', min: 0, max: 65_535 } as const;
const BYTES = { kind: 'integer', min: 1_048_576, max: Number.MAX_SAFE_INTEGER } as const;
const HEIGHT = { kind: 'integer', min: 1, max: Number.MAX_SAFE_INTEGER, orNull: true } as const;

function duration(min: number, max: number): SettingType {
  return { kind: 'integer', min, max };
}

function setting<T>(type: SettingType, value: T, doc: string, unit: Setting<T>['unit'] = ''): Setting<T> {
  return { type, default: value, unit, doc, secret: false };
}

function secret(doc: string): Setting<string> {
  return { ...setting(TOKEN, '', doc), secret: true };
}

/** Every key, in the order in which it is shown. */
export const SETTINGS: { readonly [K in ConfigKey]: Setting<Config[K]> } = {
  name: setting(NAME, 'cairn', 'What this node calls itself in logs and status.'),
  genesis: setting(PATH, 'genesis.cbor', 'The genesis document of the network.'),
  'http.host': setting(HOST, '127.0.0.1', 'Address on which packages are served; 0.0.0.0 serves other machines too.'),
  'http.port': setting(PORT, 7888, 'Port on which packages are served.', 'port'),
  'http.maxConnections': setting({ kind: 'integer', min: 1, max: 65_535 }, 1024, 'Clients served at one time.', 'connections'),
  'admin.port': setting(PORT, 7889, 'Port of the admin API, on 127.0.0.1 only.', 'port'),
  'admin.token': secret('Token of the admin API. Empty: the file admin-token in the data folder, made when absent.'),
  'metrics.host': setting(HOST, '127.0.0.1', 'Address on which Prometheus metrics are served.'),
  'metrics.port': setting(PORT, 9464, 'Port on which Prometheus metrics are served.', 'port'),
  'p2p.listen': setting(LISTENED, ['/ip4/0.0.0.0/tcp/44000'], 'Where other nodes reach this one.'),
  'p2p.announce': setting(
    LISTENED,
    [],
    'Addresses told to others in place of those listened on: of a gateway, say, that passes on to this node.',
  ),
  'p2p.peers': setting(PEERS, [], 'Nodes to stay connected with; peer id included.'),
  'p2p.bootstrap': setting(PEERS_OR_LISTS, [], 'Nodes to ask for others, or http(s) URLs of lists of them, one a line; peer id included.'),
  'p2p.mdns': setting({ kind: 'boolean' }, false, 'Look for nodes on the local network.'),
  'storage.path': setting(PATH, 'files', 'Folder of the stored files.'),
  'storage.budgetBytes': setting(BYTES, 53_687_091_200, 'Most that stored files may take.', 'bytes'),
  'storage.stagingBytes': setting(BYTES, 5_368_709_120, 'Most that files not yet committed may take.', 'bytes'),
  'storage.stagingMs': setting(duration(1000, 30 * DAY_MS), 3_600_000, 'How long a file may wait to be committed.', 'ms'),
  'serve.reverifyMs': setting(duration(1000, 365 * DAY_MS), DAY_MS, 'A stored file is checked again after this time.', 'ms'),
  'serve.maxHeadAgeMs': setting(
    duration(1000, 365 * DAY_MS),
    3_600_000,
    'A node whose newest block is older serves nothing; at least three heartbeats of the network.',
    'ms',
  ),
  'publish.token': secret('Token for publishing. Empty: the file publish-token in the data folder; without one nothing is published.'),
  'publish.waitMs': setting(duration(0, 600_000), 60_000, 'How long a publication waits for its commit before it answers.', 'ms'),
  'upstream.urls': setting(
    UPSTREAMS,
    [],
    "ID=URL: where this authority fetches from, by the upstream ids of the network's policy; credentials are in the file upstream-credentials.",
  ),
  'upstream.alsoAt': setting(
    ORIGINS,
    [],
    'ID=ORIGIN: where inside your own network an upstream may send this node, for tokens or blobs; elsewhere only public addresses.',
  ),
  'upstream.shared': setting(
    { kind: 'list', pattern: /^[a-z0-9][a-z0-9-]{0,63}$/, expected: 'upstream ids', max: 64 },
    [],
    'Upstreams with credentials whose content may be fetched on request of any node the policy lets ask: it becomes public in the network.',
  ),
  'consensus.signFromHeight': setting<number | null>(
    HEIGHT,
    null,
    'Only after the sign state was lost: the height from which this node may vote again.',
    'height',
  ),
  'log.level': setting<LogLevel>({ kind: 'choice', values: LOG_LEVELS }, 'info', 'Least level that is logged.'),
  'log.format': setting<LogFormat>({ kind: 'choice', values: LOG_FORMATS }, 'auto', 'json, text for people, or auto: text on a terminal.'),
};

export const CONFIG_KEYS: readonly ConfigKey[] = Object.keys(SETTINGS) as ConfigKey[];

/** `storage.budgetBytes` → `CAIRN_STORAGE_BUDGET_BYTES`. */
export function environmentNameOf(key: string): string {
  return `CAIRN_${separated(key, '_').toUpperCase()}`;
}

/** `storage.budgetBytes` → `storage-budget-bytes`. */
export function flagNameOf(key: string): string {
  return separated(key, '-').toLowerCase();
}

export function isConfigKey(key: string): key is ConfigKey {
  return Object.hasOwn(SETTINGS, key);
}

/** What a value of this setting should be, for people. */
export function expectationOf(type: SettingType): string {
  switch (type.kind) {
    case 'text':
    case 'list':
      return type.expected;
    case 'integer':
      return `an integer from ${type.min} to ${type.max}`;
    case 'boolean':
      return 'true or false';
    case 'choice':
      return `one of ${type.values.join(', ')}`;
  }
}

/** Reads the text form of the environment, of flags and of `config set`; undefined when it can't be a value of the type. */
export function parseSettingText(type: SettingType, text: string): unknown {
  switch (type.kind) {
    case 'text':
    case 'choice':
      return text;
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : undefined;
    case 'integer':
      return type.orNull === true && text === '' ? null : /^[0-9]{1,16}$/.test(text) ? Number(text) : undefined;
    case 'list':
      return text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
  }
}

/** True when the value is one that the type allows. */
export function isSettingValue(type: SettingType, value: unknown): boolean {
  switch (type.kind) {
    case 'text':
      return typeof value === 'string' && type.pattern.test(value);
    case 'choice':
      return typeof value === 'string' && type.values.includes(value);
    case 'boolean':
      return typeof value === 'boolean';
    case 'integer':
      if (value === null) return type.orNull === true;
      return typeof value === 'number' && Number.isSafeInteger(value) && value >= type.min && value <= type.max;
    case 'list':
      return Array.isArray(value) && value.length <= type.max && value.every((item) => typeof item === 'string' && type.pattern.test(item));
  }
}

function separated(key: string, separator: string): string {
  return key.replace(/([a-z0-9])([A-Z])/g, `$1${separator}$2`).replaceAll('.', separator);
}
