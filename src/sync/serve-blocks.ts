/** Gives committed blocks with their certificates to whoever asks, a page at a time. SPEC §9.4. */

import { blocksRequest, blocksResponse, decode, encode, MAX_REQUEST_BYTES } from '../../chain/index.ts';
import type { Head } from '../ledger/head.ts';
import type { Network } from '../ports.ts';

/** What one answer holds at the most. */
const PAGE_BYTES = 4 * 1024 * 1024;
const MAX_CONCURRENT = 16;

/** Begins to answer; ends with the network. */
export function serveBlocks(protocol: string, deps: { readonly head: Head; readonly network: Network }): void {
  deps.network.handle(protocol, { maxRequestBytes: MAX_REQUEST_BYTES, maxConcurrent: MAX_CONCURRENT }, async (peer, body) => {
    const request = decode(blocksRequest, body, { maxBytes: MAX_REQUEST_BYTES });
    if (request.ok) return page(deps.head, request.value);
    deps.network.penalize(peer, 'bad-message', request.reason);
    throw new RangeError(request.reason);
  });
}

/** As many blocks from `from` on as fit; at least one where there is one. */
function page(head: Head, request: { readonly from: number; readonly max: number }): Uint8Array {
  const blocks: { readonly block: Uint8Array; readonly certificate: Uint8Array }[] = [];
  let size = 0;
  for (let height = request.from; height <= head.height && blocks.length < request.max; height += 1) {
    const stored = head.store.block(height);
    if (stored === null) break;
    size += stored.block.length + stored.certificate.length;
    if (size > PAGE_BYTES && blocks.length > 0) break;
    blocks.push(stored);
  }
  return encode(blocksResponse, { blocks, height: head.height });
}
