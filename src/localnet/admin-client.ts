/**
 * Asks one node of a localnet over its admin API, with the token from its data folder. Plain HTTP on loopback; never leaves the machine.
 */

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { NodeStatus } from '../operations.ts';

const ANSWER_MS = 5000;

export class AdminClient {
  readonly #dataDir: string;
  readonly #origin: string;

  constructor(options: { readonly dataDir: string; readonly port: number }) {
    this.#dataDir = options.dataDir;
    this.#origin = `http://127.0.0.1:${options.port}`;
  }

  async status(): Promise<NodeStatus> {
    return (await this.get('/status')) as NodeStatus;
  }

  /** The JSON answer; throws unless the status is 2xx. */
  async get(target: string): Promise<unknown> {
    return await this.#ask(target, {});
  }

  async post(target: string, body: Uint8Array | string, mediaType: string, timeoutMs: number = ANSWER_MS): Promise<unknown> {
    return await this.#ask(target, { method: 'POST', body, headers: { 'content-type': mediaType }, timeoutMs });
  }

  async #ask(
    target: string,
    request: { method?: string; body?: Uint8Array | string; headers?: Record<string, string>; timeoutMs?: number },
  ): Promise<unknown> {
    const token = (await readFile(path.join(this.#dataDir, 'admin-token'), 'utf8')).trim();
    const response = await fetch(this.#origin + target, {
      method: request.method ?? 'GET',
      headers: { ...request.headers, authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(request.timeoutMs ?? ANSWER_MS),
      ...(request.body === undefined ? {} : { body: request.body }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${request.method ?? 'GET'} ${target} answered ${response.status}: ${text.slice(0, 400)}`);
    return text === '' ? null : JSON.parse(text);
  }
}
