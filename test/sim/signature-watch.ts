/**
 * Notes every prevote that any key of the world signs, at the signature itself: what is known of it later may travel by ways that nobody
 * overhears. Signs like the signer it stands before.
 */

import { type Digest, decode, digest, digestToHex, nullable, oneOf, sameBytes, tuple, uint } from '../../chain/index.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { Signatures } from '../world/signatures.ts';
import type { Fact } from './facts.ts';

/** SPEC §6. */
const prevotePayload = tuple(oneOf('cairn/vote/1'), digest, oneOf('prevote', 'precommit'), uint(), uint(), nullable(digest));
const VOTE_DOMAIN = Buffer.from('cairn/vote/1');
/** Where the domain stands in the payload: after the heads of the list and of the text. */
const DOMAIN_AT = 2;

export function watched(signatures: Signatures, deps: { readonly chainId: () => Digest; readonly see: (fact: Fact) => void }): Signatures {
  return {
    ...signatures,
    signer: (keys, next) => {
      const signer = signatures.signer(keys, next);
      const nodeId = digestToHex(sha256(signer.publicKey('network')));
      const note = (message: Uint8Array): void => {
        if (VOTE_DOMAIN.compare(message, DOMAIN_AT, DOMAIN_AT + VOTE_DOMAIN.length) !== 0) return;
        const read = decode(prevotePayload, message, { maxBytes: 256 });
        if (!read.ok) return;
        const [, chainId, type, height, round, blockId] = read.value;
        if (type !== 'prevote' || !sameBytes(chainId, deps.chainId())) return;
        deps.see({ kind: 'prevote signed', nodeId, height, round, value: blockId === null ? 'nil' : digestToHex(blockId) });
      };
      return {
        ...signer,
        sign: (use, message, publicKey) => {
          if (use === 'consensus') note(message);
          return signer.sign(use, message, publicKey);
        },
      };
    },
  };
}
