/**
 * The serving half of a node: the committed chain and the files it speaks of, opened together and kept in order. What is committed leaves
 * staging, what rots is replaced from the network, what nobody committed expires, and all files are read again now and then.
 */

import type { Block, Digest, FileEntry } from '../chain/index.ts';
import { openChainStore } from '../chain/store/index.ts';
import { BlobStore, Library, Staging } from '../registry/index.ts';
import { Head } from './ledger/head.ts';
import { Members } from './ledger/members.ts';
import { StateLedger } from './ledger/state-ledger.ts';
import type { NodeDeps, NodeOptions } from './node-options.ts';
import type { Logger, Timer, Timers } from './ports.ts';

const EXPIRE_MS = 60_000;

/** What serves: the chain's answers and the bytes. */
export interface Serving {
  readonly head: Head;
  readonly members: Members;
  readonly ledger: StateLedger;
  readonly blobs: BlobStore;
  readonly staging: Staging;
  readonly library: Library;
}

/** Opens the chain and the files; damage is a clear error here, before anything is heard or said. */
export async function openServing(options: NodeOptions, deps: NodeDeps): Promise<Serving> {
  const { world, sha256, log, metrics } = deps;
  const { network } = world;
  const store = await openChainStore(
    { kv: world.chainStore, sha256, onFailure: deps.fatal },
    { chainId: options.chainId, ...options.genesis },
  );
  const head = new Head({ store, sha256, verifier: world.verifier, knownVersion: options.knownVersion });
  const members = new Members({ head, network });
  const ledger = new StateLedger({ maxHeadAgeMs: options.maxHeadAgeMs }, { head, members, clock: world.clock, peerId: network.peerId });
  let replace: (sha256: Digest) => void = () => metrics.fileQuarantined();
  const blobs = await BlobStore.open(
    { allocatedBytes: options.budgetBytes, reverifyMs: options.reverifyMs },
    { ...world, files: world.storage, log, onRotten: (found) => replace(found) },
  );
  const staging = await Staging.open(
    { quotaBytes: options.stagingBytes, expiryMs: options.stagingMs },
    { ...world, files: world.storage, log, blobs },
  );
  const library = new Library(
    { transfer: { chainId: options.chainId } },
    {
      ...world,
      files: world.storage,
      log,
      blobs,
      staging,
      ledger,
      requests: network,
      judge: network,
      directory: network,
      onRead: metrics.bytesServed,
    },
  );
  replace = (found) => {
    metrics.fileQuarantined();
    void library.heal(found);
  };
  return { head, members, ledger, blobs, staging, library };
}

/** At the commit of a version its staged files enter the store; an authority keeps them, as its endorsement promised. */
export async function settleFiles(
  block: Block,
  parts: { readonly isAuthority: boolean; readonly serving: Serving; readonly log: Logger },
): Promise<void> {
  const { library, blobs } = parts.serving;
  const files = block.transactions
    .flatMap((transaction) => transaction.claims)
    .flatMap((claim): readonly FileEntry[] => (claim.kind === 'AddArtifact' ? claim.files : []));
  for (const file of files) {
    try {
      if ((await library.settle(file)) && parts.isAuthority) await blobs.pin(file.digests.sha256);
    } catch (error) {
      parts.log.error({ file: file.name, error: String(error) }, 'a committed file could not be taken into the store');
    }
  }
}

/** Drops what expired in staging every minute and scrubs all stored files once every `reverifyMs`, until it is stopped. */
export function startHousekeeping(
  options: { readonly reverifyMs: number },
  deps: { readonly serving: Serving; readonly timers: Timers; readonly log: Logger },
): () => void {
  const { staging, blobs } = deps.serving;
  const stopped = new AbortController();
  const expire = repeat(deps.timers, EXPIRE_MS, () => staging.expire());
  const scrub = repeat(deps.timers, options.reverifyMs, async () => {
    const found = await blobs.scrub(stopped.signal);
    deps.log.info(found, 'stored files scrubbed');
  });
  return () => {
    stopped.abort();
    expire();
    scrub();
  };

  /** Once every `pauseMs`, never two at a time; a failing disk is logged and tried again. */
  function repeat(timers: Timers, pauseMs: number, work: () => Promise<unknown>): () => void {
    let timer: Timer;
    const wait = (): void => {
      timer = timers.set(pauseMs, () => {
        work()
          .catch((error: unknown) => deps.log.warn({ error: String(error) }, 'housekeeping failed'))
          .finally(() => !stopped.signal.aborted && wait());
      });
    };
    wait();
    return () => timer.cancel();
  }
}
