/**
 * The tags of a repository, page by page, and only those whose image is live. Follows OCI distribution-spec 1.1, "Listing tags" (end-8).
 * Bounded work a page: where many tags point to what was removed, a page may be short and still name the next.
 */

import type { FastifyReply } from 'fastify';
import type { PackageName } from '../../chain/index.ts';
import type { Ledger } from '../types.ts';
import { API_VERSION, API_VERSION_HEADER, sendOciRefusal } from './errors.ts';
import type { OciTarget, Repository } from './names.ts';

/** Labels looked at for one page. */
const MAX_LOOKED_AT = 4000;
const BATCH = 500;

export type TagsLedger = Pick<Ledger, 'labels' | 'name' | 'lookUp' | 'versions'>;

export async function getTags(
  ledger: TagsLedger,
  reply: FastifyReply,
  { repository, page }: Extract<OciTarget, { kind: 'tags' }>,
): Promise<FastifyReply> {
  const { tags, next } = await liveTags(ledger, repository.name, page);
  if (tags.length === 0 && next === null && !(await isKnown(ledger, repository.name)))
    return sendOciRefusal(reply, { code: 'NAME_UNKNOWN', message: 'the chain has no such repository', detail: { name: repository.path } });
  if (next !== null) reply.header('link', nextLink(repository, 'tags/list', `n=${page.n}&last=${next}`));
  return reply.header(API_VERSION_HEADER, API_VERSION).header('cache-control', 'no-cache').send({ name: repository.path, tags });
}

/** RFC 8288, `rel="next"`, to the same endpoint. */
export function nextLink(repository: Repository, endpoint: string, query: string): string {
  const whole = repository.query === '' ? query : `${query}&${repository.query}`;
  return `</v2/${repository.path}/${endpoint}?${whole}>; rel="next"`;
}

async function liveTags(
  ledger: TagsLedger,
  of: PackageName,
  { n, last }: { readonly n: number; readonly last: string | null },
): Promise<{ readonly tags: readonly string[]; readonly next: string | null }> {
  const tags: string[] = [];
  let after = last;
  // Zero tags are asked for to learn whether the repository is there.
  for (let lookedAt = 0; n > 0 && lookedAt < MAX_LOOKED_AT; lookedAt += BATCH) {
    const labels = await ledger.labels(of, { after, limit: BATCH });
    for (const label of labels) {
      if (isLive(ledger, of, label)) {
        if (tags.length === n) return { tags, next: tags[n - 1] ?? null };
        tags.push(label);
      }
      after = label;
    }
    if (labels.length < BATCH) return { tags, next: null };
  }
  return { tags, next: n === 0 ? null : after };
}

function isLive(ledger: TagsLedger, of: PackageName, label: string): boolean {
  const target = ledger.name(of, label);
  return target !== null && ledger.lookUp(target)?.kind === 'live';
}

/** True while some version of it is live. */
async function isKnown(ledger: TagsLedger, of: PackageName): Promise<boolean> {
  return (await ledger.versions(of, { after: null, limit: 1 })).length > 0;
}
