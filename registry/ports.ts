/**
 * What the registry floor needs of the world: files, time, peers. Implemented in src/world and src/network, and by the test world.
 */

/** Milliseconds since 1970, as this machine believes. */
export interface Clock {
  readonly nowMs: () => number;
}

export interface Timer {
  readonly cancel: () => void;
}

export interface Timers {
  /** Calls back once after `delayMs`. */
  readonly set: (delayMs: number, callback: () => void) => Timer;
}

/** What decides whether a file is still the one that was checked. */
export interface FileStat {
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly changedMs: number;
  readonly inode: number;
}

export interface FileHandle {
  /** Reads into `target` from `position`; resolves to the bytes read, fewer only at the end of the file. */
  readonly read: (target: Uint8Array, position: number) => Promise<number>;
  /** Writes all bytes at `position`. */
  readonly write: (data: Uint8Array, position: number) => Promise<void>;
  readonly truncate: (sizeBytes: number) => Promise<void>;
  readonly stat: () => Promise<FileStat>;
  /** Resolves when the data is on the disk. */
  readonly sync: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Files below one root. Paths are relative, with '/', and made by Cairn alone. Errors carry a Node `code` (ENOENT, ENOSPC, EROFS …). */
export interface FileSystem {
  /** `read`: must exist. `write`: read and write, made when absent, kept when there. `create`: read and write, must not exist. */
  readonly open: (path: string, mode: 'read' | 'write' | 'create') => Promise<FileHandle>;
  readonly readFile: (path: string) => Promise<Uint8Array | null>;
  readonly stat: (path: string) => Promise<FileStat | null>;
  /** Names in the folder, sorted; empty when it is absent. */
  readonly list: (folder: string) => Promise<readonly string[]>;
  readonly makeFolder: (folder: string) => Promise<void>;
  /** Replaces what stands at `to`; durable after `syncFolder`. */
  readonly rename: (from: string, to: string) => Promise<void>;
  /** No error when absent. */
  readonly remove: (path: string) => Promise<void>;
  readonly syncFolder: (folder: string) => Promise<void>;
}

export interface RequestOptions {
  readonly timeoutMs: number;
  readonly maxResponseBytes: number;
  readonly signal?: AbortSignal;
}

/** Asks and answers single requests between peers, each over a stream of its own. Peers go by their id as text. */
export interface PeerRequests {
  /** Rejects when the peer can't be reached, answers nothing in time, or more than allowed. */
  readonly request: (peerId: string, protocol: string, body: Uint8Array, options: RequestOptions) => Promise<Uint8Array>;
  /** The handler's rejection ends the stream without an answer. */
  readonly handle: (
    protocol: string,
    limits: { readonly maxRequestBytes: number; readonly maxConcurrent: number },
    handler: (peerId: string, body: Uint8Array) => Promise<Uint8Array>,
  ) => void;
}

/** One HTTP exchange with an upstream. Header names in lower case; a header sent twice is joined by ', '. */
export interface UpstreamResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The body as it comes, with back-pressure; must be read to its end or left by `return`, also unread. Rejects with the transport's error. */
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * HTTP to the outside, for the upstream clients: one exchange, no redirect followed, no cookie kept, nothing decompressed. Rejects when the
 * host can't be reached or stays silent too long; and with a RegistryError, UPSTREAM_FAILED, when (`allowPrivate` false) its address is a
 * private, loopback, link-local or multicast one at the time of connecting: asking again would not help. The signal ends the body, too.
 */
export interface UpstreamHttp {
  readonly request: (
    url: string,
    options: {
      readonly method: 'GET' | 'HEAD';
      readonly headers: Readonly<Record<string, string>>;
      readonly allowPrivate: boolean;
      readonly signal: AbortSignal;
    },
  ) => Promise<UpstreamResponse>;
}

/** Who else has a file: mirrors announce what they hold. */
export interface ProviderDirectory {
  readonly provide: (sha256: Uint8Array) => Promise<void>;
  readonly findProviders: (
    sha256: Uint8Array,
    options: { readonly limit: number; readonly signal?: AbortSignal },
  ) => Promise<readonly string[]>;
}

/** Named when a peer did what no honest one does; the network closes its connection and keeps it away for a while. */
export type PeerFault = 'bad-bytes' | 'bad-message' | 'bad-signature' | 'foreign-chain' | 'spam' | 'bad-block';

export interface PeerJudge {
  readonly penalize: (peerId: string, fault: PeerFault, detail: string) => void;
}

/** One event, one line: constant message, fields for the rest. */
export interface Logger {
  readonly error: (fields: Readonly<Record<string, unknown>>, message: string) => void;
  readonly warn: (fields: Readonly<Record<string, unknown>>, message: string) => void;
  readonly info: (fields: Readonly<Record<string, unknown>>, message: string) => void;
  readonly debug: (fields: Readonly<Record<string, unknown>>, message: string) => void;
}
