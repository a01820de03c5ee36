/**
 * A node's consent to its own admission, or to a key of its own, as one line of text that an operator carries to the admins: the claim and
 * the signatures of the new keys over it. SPEC §3.8. Holds no secret; whoever has it can propose the claim, and nothing else.
 */

import {
  type Claim,
  type Consent,
  claim,
  claimDigest,
  consent,
  consentPayload,
  type Digest,
  decode,
  digest,
  encode,
  type KeyUse,
  type NodeRecord,
  record,
  type Schema,
  type Sha256,
} from '../../chain/index.ts';

const PREFIX = 'cairn-consent-1.';
const MAX_BYTES = 4096;
/** Base64url of the most bytes. */
export const MAX_NOTE_CHARACTERS: number = PREFIX.length + Math.ceil((MAX_BYTES * 4) / 3);

export interface ConsentNote {
  readonly chainId: Digest;
  readonly claim: Claim;
  readonly consent: Consent;
}

const noteSchema: Schema<ConsentNote> = record({ chainId: digest, claim, consent });

type Sign = (use: KeyUse, message: Uint8Array) => Uint8Array;

/** The consent of all three keys of a node to stand in the set. `replaces`: height of its record, null for one that was never there. */
export function consentToJoin(
  about: { readonly chainId: Digest; readonly node: NodeRecord; readonly replaces: number | null },
  sign: Sign,
  sha256: Sha256,
): ConsentNote {
  const { chainId, node, replaces } = about;
  const wanted: Claim = { kind: 'AddNode', node, replaces };
  return signed({ chainId, claim: wanted, nodeId: node.nodeId, uses: ['network', 'consensus', 'checkpoint'] }, sign, sha256);
}

/** The consent of a new key to take the place of the node's old one. */
export function consentToRotate(
  about: {
    readonly chainId: Digest;
    readonly nodeId: Digest;
    readonly use: KeyUse;
    readonly publicKey: Uint8Array;
    readonly replaces: number;
  },
  sign: Sign,
  sha256: Sha256,
): ConsentNote {
  const { chainId, nodeId, use, publicKey, replaces } = about;
  const wanted: Claim = { kind: 'RotateKey', nodeId, use, publicKey, replaces };
  return signed({ chainId, claim: wanted, nodeId, uses: [use] }, sign, sha256);
}

export function formatConsentNote(note: ConsentNote): string {
  return PREFIX + Buffer.from(encode(noteSchema, note)).toString('base64url');
}

/** True for what looks like one, be it damaged. */
export function isConsentNote(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** The note, or null for text that is none, or not whole. */
export function parseConsentNote(text: string): ConsentNote | null {
  if (!isConsentNote(text) || text.length > MAX_NOTE_CHARACTERS) return null;
  const body = text.slice(PREFIX.length);
  const bytes = Buffer.from(body, 'base64url');
  if (bytes.toString('base64url') !== body) return null;
  const note = decode(noteSchema, new Uint8Array(bytes), { maxBytes: MAX_BYTES });
  return note.ok ? note.value : null;
}

function signed(
  about: { readonly chainId: Digest; readonly claim: Claim; readonly nodeId: Digest; readonly uses: readonly KeyUse[] },
  sign: Sign,
  sha256: Sha256,
): ConsentNote {
  const digestOfClaim = claimDigest(sha256, about.claim);
  const signatures = about.uses.map((use) => sign(use, consentPayload(about.chainId, digestOfClaim, use)));
  const given: Consent = { nodeId: about.nodeId, signatures };
  return { chainId: about.chainId, claim: about.claim, consent: given };
}
