/**
 * Load for a network under attack: each publisher puts made-up files at one authority, one after the other, and writes down what was
 * acknowledged. An answer 201 is a promise; 202, an error or no answer is none. Never gives up on a node that is away: it tries again later.
 */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { LocalnetNode } from '../../src/localnet/index.ts';

const ANSWER_MS = 40_000;
/** After no answer. */
const RETRY_MS = 500;

/** A promise that was made to a client. */
export interface Acknowledged {
  readonly target: string;
  readonly sha256: string;
}

export interface PublisherOptions {
  /** Part of each file's name. */
  readonly name: string;
  /** Waited between a publication and the next. */
  readonly paceMs: number;
  /** Bytes of the nth file. */
  readonly sizeOf: (nth: number) => number;
}

export class Publishers {
  readonly acknowledged: Acknowledged[] = [];
  /** Publications by what became of them. */
  readonly outcomes = { acknowledged: 0, pending: 0, refused: 0, unanswered: 0 };
  /** What was refused in a way that no fault of the network explains. */
  readonly refusals: string[] = [];
  readonly #options: PublisherOptions;
  readonly #done: readonly Promise<void>[];
  readonly #stop = new AbortController();

  constructor(nodes: readonly LocalnetNode[], options: PublisherOptions) {
    this.#options = options;
    this.#done = nodes.map(async (node) => await this.#run(node));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#done);
  }

  async #run(node: LocalnetNode): Promise<void> {
    const token = (await readFile(path.join(node.dataDir, 'publish-token'), 'utf8')).trim();
    for (let nth = 1; !this.#stop.signal.aborted; nth += 1) {
      const answered = await this.#publish(node, token, nth);
      await pause(answered ? this.#options.paceMs : RETRY_MS, undefined, { signal: this.#stop.signal }).catch(() => {});
    }
  }

  /** True when there was an answer. */
  async #publish(node: LocalnetNode, token: string, nth: number): Promise<boolean> {
    const { name, sizeOf } = this.#options;
    const target = `/generic/demo/${name}-${node.name}/1.0.${nth}/file.bin`;
    const body = contentOf(target, sizeOf(nth));
    try {
      const response = await fetch(`http://127.0.0.1:${node.ports.http}${target}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${token}` },
        body,
        signal: AbortSignal.any([AbortSignal.timeout(ANSWER_MS), this.#stop.signal]),
      });
      const text = await response.text();
      this.#note(response.status, { target, text, sha256: createHash('sha256').update(body).digest('hex') });
      return true;
    } catch {
      this.outcomes.unanswered += 1;
      return false;
    }
  }

  #note(status: number, of: Acknowledged & { readonly text: string }): void {
    const { target, sha256, text } = of;
    if (status === 201) {
      this.acknowledged.push({ target, sha256 });
      this.outcomes.acknowledged += 1;
    } else if (status === 202) {
      this.outcomes.pending += 1;
    } else {
      this.outcomes.refused += 1;
      if (status < 500) this.refusals.push(`${target}: ${status} ${text.slice(0, 200)}`);
    }
  }
}

/** Bytes that no other target has, and that don't repeat within a piece. */
function contentOf(target: string, sizeBytes: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeBytes);
  for (let offset = 0; offset < sizeBytes; offset += 32) {
    const digest = createHash('sha256').update(`${target}/${offset}`).digest();
    bytes.set(digest.subarray(0, Math.min(32, sizeBytes - offset)), offset);
  }
  return bytes;
}
