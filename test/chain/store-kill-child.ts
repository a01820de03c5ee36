/** Commits blocks to the LevelDB folder it is given until it is killed, saying each height once it is on the disk. Run by store-kill.test.ts. */

import { block as blockSchema, commitCertificate, encode } from '../../chain/index.ts';
import { openChainStore, openLevelStore } from '../../chain/store/index.ts';
import { sha256, TestNetwork } from './state-fixture.ts';

const network = new TestNetwork();
const store = await openChainStore({ kv: await openLevelStore(process.argv[2] ?? ''), sha256 }, network.genesis);
for (;;) {
  const view = store.view();
  const claims = Array.from({ length: 40 }, (_, index) => network.artifact(`p${view.height}-${index}`));
  const { block, effects } = network.block(view, { transactions: [network.seal(claims)] });
  const certificate = encode(commitCertificate, network.commit(effects));
  await store.commit({ block: encode(blockSchema, block), certificate, effects });
  process.stdout.write(`${effects.height}\n`);
}
