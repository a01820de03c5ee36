/** Blocks: what is made is valid, and each way of being invalid has its name. SPEC §5. */

import t from 'tap';
import {
  type Block,
  type BlockContent,
  type BlockRefusalCode,
  block as blockSchema,
  blockSignatures,
  type ChainView,
  type Claim,
  certificateSignatures,
  checkBlock,
  checkCommitCertificate,
  checkSealed,
  digestToHex,
  encode,
  endorsementSignatures,
  executeBlock,
  logLeafHash,
  logRoot,
  merkleRoot,
  nextView,
  nodeKeyAt,
  proposerAt,
  proveKey,
  type SealedTransaction,
  sealedTransaction,
  verifyKeyProof,
} from '../../chain/index.ts';
import {
  coordinatesOf,
  digestOf,
  fileOf,
  GENESIS_MS,
  nodeNamed,
  sha256,
  TestNetwork,
  type TestNode,
  verdictsOn,
  withKeyOf,
} from './state-fixture.ts';

const network = new TestNetwork();
const [node0, node1, node2, node3] = network.nodes as [TestNode, TestNode, TestNode, TestNode];
const start = network.view();
const first = network.block(start, { transactions: [network.seal([network.artifact('a')])] });
const view = nextView(start, first.effects);

/** Checks the block with verdicts as the shell would find them. */
function check(on: ChainView, block: Block): ReturnType<typeof checkBlock> {
  return checkBlock(on, block, verdictsOn(blockSignatures(on, block, sha256)), { sha256 });
}

function codeOf(on: ChainView, block: Block): string {
  const result = check(on, block);
  return result.ok ? 'accepted' : result.refusal.code;
}

t.test('what executeBlock makes, checkBlock takes, with the same effects', async (t) => {
  t.equal(codeOf(start, first.block), 'accepted');
  const claim: Claim = { kind: 'AddNode', node: nodeNamed('newcomer').record, replaces: null };
  const transactions = [
    network.seal([network.artifact('b'), network.artifact('c')], { by: [node0, node1, node2] }),
    network.seal([claim], { consents: [network.consent(claim, nodeNamed('newcomer'))] }),
  ];
  const evidence = [network.duplicateVote(node3, { height: 1 })];
  const made = network.block(view, { transactions, evidence });
  const result = check(view, made.block);
  if (!result.ok) throw new Error(result.refusal.detail);
  t.same(result.effects, made.effects);
  t.equal(result.effects.logLeaves.length, 3);
  t.equal(result.effects.logRange.size, 4);
  t.equal(
    digestToHex(made.block.header.transactionsRoot),
    digestToHex(
      merkleRoot(
        sha256,
        transactions.map((one) => encode(sealedTransaction, one)),
      ),
    ),
  );
  t.match(nextView(view, made.effects).state.get(`evidence|${digestToHex(node3.record.nodeId)}|1|0|precommit`), {
    kind: 'evidence',
    height: 2,
  });
});

t.test('the state root proves what the block wrote, and what is not there', async (t) => {
  const key = 'artifact|generic||demo/x|a|1.0';
  const value = first.effects.stateChanges.get(key) ?? null;
  const deps = { sha256, reader: view.tree };
  const { stateRoot } = first.block.header;
  t.ok(value !== null && verifyKeyProof(sha256, { root: stateRoot, key, value }, proveKey(deps, stateRoot, key)));
  t.ok(verifyKeyProof(sha256, { root: stateRoot, key: 'artifact|none', value: null }, proveKey(deps, stateRoot, 'artifact|none')));
});

t.test('the log root is that of all operations ever', async (t) => {
  const second = network.block(view, { transactions: [network.seal([network.artifact('b'), network.artifact('c')])] });
  const leaves = [...first.effects.logLeaves, ...second.effects.logLeaves];
  t.equal(
    digestToHex(second.block.header.logRoot),
    digestToHex(
      merkleRoot(
        sha256,
        leaves.map(({ bytes }) => bytes),
      ),
    ),
  );
  t.equal(digestToHex(logRoot(sha256, second.effects.logRange)), digestToHex(second.block.header.logRoot));
  t.same(leaves[1]?.completed[0], logLeafHash(sha256, leaves[1]?.bytes ?? new Uint8Array(0)));
  t.match(leaves[2]?.leaf, { height: 2, index: 1, kind: 'AddArtifact', key: 'artifact|generic||demo/x|c|1.0' });
});

type Header = Block['header'];
const valid = network.block(view, { transactions: [network.seal([network.artifact('b')])] }).block;
const withHeader = (changes: Partial<Header>): Block => ({ ...valid, header: { ...valid.header, ...changes } });
const made = (changes: Partial<BlockContent>, signers?: readonly TestNode[]): Block => network.block(view, changes, signers).block;
const bad = digestOf('bad');
const slot = { type: 'precommit', height: 1, round: 0 } as const;
const commit = network.commit(view);
const claimB = network.artifact('b');
const consentClaim: Claim = { kind: 'AddNode', node: nodeNamed('newcomer').record, replaces: null };
/** A block whose transactions executeBlock would refuse to make one of. */
const carrying = (...transactions: readonly SealedTransaction[]): Block => ({ ...valid, transactions });
const signedBy = (...by: readonly TestNode[]): SealedTransaction => network.seal([claimB], { by });
const forged = (sealed: SealedTransaction): SealedTransaction => ({
  ...sealed,
  endorsements: sealed.endorsements.map((one, index) => (index === 0 ? { ...one, signature: new Uint8Array(64) } : one)),
});

const refusedBlocks: readonly (readonly [string, Block, BlockRefusalCode])[] = [
  ['another version', withHeader({ version: 2 }), 'version'],
  ['another chain', withHeader({ chainId: bad }), 'chainId'],
  ['a height too far', withHeader({ height: 3 }), 'height'],
  ['another parent', withHeader({ previousBlockId: bad }), 'parent'],
  ['a proposer out of turn', withHeader({ proposer: proposerAt(view, 2, 1) }), 'proposer'],
  ['the proposer of another round', withHeader({ round: 1 }), 'proposer'],
  ['the time of its parent', withHeader({ timeMs: view.timeMs }), 'timeNotGrowing'],
  ['another transactions root', withHeader({ transactionsRoot: bad }), 'transactionsRoot'],
  ['another log size', withHeader({ logSize: 3 }), 'logSize'],
  ['another log root', withHeader({ logRoot: bad }), 'logRoot'],
  ['another state root', withHeader({ stateRoot: bad }), 'stateRoot'],
  ['another set', withHeader({ setDigest: bad }), 'setDigest'],
  ['another next set', withHeader({ nextSetDigest: bad }), 'nextSetDigest'],
  ['another last commit', withHeader({ lastCommitDigest: null }), 'lastCommitDigest'],
  ['another evidence root', withHeader({ evidenceRoot: bad }), 'evidenceRoot'],
  ['no last commit', made({ transactions: valid.transactions, lastCommit: null }), 'lastCommitMissing'],
  ['a last commit of another height', { ...valid, lastCommit: { ...commit, height: 2 } }, 'certificateHeight'],
  ['a last commit of another block', { ...valid, lastCommit: network.commit({ height: 1, blockId: bad }) }, 'certificateBlock'],
  ['a last commit of half the power', { ...valid, lastCommit: network.commit(view, { by: [node0, node1] }) }, 'certificateQuorum'],
  [
    'a last commit with a stranger',
    { ...valid, lastCommit: network.commit(view, { by: [...network.nodes, nodeNamed('x')] }) },
    'certificateMember',
  ],
  [
    'a last commit that counts one twice',
    { ...valid, lastCommit: network.commit(view, { by: [node0, node1, node1] }) },
    'certificateOrder',
  ],
  ['a last commit with a forged signature', made({ transactions: valid.transactions, lastCommit: { ...commit, round: 4 } }), 'signature'],
  ['nothing in it', made({}), 'emptyBlock'],
  ['a transaction without claims', carrying(network.seal([])), 'transactionForm'],
  ['a malformed claim', carrying(network.seal([network.artifact('b', { files: [] })])), 'transactionForm'],
  ['endorsements of half the power', carrying(signedBy(node0, node1)), 'endorsementQuorum'],
  ['no endorsement', carrying(signedBy()), 'endorsementQuorum'],
  ['endorsements that count one twice', carrying(signedBy(node0, node1, node1)), 'endorsementOrder'],
  [
    'endorsements out of order',
    carrying({ ...signedBy(), endorsements: [...signedBy(...network.nodes).endorsements].reverse() }),
    'endorsementOrder',
  ],
  ['an endorsement of a stranger', carrying(signedBy(...network.nodes, nodeNamed('x'))), 'endorsementMember'],
  ['an expired endorsement', carrying(network.seal([claimB], { expiresMs: valid.header.timeMs })), 'endorsementExpired'],
  ['a forged endorsement', made({ transactions: [forged(signedBy(...network.nodes))] }), 'signature'],
  ['an operation the state refuses', carrying(network.seal([network.artifact('a')])), 'artifactExists'],
  ['a transaction twice', carrying(signedBy(...network.nodes), signedBy(...network.nodes)), 'keyTwiceInBlock'],
  ['a node without its consent', carrying(network.seal([consentClaim])), 'consentMissing'],
  ['a consent for nothing', carrying(network.seal([claimB], { consents: [network.consent(claimB, node0)] })), 'consentUnasked'],
  [
    'a consent by other keys',
    made({
      transactions: [
        network.seal([consentClaim], {
          consents: [{ ...network.consent(consentClaim, node0), nodeId: nodeNamed('newcomer').record.nodeId }],
        }),
      ],
    }),
    'signature',
  ],
  ['evidence of what is the same', { ...valid, evidence: [sameTwice()] }, 'evidenceSame'],
  ['evidence of two places', { ...valid, evidence: [{ ...duplicate(1), second: duplicate(1, 1).second } as never] }, 'evidenceSlot'],
  ['evidence from the future', { ...valid, evidence: [duplicate(3)] }, 'evidenceFuture'],
  ['evidence against a stranger', { ...valid, evidence: [network.duplicateVote(nodeNamed('x'), { height: 1 })] }, 'evidenceMember'],
  ['evidence twice', { ...valid, evidence: [duplicate(1), duplicate(1)] }, 'evidenceSeen'],
  [
    'forged evidence',
    made({ evidence: [{ ...duplicate(1), first: network.vote(node0, { ...slot, blockId: bad }), second: forgedVote() } as never] }),
    'signature',
  ],
];

function duplicate(height: number, round = 0): ReturnType<TestNetwork['duplicateVote']> {
  return network.duplicateVote(node0, { height, round });
}

function sameTwice(): ReturnType<TestNetwork['duplicateVote']> {
  const { first: one } = duplicate(1);
  return { kind: 'duplicateVote', first: one, second: one } as ReturnType<TestNetwork['duplicateVote']>;
}

function forgedVote(): unknown {
  return { ...duplicate(1).second, signature: new Uint8Array(64) };
}

t.test('each invalid block is refused by name', async (t) => {
  t.equal(codeOf(view, valid), 'accepted');
  for (const [what, block, code] of refusedBlocks) t.equal(codeOf(view, block), code, what);
});

t.test('the first block has no last commit, and none before the chain speaks for it', async (t) => {
  t.equal(codeOf(start, { ...first.block, lastCommit: commit }), 'lastCommitUnexpected');
  t.equal(first.block.header.lastCommitDigest, null);
  t.equal(digestToHex(first.block.header.previousBlockId), digestToHex(network.chainId));
});

t.test('an empty block needs a heartbeat, a set change, evidence or a later round', async (t) => {
  const { heartbeatMs } = network.parameters;
  t.equal(codeOf(view, made({ timeMs: view.timeMs + heartbeatMs - 1 })), 'emptyBlock');
  t.equal(codeOf(view, made({ timeMs: view.timeMs + heartbeatMs })), 'accepted');
  t.equal(codeOf(view, made({ round: 1 })), 'accepted');
  t.equal(codeOf(view, made({ evidence: [duplicate(1)] })), 'accepted');
});

t.test('an empty block between two different sets is valid at once', async (t) => {
  const claim: Claim = { kind: 'RemoveNode', nodeId: node3.record.nodeId, reason: 'it left', replaces: 0 };
  // Decided in 2, so set(4) is the first without the node, and block 3 leads from set(3) to set(4).
  const decided = network.after(view, [claim]);
  const block = network.block(decided).block;
  t.not(digestToHex(block.header.setDigest), digestToHex(block.header.nextSetDigest));
  t.equal(codeOf(decided, block), 'accepted');
});

t.test('evidence counts once, and only while it is young', async (t) => {
  const told = nextView(view, network.block(view, { evidence: [duplicate(1)] }).effects);
  const again = executeBlock(told, network.content(told, { evidence: [duplicate(1)] }), sha256);
  t.equal(again.ok ? 'accepted' : again.refusal.code, 'evidenceSeen');
  let later = view;
  while (later.height < 11) later = nextView(later, network.block(later, { round: 1 }).effects);
  const old = executeBlock(later, network.content(later, { evidence: [duplicate(1)] }), sha256);
  t.equal(old.ok ? 'accepted' : old.refusal.code, 'evidenceAge');
  const young = executeBlock(later, network.content(later, { evidence: [duplicate(2)] }), sha256);
  t.equal(young.ok ? 'accepted' : young.refusal.code, 'accepted');
});

t.test('a certificate is checked with the keys of its own height, through a rotation', async (t) => {
  const rotated = withKeyOf(node0, 'consensus', nodeNamed('spare'));
  const claim: Claim = {
    kind: 'RotateKey',
    nodeId: node0.record.nodeId,
    use: 'consensus',
    publicKey: rotated.record.consensusKey,
    replaces: 0,
  };
  const decided = network.after(view, [claim], [network.consent(claim, rotated, ['consensus'])]);
  t.equal(decided.height, 2);
  const third = network.block(decided, { round: 1 });
  t.equal(codeOf(decided, third.block), 'accepted', 'block 2 was certified with the old key');
  const at3 = nextView(decided, third.effects);
  const fourth = network.block(at3, { round: 1 });
  t.equal(codeOf(at3, fourth.block), 'accepted', 'block 3 as well');
  const at4 = nextView(at3, fourth.effects);
  t.equal(codeOf(at4, network.block(at4, { round: 1 }).block), 'signature', 'block 4 needs the new one');
  t.equal(codeOf(at4, network.block(at4, { round: 1 }, [rotated, node1, node2, node3]).block), 'accepted');
});

t.test('checkCommitCertificate: what decides a block', async (t) => {
  const { blockId } = network.block(view, { round: 1 }).effects;
  const expected = { height: 2, blockId, headerRound: 1 };
  const codeFor = (certificate: typeof commit): string => {
    const verdicts = verdictsOn(certificateSignatures(view, certificate));
    return checkCommitCertificate(view, certificate, expected, verdicts)?.code ?? 'accepted';
  };
  t.equal(codeFor(network.commit({ height: 2, blockId }, { round: 1 })), 'accepted');
  t.equal(codeFor(network.commit({ height: 2, blockId }, { round: 3, by: [node0, node1, node2] })), 'accepted');
  t.equal(codeFor(network.commit({ height: 2, blockId }, { round: 0 })), 'certificateRound');
  t.equal(codeFor(network.commit({ height: 2, blockId }, { round: 1, by: [node0, node1] })), 'certificateQuorum');
  t.equal(codeFor(network.commit({ height: 1, blockId }, { round: 1 })), 'certificateHeight');
  t.equal(codeFor({ ...network.commit({ height: 2, blockId }, { round: 2 }), round: 1 }), 'certificateSignature');
  t.equal(checkCommitCertificate(view, network.commit({ height: 2, blockId }, { round: 1 }), expected, [])?.code, 'certificateSignature');
});

t.test('checkSealed: a pool keeps only what could stand in the next block', async (t) => {
  t.equal(checkSealed(view, signedBy(...network.nodes), view.timeMs, sha256), null);
  t.equal(verdictsOn(endorsementSignatures(view, signedBy(...network.nodes), sha256)).includes(false), false);
  t.equal(checkSealed(view, signedBy(node0), view.timeMs, sha256)?.code, 'endorsementQuorum');
  t.equal(checkSealed(view, network.seal([network.artifact('a')]), view.timeMs, sha256)?.code, 'artifactExists');
  t.equal(checkSealed(view, signedBy(...network.nodes), GENESIS_MS + 2e9, sha256)?.code, 'endorsementExpired');
});

t.test('limits: operations and bytes', async (t) => {
  const small = new TestNetwork(4, { maxBlockOperations: 4, maxTransactionClaims: 4, maxBlockBytes: 160_000, maxTransactionBytes: 20_000 });
  const genesis = small.view();
  const few = small.block(genesis, { transactions: [small.seal(['a', 'b', 'c', 'd'].map((name) => small.artifact(name)))] });
  t.equal(codeOf(genesis, few.block), 'accepted');
  const many = small.block(genesis, { transactions: ['a', 'b', 'c', 'd', 'e'].map((name) => small.seal([small.artifact(name)])) });
  t.equal(codeOf(genesis, many.block), 'tooManyOperations');
  const roomy = new TestNetwork(4, { maxBlockBytes: 160_000, maxTransactionBytes: 20_000 });
  const large = (name: string): Claim =>
    roomy.artifact(name, { files: Array.from({ length: 16 }, (_, index) => fileOf(`${name}-${'x'.repeat(150)}-${10 + index}`)) });
  const transactions = Array.from({ length: 30 }, (_, index) => roomy.seal([large(`p${index}`)]));
  const big = roomy.block(roomy.view(), { transactions });
  t.ok(encode(blockSchema, big.block).length > 160_000);
  t.equal(codeOf(roomy.view(), big.block), 'blockTooLarge');
});

t.test('the size limit is that of the encoded block, to the byte', async (t) => {
  const block = made({ transactions: valid.transactions, evidence: [duplicate(1)] });
  const sizeBytes = encode(blockSchema, block).length;
  for (const [maxBlockBytes, code] of [
    [sizeBytes, 'accepted'],
    [sizeBytes - 1, 'blockTooLarge'],
  ] as const) {
    const tight = { ...network.parameters, maxBlockBytes };
    const reader = {
      get: (key: string) =>
        key === 'parameters' ? ({ kind: 'parameters', height: 0, parameters: tight, pending: null } as const) : view.state.get(key),
    };
    t.equal(codeOf({ ...view, state: reader }, block), code);
  }
});

t.test('a node stops before rules that it does not know', async (t) => {
  const future = { ...network.parameters, protocolVersion: 2 };
  const decided = network.after(view, [{ kind: 'SetParams', parameters: future, atHeight: 4, replaces: 0 }]);
  t.equal(codeOf(decided, network.block(decided, { round: 1 }).block), 'accepted');
  const before = nextView(decided, network.block(decided, { round: 1 }).effects);
  t.equal(codeOf(before, network.block(before, { round: 1 }).block), 'versionUnknown');
});

t.test('nextView: two blocks on one parent do not see each other', async (t) => {
  const left = network.after(view, [network.artifact('left')]);
  const right = network.after(view, [network.artifact('right')]);
  t.equal(right.state.get('artifact|generic||demo/x|left|1.0'), null);
  t.not(digestToHex(left.stateRoot), digestToHex(right.stateRoot));
  t.same(nodeKeyAt(left, left.height + 1, node0.record.nodeId), node0.record.consensusKey);
  t.equal(nodeKeyAt(left, left.height + 3, node0.record.nodeId), null);
  t.match(coordinatesOf('left'), { name: 'left' });
});
