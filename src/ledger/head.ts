/**
 * The committed chain of this node and the only way to extend it: check a block by the pure rules of `chain`, write it in one synced
 * batch, then tell whoever follows. Consensus and block sync both end here. A disk error here is fatal: it rejects and the node stops.
 */

import {
  type Block,
  type BlockEffects,
  type BlockHeader,
  blockIdOf,
  block as blockSchema,
  blockSignatures,
  type ChainView,
  type CommitCertificateRecord,
  certificateSignatures,
  checkBlock,
  checkCommitCertificate,
  commitCertificate,
  type Digest,
  decode,
  digestToHex,
  encode,
  MAX_BLOCK_BYTES,
  MAX_CERTIFICATE_BYTES,
  type Parameters,
  PROTOCOL_VERSION,
  parametersOf,
  type Sha256,
  sameBytes,
  type ValidatorSetRecord,
  validatorSetAt,
} from '../../chain/index.ts';
import type { ChainStore, StoredBlock } from '../../chain/store/index.ts';
import { invariant } from '../invariant.ts';
import type { SignatureVerifier, SignedItem } from '../ports.ts';
import { StagedView } from './staged-view.ts';

/** Checked values of the height in work; liars can't make it more than two a round. */
const MAX_CHECKED = 32;
/** Signatures verified ahead before a bad one among them ends it: what a forged page can cost. */
const LOOK_AHEAD_ITEMS = 256;

/** Why a block is not for this chain: a code of `chain`'s validity or of its certificate, and the detail. */
export interface BlockRefusal {
  readonly code: string;
  readonly detail: string;
}

export type CheckResult = { readonly ok: true; readonly effects: BlockEffects } | { readonly ok: false; readonly refusal: BlockRefusal };

/** A block's bytes and what they are called here. */
interface Encoded {
  readonly bytes: Uint8Array;
  readonly key: string;
}

/** `unknown`: the signatures could not be checked just now; nothing is said about the block. */
type Checked = CheckResult | 'unknown';

export type ExtendResult =
  | { readonly kind: 'committed' }
  | { readonly kind: 'not-next' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'refused'; readonly refusal: BlockRefusal };

/** A block with its certificate, and both as they travel where they came so: what was decoded strictly has one encoding. */
export interface CertifiedBlock {
  readonly block: Block;
  readonly certificate: CommitCertificateRecord;
  readonly bytes?: StoredBlock;
}

/** How far a page got: blocks committed, and why no more were; null when all were, or stood on the chain before. */
export interface ExtendManyResult {
  readonly committed: number;
  readonly stop: { readonly height: number; readonly result: Exclude<ExtendResult, { readonly kind: 'committed' }> } | null;
}

export interface CommittedBlock {
  readonly block: Block;
  readonly blockId: Digest;
  readonly certificate: CommitCertificateRecord;
  readonly effects: BlockEffects;
}

export class Head {
  readonly #store: ChainStore;
  readonly #sha256: Sha256;
  readonly #verifier: SignatureVerifier;
  readonly #knownVersion: number;
  readonly #listeners = new Set<(committed: CommittedBlock) => void>();
  readonly #checked = new Map<string, CheckResult>();
  readonly #encoded = new WeakMap<Block, Encoded>();
  #tail: Promise<unknown> = Promise.resolve();

  constructor(deps: {
    readonly store: ChainStore;
    readonly sha256: Sha256;
    readonly verifier: SignatureVerifier;
    /** The newest rules that this software knows. Default: those of `chain`. */
    readonly knownVersion?: number | undefined;
  }) {
    this.#store = deps.store;
    this.#knownVersion = deps.knownVersion ?? PROTOCOL_VERSION;
    this.#sha256 = deps.sha256;
    this.#verifier = deps.verifier;
  }

  /** The chain as committed; a new object with each block. */
  get view(): ChainView {
    return this.#store.view();
  }

  get height(): number {
    return this.view.height;
  }

  /** Who votes on the block after the head. */
  get voters(): ValidatorSetRecord {
    return validatorSetAt(this.view, this.height + 1);
  }

  get store(): ChainStore {
    return this.#store;
  }

  /** The parameters that the block after the head obeys. */
  get parameters(): Parameters {
    return parametersOf(this.view);
  }

  /** The newest rules that this software knows. */
  get knownVersion(): number {
    return this.#knownVersion;
  }

  /** True when the block after the head obeys rules that this software doesn't know: it can go no further. */
  get isOutdated(): boolean {
    return this.parameters.protocolVersion > this.#knownVersion;
  }

  idOf(header: BlockHeader): Digest {
    return blockIdOf(this.#sha256, header);
  }

  /** The certificate stored beside the head; null at genesis. */
  get certificate(): CommitCertificateRecord | null {
    const stored = this.#store.block(this.height);
    if (stored === null) return null;
    const certificate = decodeCertificate(stored.certificate);
    invariant(certificate.ok, 'the stored certificate decodes');
    return certificate.value;
  }

  /**
   * Listeners are called in order of registration, after the block is on the disk; they must not throw. Of blocks written together each is
   * told in order, and the head is then beyond all but the last. Returns what ends it.
   */
  onCommit(listener: (committed: CommittedBlock) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Checks a block that would follow the head: signatures by the one rule, all else by `chain`. Computed once for each value. `unknown`
   * when the verifier is overloaded: ask again.
   */
  async check(block: Block): Promise<Checked> {
    const { key } = this.#encode(block);
    const known = this.#checked.get(key);
    if (known !== undefined) return known;
    const view = this.view;
    const result = await this.#checkOn(view, block);
    if (result !== 'unknown' && view.height === this.height) this.#remember(key, result);
    return result;
  }

  /** Takes over the effects of a block that this node has just made itself, so that they need not be worked out twice. */
  adopt(block: Block, effects: BlockEffects): void {
    this.#remember(this.#encode(block).key, { ok: true, effects });
  }

  /** Commits a decided block with its certificate. One at a time, in the order of the calls. */
  async extend(block: Block, certificate: CommitCertificateRecord): Promise<ExtendResult> {
    const { committed, stop } = await this.extendMany([{ block, certificate }]);
    return stop?.result ?? { kind: committed === 0 ? 'not-next' : 'committed' };
  }

  /**
   * Commits decided blocks that follow each other, in one synced batch as far as they are of this chain; those at or below the head are
   * passed over. Each is checked as `extend` checks it.
   */
  async extendMany(blocks: readonly CertifiedBlock[]): Promise<ExtendManyResult> {
    const turn = this.#tail.then(() => this.#extendMany(blocks));
    this.#tail = turn.catch(() => undefined);
    return await turn;
  }

  /**
   * Verifies what blocks further on will need, as far as the sets known today tell whose signatures those are, so that a remembering
   * verifier has the answers when their turn comes. Decides nothing: a set may change in between. Stops at the first that does not verify.
   */
  async lookAhead(blocks: readonly CertifiedBlock[]): Promise<void> {
    let items: SignedItem[] = [];
    for (const [index, { block, certificate }] of blocks.entries()) {
      const view = { ...this.view, height: block.header.height - 1 };
      items.push(...certificateSignatures(view, certificate), ...blockSignatures(view, block, this.#sha256));
      if (items.length < LOOK_AHEAD_ITEMS && index < blocks.length - 1) continue;
      const verdicts = await this.#verify(items);
      if (verdicts?.includes(false) !== false) return;
      items = [];
    }
  }

  /** The newest of the last `depth` heights whose stored certificate bears the node's signature, or 0. */
  newestSignatureOf(nodeId: Digest, depth: number): number {
    for (let height = this.height; height > 0 && height > this.height - depth; height -= 1) {
      const stored = this.#store.block(height);
      const certificate = stored === null ? null : decodeCertificate(stored.certificate);
      if (certificate?.ok === true && certificate.value.signatures.some((one) => sameBytes(one.nodeId, nodeId))) return height;
    }
    return 0;
  }

  /** Resolves when no commit is under way. */
  async settled(): Promise<void> {
    await this.#tail;
  }

  async #extendMany(blocks: readonly CertifiedBlock[]): Promise<ExtendManyResult> {
    const staged = new StagedView(this.view);
    const ready: (CommittedBlock & { readonly bytes: StoredBlock })[] = [];
    let stop: ExtendManyResult['stop'] = null;
    for (const one of blocks) {
      const { height } = one.block.header;
      if (height <= staged.view.height) continue;
      const checked = await this.#checkNext(staged.view, one);
      if (checked.kind !== 'ok') {
        stop = { height, result: checked };
        break;
      }
      const { effects } = checked;
      const bytes = one.bytes ?? { block: this.#encode(one.block).bytes, certificate: encode(commitCertificate, one.certificate) };
      ready.push({ block: one.block, certificate: one.certificate, blockId: effects.blockId, effects, bytes });
      staged.apply(effects);
    }
    if (ready.length > 0) await this.#write(ready);
    return { committed: ready.length, stop };
  }

  async #write(ready: readonly (CommittedBlock & { readonly bytes: StoredBlock })[]): Promise<void> {
    await this.#store.commitAll(ready.map(({ bytes, effects }) => ({ ...bytes, effects })));
    this.#checked.clear();
    for (const { bytes: _bytes, ...committed } of ready) for (const listener of this.#listeners) listener(committed);
  }

  /** Certificate and block against the view that they follow. */
  async #checkNext(
    view: ChainView,
    { block, certificate }: CertifiedBlock,
  ): Promise<{ readonly kind: 'ok'; readonly effects: BlockEffects } | Exclude<ExtendResult, { readonly kind: 'committed' }>> {
    if (block.header.height !== view.height + 1) return { kind: 'not-next' };
    const refusal = await this.#checkCertificate(view, block, certificate);
    if (refusal === 'unknown') return { kind: 'unknown' };
    if (refusal !== null) return { kind: 'refused', refusal };
    // What was checked before was checked on the head.
    const checked = view.height === this.height ? await this.check(block) : await this.#checkOn(view, block);
    if (checked === 'unknown') return { kind: 'unknown' };
    return checked.ok ? { kind: 'ok', effects: checked.effects } : { kind: 'refused', refusal: checked.refusal };
  }

  async #checkOn(view: ChainView, block: Block): Promise<Checked> {
    const verdicts = await this.#verify(blockSignatures(view, block, this.#sha256));
    return verdicts === null ? 'unknown' : checkBlock(view, block, verdicts, { sha256: this.#sha256, knownVersion: this.#knownVersion });
  }

  async #checkCertificate(view: ChainView, block: Block, certificate: CommitCertificateRecord): Promise<BlockRefusal | 'unknown' | null> {
    const blockId = blockIdOf(this.#sha256, block.header);
    const verdicts = await this.#verify(certificateSignatures(view, certificate));
    if (verdicts === null) return 'unknown';
    return checkCommitCertificate(view, certificate, { height: block.header.height, blockId, headerRound: block.header.round }, verdicts);
  }

  async #verify(items: readonly SignedItem[]): Promise<readonly boolean[] | null> {
    try {
      return await this.#verifier.verifyMany(items);
    } catch {
      // The verifier gives no verdict when forgeries overload it: nobody is to blame for what was not looked at.
      return null;
    }
  }

  /** Once for each object: a block is checked when it is proposed, when it is decided, and written. */
  #encode(block: Block): Encoded {
    const known = this.#encoded.get(block);
    if (known !== undefined) return known;
    const bytes = encode(blockSchema, block);
    const encoded = { bytes, key: digestToHex(this.#sha256(bytes)) };
    this.#encoded.set(block, encoded);
    return encoded;
  }

  #remember(key: string, result: CheckResult): void {
    if (this.#checked.size >= MAX_CHECKED) {
      const [oldest] = this.#checked.keys();
      if (oldest !== undefined) this.#checked.delete(oldest);
    }
    this.#checked.set(key, result);
  }
}

/** Strict decoding of a block from a peer or the store. */
export function decodeBlock(
  data: Uint8Array,
): { readonly ok: true; readonly value: Block } | { readonly ok: false; readonly reason: string } {
  return decode(blockSchema, data, { maxBytes: MAX_BLOCK_BYTES });
}

/** Strict decoding of a commit certificate from a peer or the store. */
export function decodeCertificate(
  data: Uint8Array,
): { readonly ok: true; readonly value: CommitCertificateRecord } | { readonly ok: false; readonly reason: string } {
  return decode(commitCertificate, data, { maxBytes: MAX_CERTIFICATE_BYTES });
}
