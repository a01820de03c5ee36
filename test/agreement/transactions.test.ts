/** From a proposal's list of digests to its block: what is at hand, what is fetched, and whom it is not left waiting for. SPEC §9. */

import t from 'tap';
import { type Block, encode, type SealedTransaction, sealedDigest, sealedTransaction, transactionsResponse } from '../../chain/index.ts';
import { type AssemblyDeps, assembleBlock, Transactions } from '../../src/agreement/assembly.ts';
import { sha256 } from '../../src/crypto/sha256.ts';
import type { Network } from '../../src/ports.ts';
import { digestOf } from '../chain/arbitraries.ts';
import { Forge } from '../world/hostile-peer.ts';
import { VirtualWorld } from '../world/world.ts';

async function prepared(): Promise<{ readonly world: VirtualWorld; readonly block: Block; readonly forge: Forge }> {
  const world = new VirtualWorld({ seed: 8, authorities: 1, mirrors: 0 });
  await world.startAll();
  const [one] = world.inhabitants;
  if (one === undefined) throw new RangeError('an empty world');
  const forge = new Forge(world);
  return {
    world,
    forge,
    block: forge.block(
      one,
      0,
      ['1.0.0', '2.0.0', '3.0.0'].map((version) => world.sealed(version)),
    ),
  };
}

/** Peers that answer a request for transactions with what they are told to. */
function asked(world: VirtualWorld, answers: Readonly<Record<string, () => readonly SealedTransaction[]>>, delayMs = 0) {
  const requests: string[] = [];
  const penalized: string[] = [];
  const network: Pick<Network, 'request' | 'penalize'> = {
    request: async (peer) => {
      requests.push(peer);
      if (delayMs > 0) await world.time.advance(delayMs);
      const give = answers[peer];
      if (give === undefined) throw new Error('gone');
      return encode(transactionsResponse, { transactions: give().map((one) => encode(sealedTransaction, one)) });
    },
    penalize: (peer) => penalized.push(peer),
  };
  const lookup = new Transactions({ sealed: () => null }, sha256);
  const deps: AssemblyDeps = { network: network as Network, protocol: 'x', sha256, lookup, clock: world.time.clock };
  return { deps, requests, penalized, lookup };
}

t.test('what one peer lacks the next one gives, and strange transactions are left aside', async (t) => {
  const { world, block, forge } = await prepared();
  const [one, two, three] = block.transactions;
  if (one === undefined || two === undefined || three === undefined) throw new RangeError('three transactions');
  const { deps, requests } = asked(world, { first: () => [two, world.sealed('9.0.0')], second: () => [one, two, three] });
  t.same(await assembleBlock(deps, forge.proposal(block), ['gone', 'first', 'second']), block);
  t.same(requests, ['gone', 'first', 'first', 'second'], 'a peer is asked as long as it gives something new');
  t.equal(await assembleBlock(deps, forge.proposal(block), ['first', 'gone']), null);
  await world.close();
});

t.test('a peer that gives one transaction at a time, slowly, is given up', async (t) => {
  const { world, block, forge } = await prepared();
  const many = Array.from({ length: 20 }, (_, index) => world.sealed(`5.0.${index}`));
  let next = 0;
  const drip = (): readonly SealedTransaction[] => {
    next += 1;
    return many.slice(next - 1, next);
  };
  const { deps, requests } = asked(world, { slow: drip, other: () => [] }, 2_900);
  const message = { ...forge.proposal(block), sealedDigests: many.map((one) => sealedDigest(sha256, one)) };
  t.equal(await assembleBlock(deps, message, ['slow', 'other']), null);
  t.ok(requests.length <= 5, `${requests.length} requests`);
  await world.close();
});

t.test('transactions of a value in work are at hand when the mempool has lost them', async (t) => {
  const { world, block, forge } = await prepared();
  const { deps, requests, lookup } = asked(world, {});
  lookup.include(() => [block]);
  t.same(await assembleBlock(deps, forge.proposal(block), ['gone']), block);
  t.same(requests, []);
  t.equal(lookup.sealed(digestOf(3)), null);
  await world.close();
});
