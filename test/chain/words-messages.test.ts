/**
 * Byte limits of what travels: none refuses a message that its schema allows. SPEC §8.
 */

import t from 'tap';
import * as chain from '../../chain/index.ts';

/** Most bytes that a value of this shape can take. */
function largest(shape: chain.Shape): number {
  switch (shape.kind) {
    case 'uint':
      return headBytes(shape.max);
    case 'bytes':
      return headBytes(shape.max) + shape.max;
    case 'text':
      return headBytes(3 * shape.max) + 3 * shape.max;
    case 'bool':
      return 1;
    case 'oneOf':
      return Math.max(...shape.values.map((value) => headBytes(value.length) + value.length));
    case 'nullable':
      return Math.max(1, largest(shape.inner));
    case 'array':
      return headBytes(shape.max) + shape.max * largest(shape.inner);
    case 'tuple':
      return headBytes(shape.items.length) + sum(shape.items.map(largest));
    case 'record':
      return headBytes(shape.fields.length) + sum(shape.fields.map((field) => field.keyBytes.length + largest(field.shape)));
    case 'union':
      return Math.max(...[...shape.variants.values()].map(largest));
  }
}

function headBytes(argument: number): number {
  return argument < 24 ? 1 : argument < 0x100 ? 2 : argument < 0x10000 ? 3 : argument < 0x100000000 ? 5 : 9;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

t.test('the largest value that a schema allows fits its message', async (t) => {
  const table: readonly (readonly [string, chain.Schema<unknown>, number])[] = [
    ['certificate', chain.commitCertificate, chain.MAX_CERTIFICATE_BYTES],
    ['vote', chain.voteMessage, chain.MAX_VOTE_MESSAGE_BYTES],
    ['proposal', chain.proposalMessage, chain.MAX_PROPOSAL_MESSAGE_BYTES],
    ['certificate of votes', chain.certificateMessage, chain.MAX_CERTIFICATE_MESSAGE_BYTES],
    ['endorsement', chain.endorsementMessage, chain.MAX_ENDORSEMENT_MESSAGE_BYTES],
    ['refusal', chain.refusalMessage, chain.MAX_REFUSAL_MESSAGE_BYTES],
    ['status', chain.statusMessage, chain.MAX_STATUS_MESSAGE_BYTES],
    ['signed status', chain.signedStatusMessage, chain.MAX_SIGNED_STATUS_MESSAGE_BYTES],
    ['request for blocks', chain.blocksRequest, chain.MAX_REQUEST_BYTES],
    ['request for transactions', chain.transactionsRequest, chain.MAX_TRANSACTIONS_REQUEST_BYTES],
    ['request for help', chain.helpRequest, chain.MAX_REQUEST_BYTES],
    ['request', chain.request, chain.MAX_REQUEST_MESSAGE_BYTES],
    ['question about a build', chain.buildQuestion, chain.MAX_BUILD_QUESTION_BYTES],
    ['report of a build', chain.buildReport, chain.MAX_BUILD_REPORT_BYTES],
    ['help', chain.helpResponse, chain.MAX_HELP_RESPONSE_BYTES],
  ];
  for (const [what, schema, limit] of table) {
    const bytes = largest(schema.shape);
    t.ok(bytes <= limit, `${what}: ${bytes} of ${limit}`);
  }
});

t.test('a transaction as large as a network may allow fits, with all that travels beside its claims', async (t) => {
  const claims = chain.claimList.shape.kind === 'array' ? headBytes(chain.claimList.shape.max) : 0;
  const endorsements = chain.array(chain.endorsement, chain.MAX_VALIDATORS);
  const consents = chain.array(chain.consent, chain.MAX_KEY_CLAIMS);
  const beside = claims + largest(endorsements.shape) + largest(consents.shape) + 64;
  t.ok(chain.MAX_TRANSACTION_BYTES + beside <= chain.MAX_SEALED_BYTES, `${beside} bytes beside the claims`);
  t.ok(chain.MAX_TRANSACTION_BYTES + beside + largest(chain.blockHeader.shape) + chain.MAX_CERTIFICATE_BYTES <= chain.MAX_BLOCK_BYTES);
  t.ok(chain.MAX_SEALED_BYTES + 64 <= chain.MAX_SEALED_MESSAGE_BYTES);
  t.ok(chain.MAX_TRANSACTION_BYTES + largest(consents.shape) + 256 <= chain.MAX_CANDIDATE_MESSAGE_BYTES);
});

t.test('a response holds one of the largest things it is asked for', async (t) => {
  t.ok(chain.MAX_BLOCK_BYTES + chain.MAX_CERTIFICATE_BYTES + 64 <= chain.MAX_BLOCKS_RESPONSE_BYTES);
  t.ok(chain.MAX_BLOCK_BYTES + 8 * chain.MAX_TRANSACTIONS <= chain.MAX_TRANSACTIONS_RESPONSE_BYTES, 'or all transactions of a block');
});
