/**
 * What happens when a client asks for an image that the chain does not have: the authorities are asked, if this node may, and the client
 * waits. Follows docs/SPEC.md, "OCI". Leaves one line a step in the log, however many clients wait for one image. Never asks an upstream.
 */

import type { Logger } from '../ports.ts';
import type { Requesting, RequestOutcome } from '../types.ts';
import type { OciRefusal } from './errors.ts';
import { formatReference, type OciTarget } from './names.ts';
import { formatImage } from './reference.ts';

export interface MissDeps {
  readonly requesting: Requesting;
  readonly log: Logger;
}

type WantedManifest = Extract<OciTarget, { kind: 'manifest' }>;

export class Misses {
  readonly #deps: MissDeps;
  /** Images that clients wait for; `isTold` once the outcome stands in the log. */
  readonly #waiting: Map<string, { clients: number; isTold: boolean }> = new Map();

  constructor(deps: MissDeps) {
    this.#deps = deps;
  }

  /** Null once the image is committed, else what to tell the client. Resolves early when `gone` fires. */
  async resolve({ repository, reference }: WantedManifest, gone: AbortSignal): Promise<OciRefusal | null> {
    const { requesting, log } = this.#deps;
    const subject = { ...repository.name, reference: formatReference(reference) };
    const image = formatImage(repository.name, subject.reference);
    const reason = requesting.mayRequest(subject);
    if (reason !== null) {
      log.info({ image, step: 'refused', reason }, 'image request');
      return { code: 'MANIFEST_UNKNOWN', message: 'the chain has no such manifest', detail: { image, reason } };
    }
    const wait = this.#waiting.get(image) ?? { clients: 0, isTold: false };
    this.#waiting.set(image, wait);
    wait.clients += 1;
    if (wait.clients === 1) log.info({ image, step: 'requested' }, 'image request');
    try {
      const outcome = await requesting.request(subject, { signal: gone });
      // Who left early was told nothing of what comes out in the end.
      if (!wait.isTold && !gone.aborted) {
        wait.isTold = true;
        log.info({ image, step: outcome.kind, ...(outcome.kind === 'committed' ? {} : { reason: outcome.reason }) }, 'image request');
      }
      return refusalOf(outcome, image);
    } finally {
      wait.clients -= 1;
      if (wait.clients === 0) this.#waiting.delete(image);
    }
  }
}

function refusalOf(outcome: RequestOutcome, image: string): OciRefusal | null {
  if (outcome.kind === 'committed') return null;
  const { kind, reason } = outcome;
  switch (kind) {
    case 'absent':
      return { code: 'MANIFEST_UNKNOWN', message: reason, detail: { image } };
    case 'refused':
      return { code: 'DENIED', message: reason, detail: { image } };
    case 'pending':
      return { code: 'UNAVAILABLE', message: reason, detail: { image } };
  }
}
