/**
 * HEAD and GET of manifests: exact bytes under their exact type, from memory when they are there. Follows OCI distribution-spec 1.1, "Pulling
 * manifests" (end-3). A repeated request costs two map look-ups: what the ledger said of a raw target is remembered until the next commit.
 * Never negotiates, never says 200 for bytes that can't be had, and remembers no refusal.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { refusalOfError } from '../http-errors.ts';
import { matchesEtag, watchClient } from '../http-file.ts';
import { type AnswerFront, MAX_REPEATED_BYTES } from '../http-front.ts';
import type { Logger } from '../ports.ts';
import type { Ledger } from '../types.ts';
import { sendAsOciRefusal, sendOciRefusal } from './errors.ts';
import { findManifest, type LiveManifest, type ManifestFinding } from './lookup.ts';
import type { ManifestCache } from './manifest-cache.ts';
import type { Misses } from './miss.ts';
import { formatReference, type OciTarget } from './names.ts';
import { formatImage } from './reference.ts';

/** Raw targets remembered; a target has at most 1,024 characters. */
const MAX_REMEMBERED = 4096;

export interface ManifestDeps {
  readonly ledger: Pick<Ledger, 'epoch' | 'name' | 'lookUp' | 'isBanned' | 'isFresh'>;
  readonly cache: ManifestCache;
  readonly misses: Misses;
  /** Told of every manifest that is sent from memory, and how many bytes it has. */
  readonly onRead?: (from: 'local', sizeBytes: number) => void;
  readonly log: Logger;
  readonly front?: AnswerFront | undefined;
}

type WantedManifest = Extract<OciTarget, { kind: 'manifest' }>;

export class Manifests {
  readonly #deps: ManifestDeps;
  readonly #remembered: Map<string, LiveManifest> = new Map();
  #epoch = Number.NaN;

  constructor(deps: ManifestDeps) {
    this.#deps = deps;
  }

  /** True when the request has been answered: asked before since the last commit, and in memory. The head must be fresh. */
  answerKnown(request: FastifyRequest, reply: FastifyReply): boolean {
    if (this.#deps.ledger.epoch() !== this.#epoch) return false;
    const manifest = this.#remembered.get(request.raw.url ?? '');
    const bytes = manifest === undefined ? null : this.#deps.cache.held(manifest.hex);
    if (manifest === undefined || bytes === null) return false;
    this.#answer(request, reply, { manifest, bytes });
    return true;
  }

  async get(request: FastifyRequest, reply: FastifyReply, wanted: WantedManifest): Promise<FastifyReply> {
    const finding = this.#find(request, wanted);
    if (finding.kind !== 'unknown') return this.#answerFinding(request, reply, { wanted, finding });
    const client = watchClient(request);
    try {
      const refusal = await this.#deps.misses.resolve(wanted, client.gone);
      if (refusal !== null) return sendOciRefusal(reply, refusal);
    } catch (error) {
      return sendAsOciRefusal(reply, refusalOfError(error, this.#deps.log));
    } finally {
      client.unwatch();
    }
    if (!this.#deps.ledger.isFresh()) return sendStale(reply);
    return this.#answerFinding(request, reply, { wanted, finding: this.#find(request, wanted) });
  }

  #find(request: FastifyRequest, { repository, reference }: WantedManifest): ManifestFinding {
    const { ledger } = this.#deps;
    const epoch = ledger.epoch();
    const finding = findManifest(ledger, repository.name, reference);
    if (finding.kind === 'live') this.#remember(epoch, request.raw.url ?? '', finding.manifest);
    return finding;
  }

  #remember(epoch: number, rawTarget: string, manifest: LiveManifest): void {
    if (epoch !== this.#epoch || this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    this.#epoch = epoch;
    this.#remembered.set(rawTarget, manifest);
  }

  async #answerFinding(
    request: FastifyRequest,
    reply: FastifyReply,
    { wanted, finding }: { readonly wanted: WantedManifest; readonly finding: ManifestFinding },
  ): Promise<FastifyReply> {
    const { cache, log } = this.#deps;
    const image = formatImage(wanted.repository.name, formatReference(wanted.reference));
    switch (finding.kind) {
      case 'removed':
        log.info({ image, step: 'refused', reason: finding.reason }, 'image request');
        return sendOciRefusal(reply, { code: 'DENIED', message: finding.reason, detail: { image } });
      case 'unknown':
        return sendOciRefusal(reply, { code: 'UNAVAILABLE', message: 'the chain has just changed: come again', detail: { image } });
      case 'live':
        break;
    }
    const { manifest } = finding;
    let bytes: Buffer;
    try {
      bytes = await cache.load(manifest.file);
    } catch (error) {
      return sendAsOciRefusal(reply, refusalOfError(error, log));
    }
    // A removal may have been committed while the bytes came.
    const after = this.#find(request, wanted);
    if (after.kind === 'live' && after.manifest.hex === manifest.hex) {
      this.#answer(request, reply, { manifest: after.manifest, bytes });
      return reply;
    }
    return this.#answerFinding(request, reply, { wanted, finding: after.kind === 'live' ? { kind: 'unknown' } : after });
  }

  /** Past the framework's own sending: its header map and serializers cost as much as all the rest. */
  #answer(
    request: FastifyRequest,
    reply: FastifyReply,
    { manifest, bytes }: { readonly manifest: LiveManifest; readonly bytes: Buffer },
  ): void {
    const { raw } = reply.hijack();
    if (matchesEtag(request.headers['if-none-match'], manifest.etag)) {
      raw.writeHead(304, manifest.validators);
      raw.end();
      return;
    }
    const repeatable = bytes.length <= MAX_REPEATED_BYTES ? this.#deps.front?.repeatable(request) : undefined;
    raw.writeHead(200, repeatable === undefined ? manifest.headers : [...manifest.headers, ...Object.entries(repeatable).flat()]);
    if (request.method === 'HEAD') return void raw.end();
    this.#deps.onRead?.('local', bytes.length);
    raw.end(bytes);
  }
}

/** A node that is cut off must not serve what may have been removed. */
export function sendStale(reply: FastifyReply): FastifyReply {
  const message = 'this node is cut off from the chain and might not know what was removed';
  return sendOciRefusal(reply, { code: 'UNAVAILABLE', message });
}
