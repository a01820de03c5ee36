/**
 * The node's side of its front (docs/adr/0018): starts the thread that holds the clients' connections, answers it through the app, counts and
 * logs for it, and puts away what it finds rotten. When the thread dies the node stops: it could serve nobody and would not know.
 */

import { Worker } from 'node:worker_threads';
import type { FastifyInstance } from 'fastify';
import type { AnswerFront, BlobStore, Library } from '../../registry/index.ts';
import { RegistryError } from '../../registry/index.ts';
import type { Metrics } from '../metrics/types.ts';
import type { Logger } from '../ports.ts';
import { routeClassOf } from './app.ts';
import { LinkSocket } from './front-link.ts';
import {
  FILE_HEADER,
  type FromFront,
  type FrontOptions,
  formatHandOver,
  identityOf,
  MODE_HEADER,
  REPEAT_HEADER,
  ROUTE_HEADER,
  type ToFront,
} from './front-protocol.ts';

/** What the front needs of a node that serves files; without it every byte goes through the app. */
export interface FrontFiles {
  /** Root of the stored files. */
  readonly storage: string;
  readonly reverifyMs: number;
  readonly library: Pick<Library, 'locate'>;
  readonly blobs: Pick<BlobStore, 'putAway'>;
  /** Until when what the chain says now may be repeated, if nothing is committed. */
  readonly freshUntilMs: () => number;
  /** Calls back at every commit, before anybody else can know of it. */
  readonly onCommit: (listener: () => void) => void;
}

export interface FrontDeps {
  /** The public app; it listens nowhere itself. */
  readonly app: FastifyInstance;
  readonly files: FrontFiles | null;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** The thread has died. */
  readonly fatal: (error: unknown) => void;
}

export class FrontError extends Error {
  readonly code = 'front-died';

  constructor(cause: unknown) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    super(`the thread that serves packages has died (${detail}): start the node again, and report it if it repeats`, { cause });
    this.name = 'FrontError';
  }
}

/** What the adapters may leave to the front. */
export function answerFront(files: FrontFiles): AnswerFront {
  const terms = (request: Parameters<AnswerFront['repeatable']>[0], name: string, value: string): Record<string, string> => ({
    [name]: value,
    [ROUTE_HEADER]: routeClassOf(request),
  });
  return {
    handOver: async (request, { file, from, to }) => {
      if (request.headers[MODE_HEADER] !== 'hand-over') return null;
      try {
        const paths = await files.library.locate(file);
        if (paths === null) return null;
        return terms(request, FILE_HEADER, formatHandOver({ file: identityOf(file), paths, from, to }));
      } catch (error) {
        // The caller meets the same when it opens the file, and knows how to tell it.
        if (error instanceof RegistryError) return null;
        throw error;
      }
    },
    repeatable: (request) =>
      request.headers[MODE_HEADER] === undefined ? {} : terms(request, REPEAT_HEADER, String(files.freshUntilMs())),
  };
}

export class Front {
  readonly #deps: FrontDeps;
  readonly #worker: Worker;
  #hasEnded = false;

  private constructor(options: Omit<FrontOptions, 'storage' | 'reverifyMs'>, deps: FrontDeps) {
    const epoch = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    const { storage, reverifyMs } = deps.files ?? { storage: '', reverifyMs: 0 };
    this.#deps = deps;
    deps.files?.onCommit(() => Atomics.add(new Int32Array(epoch), 0, 1));
    this.#worker = new Worker(new URL('./front-worker.js', import.meta.url), { workerData: { ...options, storage, reverifyMs, epoch } });
  }

  /** Resolves with the front and the port that it listens on; rejects with Node's own error when it can't. */
  static async open(
    options: Omit<FrontOptions, 'storage' | 'reverifyMs'>,
    deps: FrontDeps,
  ): Promise<{ readonly front: Front; readonly port: number }> {
    await deps.app.ready();
    const front = new Front(options, deps);
    try {
      return { front, port: await front.#listening() };
    } catch (error) {
      await front.#end();
      throw error;
    }
  }

  /** Idle connections end at once, answers under way get the grace; resolves when all are closed. */
  async close(graceMs: number): Promise<void> {
    if (this.#hasEnded) return;
    const closed = new Promise<void>((resolve) => {
      this.#worker.on('message', (message: FromFront) => message.kind === 'closed' && resolve());
      this.#worker.on('exit', () => resolve());
    });
    this.#tell({ kind: 'close', graceMs });
    await closed;
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#hasEnded = true;
    await this.#worker.terminate();
  }

  #listening(): Promise<number> {
    return new Promise((resolve, reject) => {
      let isOpen = false;
      const died = (cause: unknown): void => {
        if (this.#hasEnded) return;
        this.#hasEnded = true;
        if (isOpen) this.#deps.fatal(new FrontError(cause));
        else reject(new FrontError(cause));
      };
      this.#worker.on('error', died);
      this.#worker.on('exit', (code) => died(new Error(`exit code ${code}`)));
      this.#worker.on('message', (message: FromFront) => {
        if (message.kind === 'refused') return reject(Object.assign(new Error(message.message), { code: message.code }));
        if (message.kind !== 'listening') return this.#receive(message);
        isOpen = true;
        resolve(message.port);
      });
    });
  }

  #receive(message: Exclude<FromFront, { kind: 'listening' | 'refused' }>): void {
    const { app, metrics, log } = this.#deps;
    switch (message.kind) {
      case 'connection':
        app.server.emit('connection', new LinkSocket(message.port));
        break;
      case 'rotten':
        void this.#putAway(message);
        break;
      case 'counted':
        if (message.sentBytes > 0) metrics.bytesServed('local', message.sentBytes);
        for (const { route, status, durationsMs } of message.answers)
          for (const durationMs of durationsMs) metrics.httpRequest(route, status, durationMs);
        break;
      case 'log':
        log[message.level](message.fields, message.message);
        break;
      case 'closed':
        break;
    }
  }

  async #putAway({ id, file, finding }: Extract<FromFront, { kind: 'rotten' }>): Promise<void> {
    try {
      await this.#deps.files?.blobs.putAway(file, finding);
    } catch (error) {
      this.#deps.log.error({ error: error instanceof Error ? error.message : String(error) }, 'a rotten file could not be put away');
    }
    this.#tell({ kind: 'putAway', id });
  }

  #tell(message: ToFront): void {
    this.#worker.postMessage(message);
  }
}
