/**
 * The bytes of stored files as the front sends them: read, verified and written in its own thread (docs/adr/0018). A rotten run is told to
 * the node, which puts the file away; the answer goes on at the same byte from what the app gives instead. Sends no byte of a run that
 * was not verified.
 */

import type { Agent, IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { formatDigest } from '../../chain/index.ts';
import { BufferPool, pump, RegistryError, type VerifiedFiles, type VerifiedReader } from '../../registry/index.ts';
import type { Logger, Timers } from '../ports.ts';
import { askApp, writeHead } from './front-forward.ts';
import type { HandOver } from './front-protocol.ts';

const CUT_SHORT = 'an answer was cut short';

/** A client's request and the answer to it; `gone` fires when its connection is closed. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly gone: AbortSignal;
}

export interface FileSenderDeps {
  readonly verified: VerifiedFiles;
  readonly agent: Agent;
  readonly timers: Timers;
  readonly log: Logger;
  readonly onSent: (sizeBytes: number) => void;
}

export class FileSender {
  readonly #clientStallMs: number;
  readonly #deps: FileSenderDeps;
  readonly #buffers: BufferPool = new BufferPool();

  constructor(options: { readonly clientStallMs: number }, deps: FileSenderDeps) {
    this.#clientStallMs = options.clientStallMs;
    this.#deps = deps;
  }

  /** Sends `answer` with the bytes it hands over. False, and nothing was sent, when the file can't be opened here. */
  async send(exchange: Exchange, answer: IncomingMessage, handOver: HandOver): Promise<boolean> {
    const { response, gone } = exchange;
    const reader = await this.#open(handOver);
    if (reader === null) return false;
    const { from, to } = handOver;
    writeHead(response, answer, to - from);
    let position = from;
    try {
      await this.#pump({ source: reader, response, gone }, { from, to }, (sizeBytes) => {
        position += sizeBytes;
      });
      response.end();
    } catch (error) {
      if (gone.aborted) response.destroy();
      else if (response.destroyed) this.#deps.log.warn({ position, error: messageOf(error) }, CUT_SHORT);
      else await this.#goOn(exchange, { answer, handOver, position, error });
    } finally {
      await reader.close();
    }
    return true;
  }

  async #open({ paths, file }: HandOver): Promise<VerifiedReader | null> {
    try {
      return await this.#deps.verified.open(paths, file);
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      return null;
    }
  }

  async #pump(
    ends: Parameters<typeof pump>[1],
    range: { readonly from: number; readonly to: number },
    onSent: (sizeBytes: number) => void,
  ): Promise<void> {
    const { timers } = this.#deps;
    const counted = (sizeBytes: number): void => {
      onSent(sizeBytes);
      this.#deps.onSent(sizeBytes);
    };
    await pump({ timers, buffers: this.#buffers, clientStallMs: this.#clientStallMs, onSent: counted }, ends, range);
  }

  /** The rest of the answer, from the app; a cut connection when it is not the rest of the same file. */
  async #goOn(
    { request, response, gone }: Exchange,
    at: { readonly answer: IncomingMessage; readonly handOver: HandOver; readonly position: number; readonly error: unknown },
  ): Promise<void> {
    const { to, file } = at.handOver;
    const fields = { sha256: formatDigest(file.sha256), position: at.position };
    this.#deps.log.warn({ ...fields, error: messageOf(at.error) }, 'a stored file could not be read on; going on from another source');
    try {
      const rest = await this.#askRest(request, { from: at.position, to }, gone);
      const expected = `bytes ${at.position}-${to - 1}/${file.sizeBytes}`;
      const fits = rest.statusCode === 206 && rest.headers['content-range'] === expected && rest.headers.etag === at.answer.headers.etag;
      if (!fits) {
        rest.destroy();
        throw new Error(`expected 206 with ${expected}, got ${rest.statusCode} with ${rest.headers['content-range']}`);
      }
      await pipeline(rest, response);
    } catch (error) {
      if (!gone.aborted) this.#deps.log.warn({ ...fields, error: messageOf(error) }, CUT_SHORT);
      response.destroy();
    }
  }

  #askRest(request: IncomingMessage, range: { readonly from: number; readonly to: number }, gone: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const asked = askApp(this.#deps.agent, request, { mode: 'rest', range });
      gone.addEventListener('abort', () => asked.destroy(), { once: true });
      asked.on('response', resolve).on('error', reject).end();
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
