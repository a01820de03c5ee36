/**
 * Asks one peer for one page of blocks and decodes it strictly. What does not decode, or begins elsewhere, is a fault that the peer pays for;
 * what stands before the fault is kept. Checks no rule of the chain. SPEC §9.3, §9.4.
 */

import { blocksRequest, blocksResponse, type Digest, decode, encode, MAX_BLOCKS_RESPONSE_BYTES } from '../../chain/index.ts';
import { protocolOf } from '../channels.ts';
import { type CertifiedBlock, decodeBlock, decodeCertificate } from '../ledger/head.ts';
import type { Logger, Network } from '../ports.ts';

const REQUEST_TIMEOUT_MS = 10_000;

export interface PageRequest {
  readonly peer: string;
  readonly from: number;
  /** At most 64. */
  readonly max: number;
  readonly signal: AbortSignal;
}

export interface FetchedPage {
  readonly blocks: readonly CertifiedBlock[];
  /** Where the peer says it is. */
  readonly height: number;
}

export interface FetchPageDeps {
  readonly chainId: Digest;
  readonly network: Network;
  readonly log: Logger;
}

/** Null when nothing came, or nothing usable. */
export async function fetchPage(deps: FetchPageDeps, request: PageRequest): Promise<FetchedPage | null> {
  const bytes = await ask(deps, request);
  return bytes === null ? null : decodePage(deps, request, bytes);
}

async function ask({ network, log, chainId }: FetchPageDeps, { peer, from, max, signal }: PageRequest): Promise<Uint8Array | null> {
  const options = { timeoutMs: REQUEST_TIMEOUT_MS, maxResponseBytes: MAX_BLOCKS_RESPONSE_BYTES, signal };
  try {
    return await network.request(peer, protocolOf(chainId, 'blocks'), encode(blocksRequest, { from, max }), options);
  } catch (error) {
    log.debug({ peer, error: String(error) }, 'a peer gave no blocks');
    return null;
  }
}

/** What comes before the first fault; a fault in the first block leaves nothing. */
function decodePage({ network }: FetchPageDeps, request: PageRequest, bytes: Uint8Array): FetchedPage | null {
  const answer = decode(blocksResponse, bytes, { maxBytes: MAX_BLOCKS_RESPONSE_BYTES });
  if (!answer.ok) {
    network.penalize(request.peer, 'bad-message', answer.reason);
    return null;
  }
  const blocks: CertifiedBlock[] = [];
  for (const entry of answer.value.blocks.slice(0, request.max)) {
    const block = decodeBlock(entry.block);
    const certificate = decodeCertificate(entry.certificate);
    if (!block.ok || !certificate.ok) {
      network.penalize(request.peer, 'bad-block', 'a block or certificate does not decode');
      break;
    }
    if (block.value.header.height !== request.from + blocks.length) {
      network.penalize(request.peer, 'bad-block', 'blocks of other heights than were asked for');
      break;
    }
    blocks.push({ block: block.value, certificate: certificate.value, bytes: entry });
  }
  return { blocks, height: answer.value.height };
}
