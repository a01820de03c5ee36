/** Compares the chains of all nodes of a network, height by height, as their admin APIs tell them. */

import type { Test } from 'tap';
import type { Fixture } from './localnet-fixture.ts';

const CATCH_UP_MS = 90_000;

interface BlockAnswer {
  readonly blockId: string;
  readonly stateRoot: string;
}

/** Every node's block id and state root at every height up to the lowest head. */
export async function assertSameChain(test: Test, fixture: Fixture): Promise<void> {
  const heights = await Promise.all(fixture.nodes.map((node) => fixture.height(node)));
  const top = Math.max(...heights);
  for (const node of fixture.nodes) await fixture.waitForHeight(node, top, CATCH_UP_MS);
  for (let height = 1; height <= top; height += 1) {
    const answers = await Promise.all(fixture.nodes.map(async (node) => (await node.admin.get(`/block?height=${height}`)) as BlockAnswer));
    const [first, ...others] = answers;
    const isDigest = /^[0-9a-f]{64}$/;
    if (!isDigest.test(first?.blockId ?? '') || !isDigest.test(first?.stateRoot ?? ''))
      test.fail(`no digests at height ${height}`, { first });
    for (const [index, other] of others.entries()) {
      const same = other.blockId === first?.blockId && other.stateRoot === first?.stateRoot;
      if (!same) test.fail(`${fixture.nodes[index + 1]?.name} differs at height ${height}`, { first, other });
    }
  }
  test.ok(top > 0, `${fixture.nodes.length} nodes agree on ${top} blocks`);
}
