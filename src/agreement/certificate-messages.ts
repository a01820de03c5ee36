/**
 * Certificates of votes as they travel, and what the machine would make of them: asked before their signatures are, which cost more.
 * SPEC §9.4. Verifies no signature.
 */

import type { CertificateMessage } from '../../chain/index.ts';
import {
  asHeight,
  asRound,
  assertNever,
  hasQuorumFor,
  type Input,
  isCommitCertificate,
  isPolkaCertificate,
  isRoundCertificate,
  type MachineState,
} from '../../consensus/index.ts';
import { voteFromRecord } from './records.ts';

export type CertificateInput = Extract<Input, { readonly kind: 'polkaCertificate' | 'roundCertificate' | 'commitCertificate' }>;

/** Null when a certificate for a value names none. */
export function certificateFromMessage(message: CertificateMessage): CertificateInput | null {
  const base = { height: asHeight(message.height), round: asRound(message.round), votes: message.votes.map(voteFromRecord) };
  if (message.kind === 'round') return { kind: 'roundCertificate', certificate: base };
  const valueId = base.votes[0]?.valueId ?? null;
  if (valueId === null) return null;
  const kind = message.kind === 'polka' ? 'polkaCertificate' : 'commitCertificate';
  return { kind, certificate: { ...base, valueId } };
}

/** Its votes belong together and have the power; signatures aside. */
export function isWellFormed({ votes }: MachineState, input: CertificateInput): boolean {
  switch (input.kind) {
    case 'polkaCertificate':
      return isPolkaCertificate(votes, input.certificate);
    case 'commitCertificate':
      return isCommitCertificate(votes, input.certificate);
    case 'roundCertificate':
      return isRoundCertificate(votes, input.certificate);
    default:
      return assertNever(input);
  }
}

/** Whether the machine would learn anything from it: one it has had costs neither a signature nor a line of the write-ahead log. */
export function isNews({ votes, consensus }: MachineState, input: CertificateInput): boolean {
  switch (input.kind) {
    case 'polkaCertificate':
      return !hasQuorumFor(votes, input.certificate.round, 'prevote', input.certificate.valueId);
    case 'commitCertificate':
      return !hasQuorumFor(votes, input.certificate.round, 'precommit', input.certificate.valueId);
    case 'roundCertificate':
      return consensus.step === 'waiting' || input.certificate.round > consensus.round;
    default:
      return assertNever(input);
  }
}
