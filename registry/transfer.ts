/**
 * Fetches one file from several peers at once: a few runs in flight, each verified before it is written, the next peer when one is slow,
 * gone or lying. Follows docs/SPEC.md, "File transfer". Whoever sent a bad piece is named; if every piece fits and the flat digest
 * doesn't, nobody is, because then the record itself is wrong.
 */

import { type Digest, formatDigest } from '../chain/index.ts';
import type { BlobWriter, FileIdentity } from './blob-writer.ts';
import { RegistryError, throwIfAborted } from './error.ts';
import { type Run, runBlocks, runCount, runRange, verifyRun } from './pieces.ts';
import type { Clock, Logger, PeerJudge, PeerRequests } from './ports.ts';
import { decodeRunAnswer, encodeRunRequest, MAX_ANSWER_BYTES, type TransferKind, transferProtocol } from './transfer-messages.ts';

export interface TransferOptions {
  readonly chainId: Digest;
  /** A run that takes longer is asked of another peer. Default: 10 s. */
  readonly runTimeoutMs?: number;
  /** Runs in flight for one file. Default: 8. */
  readonly maxInFlight?: number;
  /** Of them, with one peer. Default: 3. */
  readonly maxInFlightPerPeer?: number;
  /** A peer that failed to answer so often is left alone for this file. Default: 2. */
  readonly maxFailures?: number;
}

export interface TransferDeps {
  readonly requests: PeerRequests;
  readonly judge: PeerJudge;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface FetchRequest {
  readonly file: FileIdentity;
  readonly kind: TransferKind;
  /** Asked first, in this order. */
  readonly providers: readonly string[];
  /** Asked for once, when nobody of the first is left. */
  readonly moreProviders?: () => Promise<readonly string[]>;
  /** Gets the bytes in order and is committed at the end, or cancelled. */
  readonly into: BlobWriter;
  readonly signal?: AbortSignal;
  /** Told whenever verified bytes have been written: how many there are by now. */
  readonly onProgress?: (verifiedBytes: number) => void;
}

/** Resolves once the file is committed; to the peers that gave pieces of it. Throws UNAVAILABLE, BAD_RECORD, ABORTED or the writer's errors. */
export async function fetchFile(options: TransferOptions, deps: TransferDeps, request: FetchRequest): Promise<readonly string[]> {
  const fetch = new Fetch({ runTimeoutMs: 10_000, maxInFlight: 8, maxInFlightPerPeer: 3, maxFailures: 2, ...options }, deps, request);
  try {
    await fetch.run();
    await request.into.commit(request.file);
    return fetch.givers();
  } catch (error) {
    await request.into.cancel();
    if (error instanceof RegistryError && error.code === 'BAD_RECORD') {
      deps.log.error(
        { sha256: formatDigest(request.file.sha256), error: error.message },
        'a record contradicts itself: no peer is to blame',
      );
    }
    throw error;
  } finally {
    fetch.stop();
  }
}

interface Peer {
  readonly id: string;
  inFlight: number;
  failures: number;
  runs: number;
  /** Smoothed time of a run, 0 before the first. */
  runMs: number;
}

interface Outcome {
  readonly peer: Peer;
  readonly number: number;
  readonly tookMs: number;
  readonly result:
    | { readonly kind: 'run'; readonly bytes: Uint8Array }
    | { readonly kind: 'bad'; readonly detail: string }
    | { readonly kind: 'absent' }
    | { readonly kind: 'failed'; readonly detail: string };
}

class Fetch {
  readonly #options: Required<TransferOptions>;
  readonly #deps: TransferDeps;
  readonly #request: FetchRequest;
  readonly #runs: number;
  readonly #blocks: number;
  readonly #abort: AbortController = new AbortController();
  readonly #known: Set<string> = new Set();
  readonly #givers: Set<string> = new Set();
  readonly #inFlight: Map<number, Promise<Outcome>> = new Map();
  /** Verified, waiting for the ones before. */
  readonly #ready: Map<number, Uint8Array> = new Map();
  readonly #retry: number[] = [];
  #peers: Peer[] = [];
  #moreAsked = false;
  #nextToAsk = 0;
  #nextToWrite = 0;

  constructor(options: Required<TransferOptions>, deps: TransferDeps, request: FetchRequest) {
    this.#options = options;
    this.#deps = deps;
    this.#request = request;
    this.#runs = runCount(request.file.sizeBytes);
    this.#blocks = runBlocks(request.file.sizeBytes);
    this.#add(request.providers);
    request.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  readonly #onAbort = (): void => this.#abort.abort();

  async run(): Promise<void> {
    const subject = formatDigest(this.#request.file.sha256);
    while (this.#nextToWrite < this.#runs) {
      throwIfAborted(this.#request.signal, subject);
      this.#askAll();
      if (this.#inFlight.size > 0) {
        this.#take(await Promise.race(this.#inFlight.values()));
        await this.#write();
      } else if (!(await this.#findMore())) {
        throw new RegistryError('UNAVAILABLE', subject, { message: `none of ${this.#known.size} peers could give ${subject} just now` });
      }
    }
  }

  stop(): void {
    this.#abort.abort();
    this.#request.signal?.removeEventListener('abort', this.#onAbort);
  }

  givers(): readonly string[] {
    return [...this.#givers];
  }

  #add(ids: readonly string[]): void {
    for (const id of ids) {
      if (this.#known.has(id)) continue;
      this.#known.add(id);
      this.#peers.push({ id, inFlight: 0, failures: 0, runs: 0, runMs: 0 });
    }
  }

  async #findMore(): Promise<boolean> {
    if (this.#moreAsked || this.#request.moreProviders === undefined) return false;
    this.#moreAsked = true;
    this.#add(await this.#request.moreProviders());
    return this.#peers.length > 0;
  }

  /** Gives every free place to a run, as far ahead as the bytes kept waiting are bounded. */
  #askAll(): void {
    while (this.#inFlight.size < this.#options.maxInFlight) {
      const again = this.#retry[0];
      const number = again ?? this.#nextToAsk;
      if (number >= this.#runs || number >= this.#nextToWrite + 2 * this.#options.maxInFlight) return;
      const peer = this.#choose();
      if (peer === null) return;
      if (again === undefined) this.#nextToAsk += 1;
      else this.#retry.shift();
      peer.inFlight += 1;
      this.#inFlight.set(number, this.#ask(peer, number));
    }
  }

  /** The peer that would answer first: untried ones, then by time a run and what it already has to do; fewest failures before all. */
  #choose(): Peer | null {
    const free = this.#peers.filter((peer) => peer.inFlight < this.#options.maxInFlightPerPeer);
    const [first, ...others] = free;
    if (first === undefined) return null;
    const cost = (peer: Peer): number => (peer.inFlight + 1) * (peer.runMs + 1);
    return others.reduce((best, peer) => {
      if (peer.failures !== best.failures) return peer.failures < best.failures ? peer : best;
      return cost(peer) < cost(best) ? peer : best;
    }, first);
  }

  async #ask(peer: Peer, number: number): Promise<Outcome> {
    const { clock, requests } = this.#deps;
    const { file, kind } = this.#request;
    const run: Run = { index: number * this.#blocks, count: this.#blocks };
    const startedMs = clock.nowMs();
    const ended = (result: Outcome['result']): Outcome => ({ peer, number, tookMs: clock.nowMs() - startedMs, result });
    let body: Uint8Array;
    try {
      const message = encodeRunRequest({ sha256: file.sha256, sizeBytes: file.sizeBytes, ...run });
      body = await requests.request(peer.id, transferProtocol(this.#options.chainId, kind), message, {
        timeoutMs: this.#options.runTimeoutMs,
        maxResponseBytes: MAX_ANSWER_BYTES,
        signal: this.#abort.signal,
      });
    } catch (error) {
      return ended({ kind: 'failed', detail: error instanceof Error ? error.message : String(error) });
    }
    const answer = decodeRunAnswer(body);
    if (!answer.ok) return ended({ kind: 'bad', detail: answer.reason });
    if (answer.value.kind === 'absent') return ended({ kind: 'absent' });
    if (verifyRun(file, run, answer.value)) return ended({ kind: 'run', bytes: answer.value.bytes });
    const { offset, length } = runRange(file.sizeBytes, run);
    return ended({ kind: 'bad', detail: `bytes ${offset}+${length} of ${formatDigest(file.sha256)} do not match the chain` });
  }

  #take(outcome: Outcome): void {
    const { peer, number, result, tookMs } = outcome;
    this.#inFlight.delete(number);
    peer.inFlight -= 1;
    if (result.kind === 'run') {
      peer.runMs = peer.runs === 0 ? tookMs : 0.75 * peer.runMs + 0.25 * tookMs;
      peer.runs += 1;
      peer.failures = 0;
      this.#givers.add(peer.id);
      this.#ready.set(number, result.bytes);
      return;
    }
    this.#retry.push(number);
    this.#retry.sort((left, right) => left - right);
    const subject = formatDigest(this.#request.file.sha256);
    if (result.kind === 'bad') {
      this.#deps.log.warn({ peer: peer.id, sha256: subject, detail: result.detail }, 'a peer sent bad bytes');
      this.#deps.judge.penalize(peer.id, 'bad-bytes', result.detail);
      this.#leave(peer);
      return;
    }
    peer.failures += 1;
    const detail = result.kind === 'failed' ? result.detail : 'absent';
    this.#deps.log.debug({ peer: peer.id, sha256: subject, detail }, 'a peer gave no run');
    if (result.kind === 'absent' || peer.failures >= this.#options.maxFailures) this.#leave(peer);
  }

  #leave(peer: Peer): void {
    this.#peers = this.#peers.filter((one) => one !== peer);
  }

  async #write(): Promise<void> {
    for (;;) {
      const bytes = this.#ready.get(this.#nextToWrite);
      if (bytes === undefined) return;
      this.#ready.delete(this.#nextToWrite);
      await this.#request.into.write(bytes);
      this.#nextToWrite += 1;
      this.#request.onProgress?.(this.#request.into.sizeBytes);
    }
  }
}
