/**
 * Reads a list of multiaddrs from an http(s) URL the operator named: a JSON array of strings, or one address a line with `#` comments.
 * Bounded in size and time; never follows what the list says beyond giving it back as text.
 */

const MAX_BYTES = 64 * 1024;
const TIMEOUT_MS = 5_000;

/** Rejects when the URL can't be read; entries that don't look like a multiaddr are left out. */
export async function fetchAddressList(url: string, signal: AbortSignal): Promise<readonly string[]> {
  const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]) });
  if (!response.ok || response.body === null) throw new Error(`expected a list of addresses at ${url}, got status ${response.status}`);
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of response.body as AsyncIterable<Uint8Array>) {
    sizeBytes += piece.length;
    if (sizeBytes > MAX_BYTES) throw new Error(`expected a list of at most ${MAX_BYTES} bytes at ${url}`);
    pieces.push(piece);
  }
  return parseAddressList(Buffer.concat(pieces).toString('utf8'));
}

/** The addresses of such a text. */
export function parseAddressList(text: string): readonly string[] {
  const entries = text.trimStart().startsWith('[') ? jsonStrings(text) : text.split('\n').map((line) => line.replace(/#.*/, '').trim());
  return entries.filter((entry) => /^\/[a-z0-9]+\//.test(entry));
}

function jsonStrings(text: string): readonly string[] {
  const value: unknown = JSON.parse(text);
  return Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === 'string') : [];
}

/** Groups addresses by the id they end in; throws a RangeError for one without. */
export function peersById(addresses: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const peers = new Map<string, string[]>();
  for (const address of addresses) {
    const peerId = /\/p2p\/([^/]+)$/.exec(address)?.[1];
    if (peerId === undefined) throw new RangeError(`expected a peer's address to end in /p2p/ID, got ${address}`);
    peers.set(peerId, [...(peers.get(peerId) ?? []), address]);
  }
  return peers;
}
