/**
 * Evidence takes the guilty out of the set two blocks on, where the network's parameters say so and the rules of sets allow it; and how
 * much room evidence can take. SPEC §4.1, §8.
 */

import t from 'tap';
import {
  type ChainView,
  digestToHex,
  encode,
  evidence as evidenceSchema,
  executeBlock,
  MAX_EVIDENCE,
  nextView,
  nodeOf,
  setsOf,
} from '../../chain/index.ts';
import { sha256, TestNetwork, type TestNode } from './state-fixture.ts';

const nodeAt = (network: TestNetwork, index: number): TestNode => network.nodes[index] as TestNode;

/** The view after a block that holds a double precommit of each of these nodes at the height before. */
function afterFaultsOf(network: TestNetwork, view: ChainView, guilty: readonly TestNode[], height = view.height): ChainView {
  return nextView(view, network.block(view, { evidence: guilty.map((node) => network.duplicateVote(node, { height })) }).effects);
}

/** A first block with one version in it. */
function started(network: TestNetwork): ChainView {
  return network.after(network.view(), [network.artifact('a')]);
}

const sizes = (view: ChainView): readonly number[] => {
  const { current, next, afterNext } = setsOf(view.state);
  return [current.length, next.length, afterNext.length];
};

t.test('the guilty leave the set two blocks on, and their record says when', async (t) => {
  const network = new TestNetwork(4, { removeGuilty: true });
  const guilty = nodeAt(network, 1);
  const view = afterFaultsOf(network, started(network), [guilty]);
  t.same(sizes(view), [4, 4, 3]);
  t.match(nodeOf(view.state, guilty.record.nodeId), { active: false, height: 2 });
  t.equal(view.state.get(`evidence|${digestToHex(guilty.record.nodeId)}|1|0|precommit`)?.kind, 'evidence');
});

t.test('without the parameter evidence is only held', async (t) => {
  const network = new TestNetwork(4);
  const view = afterFaultsOf(network, started(network), [nodeAt(network, 1)]);
  t.same(sizes(view), [4, 4, 4]);
  t.match(nodeOf(view.state, nodeAt(network, 1).record.nodeId), { active: true, height: 0 });
});

t.test('never more at once than the rules of sets allow: who stays, stays until other evidence', async (t) => {
  const cases: readonly (readonly [number, number, number])[] = [
    [4, 1, 3],
    [4, 2, 3],
    [3, 1, 2],
    [3, 3, 2],
    [2, 1, 2],
    [1, 1, 1],
    [7, 2, 5],
    [7, 4, 5],
  ];
  for (const [members, faults, left] of cases) {
    const network = new TestNetwork(members, { removeGuilty: true });
    const view = afterFaultsOf(network, started(network), network.nodes.slice(0, faults));
    t.same(sizes(view), [members, members, left], `${faults} of ${members}`);
    const active = network.nodes.filter((node) => nodeOf(view.state, node.record.nodeId)?.active === true);
    t.equal(active.length, left, 'records and set agree');
  }
});

t.test('evidence from before its record, which a quorum wrote since, takes no node out', async (t) => {
  const network = new TestNetwork(4, { removeGuilty: true });
  const node = nodeAt(network, 2);
  const first = started(network);
  const { nodeId } = node.record;
  const removed = network.after(first, [{ kind: 'RemoveNode', nodeId, reason: 'on leave', replaces: 0 }]);
  const three = network.nodes.filter((one) => one !== node);
  const between = nextView(removed, network.block(removed, {}, network.nodes).effects);
  const claim = { kind: 'AddNode', node: node.record, replaces: 2 } as const;
  const back = network.after(between, [claim], [network.consent(claim, node)], three);
  t.same(sizes(back), [3, 3, 4]);
  const told = executeBlock(back, network.content(back, { evidence: [network.duplicateVote(node, { height: 1 })] }, three), sha256);
  t.ok(told.ok, 'it is recorded');
  if (told.ok) t.match(nodeOf(nextView(back, told.effects).state, nodeId), { active: true, height: 4 });
});

t.test('a removal and evidence in one block take out once', async (t) => {
  const network = new TestNetwork(4, { removeGuilty: true });
  const view = started(network);
  const { nodeId } = nodeAt(network, 0).record;
  const transactions = [network.seal([{ kind: 'RemoveNode', nodeId, reason: 'caught', replaces: 0 }])];
  const evidence = [network.duplicateVote(nodeAt(network, 0), { height: 1 })];
  t.same(sizes(nextView(view, network.block(view, { transactions, evidence }).effects)), [4, 4, 3]);
});

t.test('all the evidence that a block may hold takes less room than the certificate beside it', async (t) => {
  const network = new TestNetwork(4);
  const one = network.duplicateVote(nodeAt(network, 0), { height: 2 ** 40, round: 65_535 });
  t.ok(MAX_EVIDENCE * encode(evidenceSchema, one).length < 40 * 1024, `${MAX_EVIDENCE * encode(evidenceSchema, one).length} bytes`);
});
