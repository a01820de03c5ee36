/** Speaks to the admin API of the node on this machine. Follows docs/admin-api.md; refuses to follow redirects. */

import { CliError, EXIT } from './cli-error.ts';

const ANSWER_MS = 60_000;

export class AdminClient {
  readonly #origin: string;
  readonly #token: string;
  readonly #dataDir: string;

  constructor(options: { readonly port: number; readonly token: string; readonly dataDir: string }) {
    this.#origin = `http://127.0.0.1:${options.port}`;
    this.#token = options.token;
    this.#dataDir = options.dataDir;
  }

  /** The JSON answer; parameters that are null are left out. */
  async get(path: string, parameters: Readonly<Record<string, string | number | boolean | null>> = {}): Promise<unknown> {
    const query = new URLSearchParams(
      Object.entries(parameters).flatMap(([name, value]) => (value === null ? [] : [[name, String(value)] as [string, string]])),
    );
    const suffix = query.size === 0 ? '' : `?${query.toString()}`;
    return this.#ask(`${path}${suffix}`, { method: 'GET' });
  }

  async post(path: string, body: Readonly<Record<string, unknown>>): Promise<unknown> {
    return this.#ask(path, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
  }

  async #ask(
    path: string,
    init: { readonly method: string; readonly body?: string; readonly headers?: Record<string, string> },
  ): Promise<unknown> {
    const headers = { ...init.headers, authorization: `Bearer ${this.#token}` };
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.#origin + path, { ...init, headers, redirect: 'error', signal: AbortSignal.timeout(ANSWER_MS) });
      text = await response.text();
    } catch (cause) {
      const hint = `start it with 'cairn start --data ${this.#dataDir}'`;
      throw new CliError(EXIT.unreachable, `no node answers at ${this.#origin}: ${hint}`, cause);
    }
    const answer = parseAnswer(text);
    if (response.ok) return answer;
    const reason = reasonOf(answer) ?? `status ${response.status}`;
    if (response.status === 401)
      throw new CliError(EXIT.refused, `the node at ${this.#origin} refused the token of ${this.#dataDir}: is it another node's?`);
    if (response.status === 409) throw new CliError(EXIT.refused, reason);
    throw new CliError(EXIT.failed, reason);
  }
}

function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Why the node refused, out of an answer `{error}`, `{error: {message}}` or `{reason}`; or null. */
export function reasonOf(answer: unknown): string | null {
  if (typeof answer !== 'object' || answer === null) return null;
  const { error, reason, message } = answer as { error?: unknown; reason?: unknown; message?: unknown };
  if (typeof error === 'object' && error !== null) return reasonOf(error);
  return [error, reason, message].find((text) => typeof text === 'string') ?? null;
}
